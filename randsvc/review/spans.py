"""Periods of time, in Unix seconds, and the windows that one is cut into."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

__all__ = ("Span", "cut", "overlap", "window_length", "without")

# What a person counts in.
_LENGTHS = (10, 30, 60, 300, 900, 3600, 3 * 3600, 86400, 7 * 86400)
MOST_WINDOWS = 370
"""A picture is not much wider in pixels that can be told apart; a year has its days."""
_SAME = 2e-3
"""Seconds; Prometheus counts in milliseconds."""


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


def overlap(span: Span, others: Iterable[Span]) -> float:
    """The seconds that a span shares with others, of which none overlaps another."""
    return sum(span.overlap(other) for other in others)


def window_length(span: Span, least: float) -> float:
    """Seconds of a window: few enough windows for a picture, of a length that people count in.

    ``least`` is what a window must last to hold a sample.
    """
    fewest = max(span.seconds / MOST_WINDOWS, least)
    return float(next((each for each in _LENGTHS if each >= fewest), ceil(fewest)))


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


def without(span: Span, holes: Sequence[Span], longer: float = 0.0) -> list[Span]:
    """What is left of a span beside the holes, where it is longer than so many seconds."""
    ends = [span.start, *(time for hole in sorted(holes) for time in (hole.start, hole.end))]
    pairs = list(pairwise([*ends, span.end]))[::2]
    return [
        Span(max(a, span.start), min(b, span.end))
        for a, b in pairs
        if min(b, span.end) - max(a, span.start) > longer
    ]
