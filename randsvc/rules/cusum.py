"""Whether the values have drifted from the baseline, decided value by value, in PromQL alone.

A window has to fill before it shows a change. A cumulative sum (CUSUM) does not: each value adds
what it says for a change, ln(q / p), where p is the probability of its bin in the baseline and q
that after the change, and the sum never falls below 0. E. Page: Continuous inspection schemes,
Biometrika 41 (1954). For a change of known size no rule with as few false alarms is faster, on
average over the worst past, than ln(time between false alarms) / KL, with KL the Kullback-Leibler
divergence of one value; the CUSUM reaches it. G. Lorden: Procedures for reacting to a change in
distribution, Annals of Mathematical Statistics 42 (1971).

There is a sum for each of a few changes. Their bins end at quantiles of the baseline, so p is known
whatever the baseline is, and q is that of a normal distribution which changes. Other distributions
are seen by their normal scores: a shift of a lognormal delay is a factor.

While the values follow the baseline, exp(sum) stays below an e-detector (the Shiryaev-Roberts
statistic), which grows by 1 an evaluation on average. A sum above x therefore starts in at most
exp(-x) of all evaluations, for any traffic; J. Shin, A. Ramdas, A. Rinaldo: E-detectors, New
England Journal of Statistics in Data Science 2 (2024). ``LIMIT`` keeps all sums together below
``ALPHA``. Where a change is smaller than half of the size of a sum, the sum falls on average, and
only chance raises it: the size of a change is in the test, so no second threshold is needed.

benchmarks/drift.py measures the time to detect each change, and compares it with Lorden's limit.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from math import log, sqrt
from statistics import NormalDist

from randsvc.model.baselines import EDGE_LEVELS
from randsvc.rules.drift import ALPHA, BASELINE_QUANTILES, COUNT, OUTPUTS, count_baseline
from randsvc.rules.golden_signals import Rule
from randsvc.rules.time_scale import TimeScale

__all__ = (
    "CAP",
    "EVIDENCE",
    "GAIN",
    "LIMIT",
    "SETTLED",
    "SIZES",
    "STEP",
    "STEP_BELOW",
    "STEP_COUNT",
    "SURE",
    "Distribution",
    "compute_weights",
    "make_changes",
    "make_recordings",
    "make_reshapings",
)

STEP = "job_distribution:drift_step:increase"
"""The values since the last evaluation, each counted once."""
STEP_COUNT = "job_distribution:drift_step_count:increase"
STEP_BELOW = "job_distribution_quantile:drift_step_below:increase"
"""Of these, the number below each edge."""
GAIN = "job_distribution_change_size:drift_gain:sum"
"""What these values say for each change, in nats (natural logarithm of a ratio)."""
EVIDENCE = "job_distribution_change_size:drift_evidence:cusum"
"""The cumulative sum of each change, in nats."""

SIZES = (0.25, 0.5, 1.0)
"""Of the changes, in standard deviations. A sum finds up to twice its size nearly as soon as a sum
of the very size would."""
SETTLED = "1s"
"""How old samples are that an evaluation reads. Without it a scrape that is under way at each
evaluation would be seen by none: too late for one, and before the interval of the next."""
SURE = 2.0
"""Standard errors of the baseline, which is a sample too, that count as no change."""

Distribution = Callable[[float], float]
"""A cumulative distribution function."""

_OF = "job, randsvc_distribution"
_NORMAL = NormalDist()
_LEVELS = tuple(f"{level:g}" for level in EDGE_LEVELS)


def make_changes(size: float) -> dict[str, Distribution]:
    """Give what a standard normal distribution becomes by each change of a size.

    ``higher`` and ``lower`` move all values by ``size``; ``wider`` and ``narrower`` multiply and
    divide the standard deviation by 1 + ``size``; ``some higher`` and ``some lower`` move a part of
    the values, ``size / 2``, by two standard deviations. Each but ``wider`` and ``narrower`` is at
    a Wasserstein distance of ``size``.
    """
    below, part = _NORMAL.cdf, size / 2
    return {
        "higher": lambda x: below(x - size),
        "lower": lambda x: below(x + size),
        "wider": lambda x: below(x / (1 + size)),
        "narrower": lambda x: below(x * (1 + size)),
        "some higher": lambda x: (1 - part) * below(x) + part * below(x - 2),
        "some lower": lambda x: (1 - part) * below(x) + part * below(x + 2),
    }


def make_reshapings() -> dict[str, Distribution]:
    """Give two changes that leave mean and standard deviation as they are."""
    apart, inner = 0.75, 0.45
    width, outer = sqrt(1 - apart**2), sqrt(2 - inner**2)
    below = _NORMAL.cdf
    return {
        "two groups": lambda x: (below((x - apart) / width) + below((x + apart) / width)) / 2,
        "one peak": lambda x: (below(x / inner) + below(x / outer)) / 2,
    }


@cache
def compute_weights() -> Mapping[tuple[str, float], tuple[float, ...]]:
    """Give what a value in each bin, from the lowest, says for each change and size: ln(q / p).

    Bins end at ``EDGE_LEVELS``. The mean of exp(weight) over the baseline is 1.
    """
    changes = {(name, size): cdf for size in SIZES for name, cdf in make_changes(size).items()}
    changes |= {(name, SIZES[0]): cdf for name, cdf in make_reshapings().items()}
    before = _spread_over_bins(_NORMAL.cdf)
    return {
        change: tuple(log(q / p) for q, p in zip(_spread_over_bins(cdf), before, strict=True))
        for change, cdf in changes.items()
    }


def _spread_over_bins(cdf: Distribution) -> tuple[float, ...]:
    ends = (0.0, *(cdf(_NORMAL.inv_cdf(level)) for level in EDGE_LEVELS), 1.0)
    return tuple(high - low for low, high in pairwise(ends))


LIMIT = round(log(len(compute_weights()) * len(OUTPUTS) / ALPHA), 1)
"""Nats above which a sum is an alert."""
CAP = round(1.25 * LIMIT, 1)
"""Nats at which a sum stops, so that an alert ends soon after the change."""


def make_recordings(scale: TimeScale) -> Iterator[Rule]:
    """Record the values since the last evaluation, and the sums, in the order of their use."""
    for name, series in OUTPUTS.items():
        label = {"randsvc_distribution": name}
        newest = f"{series}[{scale.ml_interval}] anchored offset {SETTLED}"
        yield Rule(STEP, f"sum by (job) (increase({newest}))", label)
    yield Rule(STEP_COUNT, f"histogram_count({_fresh(STEP)}) > 0")
    for name in OUTPUTS:
        for level in _LEVELS:
            label = {"randsvc_distribution": name, "randsvc_quantile": level}
            which = f'randsvc_distribution="{name}"'
            edge = f'{BASELINE_QUANTILES}{{{which},randsvc_quantile="{level}"}}'
            share = f"histogram_fraction(-Inf, scalar(max({edge})), {STEP}{{{which}}})"
            below = f"{share} * {_fresh(STEP_COUNT)} and on ({_OF}) {edge}"
            yield Rule(STEP_BELOW, below, label)
    for (change, size), weights in compute_weights().items():
        yield Rule(GAIN, _gain(weights), {"change": change, "size": f"{size:g}"})
    # Where Prometheus was down, or nobody sent a request, for longer than the long window, nothing
    # is remembered.
    long = scale.samples[1]
    before = f'last_over_time({EVIDENCE}[{long}]) >= 0 and on ({_OF}) {COUNT}{{window="{long}"}}'
    gain = _fresh(GAIN)
    summed = f"({before}) + {gain} or ({before}) or {gain}"
    yield Rule(EVIDENCE, f"clamp({summed}, 0, {CAP:g})")


def _gain(weights: tuple[float, ...]) -> str:
    """Sum the weights of the values, by the number of values below each edge."""
    shares = _spread_over_bins(_NORMAL.cdf)
    mean = sum(p * w for p, w in zip(shares, weights, strict=True))
    deviation = sqrt(sum(p * (w - mean) ** 2 for p, w in zip(shares, weights, strict=True)))
    last = weights[-1]
    each = f"({last:.9g} - {SURE * deviation:.9g} / sqrt({count_baseline()}))"
    steps = (
        f'+ on ({_OF}) {low - high:.9g} * {STEP_BELOW}{{randsvc_quantile="{level}"}}'
        for level, (low, high) in zip(_LEVELS, pairwise(weights), strict=True)
    )
    return f"{_fresh(STEP_COUNT)} * on ({_OF}) {each} {' '.join(steps)}"


def _fresh(series: str) -> str:
    """Take a series only if this evaluation has recorded it.

    After a restart of Prometheus, a series that is not recorded any more has its last value for 5
    minutes, as nothing marks it as stale. It would be added at each evaluation.
    """
    return f"({series} and timestamp({series}) == time())"
