"""Run a scenario on a running stack: start the incident, watch its alert, end it, watch it clear.

Everything is observed through the HTTP APIs of Prometheus, Alertmanager and the inbox, as a person
would. They may be unreachable for a while, as some scenarios stop them.
"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime

import aiohttp

from randsvc.incidents.perform import Programs, Report, perform
from randsvc.incidents.readiness import expect_ready, hold_stack, wait_until
from randsvc.incidents.scenario import AlertId, Expected, Scenario
from randsvc.incidents.stack_api import Addresses, StackApi
from randsvc.incidents.verdict import Observations, Verdict, is_notified, judge

__all__ = ("run_scenario",)

NOTIFY_TIMEOUT = 70.0
"""Seconds from the change of an alert to its notification: the longest group_interval of the time
scale demo, and a margin."""
REQUEST_TIMEOUT = 10.0
"""Seconds that a program of the stack has for one response."""


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
        with hold_stack(f"scenario {self._scenario.name}", self._stack.addresses.prometheus):
            return await self._run()

    async def _run(self) -> Verdict:
        scenario, expected = self._scenario, self._scenario.expected
        await expect_ready(self._stack, self._report)
        self._began = datetime.now(UTC)
        async with contextlib.AsyncExitStack() as incident:
            for step in scenario.steps:
                await incident.enter_async_context(
                    perform(
                        step,
                        self._stack,
                        self._programs,
                        report=self._report,
                        duration=self._choose_duration(),
                    )
                )
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

        if not await wait_until(has_fired, expected.fires_within):
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

        if await wait_until(has_cleared, expected.clears_within):
            self._observed.cleared = time.monotonic() - ended
            self._report(f"cleared after {self._observed.cleared:.1f} s")
        if not await wait_until(
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

        return await wait_until(has_arrived, NOTIFY_TIMEOUT)

    def _choose_duration(self) -> float:
        """Return the seconds after which a fault ends even if nobody clears it."""
        expected = self._scenario.expected
        needed = expected.fires_within + NOTIFY_TIMEOUT if expected else self._scenario.watched_for
        return needed + 10
