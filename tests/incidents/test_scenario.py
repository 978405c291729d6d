"""Scenarios as files, and the command that lists, shows and runs them."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from aiohttp import ClientSession

from randsvc.incidents import run as scenario_run
from randsvc.incidents import scenario as scenarios
from randsvc.incidents.run import Addresses
from randsvc.incidents.scenario import (
    Expected,
    Load,
    Scenario,
    ScenarioError,
    SetFault,
    StopProgram,
    load,
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


def randsvc(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "randsvc", "scenario", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_a_file_is_read_as_it_is_meant(tmp_path: Path) -> None:
    assert load("some", written(tmp_path, GOOD)) == Scenario(
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
        (("level: major", ""), "level and expect belong together"),
        (("    may_fire", "    nothing_for: 5\n    may_fire"), "expected either expect or noth"),
        (("fires_within: 40", "fires_within: 0"), "expect: fires_within: 0, expected a number ab"),
        (("fires_within: 40", "fires_within: yes"), "expect: fires_within: True, expected a numb"),
        (("{RandsvcY: it follows}", "[RandsvcY]"), "may_fire: ['RandsvcY'], expected a mapping"),
        (("fault: latency", "fault: latence"), "steps[0]: fault: 'latence', expected one of err"),
        (("seconds: 2", "second: 2"), "steps[0]: latency: no parameter 'second', expected share"),
        (("share: 0.1", "share: 2"), "steps[0]: latency: share=2, expected a number from 0 to 1"),
        (("seconds: 2", "seconds: 2, duration: 9"), "steps[0]: no duration: a fault lasts until"),
        (("fault: auth-down", "fault: crash"), "expected a fault that lasts; to end a process, "),
        (("of: auth", "of: users"), "steps[1]: of: 'users', expected one of randsvc, auth"),
        (("stop: users", "stop: grafana"), "steps[2]: stop: 'grafana', expected one of randsvc"),
        (("stop: users", "wait: 5"), "steps[2]: {'wait': 5}, expected one of fault, stop, load"),
        (("second: 3", "second: 101"), "requests_per_second: 101, expected a number above 0, at"),
        (("_second: 3", "_second: 3, of_limit: 1"), "expected either requests_per_second or of_"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_that_says_where(
    change: tuple[str, str], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as refused:
        load("some", written(tmp_path, GOOD, change))
    message = str(refused.value)
    assert message.startswith(str(tmp_path / "some.yaml"))
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["[", "\x00", "just words", "- a list"])
def test_what_is_no_scenario_at_all_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=r"^[^\n]*some\.yaml: [^\n]+$"):
        load("some", tmp_path)


def test_an_unknown_name_is_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"^no scenario 'other' in .*, expected one of some$"):
        load("other", written(tmp_path, GOOD))


@pytest.mark.parametrize("name", scenarios.names())
def test_a_scenario_expects_an_alert_that_there_is(name: str) -> None:
    scenario = load(name)
    known = {(alert.name, alert.level) for alert in make_alerts(DEMO)}
    if scenario.expected:
        assert (scenario.expected.alert, scenario.level) in known
    assert set(scenario.may_fire) <= {name for name, _ in known}


def test_every_program_that_can_be_stopped_is_one_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert set(scenarios.PROGRAMS) <= set(compose["services"])


def test_the_list_has_every_scenario_with_its_level_and_time() -> None:
    lines = randsvc("list").stdout.splitlines()
    found = {
        line.split()[0] for line in lines[1:] if re.match(r" \S+ +(critical|ma|mi|none)", line)
    }
    assert found == set(scenarios.names())
    assert any(re.match(r" model-down +major +40 s +The model is down", line) for line in lines)


def test_what_is_shown_says_what_happens_and_what_is_expected() -> None:
    said = " ".join(randsvc("show", "strange-loop").stdout.split())
    assert "- fault latency of randsvc: share 0.01, seconds 2" in said
    assert "Expected: RandsvcStrangeLoop, level minor, told to digest, within 90 s; over" in said


def test_a_stack_that_is_not_there_is_one_line() -> None:
    done = randsvc("run", "model-down", "--prometheus", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == "randsvc: cannot reach --prometheus http://127.0.0.1:1\n"


def test_what_a_person_has_to_stop_needs_a_person() -> None:
    done = randsvc("run", "service-down")
    assert done.returncode == 1
    assert done.stderr == (
        "randsvc: service-down stops randsvc, which a person has to do: run it in a terminal\n"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.1.2.3", "172.18.0.4"])
def test_load_is_sent_to_this_machine_and_to_private_networks(host: str) -> None:
    scenario_run._refuse_public(f"http://{host}:8080/random")


@pytest.mark.parametrize("host", ["1.1.1.1", "[2606:4700::1111]"])
def test_no_load_is_sent_to_a_public_address(host: str) -> None:
    with pytest.raises(ScenarioError, match=r"is public; load is sent to this machine or a priv"):
        scenario_run._refuse_public(f"http://{host}:8080/random")


def test_a_fault_that_cannot_be_set_is_one_line(unused_tcp_port: int) -> None:
    nowhere = f"http://127.0.0.1:{unused_tcp_port}"
    addresses = Addresses(
        prometheus=nowhere,
        alertmanager=nowhere,
        inbox=nowhere,
        service=nowhere,
        management=nowhere,
        auth_management=nowhere,
    )

    async def set_it() -> None:
        async with ClientSession() as session:
            stack = scenario_run._Stack(session, addresses, None)
            await stack.set_fault(SetFault(service="randsvc", name="model-down", parameters={}), 1)

    with pytest.raises(ScenarioError, match=rf"^cannot reach {nowhere}/faults/model-down: [^\n]+$"):
        asyncio.run(set_it())
