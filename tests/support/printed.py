"""Compares what a command printed with what a page shows, apart from what differs between runs.

On a page a number stands for any number, but a lone 0 and the values of labels are exact. ``...``
stands for any text within a line, and for any lines where it is a line. Lines of a bar chart stand
for any number of such lines. After the line ``OMITTED``, labels and lines may be missing.
"""

import re
from collections.abc import Iterator

__all__ = ("OMITTED", "prints")

OMITTED = "# (some labels and series omitted)"
BAR = re.compile(r"[█▉▊▋▌▍▎▏│]")
BARS = r"(?:[^\n]*[█▉▊▋▌▍▎▏│][^\n]*\n)+"
NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
BLANKS = r"[^\S\n]*"
LINES = r"(?:[^\n]*\n)*?"
TOKEN = re.compile(
    r'(?P<exact>\w+="[^"]*"|[A-Za-z_]\w*|(?<![\w.+-])0(?![\w.]))'
    rf"|(?P<any>\.\.\.)|(?P<number>{NUMBER})|(?P<blank>\s+)|(?P<other>.)"
)


def prints(shown: str, printed: str) -> bool:
    """Whether ``printed`` is the output that ``shown`` stands for."""
    return re.fullmatch("".join(_lines(shown)), printed) is not None


def _lines(shown: str) -> Iterator[str]:
    omitted = False
    bars = False
    for line in shown.splitlines():
        is_bar = BAR.search(line) is not None
        if line == OMITTED:
            omitted = True
        elif line == "...":
            yield LINES
        elif is_bar and not bars:
            yield BARS
        elif not is_bar:
            yield (LINES if omitted else "") + BLANKS + _line(line, omitted) + BLANKS + r"\n"
        bars = is_bar
    if omitted:
        yield LINES


def _line(line: str, omitted: bool) -> str:
    return "".join(_token(token, omitted) for token in TOKEN.finditer(line.strip()))


def _token(token: re.Match[str], omitted: bool) -> str:
    match token.lastgroup:
        case "any":
            return r"[^\n]*?"
        case "number":
            return NUMBER
        case "blank":
            return r"[^\S\n]+"
    if omitted and token[0] in "{,}":
        # A comma may have had labels before it, and the braces may have had some within.
        return {"{": r"\{[^}\n]*?", ",": r",[^}\n]*?", "}": r"[^}\n]*\}"}[token[0]]
    return re.escape(token[0])
