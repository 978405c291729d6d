"""Incidents at their times, faults that are cleared whatever happens, and a run that goes on.

A mock stands for the APIs of the stack; tests/stack/test_gameday.py uses the real programs.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from randsvc.errors import ConfigurationError
from randsvc.gameday.journal import Journal, Planned, Setup
from randsvc.gameday.run import run_game_day
from randsvc.gameday.sequence import Incident, read_pool
from randsvc.incidents.readiness import hold_stack
from randsvc.incidents.scenario import ScenarioError
from randsvc.incidents.stack_api import Addresses
from randsvc.stack.addresses import find_unused_ports
from tests.support.serving import serving

POOL = {each.name: each for each in read_pool()}
SOON = (
    Incident(scenario=POOL["model-down"], kind="overlapping", start=0.3, end=1.5),
    Incident(scenario=POOL["auth-down"], kind="overlapping", start=0.6, end=1.8),
)
LONG = (
    Incident(scenario=POOL["model-down"], kind="single", start=0.0, end=50),
    Incident(scenario=POOL["telemetry-path-down"], kind="single", start=0.0, end=50),
)


@dataclass
class MockStack:
    url: str = ""
    faults: dict[str, Any] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    refuses: str = ""

    def stop(self, name: str) -> None:
        self.stopped.append(name)

    def start(self, name: str) -> None:
        self.stopped.remove(name)

    async def answer(self, request: web.Request) -> web.Response:
        watchdog = {"alertname": "RandsvcWatchdog", "level": "none"}
        firing = {"labels": watchdog, "annotations": {}, "state": "firing", "activeAt": ""}
        answers: dict[str, Any] = {
            "/api/v1/rules": {"status": "success", "data": {"groups": []}},
            "/api/v1/alerts": {"status": "success", "data": {"alerts": [firing]}},
            "/api/v1/query": {"status": "success", "data": {"result": []}},
            "/notifications": [],
            "/faults": {"on": self.faults},
        }
        return web.json_response(answers[request.path])

    async def change(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name == self.refuses:
            raise web.HTTPConflict(text="another replica has it")
        if request.method == "PUT":
            self.faults[name] = await request.json()
            self.history.append(name)
        else:
            self.faults.pop(name, None)
        return web.Response(status=204)

    async def run(self, journal: Journal, sequence: Sequence[Incident], **options: Any) -> None:
        addresses = Addresses(
            prometheus=self.url,
            alertmanager=self.url,
            inbox=self.url,
            service=self.url,
            management=self.url,
            auth_management=self.url,
        )
        given = {
            "programs": self,
            "host": "127.0.0.1",
            "port": find_unused_ports(1)[0],
            "report": lambda line: None,
            "progress": lambda elapsed: None,
            **options,
        }
        await run_game_day(journal, sequence, list(POOL.values()), addresses, **given)


@pytest.fixture
async def stack() -> AsyncIterator[MockStack]:
    stack = MockStack()
    app = web.Application()
    app.router.add_put("/faults/{name}", stack.change)
    app.router.add_delete("/faults/{name}", stack.change)
    app.router.add_get("/{path:.*}", stack.answer)
    async with serving(app) as url:
        stack.url = str(url).rstrip("/")
        yield stack


def make_journal(folder: Path, sequence: Sequence[Incident], seconds: float) -> Journal:
    planned = tuple(
        Planned(scenario=each.scenario.name, kind=each.kind, start=each.start, end=each.end)
        for each in sequence
    )
    setup = Setup(seed=1, minutes=seconds / 60, hints=0, teams={"team-1": "one"}, sequence=planned)
    return Journal.open(folder, setup)


async def test_each_incident_is_on_at_its_time(stack: MockStack, tmp_path: Path) -> None:
    journal = make_journal(tmp_path, SOON, 2.5)
    seen: list[tuple[str, ...]] = []

    def watch(_: float) -> None:
        seen.append(tuple(stack.faults))

    await stack.run(journal, SOON, progress=watch)
    assert stack.history == ["model-down", "auth-down"]
    assert stack.faults == {}
    assert seen[0] == ()
    started = journal.started or 0
    for index, each in enumerate(SOON):
        assert journal.begun[index] >= started + each.start - 0.01
        assert journal.ended[index] >= started + each.end - 0.01
    assert journal == make_journal(tmp_path, SOON, 2.5)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), RuntimeError("a program has ended")])
async def test_faults_are_cleared_and_programs_started_whatever_ends_it(
    error: BaseException, stack: MockStack, tmp_path: Path
) -> None:
    def interrupt(_: float) -> None:
        if stack.faults and stack.stopped:
            raise error

    with pytest.raises(type(error)):
        await stack.run(make_journal(tmp_path, LONG, 60), LONG, progress=interrupt)
    assert stack.history == ["model-down"]
    assert stack.faults == {}
    assert stack.stopped == []


async def test_a_fault_ends_by_itself_soon_after_its_incident(
    stack: MockStack, tmp_path: Path
) -> None:
    durations = []

    def look(_: float) -> None:
        if stack.faults:
            durations.append(stack.faults["model-down"]["duration"])
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await stack.run(make_journal(tmp_path, LONG, 60), LONG, progress=look)
    assert 50 < durations[0] <= 60


async def test_an_incident_that_cannot_be_caused_is_noted_and_the_others_go_on(
    stack: MockStack, tmp_path: Path
) -> None:
    stack.refuses = "model-down"
    journal = make_journal(tmp_path, SOON, 2.5)
    await stack.run(journal, SOON)
    assert stack.history == ["auth-down"]
    assert list(journal.failed) == [0]
    assert journal.failed[0].endswith("409 Conflict: another replica has it")


async def test_a_run_that_was_interrupted_goes_on(stack: MockStack, tmp_path: Path) -> None:
    sequence = (
        Incident(scenario=POOL["feature-missing"], kind="quiet", start=1, end=10),
        Incident(scenario=POOL["model-down"], kind="overlapping", start=5, end=10),
        Incident(scenario=POOL["auth-down"], kind="overlapping", start=15, end=23),
    )
    journal = make_journal(tmp_path, sequence, 23.5)
    journal.start(time.time() - 20)
    journal.begin(0, time.time() - 19)
    journal.begin(2, time.time() - 5)
    began = dict(journal.begun)
    await stack.run(journal, sequence)
    # The first is over, the second was missed, the third is caused again for what is left of it.
    assert stack.history == ["auth-down"]
    assert journal.begun == began
    assert sorted(journal.ended) == [0, 2]
    assert journal.failed == {1: "the game day was interrupted at its time"}


async def test_what_is_in_the_way_is_one_sentence_and_starts_nothing(
    stack: MockStack, tmp_path: Path
) -> None:
    stack.faults = {"errors": {}}
    journal = make_journal(tmp_path, SOON, 1)
    with pytest.raises(ScenarioError, match=r"^the fault errors of randsvc is on already"):
        await stack.run(journal, SOON)
    assert journal.started is None
    assert stack.history == []


async def test_a_stack_on_which_a_game_day_runs_is_named(stack: MockStack, tmp_path: Path) -> None:
    with (
        hold_stack("scenario auth-down", stack.url),
        pytest.raises(ScenarioError, match=r"^scenario auth-down .* runs on this stack; wait"),
    ):
        await stack.run(make_journal(tmp_path, SOON, 1), SOON)


async def test_a_port_that_is_taken_is_named(stack: MockStack, tmp_path: Path) -> None:
    port = int(stack.url.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=rf"^cannot listen on .* --port {port}: "):
        await stack.run(make_journal(tmp_path, SOON, 1), SOON, port=port)
