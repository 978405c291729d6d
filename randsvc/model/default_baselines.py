"""The baselines that come with the service: those of its default distributions.

Others are recovered from Prometheus by ``randsvc baseline save``; these are computed, so that they
are exact and the same whoever generates them.
"""

import math
from itertools import pairwise

from randsvc.distributions import Distribution
from randsvc.histograms.baseline_file import Baseline, text
from randsvc.histograms.binned import Bin
from randsvc.settings import Settings
from randsvc.telemetry.catalogue import DELAY, VALUE

__all__ = ("baselines",)

COUNT = 1_000_000
"""Values that such a baseline stands for: so many that what is compared with it is less certain."""
STEPS = 100
"""Bins of equal probability; the first and the last are halved again and again, down to RARE."""
RARE = 1 / COUNT
"""Share of the values below the lowest bin, and above the highest."""


def baselines() -> dict[str, str]:
    """Give the text of each file by its path in the project."""
    default = Settings()
    return {
        f"randsvc/model/baseline/{name}.json": text(
            _baseline(distribution, metric.prometheus_name, unit)
        )
        for name, distribution, metric, unit in (
            ("value", default.value, VALUE, VALUE.unit),
            ("delay", default.delay, DELAY, DELAY.unit),
        )
    }


def _baseline(distribution: Distribution, metric: str, unit: str) -> Baseline:
    tail: list[float] = []
    share = 1 / STEPS
    while (share := share / 2) > 2 * RARE:
        tail.insert(0, share)
    tail.insert(0, RARE)
    shares = [*tail, *(k / STEPS for k in range(1, STEPS)), *(1 - share for share in tail[::-1])]
    edges = [round(_quantile(distribution, share), 9) for share in shares]
    counts = [round(COUNT * (right - left)) for left, right in pairwise(shares)]
    return Baseline(
        metric=metric,
        unit=unit,
        source={"distribution": str(distribution)},
        end=0.0,
        window=0.0,
        bins=tuple(map(Bin, edges, edges[1:], map(float, counts))),
        sum=distribution.mean * sum(counts),
    )


def _quantile(distribution: Distribution, share: float) -> float:
    """Where the cdf reaches ``share``, by bisection; the cdf must be continuous."""
    sd = math.sqrt(distribution.variance)
    low, high = distribution.mean - 100 * sd, distribution.mean + 100 * sd
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if distribution.cdf(middle) < share else (low, middle)
    return high
