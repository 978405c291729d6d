"""A measured distribution as bars, with the real distribution drawn over them.

The buckets of an exponential histogram are far finer than a few hundred observations can fill. This
module joins buckets and never splits one, so each bar has the exact count between its edges. The
bars become narrower as the number of observations grows.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from randsvc.distributions import Distribution
from randsvc.telemetry.aggregate import find_bucket_index
from randsvc.telemetry.snapshot import Exponential

__all__ = (
    "Bars",
    "Distance",
    "Range",
    "compute_density",
    "find_central_range",
    "join_buckets",
    "list_buckets",
    "measure_distance",
    "subtract",
)

TAIL = 0.001
"""The share of a distribution that the picture leaves out on each side."""
CELL_COUNT = 160
"""Cells of the curve of the real distribution: about one for each 2 to 4 pixels."""

BAR_LIMIT = 80
"""Bars at most: about one for each 4 pixels."""
_POINT = 2e-6  # relative; the finest buckets are a third of it


@dataclass(frozen=True)
class Range:
    """An interval of the axis, never empty."""

    low: float
    high: float

    def with_room(self) -> "Range":
        """Return a wider interval: by 3% on each side, or by half the size of a single point."""
        width, size = self.high - self.low, max(abs(self.low), abs(self.high))
        room = 0.03 * width if width > _POINT * size else size / 2 or 1.0
        return Range(self.low - room, self.high + room)

    def __or__(self, other: "Range") -> "Range":
        return Range(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class Bars:
    """Adjacent bars: ``counts[i]`` and ``recent[i]`` are from ``edges[i]`` to ``edges[i + 1]``.

    ``expected[i]`` is the share of the real distribution in this bar.
    """

    edges: list[float]
    counts: list[int]
    recent: list[int]
    expected: list[float]


@dataclass(frozen=True)
class Distance:
    """The distance of observations from a distribution.

    ``d1`` is the sum of the absolute differences of the shares, from 0 to 2. ``chance`` is the
    expected ``d1`` of observations that do come from the distribution.
    """

    d1: float
    chance: float


def join_buckets(histogram: Exponential, recent: Exponential, real: Distribution) -> Bars:
    """Join buckets into bars over the range of the observations and of the ``real`` distribution.

    ``recent`` is the latest part of ``histogram``, from ``subtract``.
    """
    shown = (find_central_range(real) | _find_observed_range(histogram)).with_room()
    # The rule of Rice: 2 n^(1/3) bars. https://en.wikipedia.org/wiki/Histogram#Rice_rule
    number = min(BAR_LIMIT, math.ceil(2 * max(histogram.count, 1) ** (1 / 3)))
    step = (shown.high - shown.low) / number
    wanted = (shown.low + i * step for i in range(number + 1))
    edges = sorted({_find_nearest_bound(x, histogram.scale) for x in wanted})
    below = [real.cdf(edge) for edge in edges]
    return Bars(
        edges=edges,
        counts=_count_between(histogram, edges),
        recent=_count_between(recent, edges),
        expected=[high - low for low, high in pairwise(below)],
    )


def measure_distance(found: Bars, count: int) -> Distance:
    """Return the distance of the ``count`` >= 1 recent observations from the real distribution.

    The observations outside the bars count as one more bar.
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


def subtract(histogram: Exponential, before: Exponential | None) -> Exponential:
    """Return the observations since ``before``, an earlier state of the same histogram."""
    if before is None:
        return histogram
    shift = before.scale - histogram.scale  # it only ever gets coarser
    return Exponential(
        scale=histogram.scale,
        zeros=histogram.zeros - before.zeros,
        positive=_subtract_each(histogram.positive, before.positive, shift),
        negative=_subtract_each(histogram.negative, before.negative, shift),
        count=histogram.count - before.count,
        sum=histogram.sum - before.sum,
    )


def find_central_range(real: Distribution) -> Range:
    """Return the interval that holds a distribution except for ``TAIL`` on each side."""
    return Range(real.quantile(TAIL), real.quantile(1 - TAIL))


def compute_density(real: Distribution) -> dict[str, list[float]]:
    """Return the mean density in each of ``CELL_COUNT`` cells, as ``x`` (middles) and ``density``.

    The differences of the cdf give a density to a point mass too: its mass over the cell's width.
    """
    shown = find_central_range(real).with_room()
    step = (shown.high - shown.low) / CELL_COUNT
    edges = [shown.low + i * step for i in range(CELL_COUNT + 1)]
    below = [real.cdf(edge) for edge in edges]
    return {
        "x": [edge + step / 2 for edge in edges[:-1]],
        "density": [(below[i + 1] - below[i]) / step for i in range(CELL_COUNT)],
    }


def _count_between(histogram: Exponential, edges: list[float]) -> list[int]:
    """Count the observations between the edges, which are bounds of buckets.

    A bar includes its upper edge.
    """
    counts = [0] * (len(edges) - 1)
    for _, bound, count in list_buckets(histogram):
        bar = bisect_left(edges, bound) - 1
        if 0 <= bar < len(counts):
            counts[bar] += count
    return counts


def list_buckets(histogram: Exponential) -> Iterator[tuple[float, float, int]]:
    """Yield the bounds and the count of each bucket that is not empty, ascending."""
    scale = histogram.scale
    for index in sorted(histogram.negative, reverse=True):
        low, high = (-_compute_bound(i, scale) for i in (index + 1, index))
        yield low, high, histogram.negative[index]
    if histogram.zeros:
        yield 0.0, 0.0, histogram.zeros
    for index in sorted(histogram.positive):
        low, high = (_compute_bound(i, scale) for i in (index, index + 1))
        yield low, high, histogram.positive[index]


def _find_nearest_bound(x: float, scale: int) -> float:
    """Return the upper bound of the bucket that holds x."""
    if x == 0:
        return 0.0
    return math.copysign(_compute_bound(find_bucket_index(abs(x), scale) + 1, scale), x)


def _compute_bound(index: int, scale: int) -> float:
    power = math.ldexp(index, -scale)
    return math.exp2(min(power, 1023.0))


def _find_observed_range(histogram: Exponential) -> Range:
    """Return the range of the observations except for ``TAIL`` of them on each side."""
    buckets = [(bound, count) for _, bound, count in list_buckets(histogram)]
    return Range(_skip_tail(buckets, histogram.count), _skip_tail(buckets[::-1], histogram.count))


def _skip_tail(buckets: list[tuple[float, int]], count: int) -> float:
    outside = TAIL * count
    for bound, here in buckets:
        outside -= here
        if outside < 0:
            return bound
    return 0.0


def _subtract_each(now: Mapping[int, int], before: Mapping[int, int], shift: int) -> dict[int, int]:
    left = dict(now)
    for index, count in before.items():
        left[index >> shift] = left.get(index >> shift, 0) - count
    return {index: count for index, count in left.items() if count > 0}
