"""The baseline files for the default distributions, which are part of the project.

They are computed and not recovered, so they are exact and equal on every machine.
``randsvc baseline save`` makes the files of other distributions from Prometheus.
"""

from itertools import pairwise

from randsvc.distributions import Distribution
from randsvc.histograms.baseline_file import Baseline, format_baseline
from randsvc.histograms.binned import Bin
from randsvc.metrics import DELAY, VALUE
from randsvc.settings import Settings
from randsvc.telemetry.catalogue import Metric

__all__ = ("make_default_baseline_files",)

VALUE_COUNT = 1_000_000
"""Values in each baseline: many more than in a sample that is compared with it."""
BIN_COUNT = 100
"""Bins of equal probability; the first and the last are halved repeatedly, down to TAIL_SHARE."""
TAIL_SHARE = 1 / VALUE_COUNT
"""Share of the values below the lowest bin, and above the highest."""


def make_default_baseline_files() -> dict[str, str]:
    """Return the text of each file by its path in the project."""
    default = Settings()
    return {
        f"randsvc/model/baseline/{name}.json": format_baseline(_compute(distribution, metric))
        for name, distribution, metric in (
            ("value", default.value, VALUE),
            ("delay", default.delay, DELAY),
        )
    }


def _compute(distribution: Distribution, metric: Metric) -> Baseline:
    tail: list[float] = []
    share = 1 / BIN_COUNT
    while (share := share / 2) > 2 * TAIL_SHARE:
        tail.insert(0, share)
    tail.insert(0, TAIL_SHARE)
    inner = (k / BIN_COUNT for k in range(1, BIN_COUNT))
    shares = [*tail, *inner, *(1 - share for share in tail[::-1])]
    edges = [round(distribution.quantile(share), 9) for share in shares]
    counts = [round(VALUE_COUNT * (right - left)) for left, right in pairwise(shares)]
    return Baseline(
        metric=metric.prometheus_name,
        unit=metric.unit,
        source={"distribution": str(distribution)},
        end=0.0,
        window=0.0,
        bins=tuple(map(Bin, edges, edges[1:], map(float, counts))),
        sum=distribution.mean * sum(counts),
    )
