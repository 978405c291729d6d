"""Every alert in production windows: it fires, does not just below, clears; what it says."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from randsvc.dashboards import DASHBOARDS
from randsvc.generate import make_alert_files
from randsvc.rules import make_alerts
from randsvc.rules.time_scale import DEMO, PRODUCTION, SCALES, SEVERITY, TimeScale
from randsvc.times import parse_duration
from tests.support.alert_cases import (
    LIMIT,
    NONE,
    PROBE,
    UP,
    Case,
    Phases,
    counter,
    gauge,
    list_cases,
    list_rules,
    make_case,
    make_series,
    predictions,
    requests,
    run_cases,
    run_tests,
)
from tests.support.ml_alert_cases import list_ml_cases
from tests.support.promtool import promtool

CASES = [*list_cases(), *list_ml_cases()]
NAMES = list(dict.fromkeys(alert.name for alert in make_alerts(PRODUCTION)))
every_scale = pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES.keys())


@pytest.mark.native
@pytest.mark.parametrize("name", NAMES)
def test_an_alert_fires_when_it_should_and_only_then(name: str) -> None:
    done = run_cases(list_rules(name), [case for case in CASES if case.alert == name])
    assert done.returncode == 0, done.stdout


@pytest.mark.native
def test_a_probe_that_succeeds_between_two_evaluations_counts() -> None:
    """Every second probe fails, the last one before each evaluation of production."""
    name = "RandsvcNotAnswering"
    changes = {series: " ".join("0 1" for _ in range(30)) for series in PROBE.values()}
    case = make_case("answers every 30 s", name, "critical", {60: []}, changes)
    interval = round(parse_duration(PRODUCTION.interval))
    done = run_tests(list_rules(name), "critical", interval, [case.test()])
    assert done.returncode == 0, done.stdout


@every_scale
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_clears(
    scale: TimeScale,
) -> None:
    fired, clears = set(), set()
    for case in CASES:
        on = [services for _, services in sorted(case.on.items())]
        fired |= {(case.alert, case.level, s) for services in on for s in services}
        if any(on) and not on[-1]:
            clears |= {(case.alert, case.level, s) for services in on for s in services}
    all_of_them = {(a.name, a.level, a.service) for a in make_alerts(scale)}
    assert fired == all_of_them
    assert all_of_them - clears == {("RandsvcWatchdog", "none", "monitoring")}


STOPPED = gauge([(20, 1), (20, 0)])
FAILED: Mapping[str, Phases] = {"fast": [(20, 150), (20, 0)], "error": [(20, 0), (20, 150)]}
OUTAGES: dict[str, tuple[str, str, dict[str, str]]] = {
    "the service is down": (
        "RandsvcServiceDown",
        "randsvc",
        {UP["randsvc"]: STOPPED, PROBE["randsvc"]: STOPPED, LIMIT["randsvc"]: STOPPED},
    ),
    "auth is down": (
        "RandsvcServiceDown",
        "auth",
        {UP["auth"]: STOPPED, PROBE["auth"]: STOPPED},
    ),
    "every request fails": (
        "RandsvcNotAnswering",
        "randsvc",
        {PROBE["randsvc"]: STOPPED, **requests("randsvc", "/random", FAILED)},
    ),
    "every login fails": (
        "RandsvcNobodyCanLogIn",
        "auth",
        {PROBE["auth"]: STOPPED, **requests("auth", "/login", FAILED, status=503)},
    ),
    "it hangs": ("RandsvcNotAnswering", "randsvc", {PROBE["randsvc"]: STOPPED}),
    "it is no target any more": (
        "RandsvcServiceDown",
        "randsvc",
        {UP["randsvc"]: gauge([(20, 1), (20, NONE)])},
    ),
}
"""Who notices a full outage from 300 s on, and what it looks like, scraped every 15 s."""


@pytest.mark.native
@pytest.mark.parametrize("name", OUTAGES)
def test_a_full_outage_is_critical_within_2_minutes(name: str) -> None:
    alert, service, changes = OUTAGES[name]
    case = Case(
        name=name,
        alert=alert,
        level="critical",
        step=15,
        steps=40,
        series=make_series(40, changes),
        on={19: [], 20 + 120 // 15: [service]},
    )
    done = run_cases(list_rules(alert), [case])
    assert done.returncode == 0, done.stdout


@pytest.mark.native
def test_a_summary_says_the_number(tmp_path: Path) -> None:
    name = "RandsvcModelReplaced"
    series = {
        predictions("model"): counter([(20, 30)]),
        predictions("fallback"): counter([(20, 10)]),
    }
    test: dict[str, Any] = {
        "interval": "1m",
        "external_labels": {
            "runbooks_url": "https://wiki/runbooks",
            "grafana_url": "https://grafana",
        },
        "input_series": [{"series": s, "values": v} for s, v in series.items()],
        "alert_rule_test": [
            {
                "eval_time": "15m",
                "alertname": name,
                "exp_alerts": [
                    {
                        "exp_labels": {
                            "level": "major",
                            "severity": "warning",
                            "service": "randsvc",
                            "time_scale": "production",
                        },
                        "exp_annotations": {
                            "summary": "/random: 25% of predictions come from the fallback "
                            "(alert above 5%)",
                            "description": "The model fails, or takes longer than its time budget. "
                            "The fallback answers in its place; its answers are less accurate.",
                            "runbook_url": f"https://wiki/runbooks/{name}",
                            "dashboard_url": "https://grafana/d/randsvc-ml?from=now-6h&to=now",
                            "logs_url": "",  # as nothing says where they are
                        },
                    }
                ],
            }
        ],
    }
    rules = {"groups": [{"name": "checked", "rules": list_rules(name)}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}, width=2**16)
    )
    done = promtool("test", "rules", tmp_path / "test.yml")
    assert done.returncode == 0, done.stdout


def rules(scale: TimeScale) -> list[dict[str, Any]]:
    found = [
        yaml.safe_load(text)["groups"][0]["rules"] for text in make_alert_files(scale).values()
    ]
    return [rule for of_file in found for rule in of_file if "alert" in rule]


@pytest.mark.native
@every_scale
def test_prometheus_accepts_the_files_without_a_remark(scale: TimeScale, tmp_path: Path) -> None:
    for path, text in make_alert_files(scale).items():
        (tmp_path / Path(path).name).write_text(text)
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *tmp_path.iterdir())
    assert done.returncode == 0, done.stdout


@every_scale
def test_an_alert_has_level_severity_service_and_says_what_to_do(scale: TimeScale) -> None:
    for rule in rules(scale):
        labels, says = rule["labels"], rule["annotations"]
        assert rule["alert"].startswith("Randsvc")
        assert labels["severity"] == SEVERITY.get(labels["level"], "none")
        assert labels["service"] in ("randsvc", "auth", "monitoring")
        assert labels["time_scale"] == scale.name
        assert f"/{rule['alert']}{{{{ end }}}}" in says["runbook_url"]
        (uid,) = re.findall(r"/d/([\w-]+)\?", says["dashboard_url"])
        assert uid in {board.uid for board in DASHBOARDS.values()}
        assert says["description"].endswith(".")
        number = re.search(r"\$value|\d", says["summary"])
        assert number or labels["level"] == "none", says["summary"]


@every_scale
def test_a_failure_of_the_monitoring_must_hold_for_as_long_as_the_window(scale: TimeScale) -> None:
    """One failure stays in the window for its length, and is no alert."""
    lasting = [a for a in make_alerts(scale) if a.service == "monitoring" and a.wait]
    assert len(lasting) >= 4
    for alert in lasting:
        if alert.name != "RandsvcFillingUp":
            assert parse_duration(alert.wait) >= parse_duration(scale.window), alert.name


@every_scale
def test_a_service_that_is_down_is_called_so_before_what_follows_from_it(scale: TimeScale) -> None:
    unseen, unreported = parse_duration(scale.unseen), parse_duration(scale.unreported)
    assert unseen < sum(map(parse_duration, scale.probe)) < unreported


@every_scale
def test_prometheus_knows_that_it_has_just_started_before_anything_is_called_down(
    scale: TimeScale,
) -> None:
    # It looks for targets 5 s after its start, and scrapes itself within an interval from then on.
    discovery, scrape = 5, {"production": 15, "demo": 2}[scale.name]
    assert parse_duration(scale.unseen) > discovery + scrape


def test_both_scales_have_the_same_alerts_and_differ_in_times_alone() -> None:
    production, demo = (
        [(a.name, a.level, a.service) for a in make_alerts(s)] for s in (PRODUCTION, DEMO)
    )
    assert production == demo
