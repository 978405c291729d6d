"""When an alert on an error budget fires: the computed times are those of Prometheus."""

from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest

from benchmarks.month.replay import find_needed
from randsvc.objectives import SLOS
from randsvc.rules.alert_times import compute_alert_time, list_budgets
from randsvc.rules.time_scale import PRODUCTION, SEVERITY, Level
from randsvc.stack.promtool import RULE_FILE, run_rule_tests
from randsvc.times import parse_duration
from tests.support import native_programs
from tests.support.alert_cases import Case, list_rules, requests

SHARES = [percent / 100 for percent in range(1, 101)]


@pytest.mark.parametrize("budget", list_budgets())
def test_half_of_the_requests_failing_is_paged_within_4_minutes_and_60_percent_slow_within_8(
    budget: float,
) -> None:
    share, limit = (0.5, 240) if budget < 0.01 else (0.6, 480)
    assert compute_alert_time(budget, "critical", share, PRODUCTION) <= limit


@pytest.mark.parametrize("level", SEVERITY)
@pytest.mark.parametrize("budget", list_budgets())
def test_more_bad_requests_are_never_found_later(budget: float, level: Level) -> None:
    times = [compute_alert_time(budget, level, share, PRODUCTION) for share in SHARES]
    assert all(later <= sooner for sooner, later in pairwise(times))


@pytest.mark.parametrize("budget", list_budgets())
@pytest.mark.parametrize("share", [0.001, 0.005])
def test_an_objective_that_is_met_raises_nothing(budget: float, share: float) -> None:
    assert compute_alert_time(budget, "minor", share, PRODUCTION) == inf


POINTS: list[tuple[str, Level, int]] = [
    ("random-availability", "critical", 8),
    ("random-availability", "critical", 12),
    ("random-availability", "critical", 50),
    ("random-availability", "critical", 100),
    ("random-latency", "critical", 30),
    ("random-latency", "critical", 60),
    ("random-availability", "major", 4),
    ("random-latency", "major", 60),
    ("random-availability", "minor", 1),
    ("login-latency", "minor", 3),
]
"""Objective, level, percentage of bad requests."""


@pytest.mark.native
@pytest.mark.parametrize(("name", "level", "percent"), POINTS)
def test_prometheus_fires_at_the_computed_evaluation(name: str, level: Level, percent: int) -> None:
    """Ten points of the table: no alert at the evaluation before, and one at that time."""
    native_programs.folder()
    slo = next(slo for slo in SLOS if slo.name == name)
    # Days in steps of a minute, as promtool reads at most 10,000 samples of a series.
    step = 15 if level == "critical" else 60
    scale = PRODUCTION if level == "critical" else replace(PRODUCTION, interval="1m")
    interval = round(parse_duration(scale.interval))
    fires = round(compute_alert_time(slo.budget, level, percent / 100, scale))
    longest = max(parse_duration(burn.long) for burn in scale.burns if burn.level == level)
    before, during = round(longest / step) + 20, fires // step + 1
    bad = "error" if slo.within is None else "slow"
    series = requests(
        slo.service,
        slo.route,
        {
            bad: [(before, 0), (during, percent)],
            "fast": [(before, 100), (during, 100 - percent)],
        },
    )
    case = Case(
        name=f"{name} {percent}%",
        alert=slo.alert,
        level=level,
        step=step,
        steps=before + during,
        series=series,
        on={
            before + (fires - interval) // step: [],
            before + fires // step: [slo.service],
        },
    )
    rules = list_rules(slo.alert)
    own = [rule for rule in rules if rule["labels"].get("level") == level]
    records = [rule for rule in rules if "record" in rule]
    done = run_rule_tests(
        {
            "rule_files": [RULE_FILE],
            "evaluation_interval": f"{interval}s",
            "tests": [case.test()],
        },
        {"groups": [{"name": "checked", "rules": [*find_needed(own, records), *own]}]},
    )
    assert done.returncode == 0, done.stdout
