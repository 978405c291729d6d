"""From text such as ``lognormal(median=0.05, sigma=0.5, max=2)`` to a distribution.

The grammar, with blanks allowed between tokens::

    distribution = family "(" [ argument { "," argument } ] ")"
    argument     = [ parameter "=" ] number | weight "*" distribution
"""

import difflib
import inspect
import re
from collections.abc import Sequence
from typing import NamedTuple

from randsvc.distributions.compose import mixture, truncated
from randsvc.distributions.families import FAMILIES, Distribution, ParameterError

# Long enough for a mixture of ten parts; it also limits how deep mixtures nest.
_LONGEST = 1000
# Within these limits no square of a number overflows or vanishes.
_SMALLEST, _LARGEST = 1e-100, 1e100

_FAMILIES = sorted((*FAMILIES, "mixture"))
_BOUNDS = {"min": "low", "max": "high"}  # by the name that truncated() has for them
_KINDS = {
    "number": "a number",
    "name": "a family such as normal(mean=50, sd=10)",
    "end": "the end",
}
_PART = "a part of a mixture is weight*distribution, such as 0.9*normal(mean=50, sd=10)"

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number> [+-]? (?: (?:\d+\.?\d*|\.\d+) (?:e[+-]?\d+)? | (?:inf|infinity|nan)\b ))
      | (?P<name> [a-z_]\w* )
      | (?P<symbol> [(),=*] )
      | (?P<end> \Z )
      | (?P<other> . )
    )""",
    re.VERBOSE | re.ASCII | re.IGNORECASE | re.DOTALL,
)


class DistributionError(ValueError):
    """A text that does not describe a usable distribution.

    The message is one line: the text, the place of the error, and what was expected.
    """


def parse(text: str) -> Distribution:
    """Parse the text of a distribution.

    Raises ``DistributionError``, and nothing else, if it does not describe one.
    """
    if len(text) > _LONGEST:
        raise DistributionError(
            f"{text[:40]!r}... has {len(text)} characters: a distribution has {_LONGEST} at most"
        )
    reader = _Reader(text)
    distribution = reader.read_distribution()
    reader.take("end")
    return distribution


def parse_delay(text: str) -> Distribution:
    """Parse the text of a delay in seconds; raises ``DistributionError`` if it can be negative."""
    distribution = parse(text)
    if distribution.support[0] >= 0:
        return distribution
    advice = "set min=0"
    try:
        truncated(distribution, low=0.0)
    except ParameterError:
        advice = "a delay is 0 seconds or more"
    raise DistributionError(f"{text!r} can be negative: {advice}")


class _Token(NamedTuple):
    kind: str  # a group of _TOKEN, or the symbol itself
    text: str
    column: int  # counted from 1


class _Argument(NamedTuple):
    name: _Token | None
    number: _Token
    part: Distribution | None = None  # the number is then its weight in a mixture


class _Reader:
    """Reads a text token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [_make_token(match) for match in _TOKEN.finditer(text)]
        self._position = 0

    def read_distribution(self) -> Distribution:
        """Read a family and its arguments."""
        if self._next.kind == "number":
            raise self._make_error(self._next, f"did you mean constant({self._next.text})?")
        family = self.take("name")
        if family.text not in _FAMILIES:
            raise self._make_error(family, f"no such family; {_list_known(family.text, _FAMILIES)}")
        self.take("(")
        arguments = []
        if self._next.kind != ")":
            arguments.append(self._read_argument())
        while self.take(",", ")").kind == ",":
            arguments.append(self._read_argument())
        return self._build(family, arguments)

    def take(self, *kinds: str) -> _Token:
        """Read one token, which must be of one of these kinds."""
        token = self._next
        if token.kind not in kinds:
            raise self._make_error(token, f"expected {' or '.join(map(_describe, kinds))}")
        self._position += 1
        return token

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _read_argument(self) -> _Argument:
        if self._next.kind == "name":
            name = self.take("name")
            if self._next.kind == "(":
                raise self._make_error(name, _PART)
            self.take("=")
            return _Argument(name, self.take("number"))
        number = self.take("number")
        if self._next.kind != "*":
            return _Argument(None, number)
        self.take("*")
        return _Argument(None, number, self.read_distribution())

    def _build(self, family: _Token, arguments: Sequence[_Argument]) -> Distribution:
        given = self._assign(family, arguments)
        values = {name: self._check_number(argument.number) for name, argument in given.items()}
        bounds = {limit: values.pop(name) for name, limit in _BOUNDS.items() if name in values}
        try:
            if family.text == "mixture":
                parts = [(values[name], given[name].part) for name in values]
                base = mixture([(weight, part) for weight, part in parts if part])
            else:
                base = FAMILIES[family.text](**values)
            return truncated(base, **bounds) if bounds else base
        except ParameterError as error:
            place = given[error.parameter].number if error.parameter in given else family
            raise self._make_error(place, str(error)) from None

    def _assign(self, family: _Token, arguments: Sequence[_Argument]) -> dict[str, _Argument]:
        """Assign the arguments to parameters: all required ones, each once."""
        needed, order = _list_parameters(family.text)
        given: dict[str, _Argument] = {}
        for place, argument in enumerate(arguments):
            token = argument.name or argument.number
            if argument.name:
                name = token.text
                if name not in (*order, *_BOUNDS):
                    known = _list_known(name, (*order, *_BOUNDS))
                    raise self._make_error(token, f"{family.text} has no such parameter; {known}")
            elif (family.text == "mixture") != (argument.part is not None):
                raise self._make_error(
                    token, "only a mixture has parts" if argument.part else _PART
                )
            elif argument.part:
                name = f"part {1 + sum(1 for other in given.values() if other.part)}"
            elif place < len(order):
                name = order[place]
            else:
                raise self._make_error(
                    token, f"{family.text} takes only {' and '.join(order)} unnamed"
                )
            if name in given:
                raise self._make_error(token, f"{name} is given twice")
            given[name] = argument
        if missing := [name for name in needed if name not in given]:
            example = f"{family.text}({', '.join(f'{name}=...' for name in needed)})"
            raise self._make_error(family, f"{' and '.join(missing)} missing: write {example}")
        return given

    def _check_number(self, number: _Token) -> float:
        value = float(number.text)
        if value != 0 and not _SMALLEST <= abs(value) <= _LARGEST:
            limits = f"from {_SMALLEST:g} to {_LARGEST:g} in size"
            raise self._make_error(number, f"expected a number that is 0 or {limits}")
        return value

    def _make_error(self, token: _Token, problem: str) -> DistributionError:
        place = f"column {token.column}, at {_describe(token.text or 'end')}"
        return DistributionError(f"{self._text!r}, {place}: {problem}")


def _make_token(match: re.Match[str]) -> _Token:
    kind = match.lastgroup or ""
    text = match[kind]
    return _Token(text if kind == "symbol" else kind, text, match.start(kind) + 1)


def _list_parameters(family: str) -> tuple[list[str], list[str]]:
    """Return the required parameters of a family, and all of its parameters in order."""
    if family == "mixture":
        return [], []
    parameters = inspect.signature(FAMILIES[family]).parameters
    return [name for name, p in parameters.items() if p.default is p.empty], list(parameters)


def _describe(kind: str) -> str:
    return _KINDS.get(kind, repr(kind))


def _list_known(name: str, known: Sequence[str]) -> str:
    closest = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"; did you mean {closest[0]}?" if closest else ""
    return f"known: {', '.join(known)}{hint}"
