"""The alerts on what the model is given, answers, and turns out to be worth.

They follow the effect: minor for a quarter of a standard deviation, major for a whole one or for a
model that answers one value. An effect is found at a little over half of it, so that one of that
very size is seen in spite of noise, and before it fills the window; and only where chance does not
explain it (``randsvc.rules.drift``).
"""

from collections.abc import Iterator, Mapping

from randsvc.rules.alert import Alert
from randsvc.rules.cusum import EVIDENCE, LIMIT
from randsvc.rules.drift import (
    COUNT,
    D1_PER_FLOOR,
    MIX,
    OUT_OF_RANGE,
    PER_SD,
    SPREAD,
    name_distance,
)
from randsvc.rules.features import COUNT as INPUTS_COUNT
from randsvc.rules.features import MISSING_SHARE, REFUSED_SHARE
from randsvc.rules.feedback import (
    BIAS_PER_FLOOR,
    BIAS_PER_SD,
    COVERAGE_NOW,
    ERROR,
    ERROR_NOW,
    LABELS_NOW,
    PREDICTIONS_COUNT,
)
from randsvc.rules.golden_signals import JOB
from randsvc.rules.time_scale import Level, TimeScale, spell_last

__all__ = ("EFFECTS", "FOUND_AT", "make_ml_alerts")

EFFECTS: Mapping[Level, float] = {"major": 1.0, "minor": 0.25}
"""A shift in standard deviations of the baseline, by the level that it is of."""
FOUND_AT = 0.55
"""Of the effect. With more, a shift of an effect's size is found later than in twice the time that
a test of all raw draws takes; with less, ever smaller shifts are (benchmarks/drift-results.md)."""
COLLAPSED = 0.25
"""Of the baseline's spread. A value that is frozen shows as wide as its bucket, a tenth at most."""
OUTSIDE = 0.01
"""Share of the values outside the whole range of the baseline, of which one in a million is."""
MIX_MOVED = 0.2
"""D1 of the segments: a tenth of all customers are of another segment."""
MISSING = 0.3
"""Of the inputs. Simulated users leave out 2%, and probes, which send none, are up to 10%."""
REFUSED = 0.05
FEWER = 0.25
"""Labels, of what they were per answer and per second in the day before."""
WORSE = 2.0
"""Times the mean absolute error of the day before."""

_VALUE = 'randsvc_distribution="value"'
_MODEL = f'{JOB},randsvc_source="model"'


def make_ml_alerts(scale: TimeScale) -> Iterator[Alert]:
    """Give them all."""
    yield from _alert_on_shift(scale)
    yield _alert_on_frozen_output(scale)
    yield _alert_on_range(scale)
    yield from _alert_on_inputs(scale)
    yield from _alert_on_feedback(scale)


def _make(
    scale: TimeScale,
    name: str,
    level: Level,
    unit: str,
    expr: str,
    summary: str,
    description: str,
    panel: str,
) -> Alert:
    return Alert(
        name=name,
        level=level,
        service="randsvc",
        expr=expr,
        unit=unit,
        summary=summary,
        description=description,
        dashboard="ml",
        panel=panel,
        wait=scale.drift_wait,
        hold=scale.hold,
    )


def _at(series: str, window: str, matchers: str = JOB, of_all: str = "max") -> str:
    """Give a recorded series of a window without that label: an alert is one for all windows."""
    return f'{of_all} without (window) ({series}{{{matchers},window="{window}"}})'


def _alert_on_shift(scale: TimeScale) -> Iterator[Alert]:
    short = scale.samples[0]
    for distribution, name, subject in (
        ("value", "RandsvcValueShifted", "The model's values have"),
        ("delay", "RandsvcDelayShifted", "The delay of /random has"),
    ):
        of = f'{JOB},randsvc_distribution="{distribution}"'
        against = f'{of},against="baseline"'
        for level, effect in EFFECTS.items():
            # Evidence for a large change is evidence for a small one.
            sizes = f'{of},size="{effect:g}"' if level == "major" else of
            yield Alert(
                name=name,
                level=level,
                service="randsvc",
                expr=f"{_at(PER_SD, short, against)}"
                f" and on () max ({EVIDENCE}{{{sizes}}}) > {LIMIT:g}",
                unit="standard deviations",
                summary=f"{subject} drifted from the baseline: a distance of "
                f'{{{{ printf "%.2f" $value }}}} standard deviations over the {spell_last(short)}',
                description=f"The evidence for a change of at least {effect:g} standard deviations "
                "in location, spread or shape is above its limit, which chance alone exceeds in "
                "at most one evaluation of a million. Right after the change, the distance still "
                "contains earlier values.",
                dashboard="ml",
                panel=f"Evidence of drift of the {distribution}",
                # The evidence is that of all evaluations so far: waiting for more adds nothing.
                hold=scale.hold,
            )


def _alert_on_frozen_output(scale: TimeScale) -> Alert:
    window = scale.samples[0]
    of = f"{JOB},{_VALUE}"
    return _make(
        scale,
        "RandsvcModelFrozen",
        "major",
        "%",
        f"{_at(SPREAD, window, of, 'min')} < {COLLAPSED:g}"
        f" and on () {_at(COUNT, window, of)} >= {scale.min_values}",
        "The model gives nearly one answer to everybody: its values spread over "
        "{{ $value | humanizePercentage }} of the baseline's spread",
        "The spread is the distance from the 5th to the 95th percentile, over the "
        f"{spell_last(window)}. The answers no longer depend on the inputs.",
        "Largest bin",
    )


def _alert_on_range(scale: TimeScale) -> Alert:
    window = scale.samples[0]
    of = f"{JOB},{_VALUE}"
    return _make(
        scale,
        "RandsvcValueOutOfRange",
        "major",
        "%",
        f"{_at(OUT_OF_RANGE, window, of)} > {OUTSIDE:g}"
        f" and on () {_at(COUNT, window, of)} >= {scale.min_values}",
        "{{ $value | humanizePercentage }} of the model's values are outside the range of the "
        "baseline",
        f"Measured over the {spell_last(window)}. The range is from the lowest to the highest "
        "value of the baseline.",
        "Values by source",
    )


def _alert_on_inputs(scale: TimeScale) -> Iterator[Alert]:
    window = scale.samples[0]
    measured = f"Measured over the {spell_last(window)}."
    of = f'{JOB},randsvc_distribution="{MIX}"'
    baseline = f'{of},against="baseline"'
    yield _make(
        scale,
        "RandsvcSegmentsShifted",
        "minor",
        "D1",
        f"{_at(name_distance('d1'), window, baseline)} > {MIX_MOVED:g}"
        f" and on () {_at(D1_PER_FLOOR, window, baseline)} > 1"
        f" and on () {_at(COUNT, window, of)} >= {scale.min_values}",
        'The mix of customer segments differs from the baseline by {{ printf "%.2f" $value }} '
        "(D1, from 0 to 2)",
        f"{measured} The difference is more than chance explains. The model may not know these "
        "customers.",
        "Distance of the segment mix",
    )
    enough = f" and on () {_at(INPUTS_COUNT, window)} >= {scale.min_values}"
    yield _make(
        scale,
        "RandsvcFeaturesMissing",
        "minor",
        "%",
        f"{_at(MISSING_SHARE, window)} > {MISSING:g}{enough}",
        "{{ $value | humanizePercentage }} of requests lack the feature "
        "{{ $labels.randsvc_feature }}",
        f"{measured} The model and the fallback predict without it.",
        "Missing features",
    )
    yield _make(
        scale,
        "RandsvcInputsRefused",
        "minor",
        "%",
        f"{_at(REFUSED_SHARE, window)} > {REFUSED:g}{enough}",
        "{{ $value | humanizePercentage }} of requests are refused for invalid features (422)",
        f"{measured} A client sends features that the schema at GET /features does not allow.",
        "Refused requests",
    )


def _alert_on_feedback(scale: TimeScale) -> Iterator[Alert]:
    short, long = scale.samples
    for level, effect in EFFECTS.items():
        yield _make(
            scale,
            "RandsvcModelBiased",
            level,
            "standard deviations",
            " or ".join(
                f"({_at(BIAS_PER_SD, window, _MODEL)} > {FOUND_AT * effect:g}"
                f" and on () {_at(BIAS_PER_FLOOR, window, _MODEL)} > 1"
                f" and on () {_at(f'{ERROR}:count', window, _MODEL)} >= {scale.min_labels})"
                for window in (short, long)
            ),
            'The model is off by {{ printf "%.2f" $value }} standard deviations on average (bias)',
            f"Measured by the feedback of the {spell_last(short)} or the {spell_last(long)}, and "
            "more than chance explains. If the model's values have not shifted, the world has: "
            f"train the model again. The limit for {level} is {effect:g}.",
            "Bias of the model",
        )
    yield _make(
        scale,
        "RandsvcModelInaccurate",
        "minor",
        "times",
        f"{ERROR_NOW}{{{_MODEL}}} > {WORSE:g}"
        f" and on () {_at(f'{ERROR}:count', long, _MODEL)} >= {scale.min_labels}",
        'The model\'s absolute error is at least {{ printf "%.1f" $value }} times that of the '
        f"{spell_last(scale.day)}",
        f"This is the mean absolute error by the feedback of the {spell_last(long)}, at the lower "
        "end of its confidence interval.",
        "Mean absolute error by source",
    )
    yield _make(
        scale,
        "RandsvcFeedbackStopped",
        "minor",
        "%",
        f"{COVERAGE_NOW}{{{JOB}}} < {FEWER:g}"
        f" and on () {LABELS_NOW}{{{JOB}}} < {FEWER:g}"
        f" and on () {_at(PREDICTIONS_COUNT, long)} >= {scale.min_values}",
        "Feedback has dropped: the share of answers with feedback is "
        f"{{{{ $value | humanizePercentage }}}} of that of the {spell_last(scale.day)}",
        f"Measured over the {spell_last(long)}. The accuracy of the model is no longer known. "
        "Users notice nothing.",
        "Feedback coverage",
    )
