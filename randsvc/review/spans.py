"""What spans of time share, what is left between them, and how long a window of one is."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil

from randsvc.times import Span

__all__ = ("choose_window_length", "find_gaps", "measure_overlap")

# What a person counts in.
_LENGTHS = (10, 30, 60, 300, 900, 3600, 3 * 3600, 86400, 7 * 86400)
WINDOW_LIMIT = 370
"""Windows in a picture, which is not much wider in pixels; a year has its days."""


def measure_overlap(span: Span, others: Iterable[Span]) -> float:
    """The seconds that a span shares with others, of which none overlaps another."""
    return sum(span.overlap(other) for other in others)


def choose_window_length(span: Span, least: float) -> float:
    """Seconds of a window: few enough windows for a picture, of a length that people count in.

    ``least`` is what a window must last to hold a sample.
    """
    fewest = max(span.seconds / WINDOW_LIMIT, least)
    return float(next((each for each in _LENGTHS if each >= fewest), ceil(fewest)))


def find_gaps(span: Span, holes: Sequence[Span], longer: float = 0.0) -> list[Span]:
    """What is left of a span beside the holes, where it is longer than so many seconds."""
    ends = [span.start, *(time for hole in sorted(holes) for time in (hole.start, hole.end))]
    pairs = list(pairwise([*ends, span.end]))[::2]
    return [
        Span(max(a, span.start), min(b, span.end))
        for a, b in pairs
        if min(b, span.end) - max(a, span.start) > longer
    ]
