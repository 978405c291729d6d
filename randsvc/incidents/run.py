"""Run a scenario on a running stack: start the incident, watch its alert, end it, watch it clear.

Everything is observed through the HTTP APIs of Prometheus, Alertmanager and the inbox, as a person
would. They may be unreachable for a while, as some scenarios stop them.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

import aiohttp

from randsvc.incidents.load import send_load
from randsvc.incidents.scenario import (
    AlertId,
    Expected,
    Load,
    Scenario,
    ScenarioError,
    SetFault,
    Step,
    StopProgram,
)
from randsvc.incidents.stack_api import Addresses, StackApi
from randsvc.incidents.verdict import Observations, Verdict, is_notified, judge

__all__ = ("Programs", "run_scenario")

SETTLING = 30.0
"""Seconds after its own start in which Prometheus calls nothing down, with the demo rules."""
QUIET_TIMEOUT = 60.0
"""Seconds that earlier alerts get to clear."""
NOTIFY_TIMEOUT = 70.0
"""Seconds from the change of an alert to its notification: the longest group_interval of the time
scale demo, and a margin."""
POLL_INTERVAL = 0.25
"""Seconds."""
REQUEST_TIMEOUT = 10.0
"""Seconds that a program of the stack has for one response."""

Report = Callable[[str], None]
"""Takes one line about the progress of a run."""


class Programs(Protocol):
    """Stops and starts programs of the stack."""

    def stop(self, name: str) -> None:
        """Stop a program; it has ended on return."""

    def start(self, name: str) -> None:
        """Start a program; it is ready on return."""


async def run_scenario(
    scenario: Scenario,
    addresses: Addresses,
    *,
    programs: Programs,
    report: Report,
    token: str | None = None,
) -> Verdict:
    """Run a scenario; ``token`` is the token of the management ports.

    Faults are cleared and programs started at the end, even after an error. Raises
    ``ScenarioError`` if the scenario cannot be run.
    """
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        run = _Run(
            scenario,
            StackApi(session, addresses, timeout=REQUEST_TIMEOUT, token=token),
            programs,
            report,
        )
        return await run.run()


class _Run:
    """One run of a scenario."""

    def __init__(
        self, scenario: Scenario, stack: StackApi, programs: Programs, report: Report
    ) -> None:
        self._scenario = scenario
        self._stack = stack
        self._programs = programs
        self._report = report
        self._observed = Observations()
        self._began = datetime.now(UTC)

    async def run(self) -> Verdict:
        scenario, expected = self._scenario, self._scenario.expected
        await self._stack.expect_demo_rules()
        await self._expect_no_fault()
        await self._expect_quiet()
        self._began = datetime.now(UTC)
        async with contextlib.AsyncExitStack() as incident:
            for step in scenario.steps:
                await incident.enter_async_context(self._perform(step))
            if expected is None:
                self._report(f"watching for {scenario.watched_for:g} s: no alert may fire")
                await asyncio.sleep(scenario.watched_for)
            else:
                await self._watch_it_fire(expected)
        if expected and self._observed.fired is not None:
            await self._watch_it_clear(expected)
        fired = await self._stack.query_fired((datetime.now(UTC) - self._began).total_seconds())
        notifications = await self._stack.get_notifications(self._began)
        return judge(scenario, self._observed, fired, notifications or ())

    async def _expect_no_fault(self) -> None:
        for service in ("randsvc", "auth"):
            for fault in await self._stack.get_active_faults(service) or ():
                management = self._stack.addresses.find_management(service)
                raise ScenarioError(
                    f"the fault {fault} of {service} is on already, perhaps by another scenario; "
                    "wait for its end, or clear it: "
                    f"randsvc fault clear {fault} --management {management}"
                )

    async def _expect_quiet(self) -> None:
        """Wait until no alert is pending or firing; a new stack has pending ones too."""

        async def describe_activity() -> str:
            alerts = await self._stack.get_alerts()
            if alerts is None:
                return "Prometheus does not respond"
            if not alerts.has_watchdog:
                return "the Watchdog does not fire yet, so no rule has been evaluated"
            age = 'time() - process_start_time_seconds{job="prometheus"}'
            if (seconds := await self._stack.query_number(f"{age} < {SETTLING:g}")) is not None:
                return (
                    f"Prometheus started {seconds:.0f} s ago, and calls nothing down for "
                    f"{SETTLING:g} s"
                )
            active = [f"{alert} is firing" for alert in sorted(alerts.firing)]
            active += [f"{alert} is pending" for alert in sorted(alerts.pending - alerts.firing)]
            return ", ".join(active)

        activity = await describe_activity()
        if await self._stack.get_notifications(self._began) is None:
            raise ScenarioError(f"cannot reach --inbox {self._stack.addresses.inbox}")
        if not activity:
            return
        self._report(f"waiting until no alert is pending or firing: {activity}")

        async def is_quiet() -> bool:
            return not await describe_activity()

        if not await _wait_until(is_quiet, QUIET_TIMEOUT):
            activity = await describe_activity() or activity
            raise ScenarioError(
                f"{activity}, after {QUIET_TIMEOUT:g} s of waiting: a scenario starts only when no "
                "alert is pending or firing; end the incident that causes it, then run this again"
            )

    async def _watch_it_fire(self, expected: Expected) -> None:
        wanted = AlertId(expected.alert, self._scenario.level or "")
        started = time.monotonic()
        self._report(f"waiting for {wanted}, at most {expected.fires_within:g} s")

        async def find_firing() -> set[AlertId]:
            # An alert on an error budget exists at each level; lower levels may fire first.
            alerts = await self._stack.get_alerts()
            return {each for each in alerts.firing if each.name == wanted.name} if alerts else set()

        async def has_fired() -> bool:
            return wanted in await find_firing()

        if not await _wait_until(has_fired, expected.fires_within):
            instead = "".join(f", but {alert} fires" for alert in sorted(await find_firing()))
            self._observed.problems.append(
                f"{wanted} did not fire within {expected.fires_within:g} s{instead}"
            )
            return
        self._observed.fired = time.monotonic() - started
        self._report(f"{wanted} fires after {self._observed.fired:.1f} s")
        if await self._wait_for_notification("firing"):
            self._observed.notified = time.monotonic() - started
            self._report(f"{expected.receiver} was notified after {self._observed.notified:.1f} s")
            return
        reason = await self._stack.find_mute_reason(wanted)
        self._observed.problems.append(
            f"{expected.receiver} was not notified within {NOTIFY_TIMEOUT:g} s"
            + (f": {reason}" if reason else "")
        )

    async def _watch_it_clear(self, expected: Expected) -> None:
        ended = time.monotonic()
        self._report(
            f"the incident has ended; waiting for the alert to clear, at most "
            f"{expected.clears_within:g} s"
        )

        async def describe_firing() -> str | None:
            alerts = await self._stack.get_alerts()
            return None if alerts is None else ", ".join(map(str, sorted(alerts.firing)))

        async def has_cleared() -> bool:
            alerts = await self._stack.get_alerts()
            return alerts is not None and self._scenario.expected_alert not in alerts.firing

        async def have_all_cleared() -> bool:
            return await describe_firing() == ""

        if await _wait_until(has_cleared, expected.clears_within):
            self._observed.cleared = time.monotonic() - ended
            self._report(f"cleared after {self._observed.cleared:.1f} s")
        if not await _wait_until(
            have_all_cleared, ended + expected.clears_within - time.monotonic()
        ):
            firing = await describe_firing()
            where = f"{expected.clears_within:g} s after the end of the incident"
            self._observed.problems.append(
                f"Prometheus cannot be reached {where}"
                if firing is None
                else f"{firing} still fires {where}"
            )
            return
        if await self._wait_for_notification("resolved"):
            self._report(f"{expected.receiver} was notified that the alert is resolved")
        else:
            self._observed.problems.append(
                f"{expected.receiver} was not notified that the alert is resolved"
            )

    async def _wait_for_notification(self, status: str) -> bool:
        async def has_arrived() -> bool:
            notifications = await self._stack.get_notifications(self._began)
            return is_notified(self._scenario, status, notifications or ())

        return await _wait_until(has_arrived, NOTIFY_TIMEOUT)

    @contextlib.asynccontextmanager
    async def _perform(self, step: Step) -> AsyncIterator[None]:
        """Perform a step on entry, and undo it on exit."""
        match step:
            case SetFault():
                await self._stack.set_fault(step, self._choose_duration())
                self._report(f"fault {step.name} of {step.service} is on")
                try:
                    yield
                finally:
                    cleared = await self._stack.clear_fault(step)
                    self._report(
                        f"fault {step.name} of {step.service} is off"
                        if cleared
                        else f"{step.service} does not respond; its fault {step.name} ends by "
                        "itself"
                    )
            case StopProgram():
                self._programs.stop(step.program)
                self._report(f"{step.program} is stopped")
                try:
                    yield
                finally:
                    self._programs.start(step.program)
                    self._report(f"{step.program} is running again")
            case Load():
                service = self._stack.addresses.service
                async with send_load(step, service, self._stack) as description:
                    self._report(f"load: {description}")
                    try:
                        yield
                    finally:
                        self._report("the load has ended")

    def _choose_duration(self) -> float:
        """Return the seconds after which a fault ends even if nobody clears it."""
        expected = self._scenario.expected
        needed = expected.fires_within + NOTIFY_TIMEOUT if expected else self._scenario.watched_for
        return needed + 10


async def _wait_until(holds: Callable[[], Awaitable[bool]], within: float) -> bool:
    """Poll ``holds`` until it is true; return False after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not await holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_INTERVAL)
    return True
