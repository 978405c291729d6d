"""Every scenario on the real programs, at the time scale demo; and with a program that is killed.

Most of the time is waiting, so that a few stacks run side by side, each with scenarios one after
the other. The table of all is at the end of the run; with -s, each step is printed as it happens.
"""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from randsvc.incidents.run import run_scenario
from randsvc.incidents.scenario import list_scenarios, read_scenario
from randsvc.incidents.stack_api import Addresses
from randsvc.incidents.verdict import Verdict
from randsvc.stack.programs import (
    BLACKBOX_PACKAGE,
    make_auth,
    make_blackbox_exporter,
    make_randsvc,
    make_users,
)
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack
from tests.support.tables import TABLE_ROW

LIMITS = {"critical": 20.0, "major": 40.0, "minor": 90.0}
RECEIVERS = {"critical": "pager", "major": "ticket", "minor": "digest"}

# So few at once that an overload is no burden.
FAST = {"OTEL_METRIC_EXPORT_INTERVAL": "1000", "RANDSVC_MAX_CONCURRENCY": "40"}
SERVICES = (
    partial(make_randsvc, env=FAST),
    partial(make_auth, env=FAST),
    make_blackbox_exporter,
)


@dataclass(frozen=True)
class Run:
    """A scenario, and a program that is killed a second after its fault, for five seconds.

    ``unexpected`` runs it as if nothing were expected to fire.
    """

    scenario: str
    killed: str | None = None
    unexpected: bool = False

    def __str__(self) -> str:
        how = (", unexpected" if self.unexpected else "", f", {self.killed} killed")
        return f"{self.scenario}{how[bool(self.killed)]}"


KILLS = (
    Run("model-down", "otel-collector"),
    Run("model-down", "prometheus"),
    Run("model-down", "alertmanager"),
)
# Each on a stack of its own, and of about the same length. What the longest windows see comes last:
# on a stack that has just been started they are empty, and notice anything at once.
LANES: Sequence[Sequence[Run]] = (
    (Run("auth-down"), Run("model-down"), Run("slow-error-burn")),
    (Run("value-shift-large"), Run("model-frozen"), Run("strange-loop")),
    # The last one needs a past in which truth was reported.
    (Run("healthy-day"), Run("value-shift-small"), Run("feedback-stopped")),
    (Run("no-drift"), Run("concept-drift"), Run("segment-change")),
    (
        # Not first: in the half minute after Prometheus' own start nothing is called down.
        *(Run("model-slow"), Run("telemetry-path-down"), Run("feature-missing")),
        *(Run("event-loop-blocked"), Run("service-down")),
        UNEXPECTED := Run("model-down", unexpected=True),
    ),
    (Run("quiet-night"), Run("error-burst"), Run("overload"), *KILLS),
)
RUNS = [run for lane in LANES for run in lane]

every_run = pytest.mark.parametrize("run", [run for run in RUNS if not run.unexpected], ids=str)


class Killing:
    """The programs of a stack, for a scenario; they end at once, as in an incident."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def stop(self, name: str) -> None:
        self._stack.kill(name)

    def start(self, name: str) -> None:
        self._stack.start(name)


console = Console(width=120)


async def run_on(stack: Stack, run: Run) -> Verdict:
    scenario = read_scenario(run.scenario)
    began = time.monotonic()
    loop = asyncio.get_running_loop()

    def report(line: str) -> None:
        console.print(f"{run}: {time.monotonic() - began:.1f} s {line}", markup=False)
        if run.killed and line.endswith("is on"):
            loop.call_later(1, stack.kill, run.killed)
            loop.call_later(6, stack.start, run.killed)

    if run.killed:
        assert scenario.expected
        # What the gap takes, and that monitoring notices its own trouble.
        later = replace(scenario.expected, fires_within=scenario.expected.fires_within + 30)
        broken = ("CollectorDown", "TargetsLost", "NotificationsFailing", "MeasurementsLost")
        also = dict.fromkeys((f"Randsvc{name}" for name in broken), "a program was killed")
        scenario = replace(scenario, expected=later, may_fire=also)
    if run.unexpected:
        scenario = replace(scenario, level=None, expected=None, watched_for=25.0)
    addresses = Addresses(
        prometheus=stack.url("prometheus:9090"),
        alertmanager=stack.url("alertmanager:9093"),
        inbox=stack.url("inbox:9095"),
        service=stack.url("randsvc:8080"),
        management=stack.url("randsvc:9464"),
        auth_management=stack.url("auth:9465"),
    )
    return await run_scenario(scenario, addresses, programs=Killing(stack), report=report)


def run_all(
    lane: Sequence[Run],
    verdicts: Mapping[Run, "Future[Verdict]"],
    starting: threading.Lock,
    all_started: threading.Barrier,
) -> None:
    """Run a lane on its own stack, in this thread to the end: the stack ends with it."""
    try:
        with ExitStack() as cleanup:
            # One after the other, and no user waits because the machine is busy with that.
            with starting:
                stack = cleanup.enter_context(run_stack(services=SERVICES, free_ports=True))
            all_started.wait()
            stack.programs["users"] = make_users(stack.book, number=25)
            stack.start("users")
            time.sleep(10)  # some measurements, so that a beginning is no incident
            for run in lane:
                try:
                    verdicts[run].set_result(asyncio.run(run_on(stack, run)))
                except Exception as error:
                    verdicts[run].set_exception(error)
    except Exception as error:
        # Where a stack does not start no lane begins; its own runs tell why.
        all_started.abort()
        for run in lane:
            if not verdicts[run].done():
                verdicts[run].set_exception(error)


@pytest.fixture(scope="module")
def verdict_of(programs: Path) -> Iterator[Callable[[Run], Verdict]]:
    if shutil.which(BLACKBOX_PACKAGE) is None:
        pytest.skip(f"no scenario is run: there is no program {BLACKBOX_PACKAGE} (Debian's name)")
    verdicts: dict[Run, Future[Verdict]] = {run: Future() for run in RUNS}
    shared = verdicts, threading.Lock(), threading.Barrier(len(LANES))
    threads = [threading.Thread(target=run_all, args=(lane, *shared)) for lane in LANES]
    for thread in threads:
        thread.start()
    yield lambda run: verdicts[run].result()
    for thread in threads:
        thread.join()


def row(run: Run, verdict: Verdict) -> Mapping[str, str]:
    """A line of the table at the end."""
    level = verdict.scenario.level
    fired, notified, cleared = (
        "-" if seconds is None else f"{seconds:.1f} s"
        for seconds in (verdict.fired, verdict.notified, verdict.cleared)
    )
    return {
        "Scenario": str(run),
        "Level": level or "none",
        "Time to detect": fired,
        "Limit": f"{LIMITS[level]:g} s" if level else "-",
        "Notified after": notified,
        "Time to clear": cleared,
    }


def test_every_scenario_is_run() -> None:
    assert {run.scenario for run in RUNS} == set(list_scenarios())


@pytest.mark.parametrize("name", list_scenarios())
def test_a_level_is_detected_within_its_time_and_reaches_its_receiver(name: str) -> None:
    scenario = read_scenario(name)
    if scenario.expected and scenario.level:
        assert scenario.expected.fires_within <= LIMITS[scenario.level]
        assert scenario.expected.receiver == RECEIVERS[scenario.level]


@every_run
def test_the_right_alert_reaches_the_right_person_in_time_and_clears(
    run: Run, verdict_of: Callable[[Run], Verdict], record_property: Callable[[str, object], None]
) -> None:
    verdict = verdict_of(run)
    record_property(TABLE_ROW, row(run, verdict))
    assert not verdict.problems, "; ".join(verdict.problems)


def test_an_unexpected_alert_fails_a_scenario(verdict_of: Callable[[Run], Verdict]) -> None:
    assert verdict_of(UNEXPECTED).problems == (
        "RandsvcModelReplaced (major) fired too",
        "ticket was notified of RandsvcModelReplaced (major)",
    )
