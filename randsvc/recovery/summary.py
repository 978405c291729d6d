"""Mean, standard deviation and quantiles of a binned sample, whatever its distribution.

An interval has two parts: the sampling error, 95%, and beyond that all that the values can be
within their bins. So it never claims more than the bins can tell, and covers more than 95%.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from scipy import special

from randsvc.histograms.binned import Binned, estimate_quantile
from randsvc.recovery.estimate import Estimate

__all__ = ("QUANTILES", "Summary", "compute_mean", "summarise")

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_TAIL = 0.025


@dataclass(frozen=True)
class Summary:
    """What is known of any distribution; None where the sample is too small to say."""

    count: int
    mean: Estimate | None = None
    sd: Estimate | None = None
    quantiles: Mapping[float, Estimate] | None = None


def summarise(binned: Binned) -> Summary:
    """Mean and standard deviation in the unit of the values, and ``QUANTILES``."""
    if not binned.bins:
        return Summary(0)
    middle, first, last = _mean(binned)
    sd = _sd(binned, middle)
    return Summary(
        count=binned.count,
        mean=_with_sampling(binned, middle, first, last, sd),
        sd=sd if binned.count > 1 else None,
        quantiles={q: _quantile(binned, q) for q in QUANTILES} if binned.count > 1 else None,
    )


def compute_mean(binned: Binned) -> float:
    """The mean of at least one value."""
    return _mean(binned)[0]


def _mean(binned: Binned) -> tuple[float, float, float]:
    """The mean, and what it can be within the bins: nothing else where the sum is known."""
    count = binned.count
    low = sum(bin_.lower * bin_.count for bin_ in binned.bins) / count
    middle = sum(bin_.middle * bin_.count for bin_ in binned.bins) / count
    high = sum(bin_.upper * bin_.count for bin_ in binned.bins) / count
    if binned.sum is None:
        return middle, low, high
    # A difference of two sums may have lost digits.
    exact = min(max(binned.sum / count, low), high)
    return exact, exact, exact


def _with_sampling(
    binned: Binned, mean: float, first: float, last: float, sd: Estimate
) -> Estimate:
    if binned.count < 2:
        return Estimate(mean)
    error = float(special.stdtrit(float(binned.count - 1), 1 - _TAIL)) / math.sqrt(binned.count)
    error *= sd.value
    return Estimate(mean, _finite(first - error), _finite(last + error))


def _sd(binned: Binned, mean: float) -> Estimate:
    """The standard deviation; less what the bins add to it (Sheppard's correction)."""
    count = binned.count
    nearest = farthest = variance = fourth = 0.0
    for bin_ in binned.bins:
        weight = bin_.count / max(count - 1, 1)
        ends = [(bin_.lower - mean) ** 2, (bin_.upper - mean) ** 2]
        nearest += weight * (0.0 if bin_.lower <= mean <= bin_.upper else min(ends))
        farthest += weight * max(ends)
        variance += weight * ((bin_.middle - mean) ** 2 - bin_.width**2 / 12)
        fourth += weight * (bin_.middle - mean) ** 4
    variance = min(max(variance, nearest), farthest)
    if count < 2 or variance <= 0:
        return Estimate(math.sqrt(max(variance, 0.0)), math.sqrt(nearest), _root(farthest))
    # The variance of a variance: https://mathworld.wolfram.com/SampleVarianceDistribution.html
    kurtosis = max(fourth / variance**2, 1.0)
    factor = math.exp(-float(special.ndtri(_TAIL)) * math.sqrt((kurtosis - 1) / (4 * count)))
    upper = _root(farthest)
    return Estimate(
        math.sqrt(variance),
        math.sqrt(nearest) / factor,
        None if upper is None else upper * factor,
    )


def _quantile(binned: Binned, q: float) -> Estimate:
    """A quantile, between the bins of two order statistics that it falls between in 95%.

    https://en.wikipedia.org/wiki/Order_statistic#Application:_confidence_intervals_for_quantiles
    """
    count = binned.count
    ranks = range(count + 1)

    def below(k: int) -> float:
        return float(special.bdtr(k, count, q))

    low_rank = bisect_left(ranks, _TAIL, key=below)
    high_rank = bisect_left(ranks, 1 - _TAIL, key=below) + 1
    upto = list(accumulate(bin_.count for bin_ in binned.bins))

    def holding(rank: float) -> int:
        return min(bisect_left(upto, rank - 0.5), len(upto) - 1)

    found = estimate_quantile(binned.bins, q)
    assert found  # noqa: S101 - the sample is not empty
    value = found.bin.middle if found.value is None else found.value
    return Estimate(
        value,
        _finite(binned.bins[holding(low_rank)].lower) if low_rank >= 1 else None,
        _finite(binned.bins[holding(high_rank)].upper) if high_rank <= count else None,
    )


def _root(x: float) -> float | None:
    return _finite(math.sqrt(x))


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
