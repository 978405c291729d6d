"""The simulated month: its series, its incidents, and that its verdict can be bad."""

import io
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks.month import __main__ as month
from benchmarks.month.__main__ import (
    Outcome,
    find_differences,
    find_spans,
    list_deviations,
    list_false_alarms,
    run,
)
from benchmarks.month.incidents import INCIDENTS, Incident, Kind
from benchmarks.month.replay import Part, Raised, ReplayError, replay, rules, split_rules, text
from benchmarks.month.simulated_month import DAY, SCRAPE, Series, SimulatedMonth
from randsvc.rules.service_alerts import WATCHDOG, make_service_alerts
from randsvc.rules.slo import make_burn_alerts
from randsvc.rules.time_scale import PRODUCTION

HOUR = 3600
DOWN = Incident(
    name="model down",
    day=0,
    hour=2,
    lasts="30m",
    changes={"fallback": 1},
    alert="RandsvcModelReplaced",
    level="major",
)
DAYS = 0.2


def part_of(name: str, **changes: str) -> Part:
    """Give an alert alone, beside the Watchdog, with words of its expression replaced."""

    def changed(rule: Any) -> Any:
        expr = rule["expr"]
        for old, new in changes.items() if rule.get("alert") == name else ():
            assert old in expr
            expr = expr.replace(old, new)
        return {**rule, "expr": expr}

    all_rules = rules()
    part = next(p for p in split_rules(all_rules) if any(r.get("alert") == name for r in p.rules))
    alone = tuple(rule for rule in part.rules if rule.get("alert", name) in (name, WATCHDOG))
    return replace(part, rules=tuple(changed(rule) for rule in alone))


def judged(part: Part, incident: Incident | None) -> Outcome:
    simulated = SimulatedMonth(DAYS, [incident] if incident else [])
    return run("", simulated, [part], Console(file=io.StringIO()))


def test_every_alert_on_the_service_and_its_monitoring_has_an_incident() -> None:
    expected = {incident.expected for incident in INCIDENTS}
    alerts = (*make_burn_alerts(PRODUCTION), *make_service_alerts(PRODUCTION))
    there = {Kind(a.name, a.level, a.service) for a in alerts if a.name != WATCHDOG}
    assert expected == there


def test_incidents_are_one_after_the_other() -> None:
    assert len({incident.name for incident in INCIDENTS}) == len(INCIDENTS)
    for before, after in pairwise(INCIDENTS):
        assert before.ends + HOUR < after.begins, after.name
    assert INCIDENTS[-1].ends + 3 * DAY < 30 * DAY


def test_an_incident_changes_what_is_a_condition() -> None:
    conditions = SimulatedMonth(0.01).healthy
    for incident in INCIDENTS:
        assert incident.changes.keys() <= conditions.keys(), incident.name


def test_every_alert_is_in_one_part_with_all_that_it_reads() -> None:
    all_rules = rules()
    found = [rule for part in split_rules(all_rules) for rule in part.rules]
    for rule in all_rules:
        if rule.get("alert", WATCHDOG) != WATCHDOG:
            assert found.count(rule) == 1, rule["alert"]
    (near,) = (p for p in split_rules(all_rules) if any("NearItsLimit" in str(r) for r in p.rules))
    assert near.rules[0]["record"] == "job:http_server_active_requests_per_limit:ratio"


def test_no_rule_is_changed() -> None:
    all_rules = rules()
    assert all(rule in all_rules for part in split_rules(all_rules) for rule in part.rules)


def test_a_query_reads_no_more_samples_of_a_series_than_promtool_can() -> None:
    for part in split_rules(rules()):
        assert max(part.windows) / (part.thinned * SCRAPE) < 10_000
        assert part.thinned == 1 or min(part.windows) / (part.thinned * SCRAPE) >= 4


def test_outside_of_incidents_a_month_is_the_healthy_one_draw_by_draw() -> None:
    healthy, broken = (
        {str(one): one.values for one in simulated.series()}
        for simulated in (SimulatedMonth(DAYS), SimulatedMonth(DAYS, [DOWN]))
    )
    begin, end = int(DOWN.begins / SCRAPE), int(DOWN.ends / SCRAPE)
    for name, values in healthy.items():
        gains, others = np.diff(values), np.diff(broken[name])
        np.testing.assert_array_equal(gains[: begin - 1], others[: begin - 1])
        there = ~np.isnan(values[end:-1]) & ~np.isnan(broken[name][end:-1])  # after the first event
        np.testing.assert_array_equal(gains[end:][there], others[end:][there])
    name = next(name for name in healthy if 'randsvc_source="model"' in name)
    assert np.nansum(np.diff(broken[name])) < np.nansum(np.diff(healthy[name]))


def test_series_that_an_incident_does_not_touch_are_not_replayed_again() -> None:
    healthy = {str(one): one for one in SimulatedMonth(DAYS).series()}
    series = list(SimulatedMonth(DAYS, [DOWN]).series())
    predictions = [one for one in series if "predictions" in one.name]
    requests = [one for one in series if "request" in one.name]
    assert find_differences(requests, healthy, len(SimulatedMonth(DAYS).healthy["failing"])) == []
    times = find_differences(predictions, healthy, len(SimulatedMonth(DAYS).healthy["failing"]))
    assert times[0][0] == DOWN.begins
    assert DOWN.ends <= times[-1][1] <= DOWN.ends + 600  # or the first afterwards


def test_a_day_has_the_traffic_errors_and_latency_that_were_asked_for() -> None:
    simulated = SimulatedMonth(1, traffic=10)
    ends: dict[tuple[str, str], float] = {}
    for one in simulated.series():
        if one.labels.get("http_route") == "/random" and "a-0" in one.labels["instance"]:
            status = one.labels["http_response_status_code"]
            if status == "503":  # none
                continue
            ends[status, one.labels.get("le", "count")] = float(np.nanmax(one.values))
    # Half of the requests go to each of the replicas.
    assert ends["200", "count"] == pytest.approx(10 * DAY / 2, rel=0.01)
    assert ends["500", "count"] / ends["200", "count"] == pytest.approx(0.0002, rel=0.5)
    median = (ends["200", "0.05"]) / ends["200", "count"]
    assert median == pytest.approx(0.5, abs=0.01)


def test_a_replica_that_is_started_again_counts_from_0() -> None:
    crash = replace(DOWN, lasts="1m", changes={"randsvc b runs": 0})
    simulated = SimulatedMonth(DAYS, [crash])
    (count,) = (
        one
        for one in simulated.series()
        if one.name == "randsvc_predictions_total"
        and one.labels["instance"].startswith("randsvc-b")
        and one.labels["randsvc_source"] == "model"
    )
    at = int(crash.begins / SCRAPE)
    assert count.values[at + 4] < count.values[at - 1] / 10


def test_promtool_is_given_runs_gaps_and_ends() -> None:
    values = np.array([1, 1, 1, 2, math.nan, math.nan, 0.5, math.nan])
    series = Series("x", {}, 2, values)
    assert text(series, slice(0, 12), 1) == "_x2 1x2 2 stale _x1 0.5 stale _x2"
    assert text(series, slice(0, 12), 2) == "_x1 1x1 stale 0.5 _x1".replace("0.5 _x1", "0.5 stale")
    assert text(series, slice(20, 30), 1) == ""


def test_a_part_is_replayed_until_what_was_has_no_influence() -> None:
    short, long = part_of("RandsvcModelReplaced"), part_of("RandsvcRandomFailing")
    assert find_spans(short, [(0, HOUR)], DAY) == [(0, HOUR + short.before)]
    whole = find_spans(short, [(0, 30 * DAY)], 30 * DAY)
    assert whole[0][0] == 0
    assert whole[-1][1] == 30 * DAY
    assert all(a[1] == b[0] for a, b in pairwise(whole))
    assert long.before >= short.windows[-1]


@pytest.mark.usefixtures("programs")
def test_a_healthy_morning_raises_nothing_and_an_incident_its_alert_once() -> None:
    part = part_of("RandsvcModelReplaced")
    assert list_false_alarms(judged(part, None)) == []
    outcome = judged(part, DOWN)
    assert list_deviations([DOWN], outcome) == []
    (raised,) = outcome.raised
    assert 5 * 60 <= raised.at - DOWN.begins <= 8 * 60
    assert 5 * 60 <= raised.until - DOWN.ends <= 15 * 60
    alerting = sum("alert" in rule for rule in part.rules)
    assert outcome.evaluations == DAYS * DAY / 30 * alerting


@pytest.mark.usefixtures("programs")
def test_an_incident_that_is_too_small_fails() -> None:
    small = replace(DOWN, changes={"fallback": 0.03})
    outcome = judged(part_of(DOWN.alert), small)
    assert list_deviations([small], outcome) == [
        "model down: RandsvcModelReplaced major randsvc raised 0 times"
    ]


@pytest.mark.usefixtures("programs")
def test_a_threshold_that_is_too_low_fails_in_a_healthy_morning() -> None:
    outcome = judged(part_of(DOWN.alert, **{"> 0.05": "> 0.0005"}), None)
    assert list_false_alarms(outcome)
    assert all(
        problem.startswith("healthy: RandsvcModelReplaced major randsvc on day 0 at ")
        for problem in list_false_alarms(outcome)
    )


@pytest.mark.usefixtures("programs")
def test_an_alert_that_flaps_is_seen_each_time() -> None:
    # Below and above the share that a healthy model has; nothing keeps it on.
    part = part_of(DOWN.alert, **{"> 0.05": "> 0.0012"})
    flapping = tuple(
        {key: value for key, value in rule.items() if key not in ("for", "keep_firing_for")}
        for rule in part.rules
    )
    outcome = judged(replace(part, rules=flapping), None)
    of_it = [one for one in outcome.raised if one.kind.alert == DOWN.alert]
    assert len(of_it) > 3
    assert all(one.until > one.at for one in of_it)
    (problem, *_) = list_deviations([DOWN], Outcome(tuple(replace_at(of_it)), 0))
    assert problem == f"model down: {' '.join(DOWN.expected)} raised {len(of_it)} times"


def replace_at(raised: list[Raised]) -> list[Raised]:
    """Let them be in the time of the incident."""
    return [replace(one, at=DOWN.begins + i) for i, one in enumerate(raised)]


def test_an_unexpected_alert_fails_and_an_allowed_one_does_not() -> None:
    own = Raised(DOWN.expected, DOWN.begins + 300, math.inf)
    other = Raised(Kind("RandsvcStrangeLoop", "minor", "randsvc"), DOWN.begins + 600, math.inf)
    early = replace(other, at=60.0)
    outcome = Outcome((early, own, other), 0)
    said = "RandsvcStrangeLoop minor randsvc on day 0 at"
    assert list_deviations([DOWN], outcome) == [
        f"model down: {said} 02:10 was raised too",
        f"no incident: {said} 00:01 was raised",
    ]
    allowed = replace(DOWN, may_fire={"RandsvcStrangeLoop": "of the test"})
    assert list_deviations([allowed], Outcome((own, other), 0)) == []


@pytest.mark.usefixtures("programs")
def test_rules_that_cannot_be_evaluated_are_an_error() -> None:
    part = part_of(DOWN.alert, **{"> 0.05": "> > 0.05"})
    with pytest.raises(ReplayError, match=r"0 evaluations instead of .*; promtool: .*"):
        replay(part, [], 0, HOUR)


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(("share", "code"), [(1.0, 0), (0.03, 1)])
def test_the_command_says_it_by_its_exit_code(
    share: float, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    incident = replace(DOWN, changes={"fallback": share})
    monkeypatch.setattr(month, "INCIDENTS", [incident])
    monkeypatch.setattr(month, "KEPT", tmp_path)
    monkeypatch.setattr(month, "split_rules", lambda _: [part_of(DOWN.alert)])
    screen = io.StringIO()
    arguments = ["--days", "0.23", "--alert", "others, every 30 s"]
    assert month.main(arguments, Console(file=screen, width=150, soft_wrap=True)) == code
    assert "0.23 healthy days: 0 alerts raised" in screen.getvalue()
    assert f"with 1 incidents: {1 - code} alerts as expected" in screen.getvalue()
    # Again, and nothing is replayed.
    kept = sorted(tmp_path.iterdir())
    assert month.main(arguments, Console(file=screen, width=150, soft_wrap=True)) == code
    assert sorted(tmp_path.iterdir()) == kept


def test_a_length_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        month.main(["--days", "400"])
    assert "400: expected at most 60 days" in capsys.readouterr().err
