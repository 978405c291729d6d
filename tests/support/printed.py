"""Compares what a command printed with what a page shows, apart from what differs between runs.

On a page a number stands for any number, but a lone 0 and the values of labels are exact. ``...``
stands for any text within a line, and for any lines where it is a line. Lines of a bar chart stand
for any number of such lines. After the line ``OMITTED``, labels and lines may be missing, and the
lines may have any order: a series stands where it was first recorded.
"""

import re
from collections.abc import Sequence

__all__ = ("OMITTED", "prints")

OMITTED = "# (some labels and series omitted)"
BAR = re.compile(r"[█▉▊▋▌▍▎▏│]")
NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
TOKEN = re.compile(
    r'(?P<exact>\w+="[^"]*"|[A-Za-z_]\w*|(?<![\w.+-])0(?![\w.]))'
    rf"|(?P<any>\.\.\.)|(?P<number>{NUMBER})|(?P<blank>\s+)|(?P<other>.)"
)


def prints(shown: str, printed: str) -> bool:
    """Whether ``printed`` is the output that ``shown`` stands for."""
    before, omitted, after = shown.partition(f"{OMITTED}\n")
    lines = [line.strip() for line in printed.splitlines()]
    reached = _match_in_order(before.splitlines(), lines)
    if not omitted:
        return len(lines) in reached
    if not reached:
        return False
    rest = lines[min(reached) :]
    return all(
        any(map(re.compile(_line(line, omitted=True)).fullmatch, rest))
        for line in after.splitlines()
    )


def _match_in_order(shown: Sequence[str], lines: Sequence[str]) -> set[int]:
    """Return how many lines the page may stand for: one expression for all takes for ever."""
    reached = {0}
    bars = False
    for line in shown:
        is_bar = BAR.search(line) is not None
        if line == "...":
            reached = _skip(reached, lines)
        elif is_bar and not bars:
            reached = _pass_bars(reached, lines)
        elif not is_bar:
            expected = re.compile(_line(line, omitted=False))
            reached = {i + 1 for i in reached if i < len(lines) and expected.fullmatch(lines[i])}
        bars = is_bar
    return reached


def _skip(reached: set[int], lines: Sequence[str]) -> set[int]:
    return set(range(min(reached), len(lines) + 1)) if reached else set()


def _pass_bars(reached: set[int], lines: Sequence[str]) -> set[int]:
    passed = set()
    for start in reached:
        for i, line in enumerate(lines[start:], start=start + 1):
            if not BAR.search(line):
                break
            passed.add(i)
    return passed


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
