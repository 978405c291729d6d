"""Scenarios as files."""

from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from randsvc.incidents.scenario import (
    PROGRAMS,
    Expected,
    Load,
    Scenario,
    ScenarioError,
    SetFault,
    StopProgram,
    list_scenarios,
    read_scenario,
)
from randsvc.project import ROOT
from randsvc.rules import make_alerts
from randsvc.rules.time_scale import DEMO

GOOD = """
    title: Something breaks
    story: It breaks.
    level: major
    steps:
      - {fault: latency, share: 0.1, seconds: 2}
      - {fault: auth-down, of: auth}
      - stop: users
      - load: {requests_per_second: 3}
    expect: {alert: RandsvcX, receiver: ticket, fires_within: 40, clears_within: 60}
    may_fire: {RandsvcY: it follows}
"""


def written(folder: Path, text: str, *changes: tuple[str, str]) -> Path:
    """Write a scenario called ``some``, with parts of its text replaced."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "some.yaml").write_text(dedent(text))
    return folder


def test_a_file_becomes_a_scenario(tmp_path: Path) -> None:
    assert read_scenario("some", written(tmp_path, GOOD)) == Scenario(
        name="some",
        title="Something breaks",
        story="It breaks.",
        level="major",
        steps=(
            SetFault(service="randsvc", name="latency", parameters={"share": 0.1, "seconds": 2}),
            SetFault(service="auth", name="auth-down", parameters={}),
            StopProgram(program="users"),
            Load(requests_per_second=3),
        ),
        expected=Expected(alert="RandsvcX", receiver="ticket", fires_within=40, clears_within=60),
        watched_for=0,
        may_fire={"RandsvcY": "it follows"},
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("story", "stori"), "no field 'stori', expected title, story, level, steps, expect, "),
        (("title: Something breaks", ""), "title is missing"),
        (("Something breaks", "''"), "title: '', expected a text"),
        (("major", "grave"), "level: 'grave', expected one of critical, major, minor"),
        (("level: major", ""), "level and expect require each other"),
        (
            ("    may_fire", "    nothing_for: 5\n    may_fire"),
            "expected one of the fields expect and nothing_for",
        ),
        (("fires_within: 40", "fires_within: 0"), "expect: fires_within: 0, expected a number ab"),
        (("fires_within: 40", "fires_within: yes"), "expect: fires_within: True, expected a numb"),
        (("{RandsvcY: it follows}", "[RandsvcY]"), "may_fire: ['RandsvcY'], expected a mapping"),
        (("fault: latency", "fault: latence"), "steps[0]: fault: 'latence', expected one of err"),
        (("seconds: 2", "second: 2"), "steps[0]: latency: no parameter 'second', expected share"),
        (("share: 0.1", "share: 2"), "steps[0]: latency: share=2, expected a number from 0 to 1"),
        (
            ("seconds: 2", "seconds: 2, duration: 9"),
            "steps[0]: no field 'duration': a fault lasts until",
        ),
        (
            ("fault: auth-down", "fault: crash"),
            "expected a fault with a duration; to end a process",
        ),
        (("of: auth", "of: users"), "steps[1]: of: 'users', expected one of randsvc, auth"),
        (("stop: users", "stop: grafana"), "steps[2]: stop: 'grafana', expected one of randsvc"),
        (("stop: users", "wait: 5"), "steps[2]: {'wait': 5}, expected one of fault, stop, load"),
        (("second: 3", "second: 101"), "requests_per_second: 101, expected a number above 0, at"),
        (
            ("_second: 3", "_second: 3, of_limit: 1"),
            "expected one of the fields requests_per_second and",
        ),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_that_names_its_place(
    change: tuple[str, str], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as refused:
        read_scenario("some", written(tmp_path, GOOD, change))
    message = str(refused.value)
    assert message.startswith(str(tmp_path / "some.yaml"))
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["[", "\x00", "just words", "- a list"])
def test_a_file_without_a_scenario_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=r"^[^\n]*some\.yaml: [^\n]+$"):
        read_scenario("some", tmp_path)


def test_an_unknown_name_is_an_error_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"^no scenario 'other' in .*, expected one of some$"):
        read_scenario("other", written(tmp_path, GOOD))


@pytest.mark.parametrize("name", list_scenarios())
def test_a_scenario_expects_an_alert_that_exists(name: str) -> None:
    scenario = read_scenario(name)
    known = {(alert.name, alert.level) for alert in make_alerts(DEMO)}
    if scenario.expected:
        assert (scenario.expected.alert, scenario.level) in known
    assert set(scenario.may_fire) <= {name for name, _ in known}


def test_every_program_that_can_be_stopped_is_one_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert set(PROGRAMS) <= set(compose["services"])
