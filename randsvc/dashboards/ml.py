"""What a model is given, what it answers, and what that turns out to be worth."""

from randsvc.dashboards.panels import Dashboard, Panel, Query, Row, bars, lines, number
from randsvc.rules import features
from randsvc.rules.drift import (
    BASELINE_SHARES,
    COUNT,
    LARGEST_SHARE,
    MIX,
    OUT_OF_RANGE,
    PER_SD,
    SHARE,
    SPREAD,
    distance,
    floor,
)
from randsvc.rules.feedback import ABSOLUTE_ERROR, COVERAGE, ERROR, FALLBACK_SHARE, WORTH
from randsvc.rules.golden_signals import JOB, rate
from randsvc.rules.ml_alerts import COLLAPSED, EFFECTS, FOUND_AT, MISSING, MIX_MOVED, OUTSIDE
from randsvc.telemetry.catalogue import (
    FEEDBACK,
    FEEDBACK_DELAY,
    INPUTS_REFUSED,
    MODEL_DURATION,
    PREDICTIONS,
    VALUE,
)

RECENT = "$__rate_interval"
SHORTEST = "the shorter window"
MODEL = 'randsvc_source="model"'
EARLY = "there has not been such a past"
NO_FALLBACK = "the model has not failed, so that there are no answers of the fallback"


def dashboard() -> Dashboard:
    """Give the dashboard: outputs first, then what explains them, then the truth."""
    return Dashboard(
        uid="randsvc-ml",
        title="ML",
        description="Whether the answers of the model look as they should, how often the fallback "
        "stands in, and how good the answers were once the truth is known. Windows are those of "
        "the rules: a short one that is quick, a long one that is fine.",
        since="now-30m",
        rows=(
            Row("", _summary()),
            Row("Outputs", _outputs()),
            Row("Drift: now against the baseline, a day and a week ago", _drift()),
            Row("Inputs", _inputs()),
            Row("Ground truth", _truth()),
            Row("What the model is worth", _worth()),
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


def _of(distribution: str) -> str:
    return f'randsvc_distribution="{distribution}"'


def _window(what: str = "") -> str:
    return f"{what} {{{{window}}}}".strip()


def _summary() -> tuple[Panel, ...]:
    minor, major = (FOUND_AT * EFFECTS[level] for level in ("minor", "major"))
    baseline = 'against="baseline"'
    return (
        number(
            "Shift of the value",
            "Wasserstein distance between the model's values and the baseline, in standard "
            "deviations of the baseline; the larger of both windows. Of values that are shifted it "
            "is the shift.",
            "short",
            Query(expr=f"max ({_each(PER_SD, _of('value'), baseline)})"),
            levels=("green", (minor, "yellow"), (major, "red")),
            decimals=2,
        ),
        number(
            "Fallback",
            "Share of the answers that the fallback gave, in the larger of both windows.",
            "percentunit",
            Query(expr=f"max ({_each(FALLBACK_SHARE)})"),
            levels=("green", (0.05, "red")),
        ),
        number(
            "Out of range",
            "Share of the model's values outside the range of all values of the baseline.",
            "percentunit",
            Query(expr=f"max ({_each(OUT_OF_RANGE, _of('value'))})"),
            levels=("green", (OUTSIDE, "red")),
            decimals=2,
        ),
        number(
            "Spread of the value",
            "From the 5th to the 95th percentile, of what it is in the baseline. Near 0 the model "
            "is frozen: it answers one value.",
            "percentunit",
            Query(expr=f"min ({_each(SPREAD, _of('value'))})"),
            levels=("red", (COLLAPSED, "green")),
        ),
        number(
            "Truth is known of",
            "Share of the answers of which the truth was reported, in the smaller of the windows. "
            "It is late, so that the newest answers cannot be among them.",
            "percentunit",
            Query(expr=f"min ({_each(COVERAGE)})"),
        ),
        number(
            "Model against fallback",
            "The fallback's mean absolute error over the model's: so many times is the model "
            "better. None until the fallback has answered, and the truth about it is known.",
            "x",
            Query(expr=f"max ({_each(WORTH)})", empty=NO_FALLBACK),
            levels=("red", (1, "green")),
            none="not yet known",
            decimals=1,
        ),
    )


def _outputs() -> tuple[Panel, ...]:
    predictions = PREDICTIONS.prometheus_name
    value = VALUE.prometheus_name
    return (
        lines(
            "Answers by source",
            "Predictions each second by the model and by the fallback that stands in.",
            "reqps",
            Query(
                expr=rate(predictions, by=("randsvc_source",), window=RECENT),
                legend="{{randsvc_source}}",
            ),
            stacked=True,
            width=8,
        ),
        lines(
            "Values by source",
            "The median of the values and the 5th and 95th percentile, by source. The fallback "
            "knows a few values only.",
            "short",
            *(
                Query(
                    expr=f"histogram_quantile({q:g}, "
                    f"{rate(value, by=('randsvc_source',), window=RECENT)})",
                    legend=f"{{{{randsvc_source}}}} p{100 * q:g}",
                )
                for q in (0.95, 0.5, 0.05)
            ),
            floor=None,
            width=8,
        ),
        lines(
            "The most frequent bin",
            "Share of the values in the bin of the baseline that has most of them: about a tenth "
            "when all is well, 1 where the model is frozen.",
            "percentunit",
            Query(expr=_by("window", _each(LARGEST_SHARE, _of("value"))), legend=_window()),
            ceiling=1,
            width=8,
        ),
        _bins("value", "Where the values lie"),
        _bins("delay", "Where the delays lie"),
    )


def _bins(distribution: str, title: str) -> Panel:
    # A label `le` is what the bars are drawn by; bins are numbered from the lowest.
    ratio = (
        f"{_short(SHARE, _of(distribution), by='randsvc_bin')} / on (randsvc_bin) "
        f"{_by('randsvc_bin', _each(BASELINE_SHARES, _of(distribution)))}"
    )
    named = f'label_replace({ratio}, "le", "$1", "randsvc_bin", "(.+)")'
    return bars(
        title,
        "Share of the values in each bin, from the lowest to the highest, over that of the "
        f"baseline: 1 is as it was. Of {SHORTEST}.",
        "short",
        Query(expr=f"sum by (le) ({named})", legend="times the baseline"),
    )


def _drift() -> tuple[Panel, ...]:
    minor, major = (FOUND_AT * EFFECTS[level] for level in ("minor", "major"))
    levels = ("green", (minor, "yellow"), (major, "red"))

    def past(distribution: str, name: str) -> Panel:
        return lines(
            f"Shift of the {name} (Wasserstein / sd)",
            f"In standard deviations of the baseline: {minor:g} is an alert of level minor, "
            f"{major:g} of level major, where chance does not explain it.",
            "short",
            *(
                Query(
                    expr=_by("window", _each(PER_SD, _of(distribution), f'against="{against}"')),
                    legend=_window(against),
                    empty="" if against == "baseline" else EARLY,
                )
                for against in ("baseline", "day", "week")
            ),
            levels=levels,
        )

    def floored(name: str, title: str, description: str, width: int = 6) -> Panel:
        baseline = (_of("value"), 'against="baseline"')
        return lines(
            title,
            f"{description} Dashed: what chance alone hardly ever exceeds, at the number of values "
            "in the window.",
            "short",
            Query(expr=_short(distance(name), *baseline), legend="distance"),
            Query(expr=_short(floor(name), *baseline), legend="floor"),
            dashed=("floor",),
            width=width,
        )

    return (
        past("value", "value"),
        past("delay", "delay"),
        floored(
            "ks",
            "Kolmogorov-Smirnov",
            "The largest difference between the distribution functions; alerts take its floor.",
        ),
        floored(
            "d1",
            "D1",
            "Sum of the absolute differences between the bins' shares; half of it is the total "
            "variation.",
        ),
        floored(
            "psi",
            "Population stability index",
            "By custom above 0.1 a shift, above 0.25 a large one, however many values there are.",
        ),
        lines(
            "Values in the sample",
            "The model's values in each window. The more, the lower the floors.",
            "short",
            Query(expr=_by("window", _each(COUNT, _of("value"))), legend=_window()),
            width=6,
        ),
    )


def _inputs() -> tuple[Panel, ...]:
    refused = rate(INPUTS_REFUSED.prometheus_name, by=("randsvc_reason",), window=RECENT)
    return (
        lines(
            "Mix of the segments",
            f"Share of each among the requests that name one. Of {SHORTEST}.",
            "percentunit",
            Query(expr=_short(SHARE, _of(MIX), by="randsvc_bin"), legend="{{randsvc_bin}}"),
            width=8,
        ),
        lines(
            "Distance of the mix (D1)",
            f"From the expected mix; {MIX_MOVED:g} is an alert, where it is above its floor.",
            "short",
            Query(expr=_short(distance("d1"), _of(MIX), 'against="baseline"'), legend="distance"),
            Query(expr=_short(floor("d1"), _of(MIX), 'against="baseline"'), legend="floor"),
            dashed=("floor",),
            levels=("green", (MIX_MOVED, "yellow")),
            width=6,
        ),
        lines(
            "Missing features",
            "Share of the requests without it.",
            "percentunit",
            Query(
                expr=_by("randsvc_feature, window", _each(features.MISSING_SHARE)),
                legend=_window("{{randsvc_feature}}"),
            ),
            levels=("green", (MISSING, "yellow")),
            width=5,
        ),
        lines(
            "Refused inputs",
            "Requests each second that were answered 422, by what was wrong with their features.",
            "reqps",
            Query(expr=refused, legend="{{randsvc_reason}}"),
            width=5,
        ),
    )


def _truth() -> tuple[Panel, ...]:
    late = rate(f"{FEEDBACK_DELAY.prometheus_name}_bucket", by=("le",), window=RECENT)
    absolute = _by("randsvc_source, window", _each(f"{ABSOLUTE_ERROR}:avg"))
    return (
        lines(
            "Bias of the model",
            "Mean of prediction minus truth, with its 95% interval: 0 when all is well. It moves "
            "when the model is off, and when the world has moved while the answers stay.",
            "short",
            Query(expr=_by("window", _each(f"{ERROR}:avg", MODEL)), legend=_window("bias")),
            *_interval(ERROR),
            floor=None,
        ),
        lines(
            "Mean absolute error by source",
            "How far off the answers are on average, whichever way; the model with its 95% "
            "interval.",
            "short",
            Query(expr=absolute, legend=_window("{{randsvc_source}}")),
            *_interval(ABSOLUTE_ERROR),
        ),
        lines(
            "Coverage",
            "Answers of which the truth became known, of all answers.",
            "percentunit",
            Query(expr=_by("window", _each(COVERAGE)), legend=_window()),
            width=6,
        ),
        lines(
            "What becomes of reports",
            "Reports each second by outcome. Refused are duplicates, forgeries, and what is too "
            "late or malformed.",
            "reqps",
            Query(
                expr=rate(FEEDBACK.prometheus_name, by=("randsvc_outcome",), window=RECENT),
                legend="{{randsvc_outcome}}",
            ),
            width=6,
        ),
        lines(
            "How late the truth is",
            "Time from an answer to the report of the truth about it.",
            "s",
            *(
                Query(expr=f"histogram_quantile({q:g}, {late})", legend=f"p{100 * q:g}")
                for q in (0.9, 0.5)
            ),
            width=6,
        ),
        lines(
            "Truths in the sample",
            "Answers of which the truth is known, by source. The more, the narrower the intervals.",
            "short",
            Query(
                expr=_by("randsvc_source, window", _each(f"{ERROR}:count")),
                legend=_window("{{randsvc_source}}"),
            ),
            width=6,
        ),
    )


def _interval(record: str) -> tuple[Query, ...]:
    """Of a mean, by the standard deviation and the number of what it is the mean of."""
    mean, stddev, count = (_each(f"{record}:{what}", MODEL) for what in ("avg", "stddev", "count"))
    return tuple(
        Query(
            expr=_by("window", f"{mean} {sign} 1.96 * {stddev} / sqrt({count})"),
            legend=_window(f"model, {end}"),
        )
        for sign, end in (("+", "high"), ("-", "low"))
    )


def _worth() -> tuple[Panel, ...]:
    took = rate(f"{MODEL_DURATION.prometheus_name}_bucket", by=("le",), window=RECENT)
    absolute = f"max by (randsvc_source) ({_each(f'{ABSOLUTE_ERROR}:avg')})"
    return (
        lines(
            "Fallback against model",
            "The fallback's mean absolute error over the model's, over the period of the error "
            "budgets, with its 95% interval. Above 1 the model is better, by so many times; only "
            "answers that were given count, so that it takes an incident to know.",
            "x",
            Query(expr=_each(WORTH), legend="times better", empty=NO_FALLBACK),
            Query(expr=_each(f"{WORTH}_low"), legend="low", empty=NO_FALLBACK),
            Query(expr=_each(f"{WORTH}_high"), legend="high", empty=NO_FALLBACK),
            dashed=("low", "high"),
            levels=("red", (1, "green")),
            none="not yet known",
            width=10,
        ),
        lines(
            "Error, side by side",
            "Mean absolute error of the model and of the fallback, where each answered.",
            "short",
            Query(expr=absolute, legend="{{randsvc_source}}"),
            width=7,
        ),
        lines(
            "What the model takes",
            "Time of a prediction. The fallback is a few comparisons and takes none to speak of: "
            "this is the price of the smaller error.",
            "s",
            *(
                Query(expr=f"histogram_quantile({q:g}, {took})", legend=f"p{100 * q:g}")
                for q in (0.99, 0.5)
            ),
            width=7,
        ),
    )
