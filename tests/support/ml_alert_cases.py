"""What happens to the numbers that the alerts on the model read, for each of their terms.

An alert fires where all its terms hold. In each other case one of them just does not, while what
it must not read instead, another job, window, source, distribution or past, is as bad as can be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from randsvc.rules import features
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
    """The evidence decides, whatever the distance is, which only must be there to be shown."""
    of = {"job": "randsvc", "randsvc_distribution": distribution}
    far = Term(PER_SD, {**of, "against": "baseline", "window": "5m"}, 0.3, 0.01)
    found = []
    for level, effect in EFFECTS.items():
        size = {"change": "higher", "size": f"{effect:g}"}
        term = Term(EVIDENCE, {**of, **size}, 1.1 * LIMIT, 0.9 * LIMIT)
        distance = {far.series(): gauge([(40, far.holds)])}
        phases = [(5, term.fails), (10, term.holds), (25, term.fails)]

        def case(
            name: str,
            series: Mapping[str, str],
            on: Mapping[int, Sequence[str]],
            level: str = level,
        ) -> Case:
            title = f"{alert} {level} {name}"
            return Case(
                name=title, alert=alert, level=level, step=STEP, steps=40, series=series, on=on
            )

        # A large change is one of at least a small size, and not the other way round.
        large, small = (term.series(size=f"{EFFECTS[of]:g}") for of in ("major", "minor"))
        only_small = {large: gauge([(40, term.fails)]), small: gauge([(40, term.holds)])}
        found += [
            case(
                "fires at once, and clears",
                {**distance, term.series(): gauge(phases)},
                {4: [], 5: ["randsvc"], 18: ["randsvc"], 21: []},
            ),
            case(
                "not below the limit",
                {**distance, **term.decoys(), term.series(): gauge([(40, term.fails)])},
                {20: []},
            ),
            case(
                "not without a distance of the last minutes",
                {**far.decoys(), term.series(): gauge([(40, term.holds)])},
                {20: []},
            ),
            case(
                "by a small change",
                {**distance, **only_small},
                {20: ["randsvc"] if level == "minor" else []},
            ),
            case(
                "by whichever change has most evidence",
                {
                    **distance,
                    term.series(): gauge([(40, term.fails)]),
                    term.series(change="wider"): gauge([(40, term.holds)]),
                },
                {20: ["randsvc"]},
            ),
        ]
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
