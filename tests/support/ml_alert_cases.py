"""What happens to the numbers that the alerts on the model read, for each of their terms.

An alert fires where all its terms hold. In each other case one of them just does not, while what
it must not read instead, another job, window, source, distribution or past, is as bad as can be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from randsvc.rules import features
from randsvc.rules.drift import (
    COUNT,
    D1_PER_FLOOR,
    KS_PER_FLOOR,
    MIX,
    OUT_OF_RANGE,
    PER_SD,
    SPREAD,
    name_distance,
)
from randsvc.rules.feedback import (
    BIAS_PER_FLOOR,
    BIAS_PER_SD,
    COVERAGE_NOW,
    ERROR,
    ERROR_NOW,
    LABELS_NOW,
    PREDICTIONS_COUNT,
)
from randsvc.rules.ml_alerts import EFFECTS
from tests.support.alert_cases import Case, gauge

__all__ = ("list_ml_cases",)

STEP = 60
OTHER: Mapping[str, Mapping[str, str]] = {
    "job": {"randsvc": "another"},
    "randsvc_source": {"model": "fallback"},
    "randsvc_distribution": {"value": "delay", "delay": "value", MIX: "value"},
    "against": {"baseline": "day"},
    "window": {"5m": "1h", "1h": "5m"},
}
"""What labels are in a series that an alert must not read."""


@dataclass(frozen=True)
class Term:
    """A series of an alert, a value with which its term holds, and one with which it just fails."""

    name: str
    labels: Mapping[str, str]
    holds: float
    fails: float

    @property
    def extreme(self) -> float:
        """A value with which it holds by far."""
        return 100 * self.holds if self.holds > self.fails else self.holds / 100

    def series(self, **labels: str) -> str:
        inside = (f'{key}="{value}"' for key, value in {**self.labels, **labels}.items())
        return f"{self.name}{{{','.join(inside)}}}"

    def decoys(self) -> dict[str, str]:
        """Series that differ in one label that the alert selects by, all along."""
        others = {k: OTHER[k][value] for k, value in self.labels.items() if k in OTHER}
        values = gauge([(40, self.extreme)])
        return {self.series(**{key: other}): values for key, other in others.items()}


def _cases(alert: str, level: str, terms: Sequence[Term], which: str = "") -> list[Case]:
    def case(name: str, series: Mapping[str, str], on: Mapping[int, Sequence[str]]) -> Case:
        title = " ".join(filter(None, (alert, level, which, name)))
        return Case(name=title, alert=alert, level=level, step=STEP, steps=40, series=series, on=on)

    first, *others = terms
    phases = [(5, first.fails), (10, first.holds), (25, first.fails)]
    constant = {term.series(): gauge([(40, term.holds)]) for term in terms}
    fires = case(
        "fires after a minute, and clears",
        {**constant, first.series(): gauge(phases)},
        {5: [], 6: ["randsvc"], 19: ["randsvc"], 22: []},
    )
    not_where = [
        case(
            f"not where {term.name} does not hold",
            {**term.decoys(), **constant, term.series(): gauge([(40, term.fails)])},
            {20: []},
        )
        for term in (first, *others)
    ]
    return [fires, *not_where]


def _shifted(alert: str, distribution: str) -> list[Case]:
    found = []
    for level, effect in EFFECTS.items():
        for window in ("5m", "1h"):
            of = {"job": "randsvc", "randsvc_distribution": distribution, "window": window}
            against = {**of, "against": "baseline"}
            terms = (
                Term(PER_SD, against, 0.75 * effect, 0.5 * effect),
                Term(KS_PER_FLOOR, against, 1.4, 0.8),
                Term(COUNT, of, 150, 80),
            )
            found += _cases(alert, level, terms, window)
    return found


def _biased() -> list[Case]:
    found = []
    for level, effect in EFFECTS.items():
        for window in ("5m", "1h"):
            of = {"job": "randsvc", "randsvc_source": "model", "window": window}
            terms = (
                Term(BIAS_PER_SD, of, 0.75 * effect, 0.5 * effect),
                Term(BIAS_PER_FLOOR, of, 1.4, 0.8),
                Term(f"{ERROR}:count", of, 40, 25),
            )
            found += _cases("RandsvcModelBiased", level, terms, window)
    return found


def list_ml_cases() -> list[Case]:
    """Give every case."""
    job = {"job": "randsvc"}
    short, long = ({**job, "window": window} for window in ("5m", "1h"))
    value = {**short, "randsvc_distribution": "value"}
    mix = {**short, "randsvc_distribution": MIX}
    model = {**job, "randsvc_source": "model"}
    values = Term(COUNT, value, 150, 80)
    given = Term(features.COUNT, short, 150, 80)
    segment = {**short, "randsvc_feature": "segment"}
    mixed = {**mix, "against": "baseline"}
    return [
        *_shifted("RandsvcValueShifted", "value"),
        *_shifted("RandsvcDelayShifted", "delay"),
        *_cases("RandsvcModelFrozen", "major", (Term(SPREAD, value, 0.2, 0.3), values)),
        *_cases(
            "RandsvcValueOutOfRange", "major", (Term(OUT_OF_RANGE, value, 0.015, 0.008), values)
        ),
        *_cases(
            "RandsvcSegmentsShifted",
            "minor",
            (
                Term(name_distance("d1"), mixed, 0.3, 0.15),
                Term(D1_PER_FLOOR, mixed, 1.4, 0.8),
                Term(COUNT, mix, 150, 80),
            ),
        ),
        *_cases(
            "RandsvcFeaturesMissing",
            "minor",
            (Term(features.MISSING_SHARE, segment, 0.4, 0.2), given),
        ),
        *_cases(
            "RandsvcInputsRefused",
            "minor",
            (Term(features.REFUSED_SHARE, short, 0.07, 0.04), given),
        ),
        *_biased(),
        *_cases(
            "RandsvcModelInaccurate",
            "minor",
            (
                Term(ERROR_NOW, model, 3, 1.5),
                Term(f"{ERROR}:count", {**model, "window": "1h"}, 40, 25),
            ),
        ),
        *_cases(
            "RandsvcFeedbackStopped",
            "minor",
            (
                Term(COVERAGE_NOW, job, 0.2, 0.3),
                Term(LABELS_NOW, job, 0.2, 0.3),
                Term(PREDICTIONS_COUNT, long, 150, 80),
            ),
        ),
    ]
