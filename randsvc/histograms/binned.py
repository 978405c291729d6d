"""A sample of which only the number in each bin is known."""

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
    "equiprobable",
    "estimate_quantile",
    "grouped",
    "merged",
)

# Bounds of two resolutions that should be equal may differ in the last digit.
_SAME = 1e-12


class Bin(NamedTuple):
    """So many values lie between ``lower`` and ``upper``, either of which may be infinite."""

    lower: float
    upper: float
    count: float  # type: ignore[assignment] # no tuple is counted in here

    @property
    def middle(self) -> float:
        """A value that stands for the bin; a guess where it has no end."""
        if math.isinf(self.lower):
            return self.upper - abs(self.upper) / 2 if self.upper else -1.0
        if math.isinf(self.upper):
            return self.lower + abs(self.lower) / 2 if self.lower else 1.0
        return (self.lower + self.upper) / 2

    @property
    def width(self) -> float:
        """``upper`` - ``lower``, or 0 where that is infinite."""
        return self.upper - self.lower if math.isfinite(self.upper - self.lower) else 0.0


@dataclass(frozen=True)
class Binned:
    """Bins that hold something, ascending and apart; between them, and beyond, lies nothing.

    ``sum`` is that of the values themselves; None where it is not known.
    """

    bins: tuple[Bin, ...] = ()
    sum: float | None = 0.0

    @property
    def count(self) -> int:
        """The number of values."""
        return round(sum(bin_.count for bin_ in self.bins))

    def __add__(self, other: "Binned") -> "Binned":
        """Both together, at the coarser resolution of the two wherever they overlap."""
        total = None if self.sum is None or other.sum is None else self.sum + other.sum
        return Binned(merged([*self.bins, *other.bins]), total)

    def since(self, earlier: "Binned") -> "Binned | None":
        """What came on top of ``earlier``; None where that is no part of this: it began anew."""
        negative = [bin_._replace(count=-bin_.count) for bin_ in earlier.bins]
        bins = merged([*self.bins, *negative])
        if any(bin_.count < 0 for bin_ in bins):
            return None
        total = None if self.sum is None or earlier.sum is None else self.sum - earlier.sum
        return Binned(tuple(bin_ for bin_ in bins if bin_.count), total)

    def below(self, x: float) -> float:
        """The share of the values up to ``x``, as if those of a bin lay evenly in it."""
        total = 0.0
        for bin_ in self.bins:
            if bin_.upper <= x:
                total += bin_.count
            elif bin_.lower < x:
                total += bin_.count * (x - bin_.lower) / bin_.width if bin_.width else 0.0
        return total / self.count

    def covering(self) -> tuple[Bin, ...]:
        """Bins that cover the whole line: these, and the empty ones between and beyond them."""
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


def merged(bins: Iterable[Bin]) -> tuple[Bin, ...]:
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


def equiprobable(binned: Binned, number: int) -> tuple[Bin, ...]:
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


def grouped(cells: Sequence[Bin], weights: Sequence[float], least: float) -> tuple[Bin, ...]:
    """Neighbours put together until their weights make ``least``; the rest joins the last."""
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
