"""The inputs of the model, its outputs, and how good they were by ground truth."""

from collections.abc import Callable
from functools import partial

from randsvc.dashboards.colours import DISTANCE, MODEL, OUTCOMES, PERCENTILES
from randsvc.dashboards.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    draw_bars,
    draw_lines,
    drop_nan,
    show_number,
)
from randsvc.metrics import (
    FEEDBACK,
    FEEDBACK_DELAY,
    INPUTS_REFUSED,
    MODEL_DURATION,
    PREDICTIONS,
    VALUE,
)
from randsvc.rules import features
from randsvc.rules.cusum import CAP, EVIDENCE, LIMIT
from randsvc.rules.drift import (
    BASELINE_SHARES,
    COUNT,
    LARGEST_SHARE,
    MIX,
    OUT_OF_RANGE,
    PER_SD,
    SHARE,
    SPREAD,
    name_distance,
    name_floor,
)
from randsvc.rules.feedback import ABSOLUTE_ERROR, COVERAGE, ERROR, FALLBACK_SHARE, WORTH
from randsvc.rules.golden_signals import JOB, rate
from randsvc.rules.ml_alerts import COLLAPSED, EFFECTS, FOUND_AT, MISSING, MIX_MOVED, OUTSIDE
from randsvc.rules.time_scale import DEMO, PRODUCTION

RECENT = "$__rate_interval"
SHORTEST = "the shorter window"
LONGEST = "the longer window"
MODEL_SOURCE = 'randsvc_source="model"'
EARLY = "there has not been such a past"
NO_FALLBACK = "the model has not failed, so that there are no answers of the fallback"


def make_dashboard() -> Dashboard:
    """Give the dashboard: outputs first, then what explains them, then the ground truth."""
    return Dashboard(
        uid="randsvc-ml",
        title="ML",
        description="Whether the model's answers look as expected, how often the fallback answers "
        "in its place, and how good the answers were by ground truth. Windows are those of the "
        "rules: the short one reacts fast, the long one sees small changes.",
        since="now-30m",
        rows=(
            Row("", _summary()),
            Row("Outputs", _outputs()),
            Row("Drift: now against the baseline, a day and a week ago", _drift(), collapsed=True),
            Row("Inputs", _inputs(), collapsed=True),
            Row("Ground truth", _ground_truth(), collapsed=True),
            Row("Value of the model", _worth(), collapsed=True),
        ),
    )


def _each(series: str, *matchers: str) -> str:
    return f"{series}{{{','.join((JOB, *matchers))}}}"


def _by(labels: str, expr: str) -> str:
    return f"sum by ({labels}) ({expr})"


def _short(series: str, *matchers: str, by: str = "job") -> str:
    """The sample of the shorter window, which is the one that has fewer values."""
    fewest = f"bottomk by (job, randsvc_distribution) (1, {_each(COUNT, *matchers[:1])})"
    on = "on (job, randsvc_distribution, window) group_left ()"
    return _by(by, f"{_each(series, *matchers)} * {on} ({fewest} ^ 0)")


def _long(make: Callable[[str], str], by: str = "job") -> str:
    """Give what is made of a matcher, for the longer window of the time scale that is in use.

    The period of an error budget in ``demo`` is as long as the longer window in ``production``, so
    ``demo`` comes first.
    """
    windows = (f'window="{scale.samples[1]}"' for scale in (DEMO, PRODUCTION))
    return " or ".join(_by(by, make(window)) for window in windows)


def _of(distribution: str) -> str:
    return f'randsvc_distribution="{distribution}"'


def _window(what: str = "") -> str:
    return f"{what} {{{{window}}}}".strip()


def _summary() -> tuple[Panel, ...]:
    minor, major = (FOUND_AT * EFFECTS[level] for level in ("minor", "major"))
    baseline = 'against="baseline"'
    return (
        show_number(
            "Value shift",
            "Wasserstein distance between the model's values and the baseline, in standard "
            "deviations of the baseline. The larger of both windows.",
            "suffix:sd",
            Query(expr=f"max ({_each(PER_SD, _of('value'), baseline)})"),
            thresholds=("green", (minor, "yellow"), (major, "red")),
            decimals=2,
        ),
        show_number(
            "Fallback",
            "Share of answers that came from the fallback. The larger of both windows.",
            "percentunit",
            Query(expr=f"max ({_each(FALLBACK_SHARE)})"),
            thresholds=("green", (0.05, "red")),
        ),
        show_number(
            "Out of range",
            "Share of the model's values outside the range of the baseline.",
            "percentunit",
            Query(expr=f"max ({_each(OUT_OF_RANGE, _of('value'))})"),
            thresholds=("green", (OUTSIDE, "red")),
            decimals=2,
        ),
        show_number(
            "Spread of the value",
            "Distance from the 5th to the 95th percentile, as a share of the baseline's. Near 0% "
            "the model is frozen: it gives one answer.",
            "percentunit",
            Query(expr=f"min ({_each(SPREAD, _of('value'))})"),
            thresholds=("red", (COLLAPSED, "green")),
        ),
        show_number(
            "Feedback",
            "Share of answers with ground truth. The smaller of both windows. Feedback is late, so "
            "the newest answers have none yet.",
            "percentunit",
            Query(expr=f"min ({_each(COVERAGE)})"),
        ),
        show_number(
            "Model against fallback",
            "Mean absolute error of the fallback, divided by that of the model. Above 1 the model "
            "is better. Unknown until there is feedback about the fallback's answers.",
            "x",
            Query(expr=f"max ({_each(WORTH)})", empty=NO_FALLBACK),
            # Grey is for none, as the first colour is that of no value.
            thresholds=("#a0a0a0", (0, "red"), (1, "green")),
            none="not yet known",
            decimals=1,
        ),
    )


def _outputs() -> tuple[Panel, ...]:
    predictions = PREDICTIONS.prometheus_name
    value = VALUE.prometheus_name
    return (
        draw_lines(
            "Predictions by source",
            "Predictions per second by the model, and by the fallback that answers when the model "
            "fails.",
            "reqps",
            Query(
                expr=rate(predictions, by=("randsvc_source",), window=RECENT),
                legend="{{randsvc_source}}",
            ),
            stacked=True,
            width=8,
            colours=MODEL,
        ),
        draw_lines(
            "Values by source",
            "Median, 5th and 95th percentile of the values. The fallback gives only a few "
            "different values.",
            "short",
            *(
                Query(
                    expr=drop_nan(
                        f"histogram_quantile({q:g}, "
                        f"{rate(value, by=('randsvc_source',), window=RECENT)})"
                    ),
                    legend=f"{{{{randsvc_source}}}} p{100 * q:g}",
                )
                for q in (0.95, 0.5, 0.05)
            ),
            floor=None,
            width=8,
            colours=MODEL,
        ),
        draw_lines(
            "Largest bin",
            "Share of the values in the fullest bin of the baseline: about 10% in a healthy model, "
            "100% in a frozen one.",
            "percentunit",
            Query(expr=_by("window", _each(LARGEST_SHARE, _of("value"))), legend=_window()),
            ceiling=1,
            width=8,
        ),
        _bins("value", "Values by bin, against the baseline"),
        _bins("delay", "Delays by bin, against the baseline"),
    )


def _bins(distribution: str, title: str) -> Panel:
    # A label `le` is what the bars are drawn by; bins are numbered from the lowest.
    ratio = (
        f"{_short(SHARE, _of(distribution), by='randsvc_bin')} / on (randsvc_bin) "
        f"{_by('randsvc_bin', _each(BASELINE_SHARES, _of(distribution)))}"
    )
    named = f'label_replace({ratio}, "le", "$1", "randsvc_bin", "(.+)")'
    return draw_bars(
        title,
        "Share of the observations in each bin, divided by the baseline's share. 1 is unchanged. "
        f"Bins are numbered from the lowest. Over {SHORTEST}.",
        "short",
        Query(expr=f"sum by (le) ({named})", legend="times the baseline"),
    )


def _drift() -> tuple[Panel, ...]:
    minor, major = (FOUND_AT * EFFECTS[level] for level in ("minor", "major"))
    levels = ("green", (minor, "yellow"), (major, "red"))

    def past(distribution: str, name: str) -> Panel:
        return draw_lines(
            f"Shift of the {name}",
            "Wasserstein distance in standard deviations of the baseline: how far the values are "
            "from it. The evidence above decides whether that is an alert.",
            "suffix:sd",
            *(
                Query(
                    expr=_by("window", _each(PER_SD, _of(distribution), f'against="{against}"')),
                    legend=_window(against),
                    empty="" if against == "baseline" else EARLY,
                )
                for against in ("baseline", "day", "week")
            ),
            thresholds=levels,
        )

    def evidence(distribution: str, name: str) -> Panel:
        return draw_lines(
            f"Evidence of drift of the {name}",
            "Cumulative sum of what the values say for each change of a quarter of a standard "
            f"deviation or more. Above {LIMIT:g} nats, chance is excluded and the alert fires. It "
            f"stops at {CAP:g}, so that the alert ends soon after the change.",
            "suffix:nats",
            Query(
                expr=f"max by (change) ({_each(EVIDENCE, _of(distribution))})",
                legend="{{change}}",
            ),
            thresholds=("green", (LIMIT, "red")),
        )

    def floored(name: str, title: str, description: str, width: int = 6) -> Panel:
        baseline = (_of("value"), 'against="baseline"')
        return draw_lines(
            title,
            f"{description} The dashed floor is what chance alone hardly ever exceeds.",
            "short",
            Query(expr=_short(name_distance(name), *baseline), legend="distance"),
            Query(expr=_short(name_floor(name), *baseline), legend="floor"),
            dashed=("floor",),
            colours=DISTANCE,
            width=width,
        )

    return (
        evidence("value", "value"),
        evidence("delay", "delay"),
        past("value", "value"),
        past("delay", "delay"),
        floored(
            "ks",
            "Kolmogorov-Smirnov",
            "The largest difference between the distribution functions.",
        ),
        floored(
            "d1",
            "D1",
            "Sum of the absolute differences between the bins' shares, from 0 to 2.",
        ),
        floored(
            "psi",
            "Population stability index",
            "By convention, above 0.1 is a shift and above 0.25 a large shift.",
        ),
        draw_lines(
            "Values in the sample",
            "Number of the model's values in each window. More values lower the floors.",
            "short",
            Query(expr=_by("window", _each(COUNT, _of("value"))), legend=_window()),
            width=6,
        ),
    )


def _inputs() -> tuple[Panel, ...]:
    refused = rate(INPUTS_REFUSED.prometheus_name, by=("randsvc_reason",), window=RECENT)
    return (
        draw_lines(
            "Segment mix",
            f"Share of each segment among the requests with a segment. Over {SHORTEST}.",
            "percentunit",
            Query(expr=_short(SHARE, _of(MIX), by="randsvc_bin"), legend="{{randsvc_bin}}"),
            width=8,
        ),
        draw_lines(
            "Distance of the segment mix",
            f"D1 distance from the baseline's mix. More than {MIX_MOVED:g} is an alert if it is "
            "also above its floor.",
            "short",
            Query(
                expr=_short(name_distance("d1"), _of(MIX), 'against="baseline"'), legend="distance"
            ),
            Query(expr=_short(name_floor("d1"), _of(MIX), 'against="baseline"'), legend="floor"),
            dashed=("floor",),
            thresholds=("green", (MIX_MOVED, "yellow")),
            width=6,
            colours=DISTANCE,
        ),
        draw_lines(
            "Missing features",
            "Share of requests that lack the feature.",
            "percentunit",
            Query(
                expr=_by("randsvc_feature, window", _each(features.MISSING_SHARE)),
                legend=_window("{{randsvc_feature}}"),
            ),
            thresholds=("green", (MISSING, "yellow")),
            width=5,
        ),
        draw_lines(
            "Refused requests",
            "Requests per second that were refused with 422, by what is wrong with their features.",
            "reqps",
            Query(expr=refused, legend="{{randsvc_reason}}"),
            width=5,
        ),
    )


def _ground_truth() -> tuple[Panel, ...]:
    late = rate(f"{FEEDBACK_DELAY.prometheus_name}_bucket", by=("le",), window=RECENT)
    return (
        draw_lines(
            "Bias of the model",
            "Mean of prediction minus ground truth, shaded with its 95% interval. 0 in a healthy "
            "model. It moves when the model is off, and when the world has changed while the "
            f"answers have not. Over {LONGEST}.",
            "short",
            Query(
                expr=_long(lambda window: _each(f"{ERROR}:avg", MODEL_SOURCE, window)),
                legend="bias",
            ),
            *_interval(ERROR),
            colours={"bias": "blue", "model, .*": "blue"},
            floor=None,
            between=("model, low", "model, high"),
        ),
        draw_lines(
            "Mean absolute error by source",
            "Average distance of the answers from the ground truth. The model's is shaded with its "
            f"95% interval. Over {LONGEST}.",
            "short",
            Query(
                expr=_long(lambda window: _each(f"{ABSOLUTE_ERROR}:avg", window), "randsvc_source"),
                legend="{{randsvc_source}}",
            ),
            *_interval(ABSOLUTE_ERROR),
            colours=MODEL,
            between=("model, low", "model, high"),
        ),
        draw_lines(
            "Feedback coverage",
            "Answers with ground truth, as a share of all answers.",
            "percentunit",
            Query(expr=_by("window", _each(COVERAGE)), legend=_window()),
            ceiling=1,
            width=6,
        ),
        draw_lines(
            "Feedback by outcome",
            "Feedback reports per second. Duplicate, forged, expired and malformed reports are "
            "refused.",
            "reqps",
            Query(
                expr=rate(FEEDBACK.prometheus_name, by=("randsvc_outcome",), window=RECENT),
                legend="{{randsvc_outcome}}",
            ),
            colours=OUTCOMES,
            width=6,
        ),
        draw_lines(
            "Feedback delay",
            "Time from an answer to the feedback about it.",
            "s",
            *(
                Query(expr=drop_nan(f"histogram_quantile({q:g}, {late})"), legend=f"p{100 * q:g}")
                for q in (0.9, 0.5)
            ),
            colours=PERCENTILES,
            width=6,
        ),
        draw_lines(
            "Answers with ground truth",
            "Number of answers with feedback, by source. More of them narrow the intervals.",
            "short",
            Query(
                expr=_long(lambda window: _each(f"{ERROR}:count", window), "randsvc_source"),
                legend="{{randsvc_source}}",
            ),
            colours=MODEL,
            width=6,
        ),
    )


def _interval(record: str) -> tuple[Query, ...]:
    """Of a mean, by the standard deviation and the number of what it is the mean of."""

    def end(sign: str, window: str) -> str:
        mean, stddev, count = (
            _each(f"{record}:{what}", MODEL_SOURCE, window) for what in ("avg", "stddev", "count")
        )
        return f"{mean} {sign} 1.96 * {stddev} / sqrt({count})"

    return tuple(
        Query(expr=_long(partial(end, sign)), legend=f"model, {name}")
        for sign, name in (("+", "high"), ("-", "low"))
    )


def _worth() -> tuple[Panel, ...]:
    took = rate(f"{MODEL_DURATION.prometheus_name}_bucket", by=("le",), window=RECENT)
    absolute = f"max by (randsvc_source) ({_each(f'{ABSOLUTE_ERROR}:avg')})"
    return (
        draw_lines(
            "Error of the fallback against the model",
            "Mean absolute error of the fallback, divided by that of the model, over the period of "
            "the error budgets. Shaded: its 95% interval. Above 1 the model is better. Known only "
            "after an incident in which the fallback answered.",
            "x",
            Query(expr=_each(WORTH), legend="times better", empty=NO_FALLBACK),
            Query(expr=_each(f"{WORTH}_low"), legend="low", empty=NO_FALLBACK),
            Query(expr=_each(f"{WORTH}_high"), legend="high", empty=NO_FALLBACK),
            between=("low", "high"),
            colours={"times better|low|high": "blue"},
            thresholds=("red", (1, "green")),
            none="not yet known",
            width=10,
        ),
        draw_lines(
            "Mean absolute error, compared",
            "Mean absolute error of the model and of the fallback, each where it answered.",
            "short",
            Query(expr=absolute, legend="{{randsvc_source}}"),
            width=7,
            colours=MODEL,
        ),
        draw_lines(
            "Duration of a prediction",
            "Time that the model takes: the price of its smaller error. The fallback takes almost "
            "none.",
            "s",
            *(
                Query(expr=drop_nan(f"histogram_quantile({q:g}, {took})"), legend=f"p{100 * q:g}")
                for q in (0.99, 0.5)
            ),
            width=7,
            colours=PERCENTILES,
        ),
    )
