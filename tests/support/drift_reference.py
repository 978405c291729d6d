"""What the rules on drift are to give, worked out with numpy from the buckets of a histogram."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from randsvc.model.baselines import BaselineNumbers
from randsvc.rules.drift import ALPHA, BIN_ERROR

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Buckets:
    """Counts in buckets that lie apart and ascend; ``exponential`` ones are positive.

    Within a bucket values lie evenly, or evenly by their logarithm, as in Prometheus:
    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """

    lower: Array
    upper: Array
    count: Array
    exponential: bool = True

    @property
    def total(self) -> float:
        return float(self.count.sum())

    def below(self, x: float) -> float:
        """The share of the values up to x."""
        inside = (self.lower < x) & (x < self.upper)
        part = np.where(self.upper <= x, 1.0, 0.0)
        for i in np.flatnonzero(inside):
            low, high = self.lower[i], self.upper[i]
            if self.exponential:
                part[i] = math.log2(x / low) / math.log2(high / low)
            else:
                part[i] = (x - low) / (high - low)
        return float((part * self.count).sum()) / self.total

    def quantile(self, level: float) -> float:
        rank = level * self.total
        ends = np.cumsum(self.count)
        i = int(np.searchsorted(ends, rank))
        share = (rank - (ends[i] - self.count[i])) / self.count[i]
        low, high = self.lower[i], self.upper[i]
        between = low * (high / low) ** share if self.exponential else low + (high - low) * share
        return float(between)


def exponential(values: Array, schema: int) -> Buckets:
    """Positive values in the buckets of a native histogram."""
    index = np.ceil(np.log2(values) * 2**schema).astype(int)
    found, count = np.unique(index, return_counts=True)
    base = 2 ** (2.0**-schema)
    return Buckets(base ** (found - 1.0), base ** (1.0 * found), count.astype(float))


def classic(values: Array, bounds: Sequence[float]) -> Buckets:
    """Values in explicit buckets, from below the first bound on."""
    edges = np.array([-np.inf, *bounds])
    count, _ = np.histogram(values, edges)
    return Buckets(edges[:-1], edges[1:], count.astype(float), exponential=False)


def shares(buckets: Buckets, described: BaselineNumbers) -> Array:
    """By bin of the baseline."""
    return np.diff([0.0, *(buckets.below(x) for x in described.edges.values()), 1.0])


def distances(p: Array, q: Array) -> dict[str, float]:
    """Those of shares by bin."""
    d1 = float(np.abs(p - q).sum())
    ps, qs = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    return {
        "d1": d1,
        "total_variation": d1 / 2,
        "psi": float(((ps - qs) * np.log(ps / qs)).sum()),
        "ks": float(np.abs(np.cumsum(p) - np.cumsum(q)).max()),
    }


def wasserstein(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two sets of quantiles at the same levels."""
    return float(np.abs(np.array(one) - np.array(other)).mean())


def floors(uncertainty: float, bins: int, statistics: Mapping[str, float]) -> dict[str, float]:
    """The noise floor of each distance, by the formulas of ``randsvc.rules.drift``."""
    x = math.log(1 / ALPHA)
    degrees = bins - 1
    d1 = math.sqrt(2 * (bins * math.log(2) + x) * uncertainty) + 18 * BIN_ERROR
    sd = statistics["stddev"]
    return {
        "d1": d1,
        "total_variation": d1 / 2,
        "psi": (degrees + 2 * math.sqrt(degrees * x) + 2 * x) * uncertainty + BIN_ERROR,
        "ks": math.sqrt(math.log(2 / ALPHA) / 2 * uncertainty) + BIN_ERROR,
        "wasserstein": math.sqrt(uncertainty) * (statistics["noise"] + math.sqrt(2 * x) * sd)
        + 5 * BIN_ERROR * sd,
    }
