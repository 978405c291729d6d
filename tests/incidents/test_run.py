"""What a run requires of the stack before it starts.

A mock stands for the HTTP APIs of the stack, as a real one takes minutes to get into these states;
tests/stack/test_scenarios.py runs every scenario on the real programs.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from randsvc.incidents import readiness, run
from randsvc.incidents.scenario import Scenario, ScenarioError, SetFault, read_scenario
from randsvc.incidents.stack_api import Addresses
from randsvc.incidents.verdict import Verdict
from randsvc.rules import DEMO
from randsvc.times import parse_duration
from tests.support.serving import serving


def alert(name: str, level: str, state: str = "firing") -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "level": level},
        "annotations": {},
        "state": state,
        "activeAt": "2026-01-01T00:00:00Z",
    }


WATCHDOG = alert("RandsvcWatchdog", "none")


class NoPrograms:
    def stop(self, name: str) -> None:
        raise AssertionError(name)

    def start(self, name: str) -> None:
        raise AssertionError(name)


@dataclass
class MockStack:
    """All APIs at one address; ``stack`` is healthy unless a test changes it."""

    url: str = ""
    rule_file: str = "/etc/prometheus/rules/demo/alerts.yml"
    alerts: list[dict[str, Any]] = field(default_factory=lambda: [WATCHDOG])
    faults: dict[str, Any] = field(default_factory=dict)
    fired: list[dict[str, Any]] = field(default_factory=list)
    age: float = 60.0
    hangs: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        if self.hangs:
            await asyncio.sleep(60)
        answers: dict[str, Any] = {
            "/api/v1/rules": {"status": "success", "data": {"groups": [{"file": self.rule_file}]}},
            "/api/v1/alerts": {"status": "success", "data": {"alerts": self.alerts}},
            "/api/v1/query": {"status": "success", "data": {"result": self.query(request)}},
            "/notifications": [],
            "/faults": {"on": self.faults},
        }
        return web.json_response(answers[request.path])

    def query(self, request: web.Request) -> list[dict[str, Any]]:
        if "process_start_time_seconds" not in request.query.get("query", ""):
            return self.fired
        return (
            [{"metric": {}, "value": [0, str(self.age)]}] if self.age < readiness.SETTLING else []
        )

    async def run(self, scenario: Scenario) -> Verdict:
        addresses = Addresses(
            prometheus=self.url,
            alertmanager=self.url,
            inbox=self.url,
            service=self.url,
            management=self.url,
            auth_management=self.url,
        )
        return await run.run_scenario(
            scenario, addresses, programs=NoPrograms(), report=lambda line: None
        )


@pytest.fixture
async def stack() -> AsyncIterator[MockStack]:
    stack = MockStack()
    app = web.Application()
    app.router.add_get("/{path:.*}", stack.answer)
    async with serving(app) as url:
        stack.url = str(url).rstrip("/")
        yield stack


@pytest.fixture
def healthy() -> Scenario:
    return replace(read_scenario("healthy-day"), watched_for=0.1)


async def test_a_healthy_stack_passes_a_healthy_day(stack: MockStack, healthy: Scenario) -> None:
    assert (await stack.run(healthy)).passed


async def test_production_rules_are_refused(stack: MockStack, healthy: Scenario) -> None:
    stack.rule_file = "/etc/prometheus/rules/production/alerts.yml"
    with pytest.raises(
        ScenarioError, match=r"^--prometheus \S+ has loaded the rules of the time sc"
    ):
        await stack.run(healthy)


async def test_a_scenario_that_runs_already_is_named_at_once(
    stack: MockStack, healthy: Scenario
) -> None:
    first = asyncio.create_task(stack.run(replace(healthy, watched_for=60)))
    await asyncio.sleep(0.1)
    with pytest.raises(ScenarioError) as refused:
        await stack.run(healthy)
    assert str(refused.value) == (
        f"scenario {healthy.name} (process {os.getpid()}) runs on this stack; wait for its end, or "
        "press Ctrl-C in its terminal"
    )
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await stack.run(healthy)).passed


async def test_a_scenario_runs_where_nothing_can_be_written(
    stack: MockStack, healthy: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    assert (await stack.run(healthy)).passed


async def test_a_fault_that_is_on_is_refused_with_the_command_that_clears_it(
    stack: MockStack, healthy: Scenario
) -> None:
    stack.faults = {"errors": {"share": 0.5, "duration": 30}}
    with pytest.raises(ScenarioError) as refused:
        await stack.run(healthy)
    assert str(refused.value) == (
        "the fault errors of randsvc is on already, perhaps by another scenario; wait for its end, "
        f"or clear it: randsvc fault clear errors --management {stack.url}"
    )


async def test_a_prometheus_that_has_just_started_is_waited_for(
    stack: MockStack, healthy: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse_duration(DEMO.settling) == readiness.SETTLING
    monkeypatch.setattr(readiness, "QUIET_TIMEOUT", 0.1)
    stack.age = 12.0
    with pytest.raises(ScenarioError, match="Prometheus started 12 s ago") as refused:
        await stack.run(healthy)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("alerts", "activity"),
    [
        ([], r"the Watchdog does not fire yet, so no rule has been evaluated"),
        (
            [
                WATCHDOG,
                alert("RandsvcX", "major"),
                alert("RandsvcY", "minor", "pending"),
            ],
            r"RandsvcX \(major\) is firing, RandsvcY \(minor\) is pending",
        ),
    ],
)
async def test_an_alert_of_an_earlier_incident_is_refused_after_a_wait(
    stack: MockStack,
    healthy: Scenario,
    alerts: list[dict[str, Any]],
    activity: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "QUIET_TIMEOUT", 0.3)
    stack.alerts = alerts
    with pytest.raises(ScenarioError, match=rf"^{activity}, after 0\.3 s of waiting: a scenario"):
        await stack.run(healthy)


async def test_a_prometheus_that_hangs_is_one_line_after_a_wait(
    stack: MockStack, healthy: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "REQUEST_TIMEOUT", 0.3)
    stack.hangs = True
    with pytest.raises(
        ScenarioError, match=r"^--prometheus: Prometheus at \S+ gives no answer within 0\.3 s$"
    ):
        await stack.run(healthy)


async def test_an_unexpected_alert_fails_a_healthy_day(stack: MockStack, healthy: Scenario) -> None:
    labels = {"alertname": "RandsvcX", "level": "major"}
    stack.fired = [{"metric": labels, "value": [1, "3"]}]
    assert (await stack.run(healthy)).problems == ("RandsvcX (major) fired too",)


async def test_a_fault_that_cannot_be_set_is_one_line(stack: MockStack, healthy: Scenario) -> None:
    step = SetFault(service="randsvc", name="model-down", parameters={})
    url = f"{stack.url}/faults/model-down"
    with pytest.raises(
        ScenarioError, match=rf"^{url}: 405 Method Not Allowed: 405: Method Not Allowed$"
    ):
        await stack.run(replace(healthy, steps=(step,)))
