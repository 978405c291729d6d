from pathlib import Path
from typing import Any

import pytest

from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS, Fault
from randsvc.incidents.scenario import list_scenarios
from randsvc.management.console.incidents import EXAMPLES, describe_faults, describe_scenarios
from randsvc.rules import make_alerts
from randsvc.rules.time_scale import DEMO
from tests.support.breaking import faults_of

EVERY = {fault.name: fault for fault in (*RANDOM_FAULTS, *AUTH_FAULTS)}


@pytest.mark.parametrize("fault", EVERY.values(), ids=lambda fault: fault.name)
def test_every_fault_has_an_example_that_it_takes(fault: Fault) -> None:
    parameters = {**(EXAMPLES[fault.name].parameters or {}), "duration": 60}
    assert fault.check(parameters) == parameters


def test_no_example_is_of_a_fault_that_does_not_exist() -> None:
    assert EXAMPLES.keys() == EVERY.keys()


def test_an_alert_to_expect_exists() -> None:
    existing = {alert.name for alert in make_alerts(DEMO)}
    assert {example.alert for example in EXAMPLES.values()} - {None} <= existing


def test_a_fault_is_described_with_its_bounds_and_an_example() -> None:
    described = {fault["name"]: fault for fault in describe_faults(faults_of())}
    assert described.keys() == {fault.name for fault in RANDOM_FAULTS}
    share = described["latency"]["parameters"]["share"]
    assert (share["minimum"], share["maximum"], share["example"]) == (0, 1, 0.05)
    assert described["model-down"]["parameters"] == {}
    assert described["crash"]["lasts"] is False


def scenarios(service: str = "randsvc", **folder: Path) -> dict[str, dict[str, Any]]:
    return {scenario["name"]: scenario for scenario in describe_scenarios(service, **folder)}


def test_every_scenario_is_there() -> None:
    assert sorted(scenarios()) == list_scenarios()


def test_an_incident_that_an_alert_notices_sooner_comes_first() -> None:
    described = list(scenarios().values())
    times = [scenario["fires_within"] for scenario in described]
    noticed = [seconds for seconds in times if seconds]
    assert times == [*sorted(noticed), *[None] * (len(times) - len(noticed))]


def test_a_scenario_of_faults_alone_has_its_steps() -> None:
    found = scenarios()["strange-loop"]
    assert found["steps"] == [{"fault": "latency", "parameters": {"share": 0.01, "seconds": 2.0}}]
    assert (found["level"], found["alert"]) == ("minor", "RandsvcStrangeLoop")


def test_what_takes_more_than_a_fault_of_this_service_says_what() -> None:
    found = scenarios()
    assert found["quiet-night"]["steps"] is found["healthy-day"]["steps"] is None
    assert found["quiet-night"]["takes"] == [
        "stops users",
        "sends extra load",
        "sets the fault errors of randsvc",
    ]
    assert found["auth-down"]["steps"] is None
    assert scenarios("auth")["auth-down"]["steps"] == [{"fault": "auth-down", "parameters": {}}]
    assert scenarios("auth")["model-down"]["steps"] is None


def test_without_the_folder_there_are_none_and_a_broken_file_is_one_line(tmp_path: Path) -> None:
    assert scenarios(folder=tmp_path / "none") == {}
    (tmp_path / "bad.yaml").write_text("title: [")
    assert "not YAML" in scenarios(folder=tmp_path)["bad"]["error"]
