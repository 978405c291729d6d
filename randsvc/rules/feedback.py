"""How good the answers were, now that the truth is known, and what a model is worth.

The signed error's mean is the bias, which shows that the world has moved while the answers stay;
the mean absolute error shows any way of being wrong. Both are means of n errors, whose standard
deviation s the same histogram gives. By chance a mean is off by more than s sqrt(2 ln(2/a) / n) in
at most a share a of all looks, where the tails are those of a normal distribution or lighter (the
Chernoff bound): S. Boucheron, G. Lugosi, P. Massart: Concentration inequalities (2013), chapter 2.
"""

from collections.abc import Iterator, Sequence
from math import log, sqrt

from randsvc.metrics import FEEDBACK, FEEDBACK_ABSOLUTE_ERROR, FEEDBACK_ERROR, PREDICTIONS
from randsvc.rules.drift import ALPHA, STATISTIC
from randsvc.rules.golden_signals import Rule, increase
from randsvc.rules.time_scale import TimeScale
from randsvc.telemetry.catalogue import Metric
from randsvc.times import parse_duration

__all__ = (
    "ABSOLUTE_ERROR",
    "BIAS_PER_FLOOR",
    "BIAS_PER_SD",
    "CHANCE",
    "COVERAGE",
    "COVERAGE_NOW",
    "ERROR",
    "ERROR_NOW",
    "FALLBACK_SHARE",
    "LABELS",
    "LABELS_NOW",
    "PREDICTIONS_COUNT",
    "WORTH",
    "make_recordings",
)

CHANCE = sqrt(2 * log(2 / ALPHA))
"""Standard errors that chance alone does not bring about."""

PREDICTIONS_COUNT = "job_window:predictions:increase"
FALLBACK_SHARE = "job_window:predictions_by_fallback:ratio"
LABELS = "job_window:feedback_accepted:increase"
COVERAGE = "job_window:feedback_coverage:ratio"
"""Answers of which the truth became known, of all; the truth is late, so of a little earlier."""
COVERAGE_NOW = "job:feedback_coverage:now_per_day"
LABELS_NOW = "job:feedback_accepted_rate:now_per_day"
ERROR = "job_source_window:feedback_error"
ABSOLUTE_ERROR = "job_source_window:feedback_absolute_error"
"""Of both there are ``:increase``, ``:avg``, ``:stddev`` and ``:count``."""
BIAS_PER_SD = "job_source_window:feedback_bias_per_sd:ratio"
"""The size of the mean error, in standard deviations of the baseline's values."""
BIAS_PER_FLOOR = "job_source_window:feedback_bias_per_floor:ratio"
ERROR_NOW = "job_source:feedback_absolute_error:now_per_day"
"""The mean absolute error, less what chance may add, over what it was in the day before, of which
enough must be known: soon after a start a single small error could be all of it."""
WORTH = "job:feedback_absolute_error:fallback_per_model"
"""The fallback's mean absolute error over the model's; ``:..._low`` and ``_high`` are its 95%."""


def make_recordings(scale: TimeScale) -> Iterator[Rule]:
    """Record coverage, errors by source, and what they are worth."""
    for window in (*scale.samples, scale.day):
        yield from _record_coverage(window)
    long, day = scale.samples[1], scale.day
    yield Rule(COVERAGE_NOW, _now(COVERAGE, long, day))
    # Per second, as the windows differ.
    longer = parse_duration(day) / parse_duration(long)
    yield Rule(LABELS_NOW, f"{longer:g} * {_now(LABELS, long, day)}")
    yield from _record_errors(ERROR, FEEDBACK_ERROR, scale.samples)
    yield from _record_errors(ABSOLUTE_ERROR, FEEDBACK_ABSOLUTE_ERROR, scale.samples)
    sd = f'{STATISTIC}{{randsvc_distribution="value",randsvc_statistic="stddev"}}'
    yield Rule(BIAS_PER_SD, f"abs({ERROR}:avg) / on (job) group_left () max by (job) ({sd})")
    yield Rule(BIAS_PER_FLOOR, f"abs({ERROR}:avg) / {_chance(ERROR)}")
    yield from _record_comparison(long, day, scale.min_labels)
    yield from _record_worth(long, scale.budget)


def _record_coverage(window: str) -> Iterator[Rule]:
    label = {"window": window}
    predictions = f'{PREDICTIONS_COUNT}{{window="{window}"}}'
    name = PREDICTIONS.prometheus_name
    yield Rule(PREDICTIONS_COUNT, f"{increase(name, window=window)} > 0", label)
    fallback = increase(name, 'randsvc_source="fallback"', window=window)
    yield Rule(FALLBACK_SHARE, f"{fallback} / on (job) {predictions}", label)
    accepted = 'randsvc_outcome="accepted"'
    yield Rule(LABELS, increase(FEEDBACK.prometheus_name, accepted, window=window), label)
    yield Rule(COVERAGE, f'{LABELS}{{window="{window}"}} / on (job) {predictions}', label)


def _now(series: str, now: str, before: str) -> str:
    both = (f'{series}{{window="{window}"}}' for window in (now, before))
    return " / on (job) ".join(both)


def _record_errors(record: str, metric: Metric, windows: Sequence[str]) -> Iterator[Rule]:
    for window in windows:
        errors = increase(metric.prometheus_name, by=("job", "randsvc_source"), window=window)
        yield Rule(f"{record}:increase", errors, {"window": window})
    yield Rule(f"{record}:count", f"histogram_count({record}:increase) > 0")
    for what in ("avg", "stddev"):
        yield Rule(f"{record}:{what}", f"histogram_{what}({record}:increase) and {record}:count")


def _chance(record: str, matchers: str = "", deviates: float = CHANCE) -> str:
    stddev, count = (f"{record}:{what}{matchers}" for what in ("stddev", "count"))
    return f"({deviates:.9g} * {stddev} / sqrt({count}))"


def _summed(what: str, long: str, period: str, offset: str = "") -> str:
    """Add up, over a period, what was recorded of its long windows.

    That is the same as of the whole period, and spares Prometheus its histograms, all of which it
    would read at each evaluation: 700,000 in a month of four series.
    """
    before = f" offset {offset}" if offset else ""
    return f"sum_over_time({what}[{period}:{long}]{before})"


def _record_comparison(long: str, day: str, fewest: int) -> Iterator[Rule]:
    now = f'{{window="{long}"}}'
    count, avg = f"{ABSOLUTE_ERROR}:count{now}", f"{ABSOLUTE_ERROR}:avg{now}"
    low = f"({avg} - {_chance(ABSOLUTE_ERROR, now)})"
    total, number = (_summed(x, long, day, offset=long) for x in (f"({avg} * {count})", count))
    yield Rule(
        ERROR_NOW, f"{low} / on (job, randsvc_source) ({total} / ({number} >= {fewest}) > 0)"
    )


def _record_worth(long: str, budget: str) -> Iterator[Rule]:
    """Record a ratio of two means, with an interval by the delta method on its logarithm."""
    now, whole = (f'{{window="{window}"}}' for window in (long, budget))
    count, avg, stddev = (f"{ABSOLUTE_ERROR}:{what}" for what in ("count", "avg", "stddev"))
    label = {"window": budget}
    yield Rule(count, _summed(f"{count}{now}", long, budget), label)
    total = _summed(f"({avg}{now} * {count}{now})", long, budget)
    yield Rule(avg, f"{total} / ignoring (window) {count}{whole}", label)
    square = f"({avg}{now} ^ 2 + {stddev}{now} ^ 2)"
    squares = _summed(f"({square} * {count}{now})", long, budget)
    mean_square = f"{squares} / ignoring (window) {count}{whole}"
    # Where all are the same, what is left may be a little below 0.
    variance = f"clamp_min({mean_square} - ignoring (window) {avg}{whole} ^ 2, 0)"
    yield Rule(stddev, f"sqrt({variance})", label)

    def of(what: str, source: str) -> str:
        return f'{ABSOLUTE_ERROR}:{what}{{randsvc_source="{source}",window="{budget}"}}'

    def relative(source: str) -> str:
        return f"{of('stddev', source)} ^ 2 / {of('count', source)} / {of('avg', source)} ^ 2"

    yield Rule(WORTH, f"{of('avg', 'fallback')} / on (job) {of('avg', 'model')}")
    half = f"1.96 * sqrt({relative('fallback')} + on (job) {relative('model')})"
    for end, sign in (("low", "-"), ("high", "")):
        yield Rule(f"{WORTH}_{end}", f"{WORTH} * on (job) exp({sign}{half})")
