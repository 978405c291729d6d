"""A measured distribution as bars, and the true one over them.

The buckets of an exponential histogram are far finer than a few hundred observations can fill. They
are joined, never split: each bar counts exactly what was observed between its edges, and the bars
get finer as the observations get more.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from randsvc.distributions import Distribution
from randsvc.telemetry.aggregate import bucket_index
from randsvc.telemetry.snapshot import Exponential

__all__ = (
    "Bars",
    "Distance",
    "Range",
    "bars",
    "distance",
    "since",
    "true_density",
    "true_range",
)

TAIL = 0.001
"""Of the truth and of the observations on each side, which the picture leaves out."""
CELLS = 160
"""Of the curve of the truth: about one for each 2 to 4 pixels."""

MOST_BARS = 80
"""About one for each 4 pixels."""
_POINT = 2e-6  # relative; the finest buckets are a third of it


@dataclass(frozen=True)
class Range:
    """An interval of the axis, never empty."""

    low: float
    high: float

    def with_room(self) -> "Range":
        """An interval with room on each side; much of it where it was hardly more than a point."""
        width, size = self.high - self.low, max(abs(self.low), abs(self.high))
        room = 0.03 * width if width > _POINT * size else size / 2 or 1.0
        return Range(self.low - room, self.high + room)

    def __or__(self, other: "Range") -> "Range":
        return Range(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class Bars:
    """Adjacent bars: ``counts[i]`` and ``recent[i]`` are from ``edges[i]`` to ``edges[i + 1]``.

    ``expected[i]`` is the share that the truth has there.
    """

    edges: list[float]
    counts: list[int]
    recent: list[int]
    expected: list[float]


@dataclass(frozen=True)
class Distance:
    """How far observations are from a distribution, 0 to 2, and how far chance alone puts them.

    D1, the sum of the absolute differences of the shares; ``chance`` is what it is expected to be
    where nothing has changed.
    """

    d1: float
    chance: float


def bars(histogram: Exponential, recent: Exponential, truth: Distribution) -> Bars:
    """Join the buckets in which most of the observations lie, or would by the ``truth``.

    ``recent`` is the part of ``histogram`` that came last, from ``since``.
    """
    shown = (true_range(truth) | _central(histogram)).with_room()
    # The rule of Rice: 2 n^(1/3) bars. https://en.wikipedia.org/wiki/Histogram#Rice_rule
    number = min(MOST_BARS, math.ceil(2 * max(histogram.count, 1) ** (1 / 3)))
    step = (shown.high - shown.low) / number
    wanted = (shown.low + i * step for i in range(number + 1))
    edges = sorted({_nearest_bound(x, histogram.scale) for x in wanted})
    below = [truth.cdf(edge) for edge in edges]
    return Bars(
        edges=edges,
        counts=_counts(histogram, edges),
        recent=_counts(recent, edges),
        expected=[high - low for low, high in pairwise(below)],
    )


def distance(found: Bars, count: int) -> Distance:
    """The distance of the recent observations, ``count`` of them (>= 1), from the truth.

    What lies outside of the bars, on either side, is one more bar.
    """
    shares = [recent / count for recent in found.recent]
    pairs = [
        *zip(shares, found.expected, strict=True),
        (max(0.0, 1 - sum(shares)), max(0.0, 1 - sum(found.expected))),
    ]
    return Distance(
        d1=sum(abs(share - p) for share, p in pairs),
        # The mean absolute deviation of a binomial share, which is nearly normal.
        chance=sum(math.sqrt(2 * max(p * (1 - p), 0.0) / (math.pi * count)) for _, p in pairs),
    )


def since(histogram: Exponential, before: Exponential | None) -> Exponential:
    """What was observed after ``before``, an earlier state of the same histogram."""
    if before is None:
        return histogram
    shift = before.scale - histogram.scale  # it only ever gets coarser
    return Exponential(
        scale=histogram.scale,
        zeros=histogram.zeros - before.zeros,
        positive=_minus(histogram.positive, before.positive, shift),
        negative=_minus(histogram.negative, before.negative, shift),
        count=histogram.count - before.count,
        sum=histogram.sum - before.sum,
    )


def true_range(truth: Distribution) -> Range:
    """The interval that holds all of a distribution but ``TAIL`` on each side."""
    return Range(truth.quantile(TAIL), truth.quantile(1 - TAIL))


def true_density(truth: Distribution) -> dict[str, list[float]]:
    """The density over ``true_range`` and some room, as the mean over each of ``CELLS`` cells.

    From differences of the cdf, so that a point mass has one too: its mass over a cell.
    """
    shown = true_range(truth).with_room()
    step = (shown.high - shown.low) / CELLS
    edges = [shown.low + i * step for i in range(CELLS + 1)]
    below = [truth.cdf(edge) for edge in edges]
    return {
        "x": [edge + step / 2 for edge in edges[:-1]],
        "density": [(below[i + 1] - below[i]) / step for i in range(CELLS)],
    }


def _counts(histogram: Exponential, edges: list[float]) -> list[int]:
    """Observations between the edges, which are bounds of buckets; the upper edge is included."""
    counts = [0] * (len(edges) - 1)
    for bound, count in _buckets(histogram):
        bar = bisect_left(edges, bound) - 1
        if 0 <= bar < len(counts):
            counts[bar] += count
    return counts


def _buckets(histogram: Exponential) -> Iterator[tuple[float, int]]:
    """The upper bound and the count of each bucket with observations, ascending."""
    scale = histogram.scale
    for index in sorted(histogram.negative, reverse=True):
        yield -_bound(index, scale), histogram.negative[index]
    if histogram.zeros:
        yield 0.0, histogram.zeros
    for index in sorted(histogram.positive):
        yield _bound(index + 1, scale), histogram.positive[index]


def _nearest_bound(x: float, scale: int) -> float:
    """A bound of the bucket that holds x."""
    if x == 0:
        return 0.0
    return math.copysign(_bound(bucket_index(abs(x), scale) + 1, scale), x)


def _bound(index: int, scale: int) -> float:
    power = math.ldexp(index, -scale)
    return math.exp2(min(power, 1023.0))


def _central(histogram: Exponential) -> Range:
    """The range of the bounds without ``TAIL`` of the observations on each side."""
    buckets = list(_buckets(histogram))
    return Range(_past_tail(buckets, histogram.count), _past_tail(buckets[::-1], histogram.count))


def _past_tail(buckets: list[tuple[float, int]], count: int) -> float:
    outside = TAIL * count
    for bound, here in buckets:
        outside -= here
        if outside < 0:
            return bound
    return 0.0


def _minus(now: Mapping[int, int], before: Mapping[int, int], shift: int) -> dict[int, int]:
    left = dict(now)
    for index, count in before.items():
        left[index >> shift] = left.get(index >> shift, 0) - count
    return {index: count for index, count in left.items() if count > 0}
