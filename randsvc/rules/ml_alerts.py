"""The alerts on what the model is given, answers, and turns out to be worth.

They follow the effect: minor for a quarter of a standard deviation, major for a whole one or for a
model that answers one value. An effect is found at a little over half of it, so that one of that
very size is seen in spite of noise, and before it fills the window; and only where chance does not
explain it (``randsvc.rules.drift``).
"""

from collections.abc import Iterator, Mapping

from randsvc.rules.alert import Alert
from randsvc.rules.drift import (
    COUNT,
    D1_PER_FLOOR,
    KS_PER_FLOOR,
    MIX,
    OUT_OF_RANGE,
    PER_SD,
    SPREAD,
    distance,
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
from randsvc.rules.time_scale import Level, TimeScale

__all__ = ("EFFECTS", "FOUND_AT", "ml_alerts")

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


def ml_alerts(scale: TimeScale) -> Iterator[Alert]:
    """Give them all."""
    yield from _shifted(scale)
    yield _frozen(scale)
    yield _out_of_range(scale)
    yield from _inputs(scale)
    yield from _truth(scale)


def _alert(
    scale: TimeScale, name: str, level: Level, expr: str, summary: str, description: str
) -> Alert:
    return Alert(
        name=name,
        level=level,
        service="randsvc",
        expr=expr,
        summary=summary,
        description=description,
        dashboard="ml",
        wait=scale.drift_wait,
        hold=scale.hold,
    )


def _at(series: str, window: str, matchers: str = JOB, of_all: str = "max") -> str:
    """Give a recorded series of a window without that label: an alert is one for all windows."""
    return f'{of_all} without (window) ({series}{{{matchers},window="{window}"}})'


def _shifted(scale: TimeScale) -> Iterator[Alert]:
    short, long = scale.samples
    for distribution, name in (("value", "RandsvcValueShifted"), ("delay", "RandsvcDelayShifted")):
        of = f'{JOB},randsvc_distribution="{distribution}"'
        against = f'{of},against="baseline"'
        for level, effect in EFFECTS.items():
            yield _alert(
                scale,
                name,
                level,
                " or ".join(
                    f"({_at(PER_SD, window, against)} > {FOUND_AT * effect:g}"
                    f" and on () {_at(KS_PER_FLOOR, window, against)} > 1"
                    f" and on () {_at(COUNT, window, of)} >= {scale.min_values})"
                    for window in (short, long)
                ),
                f'The {distribution} is {{{{ printf "%.2f" $value }}}} standard deviations from '
                "its baseline",
                f"As the Wasserstein distance has it, over the last {short} or {long}; chance does "
                f"not explain it. An effect of {effect:g} or more is {level}.",
            )


def _frozen(scale: TimeScale) -> Alert:
    window = scale.samples[0]
    of = f"{JOB},{_VALUE}"
    return _alert(
        scale,
        "RandsvcModelFrozen",
        "major",
        f"{_at(SPREAD, window, of, 'min')} < {COLLAPSED:g}"
        f" and on () {_at(COUNT, window, of)} >= {scale.min_values}",
        "The model answers the same to all: its values spread over "
        "{{ $value | humanizePercentage }} of what they did",
        f"From the 5th to the 95th percentile of the last {window}, against the baseline. The "
        "answers no longer depend on what is asked.",
    )


def _out_of_range(scale: TimeScale) -> Alert:
    window = scale.samples[0]
    of = f"{JOB},{_VALUE}"
    return _alert(
        scale,
        "RandsvcValueOutOfRange",
        "major",
        f"{_at(OUT_OF_RANGE, window, of)} > {OUTSIDE:g}"
        f" and on () {_at(COUNT, window, of)} >= {scale.min_values}",
        "{{ $value | humanizePercentage }} of the model's values are outside the expected range",
        f"Over the last {window}. The range is that of all values of the baseline.",
    )


def _inputs(scale: TimeScale) -> Iterator[Alert]:
    window = scale.samples[0]
    of = f'{JOB},randsvc_distribution="{MIX}"'
    baseline = f'{of},against="baseline"'
    yield _alert(
        scale,
        "RandsvcSegmentsShifted",
        "minor",
        f"{_at(distance('d1'), window, baseline)} > {MIX_MOVED:g}"
        f" and on () {_at(D1_PER_FLOOR, window, baseline)} > 1"
        f" and on () {_at(COUNT, window, of)} >= {scale.min_values}",
        'The mix of the segments is {{ printf "%.2f" $value }} from the expected one (D1)',
        f"The customers of the last {window} are others than those that are planned for; chance "
        "does not explain it. The model may not know them.",
    )
    enough = f" and on () {_at(INPUTS_COUNT, window)} >= {scale.min_values}"
    yield _alert(
        scale,
        "RandsvcFeaturesMissing",
        "minor",
        f"{_at(MISSING_SHARE, window)} > {MISSING:g}{enough}",
        "{{ $value | humanizePercentage }} of the requests have no {{ $labels.randsvc_feature }}",
        f"Over the last {window}. The model and the business rules have to do without.",
    )
    yield _alert(
        scale,
        "RandsvcInputsRefused",
        "minor",
        f"{_at(REFUSED_SHARE, window)} > {REFUSED:g}{enough}",
        "{{ $value | humanizePercentage }} of the requests are refused for their features (422)",
        f"Over the last {window}. Somebody sends what is not in the schema: GET /features.",
    )


def _truth(scale: TimeScale) -> Iterator[Alert]:
    short, long = scale.samples
    for level, effect in EFFECTS.items():
        yield _alert(
            scale,
            "RandsvcModelBiased",
            level,
            " or ".join(
                f"({_at(BIAS_PER_SD, window, _MODEL)} > {FOUND_AT * effect:g}"
                f" and on () {_at(BIAS_PER_FLOOR, window, _MODEL)} > 1"
                f" and on () {_at(f'{ERROR}:count', window, _MODEL)} >= {scale.min_labels})"
                for window in (short, long)
            ),
            'The truth is {{ printf "%.2f" $value }} standard deviations from what the model '
            "answers, on average",
            f"Over the truths that were reported in the last {short} or {long}; chance does not "
            "explain it. Where the values have not shifted, the world has: the model has to learn "
            f"it. A bias of {effect:g} or more is {level}.",
        )
    yield _alert(
        scale,
        "RandsvcModelInaccurate",
        "minor",
        f"{ERROR_NOW}{{{_MODEL}}} > {WORSE:g}"
        f" and on () {_at(f'{ERROR}:count', long, _MODEL)} >= {scale.min_labels}",
        'The model is wrong by {{ printf "%.1f" $value }} times as much as in the last '
        f"{scale.day}, or more",
        f"The mean absolute error over the truths that were reported in the last {long}, at the "
        "lower end of what chance leaves open, against that before.",
    )
    yield _alert(
        scale,
        "RandsvcFeedbackStopped",
        "minor",
        f"{COVERAGE_NOW}{{{JOB}}} < {FEWER:g}"
        f" and on () {LABELS_NOW}{{{JOB}}} < {FEWER:g}"
        f" and on () {_at(PREDICTIONS_COUNT, long)} >= {scale.min_values}",
        "Hardly any truth is reported: {{ $value | humanizePercentage }} of what was in the last "
        f"{scale.day}, of as many answers",
        f"Over the last {long}. How good the answers are is no longer known; users do not notice.",
    )
