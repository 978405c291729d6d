"""Run a game day: cause each incident at its time, and let the teams report, until the end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

import aiohttp
from aiohttp import web

from randsvc.errors import ConfigurationError
from randsvc.gameday.journal import Journal
from randsvc.gameday.page import make_app
from randsvc.gameday.sequence import Incident
from randsvc.incidents.perform import Programs, Report, perform
from randsvc.incidents.readiness import expect_ready, hold_stack
from randsvc.incidents.scenario import Scenario, ScenarioError
from randsvc.incidents.stack_api import Addresses, StackApi

__all__ = ("run_game_day",)

REQUEST_TIMEOUT = 10.0
"""Seconds that a program of the stack has for one response."""
MARGIN = 10.0
"""Seconds after the end of an incident until its faults end by themselves."""
TICK = 0.5
"""Seconds between two reports of progress."""


async def run_game_day(
    journal: Journal,
    sequence: Sequence[Incident],
    causes: Sequence[Scenario],
    addresses: Addresses,
    *,
    programs: Programs,
    host: str,
    port: int,
    report: Report,
    progress: Callable[[float], None],
    token: str | None = None,
) -> None:
    """Run a game day to its end, or go on with one.

    ``causes`` are what teams can choose from. ``programs`` are asked for only if the sequence stops
    some. ``report`` gets a line before the start, ``progress`` the seconds since the start; what it
    raises ends the game day. Faults are cleared and programs started at the end, even after an
    error or Ctrl-C. Raises ``ScenarioError`` if something is in the way, ``ConfigurationError`` if
    nothing can listen at ``port``.
    """
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT)
    with hold_stack("a game day", addresses.prometheus):
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            _serve(make_app(journal, causes, addresses), host, port),
        ):
            stack = StackApi(session, addresses, timeout=REQUEST_TIMEOUT, token=token)
            if journal.started is None:
                await expect_ready(stack, report)
                journal.start(time.time())
            else:
                # A fault of the time before the interruption may still be on.
                await stack.expect_demo_rules()
            started = journal.started or time.time()
            tasks = [
                asyncio.create_task(_cause(journal, index, incident, started, stack, programs))
                for index, incident in enumerate(sequence)
            ]
            try:
                while (elapsed := time.time() - started) < journal.seconds:
                    progress(elapsed)
                    for task in tasks:
                        if task.done():
                            task.result()
                    await asyncio.sleep(min(TICK, journal.seconds - elapsed))
            finally:
                for task in tasks:
                    task.cancel()
                # Until every fault is cleared.
                await asyncio.gather(*tasks, return_exceptions=True)


async def _cause(
    journal: Journal,
    index: int,
    incident: Incident,
    started: float,
    stack: StackApi,
    programs: Programs,
) -> None:
    """Cause an incident at its time; one that cannot be caused is noted."""
    if index in journal.ended or index in journal.failed:
        return
    if time.time() > started + incident.end:
        # The process did not run then. Its faults have ended by themselves.
        if index in journal.begun:
            journal.end(index, started + incident.end)
        else:
            journal.fail(index, "the game day was interrupted at its time")
        return
    await asyncio.sleep(started + incident.start - time.time())
    try:
        async with contextlib.AsyncExitStack() as steps:
            for step in incident.scenario.steps:
                lasts = started + incident.end - time.time() + MARGIN
                await steps.enter_async_context(
                    perform(step, stack, programs, report=lambda line: None, duration=lasts)
                )
            journal.begin(index, time.time())
            await asyncio.sleep(started + incident.end - time.time())
            journal.end(index, time.time())
    except ScenarioError as error:
        journal.fail(index, str(error))


@contextlib.asynccontextmanager
async def _serve(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on --host {host} --port {port}: {error.strerror}"
            ) from None
        yield
    finally:
        await runner.cleanup()
