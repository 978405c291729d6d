"""How far the outputs, and the mix of the inputs, are from what they were, in PromQL alone.

What is compared with is the baseline, which the service exports as series, and what the same rules
recorded a day and a week ago. Bins are those of the baseline, about equally probable; within a
bucket of the histogram values are taken to lie as Prometheus interpolates. With p the shares now, q
those before, F and G the same added up to each edge, Q the quantiles at ten levels in the middle of
the bins:

- D1 = sum |p - q|, between 0 and 2;
- total variation = D1 / 2, the share of the answers that would have to be others;
- population stability index = sum (p - q) ln(p / q), where a share below 0.0001 counts as that;
- Kolmogorov-Smirnov = max |F - G| at the edges;
- Wasserstein-1 = mean |Qnow - Qbefore| over the levels, in the unit of the values, and over the
  standard deviation of the baseline. That of a shift is the shift.

Samples differ by chance. Each distance has a noise floor at the counts n now and m before, which
chance alone exceeds in at most ``ALPHA`` of all looks. Distances tell how far, for people; whether
outputs have drifted is decided by ``randsvc.rules.cusum``, which is sooner certain:

- D1: P(D1 >= e) <= 2^k exp(-n e^2 / 2) for k bins, the Bretagnolle-Huber-Carol inequality; A. van
  der Vaart, J. Wellner: Weak convergence and empirical processes (1996), proposition A.6.6.
- Population stability index: like chi-square(k - 1) times (1/n + 1/m), from a hundred values a bin
  on; B. Yurdakul, J. Naranjo, Journal of Risk Model Validation 14 (2020). Its tail: chi-square(d)
  exceeds d + 2 sqrt(d x) + 2x in at most exp(-x); B. Laurent, P. Massart, Annals of Statistics 28
  (2000), lemma 1.
- Kolmogorov-Smirnov: P(KS >= e) <= 2 exp(-2 n e^2); P. Massart: The tight constant in the
  Dvoretzky-Kiefer-Wolfowitz inequality, Annals of Probability 18 (1990). For two samples: F. Wei,
  R. Dudley, Statistics and Probability Letters 82 (2012).
- Wasserstein-1: at most noise / sqrt(n) on average (``randsvc.model.baselines``), and more
  than that by t in at most exp(-n t^2 / (2 sd^2)) where the tails are those of a normal
  distribution; S. Bobkov, M. Ledoux: One-dimensional empirical measures (2019).

For two samples 1/n is 1/n + 1/m. What interpolation adds, ``BIN_ERROR``, is on top.
"""

from collections.abc import Iterator
from math import log, sqrt
from typing import TYPE_CHECKING, TypeVar

from randsvc.metrics import (
    BASELINE_EDGE,
    BASELINE_QUANTILE,
    BASELINE_SHARE,
    BASELINE_STATISTIC,
    DELAY,
    INPUTS,
    VALUE,
)
from randsvc.model.baselines import BINS, QUANTILE_LEVELS
from randsvc.rules.golden_signals import JOB, Rule, count_events
from randsvc.rules.time_scale import TimeScale

__all__ = (
    "ALPHA",
    "BASELINE_QUANTILES",
    "BASELINE_SHARES",
    "BELOW",
    "BIN_ERROR",
    "COUNT",
    "D1_PER_FLOOR",
    "KS_PER_FLOOR",
    "LARGEST_SHARE",
    "MIX",
    "OUTPUTS",
    "OUT_OF_RANGE",
    "PER_SD",
    "QUANTILE",
    "SAMPLE",
    "SHARE",
    "SPREAD",
    "compute_d1_floor",
    "count_baseline",
    "make_recordings",
    "name_distance",
    "name_floor",
)

ALPHA = 1e-6
"""Looks that chance alone may raise above a floor, one in a million; how many alerts a month that
makes is in benchmarks/drift-results.md."""
BIN_ERROR = 0.002
"""Of a share at an edge, by interpolation within a bucket of which 16 make an octave: the coarsest
that the default distributions get. Of the Wasserstein distance, five times as many sd. Pulled, the
buckets are half a standard deviation wide, and it is four times that."""
LEAST_SHARE = 1e-4
"""In the stability index, as Evidently has it, so that an empty bin is not infinitely far."""

OUTPUTS = {
    # What the model answers. The fallback answers a few values, has an alert of its own, and is not
    # what the baseline is about: where it stands in, no drift of the model is claimed.
    "value": f'{VALUE.prometheus_name}{{{JOB},randsvc_source="model"}}',
    "delay": f"{DELAY.prometheus_name}{{{JOB}}}",
}
"""The series of each distribution of which drift is measured."""
MIX = "segment"
"""The distribution of the inputs: shares without an order."""

EDGE = "job_distribution_bin:baseline_edge:max"
BASELINE_SHARES = "job_distribution_bin:baseline_share:max"
BASELINE_BELOW = "job_distribution_bin:baseline_below:sum"
BASELINE_QUANTILES = "job_distribution_quantile:baseline_quantile:max"
STATISTIC = "job_distribution_statistic:baseline_statistic:max"

SAMPLE = "job_distribution_window:sample:increase"
COUNT = "job_distribution_window:sample_count:increase"
SHARE = "job_distribution_window_bin:sample_share:histogram_fraction"
BELOW = "job_distribution_window_bin:sample_below:sum"
QUANTILE = "job_distribution_window_quantile:sample:histogram_quantile"
OUT_OF_RANGE = "job_distribution_window:sample_out_of_range:histogram_fraction"
LARGEST_SHARE = "job_distribution_window:sample_largest_share:max"
SPREAD = "job_distribution_window:sample_spread_per_baseline:ratio"
"""From the lowest to the highest of the levels; near 0 the model answers one value."""

UNCERTAINTY = "job_distribution_window_against:drift_uncertainty:sum"
"""1/n + 1/m."""
PER_SD = "job_distribution_window_against:drift_wasserstein_per_sd:ratio"
KS_PER_FLOOR = "job_distribution_window_against:drift_ks_per_floor:ratio"
D1_PER_FLOOR = "job_distribution_window_against:drift_d1_per_floor:ratio"
"""Above 1, chance does not explain it. Reviews report these."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Numbers = TypeVar("Numbers", float, "NDArray[np.float64]")
"""One number, or many at once."""

_OF = "job, randsvc_distribution"
_NAMES = tuple(f"{k:02}" for k in range(1, BINS + 1))


def name_distance(name: str) -> str:
    """Give the series of d1, total_variation, psi, ks or wasserstein."""
    return f"job_distribution_window_against:drift:{name}"


def name_floor(name: str) -> str:
    """Give the series of its noise floor."""
    return f"job_distribution_window_against:drift_floor:{name}"


def compute_d1_floor(n: Numbers, m: float, bins: int) -> Numbers:
    """Give the D1 that chance alone hardly ever exceeds, at the counts now and before."""
    noise: Numbers = (2 * (bins * log(2) + log(1 / ALPHA)) * (1 / n + 1 / m)) ** 0.5
    return noise + 2 * (BINS - 1) * BIN_ERROR


def make_recordings(scale: TimeScale) -> Iterator[Rule]:
    """Record baselines, samples, distances and floors, in an order in which each has its parts."""
    yield from _record_baseline()
    for name, series in OUTPUTS.items():
        for window in scale.samples:
            labels = {"randsvc_distribution": name, "window": window}
            yield Rule(SAMPLE, f"sum by (job) ({count_events(series, window)})", labels)
    # Without values there is nothing to say, and no NaN to say it.
    yield Rule(COUNT, f"histogram_count({SAMPLE}) > 0")
    for level in QUANTILE_LEVELS:
        quantile = f"histogram_quantile({level:g}, {SAMPLE}) and {COUNT}"
        yield Rule(QUANTILE, quantile, {"randsvc_quantile": f"{level:g}"})
    for name in OUTPUTS:
        yield from _record_bins(name)
    for k, bin_ in enumerate(_NAMES[:-1], 1):
        up_to = "|".join(_NAMES[:k])
        below = f'sum by ({_OF}, window) ({SHARE}{{randsvc_bin=~"{up_to}"}})'
        # Only where there is an edge: the last bin has none.
        edge = f'{EDGE}{{randsvc_bin="{bin_}"}}'
        yield Rule(BELOW, f"{below} and on ({_OF}) {edge}", {"randsvc_bin": bin_})
    for window in scale.samples:
        yield from _record_mix(window)
    yield Rule(LARGEST_SHARE, f"max by ({_OF}, window) ({SHARE})")
    spread = _spread(QUANTILE, f"{_OF}, window")
    yield Rule(SPREAD, _per(spread, _spread(BASELINE_QUANTILES, _OF)))
    yield from _record_distances("baseline")
    for ago, time in (("day", scale.day), ("week", scale.week)):
        yield from _record_distances(ago, time)
    yield from _record_floors()


def _record_baseline() -> Iterator[Rule]:
    """Record it once, however many replicas export it."""
    for record, metric, label in (
        (EDGE, BASELINE_EDGE, "bin"),
        (BASELINE_SHARES, BASELINE_SHARE, "bin"),
        (BASELINE_QUANTILES, BASELINE_QUANTILE, "quantile"),
        (STATISTIC, BASELINE_STATISTIC, "statistic"),
    ):
        series = f"{metric.prometheus_name}{{{JOB}}}"
        yield Rule(record, f"max by ({_OF}, randsvc_{label}) ({series})")
    for k, name in enumerate(_NAMES[:-1], 1):
        up_to = "|".join(_NAMES[:k])
        summed = f'sum by ({_OF}) ({BASELINE_SHARES}{{randsvc_bin=~"{up_to}"}})'
        # Only where there is an edge: the last bin has none.
        edge = f'{EDGE}{{randsvc_bin="{name}"}}'
        yield Rule(BASELINE_BELOW, f"{summed} and on ({_OF}) {edge}", {"randsvc_bin": name})


def _record_bins(name: str) -> Iterator[Rule]:
    """Record the shares of samples in the bins of their baseline, and outside its range."""
    label = {"randsvc_distribution": name}
    which = f'randsvc_distribution="{name}"'
    sample = f"{SAMPLE}{{{which}}}"

    def edge(bin_: str) -> str:
        return f'max({EDGE}{{{which},randsvc_bin="{bin_}"}})'

    def where_there_is(bin_: str) -> str:
        return f'and {COUNT} and on ({_OF}) {BASELINE_SHARES}{{randsvc_bin="{bin_}"}}'

    low = "-Inf"
    for bin_ in _NAMES:
        # A baseline may have fewer bins; its last one has no upper edge.
        high = f"scalar({edge(bin_)} or vector(+Inf))"
        share = f"histogram_fraction({low}, {high}, {sample})"
        yield Rule(SHARE, f"{share} {where_there_is(bin_)}", label | {"randsvc_bin": bin_})
        low = f"scalar({edge(bin_)})"
    ends = (
        f'scalar(max({STATISTIC}{{{which},randsvc_statistic="{end}"}}))' for end in ("low", "high")
    )
    inside = f"histogram_fraction({', '.join(ends)}, {sample})"
    yield Rule(OUT_OF_RANGE, f"1 - {inside} {where_there_is(_NAMES[0])}", label)


def _record_mix(window: str) -> Iterator[Rule]:
    labels = {"randsvc_distribution": MIX, "window": window}
    known = f'{INPUTS.prometheus_name}{{{JOB},randsvc_segment!="missing"}}'
    counted = count_events(known, window)
    yield Rule(COUNT, f"sum by (job) ({counted}) > 0", labels)
    # The bins of the baseline are the segments.
    renamed = f'label_replace({counted}, "randsvc_bin", "$1", "randsvc_segment", "(.+)")'
    count = f'{COUNT}{{randsvc_distribution="{MIX}",window="{window}"}}'
    yield Rule(
        SHARE,
        f"sum by (job, randsvc_bin) ({renamed}) / on (job) group_left () {count}",
        labels,
    )


def _record_distances(against: str, offset: str = "") -> Iterator[Rule]:
    """Record those from the baseline, or from what was recorded so long ago."""
    label = {"against": against}
    of_baseline = not offset

    def ago(recorded: str) -> str:
        return f"{recorded} offset {offset}"

    def by(name: str) -> str:
        return f"on ({_OF}, randsvc_{name}) group_left () " if of_baseline else ""

    def over(operation: str, each: str) -> str:
        return f"{operation} by ({_OF}, window) ({each})"

    p, q = SHARE, BASELINE_SHARES if of_baseline else ago(SHARE)
    g = BASELINE_BELOW if of_baseline else ago(BELOW)
    quantiles = BASELINE_QUANTILES if of_baseline else ago(QUANTILE)
    m = count_baseline() if of_baseline else f"({ago(COUNT)})"
    yield Rule(name_distance("d1"), over("sum", f"abs({p} - {by('bin')}{q})"), label)
    d1, wasserstein = (f'{name_distance(n)}{{against="{against}"}}' for n in ("d1", "wasserstein"))
    yield Rule(name_distance("total_variation"), f"{d1} / 2", label)
    p, q = (f"clamp_min({share}, {LEAST_SHARE:g})" for share in (p, q))
    terms = f"({p} - {by('bin')}{q}) * ln({p} / {by('bin')}{q})"
    yield Rule(name_distance("psi"), over("sum", terms), label)
    yield Rule(name_distance("ks"), over("max", f"abs({BELOW} - {by('bin')}{g})"), label)
    each = f"abs({QUANTILE} - {by('quantile')}{quantiles})"
    yield Rule(name_distance("wasserstein"), over("avg", each), label)
    yield Rule(PER_SD, _per(wasserstein, _statistic("stddev")), label)
    plus = f"+ on ({_OF}) group_left ()" if of_baseline else "+"
    yield Rule(UNCERTAINTY, f"1 / {COUNT} {plus} 1 / {m}", label)


def _record_floors() -> Iterator[Rule]:
    """Record the floor of each distance that there is, whatever it is against."""
    x = log(1 / ALPHA)
    bins = f"count by ({_OF}) ({BASELINE_SHARES})"
    degrees = f"({bins} - 1)"
    noise, sd = _statistic("noise"), _statistic("stddev")
    for name, expr in {
        "d1": f"sqrt({_times(UNCERTAINTY, f'({2 * log(2):.9g} * {bins} + {2 * x:.9g})')})"
        f" + {2 * (BINS - 1) * BIN_ERROR:g}",
        "psi": _times(UNCERTAINTY, f"({degrees} + 2 * sqrt({x:.9g} * {degrees}) + {2 * x:.9g})")
        + f" + {BIN_ERROR:g}",
        "ks": f"sqrt({log(2 / ALPHA) / 2:.9g} * {UNCERTAINTY}) + {BIN_ERROR:g}",
        "wasserstein": _times(f"sqrt({UNCERTAINTY})", f"({noise} + {sqrt(2 * x):.9g} * {sd})")
        + f" + on ({_OF}) group_left () ({5 * BIN_ERROR:g} * {sd})",
    }.items():
        yield Rule(name_floor(name), f"({expr}) and {name_distance(name)}")
    yield Rule(name_floor("total_variation"), f"{name_floor('d1')} / 2")
    yield Rule(KS_PER_FLOOR, f"{name_distance('ks')} / {name_floor('ks')}")
    yield Rule(D1_PER_FLOOR, f"{name_distance('d1')} / {name_floor('d1')}")


def count_baseline() -> str:
    """Give the number of values of each baseline."""
    return _statistic("count")


def _statistic(name: str) -> str:
    return f'sum by ({_OF}) ({STATISTIC}{{randsvc_statistic="{name}"}})'


def _spread(quantiles: str, by: str) -> str:
    high, low = (
        f'sum by ({by}) ({quantiles}{{randsvc_quantile="{level:g}"}})'
        for level in (QUANTILE_LEVELS[-1], QUANTILE_LEVELS[0])
    )
    return f"({high} - {low})"


def _per(each: str, of_baseline: str) -> str:
    return f"{each} / on ({_OF}) group_left () {of_baseline}"


def _times(each: str, of_baseline: str) -> str:
    return f"{each} * on ({_OF}) group_left () {of_baseline}"
