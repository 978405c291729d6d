"""Samples of which only the number of values in each bin is known."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

__all__ = (
    "EMPTY",
    "Bin",
    "Binned",
    "Quantile",
    "estimate_quantile",
    "group",
    "make_equiprobable",
    "merge",
)

# Bounds of two resolutions that should be equal may differ in the last digit.
_SAME = 1e-12


class Bin(NamedTuple):
    """``count`` values lie between ``lower`` and ``upper``, each of which may be infinite."""

    lower: float
    upper: float
    count: float  # type: ignore[assignment] # no tuple is counted in here

    @property
    def middle(self) -> float:
        """The middle of the bin; a guess if a bound is infinite."""
        if math.isinf(self.lower):
            return self.upper - abs(self.upper) / 2 if self.upper else -1.0
        if math.isinf(self.upper):
            return self.lower + abs(self.lower) / 2 if self.lower else 1.0
        return (self.lower + self.upper) / 2

    @property
    def width(self) -> float:
        """``upper`` - ``lower``, or 0 if that is infinite."""
        return self.upper - self.lower if math.isfinite(self.upper - self.lower) else 0.0


@dataclass(frozen=True)
class Binned:
    """Bins that hold values, ascending and without overlap; there are no values outside of them.

    ``sum`` is the sum of the values; None if it is not known.
    """

    bins: tuple[Bin, ...] = ()
    sum: float | None = 0.0

    @property
    def count(self) -> int:
        """The number of values."""
        return round(sum(bin_.count for bin_ in self.bins))

    def __add__(self, other: "Binned") -> "Binned":
        """Add two samples; where bins overlap, the result has the wider one."""
        total = None if self.sum is None or other.sum is None else self.sum + other.sum
        return Binned(merge([*self.bins, *other.bins]), total)

    def since(self, earlier: "Binned") -> "Binned | None":
        """The values that were added after ``earlier``; None if this is no continuation of it."""
        negative = [bin_._replace(count=-bin_.count) for bin_ in earlier.bins]
        bins = merge([*self.bins, *negative])
        if any(bin_.count < 0 for bin_ in bins):
            return None
        total = None if self.sum is None or earlier.sum is None else self.sum - earlier.sum
        return Binned(tuple(bin_ for bin_ in bins if bin_.count), total)

    def below(self, x: float) -> float:
        """The share of the values up to ``x``, with the values of a bin spread evenly."""
        total = 0.0
        for bin_ in self.bins:
            if bin_.upper <= x:
                total += bin_.count
            elif bin_.lower < x:
                total += bin_.count * (x - bin_.lower) / bin_.width if bin_.width else 0.0
        return total / self.count

    def covering(self) -> tuple[Bin, ...]:
        """The bins with the empty bins between and outside of them, so that they cover the line."""
        covered: list[Bin] = []
        end = -math.inf
        for bin_ in self.bins:
            if bin_.lower > end:
                covered.append(Bin(end, bin_.lower, 0.0))
            covered.append(bin_)
            end = bin_.upper
        if end < math.inf:
            covered.append(Bin(end, math.inf, 0.0))
        return tuple(covered)


EMPTY = Binned()


class Quantile(NamedTuple):
    """A quantile lies in ``bin``; ``value`` is interpolated there, None where the bin has no end.

    ``histogram_quantile`` of Prometheus gives the finite end of the bin in place of None.
    """

    bin: Bin
    value: float | None


def estimate_quantile(bins: Iterable[Bin], q: float) -> Quantile | None:
    """Estimate the ``q`` quantile, 0 to 1, of ascending bins; None if they hold nothing.

    Linear within a bin, as ``histogram_quantile``:
    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """
    filled = [bin_ for bin_ in bins if bin_.count]
    rank, below = q * sum(bin_.count for bin_ in filled), 0.0
    for bin_ in filled:
        # The last one holds whatever rounding leaves over.
        if below + bin_.count >= rank or bin_ is filled[-1]:
            if math.isinf(bin_.lower) or math.isinf(bin_.upper):
                return Quantile(bin_, None)
            return Quantile(bin_, bin_.lower + bin_.width * (rank - below) / bin_.count)
        below += bin_.count
    return None


def merge(bins: Iterable[Bin]) -> tuple[Bin, ...]:
    """The bins ascending; those that overlap become one that spans them.

    Exponential buckets of two scales nest, so that what comes of them is the coarser bucket.
    """
    result: list[Bin] = []
    for bin_ in sorted(bins, key=lambda bin_: (bin_.lower, bin_.upper)):
        if result and _overlap(result[-1], bin_):
            last = result[-1]
            result[-1] = Bin(last.lower, max(last.upper, bin_.upper), last.count + bin_.count)
        else:
            result.append(bin_)
    return tuple(result)


def make_equiprobable(binned: Binned, number: int) -> tuple[Bin, ...]:
    """Up to ``number`` bins from the lowest value to the highest, each with about the same count.

    They end where the bins of the sample end that come nearest, so the counts are exact; a bin that
    is fuller than its share stays whole. The sample must not be empty.
    """
    low, high = binned.bins[0].lower, binned.bins[-1].upper
    cells = [cell for cell in binned.covering() if low <= cell.lower and cell.upper <= high]
    counted = list(accumulate(cell.count for cell in cells))
    ends = sorted({_nearest(counted, binned.count * k / number) for k in range(1, number)})
    # An end behind the last cell, or before anything is counted, makes no bin.
    ends = [0, *(end for end in ends if 0 < end < len(cells)), len(cells)]
    return tuple(
        Bin(cells[i].lower, cells[j - 1].upper, sum(cell.count for cell in cells[i:j]))
        for i, j in pairwise(ends)
    )


def _nearest(counted: Sequence[float], target: float) -> int:
    """How many cells to take so that the nearest number to ``target`` is counted."""
    after = bisect_left(counted, target)
    if after and target - counted[after - 1] < counted[after] - target:
        return after
    return after + 1


def group(cells: Sequence[Bin], weights: Sequence[float], least: float) -> tuple[Bin, ...]:
    """Join neighbours until the weight of each group is ``least``; the rest joins the last."""
    groups: list[Bin] = []
    lower, count, weight = cells[0].lower, 0.0, 0.0
    for number, cell in enumerate(cells):
        count += cell.count
        weight += weights[number]
        if weight >= least * (1 - 1e-9):
            groups.append(Bin(lower, cell.upper, count))
            lower, count, weight = cell.upper, 0.0, 0.0
    if not groups:
        return (Bin(lower, cells[-1].upper, count),)
    last = groups[-1]
    groups[-1] = Bin(last.lower, cells[-1].upper, last.count + count)
    return tuple(groups)


def _overlap(left: Bin, right: Bin) -> bool:
    if (left.lower, left.upper) == (right.lower, right.upper):
        return True
    return left.upper - right.lower > _SAME * max(abs(left.upper), abs(right.lower))
