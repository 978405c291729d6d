"""Times and durations as people write them, in UTC, and spans of time in Unix seconds."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import ceil

__all__ = ("Span", "cut", "format_time", "parse_duration", "parse_time")

_SAME = 2e-3  # seconds; Prometheus counts in milliseconds
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_YEAR_9999 = 253_370_764_800.0
_DURATION = re.compile(r"(?:\d{1,9}(?:ms|[smhdwy]))+")


def parse_duration(text: str) -> float:
    """The seconds of a Prometheus duration above 0; raises ``ValueError``.

    >>> parse_duration("1h30m")
    5400
    """
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text) if _DURATION.fullmatch(text) else []
    total = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not total > 0:
        raise ValueError("expected a duration such as 30m or 1h30m")
    return total


def parse_time(text: str, *, now: float) -> float:
    """Unix seconds of ``now``, ``-7d``, an ISO 8601 time or Unix seconds; raises ``ValueError``.

    >>> parse_time("-1h", now=7200), parse_time("1970-01-01T00:01", now=0)
    (3600, 60.0)
    """
    try:
        found = _unix_seconds(text, now)
        if not 0 <= found < _YEAR_9999:
            raise ValueError("outside of what a time can be")
    except (ValueError, OverflowError):
        raise ValueError(
            "expected now, a time such as 2026-11-24T10:00:00Z, a time before now such as -7d, or "
            "Unix seconds"
        ) from None
    return found


def _unix_seconds(text: str, now: float) -> float:
    if text == "now":
        return now
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if text.startswith("-"):
        return now - parse_duration(text[1:])
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def format_time(at: float) -> str:
    """A Unix time for people, in UTC; without seconds if they are 0.

    >>> format_time(60), format_time(61)
    ('1970-01-01 00:01', '1970-01-01 00:01:01')
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}".removesuffix(":00")


@dataclass(frozen=True, order=True)
class Span:
    """From ``start`` to ``end``, Unix seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start

    def before(self) -> "Span":
        """The period before, of the same length."""
        return Span(self.start - self.seconds, self.start)

    def overlap(self, other: "Span") -> float:
        """The seconds that both share."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))

    def covers(self, other: "Span") -> bool:
        """Whether the other one lies in it, give or take a millisecond."""
        return self.start - _SAME <= other.start and other.end <= self.end + _SAME


def cut(
    span: Span, length: float, borders: Iterable[float] = (), *, least: float = 0.0
) -> tuple[Span, ...]:
    """Cut a span every ``length`` seconds, and at the borders that lie in it.

    Where a border and a regular cut are less than ``least`` seconds apart, the border is taken: a
    window so short may hold no sample, which would look as if nothing had happened.
    """
    within = [round(each, 3) for each in borders if span.start < each < span.end]
    cuts = (span.start + length * i for i in range(1, ceil(span.seconds / length)))
    regular = (each for each in cuts if all(abs(each - border) >= least for border in within))
    edges = sorted({span.start, *regular, *within, span.end})
    # What no sample can lie in is no window.
    kept = [edges[0], *(b for a, b in pairwise(edges) if b - a > _SAME)]
    return tuple(Span(a, b) for a, b in pairwise(kept))
