"""The rules on ground truth, in promtool, with numbers that can be worked out by hand.

A value in a bucket of schema 0 counts as the root of the product of its bounds: sqrt(2) in (1, 2].
"""

from math import exp, sqrt

import pytest

from randsvc.rules import feedback
from randsvc.rules.feedback import (
    ABSOLUTE_ERROR,
    BIAS_PER_FLOOR,
    BIAS_PER_SD,
    CHANCE,
    COVERAGE,
    COVERAGE_NOW,
    ERROR,
    ERROR_NOW,
    FALLBACK_SHARE,
    LABELS,
    LABELS_NOW,
    PREDICTIONS_COUNT,
    WORTH,
)
from tests.support.rule_cases import GAINS, RuleCase, list_untested_rules, run_rule_case

R = sqrt(2)
# In each step and replica: an error of -sqrt(2) and three of sqrt(2).
SIGNED = f"{{{{schema:0 sum:{2 * R!r} count:4 buckets:[3] offset:1 n_buckets:[1] n_offset:1}}}}"
# Two of sqrt(2), two of 2 sqrt(2); and four times as large.
OFF = f"{{{{schema:0 sum:{6 * R!r} count:4 buckets:[2 2] offset:1}}}}"
FAR_OFF = f"{{{{schema:0 sum:{24 * R!r} count:4 buckets:[2 2] offset:3}}}}"
# Four of sqrt(1/2).
HARDLY_OFF = f"{{{{schema:0 sum:{2 * R!r} count:4 buckets:[4] offset:0}}}}"
N = 2 * 4 * GAINS
"""Errors in a minute."""


def of(metric: str, source: str = "", job: str = "randsvc") -> dict[str, str]:
    """The series of two replicas by name, for their values to come."""
    labels = f',randsvc_source="{source}"' if source else ""
    return {i: f'{metric}{{job="{job}",instance="{i}"{labels}}}' for i in "ab"}


def both(metric: str, values: str, source: str = "") -> dict[str, str]:
    """The same values in both replicas, and larger ones in a job that is not to count."""
    series = dict.fromkeys(of(metric, source).values(), values)
    another = FAR_OFF if "{" in values else "0"
    more = "+{{schema:0 sum:9 count:1 buckets:[1] offset:3}}x900" if "{" in values else "+999x900"
    return series | dict.fromkeys(of(metric, source, "another").values(), another + more)


def in_window(series: str, source: str = "", window: str = "60s") -> str:
    labels = f'randsvc_source="{source}",' if source else ""
    return f'{series}{{{labels}window="{window}"}}'


def outcomes(accepted: str) -> dict[str, str]:
    return {
        f'randsvc_feedback_total{{job="{job}",instance="{i}",randsvc_outcome="{outcome}"}}': values
        for outcome, values in (("accepted", accepted), ("duplicate", "0+50x900"))
        for i in "ab"
        for job in ("randsvc", "another")
    }


SD = {
    f'randsvc_baseline_statistic{{job="randsvc",instance="{i}",randsvc_distribution="{name}",'
    'randsvc_statistic="stddev"}': f"{sd}x900"
    for i in "ab"
    for name, sd in (("value", 10), ("delay", 99))
}
ANSWERS = {
    **both("randsvc_predictions_total", "0+40x900", "model"),
    **both("randsvc_predictions_total", "0+10x900", "fallback"),
}
HOUR = 4 * 720 * 2

STEADY = RuleCase(
    {
        **ANSWERS,
        **SD,
        **outcomes("0+12x900"),
        **both("randsvc_feedback_error", f"{SIGNED}+{SIGNED}x900", "model"),
        **both("randsvc_feedback_absolute_error", f"{OFF}+{OFF}x900", "model"),
        **both("randsvc_feedback_absolute_error", f"{FAR_OFF}+{FAR_OFF}x900", "fallback"),
    },
    {
        in_window(PREDICTIONS_COUNT): 2 * 50 * GAINS,
        in_window(FALLBACK_SHARE): 0.2,
        in_window(LABELS): 2 * 12 * GAINS,
        in_window(COVERAGE): 0.24,
        COVERAGE_NOW: 1,
        LABELS_NOW: 1,
        in_window(f"{ERROR}:count", "model"): N,
        in_window(f"{ERROR}:avg", "model"): R / 2,
        in_window(f"{ERROR}:stddev", "model"): sqrt(1.5),
        in_window(BIAS_PER_SD, "model"): R / 2 / 10,
        in_window(BIAS_PER_FLOOR, "model"): R / 2 / (CHANCE * sqrt(1.5 / N)),
        in_window(f"{ABSOLUTE_ERROR}:avg", "model"): 1.5 * R,
        in_window(f"{ABSOLUTE_ERROR}:stddev", "model"): R / 2,
        in_window(f"{ABSOLUTE_ERROR}:count", "model"): N,
        in_window(f"{ABSOLUTE_ERROR}:count", "fallback", "1h"): HOUR,
        WORTH: 4,
        # Both have a standard deviation of a third of their mean.
        f"{WORTH}_low": 4 * exp(-1.96 * sqrt(2 / 9 / HOUR)),
        f"{WORTH}_high": 4 * exp(1.96 * sqrt(2 / 9 / HOUR)),
    },
    3720,
)
# Up to 720 s, and after it.
CHANGED = RuleCase(
    {
        **ANSWERS,
        **outcomes("24+24x144 12+12x11"),
        **both(
            "randsvc_feedback_absolute_error",
            f"{HARDLY_OFF}+{HARDLY_OFF}x144 {OFF}+{OFF}x13",
            "model",
        ),
    },
    {
        in_window(LABELS): 2 * 12 * GAINS,
        COVERAGE_NOW: 12 / ((108 * 24 + 12 * 12) / 120),
        LABELS_NOW: 12 / ((108 * 24 + 12 * 12) / 120),
        f'{ERROR_NOW}{{randsvc_source="model"}}': (1.5 * R - CHANCE * R / 2 / sqrt(N)) / sqrt(0.5),
    },
    780,
)
# Eight small errors until 120 s, and many large ones since.
LITTLE_KNOWN = RuleCase(
    both(
        "randsvc_feedback_absolute_error",
        f"{HARDLY_OFF}x22 {HARDLY_OFF}+{HARDLY_OFF}x1 {FAR_OFF}+{FAR_OFF}x30",
        "model",
    ),
    {in_window(f"{ABSOLUTE_ERROR}:count", "model"): N},
    180,
    absent=(ERROR_NOW,),
)
NO_TRUTH = RuleCase(
    {**ANSWERS, **outcomes("0x900")},
    {in_window(COVERAGE): 0},
    180,
    absent=(f"{ERROR}:avg", BIAS_PER_SD, ERROR_NOW, WORTH, COVERAGE_NOW + " >= 0"),
)
CASES = {
    "steady": STEADY,
    "changed": CHANGED,
    "little known": LITTLE_KNOWN,
    "no truth": NO_TRUTH,
}


@pytest.mark.native
@pytest.mark.parametrize("name", CASES)
def test_rules_give_what_was_worked_out_by_hand(name: str) -> None:
    assert not run_rule_case(CASES[name])


@pytest.mark.native
def test_each_number_has_a_test_that_fails_where_its_rule_is_broken() -> None:
    assert not list_untested_rules(CASES.values())


def test_chance_is_that_of_the_level_of_the_other_floors() -> None:
    assert 2 * exp(-(feedback.CHANCE**2) / 2) == pytest.approx(1e-6)
