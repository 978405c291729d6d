"""Whether a stack is ready for an incident: demo rules, no fault, and no alert."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from randsvc.incidents.perform import Report
from randsvc.incidents.scenario import ScenarioError
from randsvc.incidents.stack_api import StackApi

__all__ = ("expect_ready", "hold_stack", "wait_until")

SETTLING = 30.0
"""Seconds after its own start in which Prometheus calls nothing down, with the demo rules."""
QUIET_TIMEOUT = 60.0
"""Seconds that earlier alerts get to clear."""
POLL_INTERVAL = 0.25
"""Seconds."""


@contextlib.contextmanager
def hold_stack(what: str, prometheus: str) -> Iterator[None]:
    """Hold a stack, given by the URL of its Prometheus, for one run at a time on this machine.

    ``what`` is named to whoever tries it meanwhile. The kernel releases the stack when the process
    ends. Where nothing can be written, as in a read-only container, the stack is not held. Raises
    ``ScenarioError``.
    """
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:
        yield
        return
    digest = hashlib.sha256(f"{os.getuid()} {prometheus.rstrip('/')}".encode()).hexdigest()[:16]
    path = Path(folder) / f"randsvc-stack-{digest}"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ScenarioError(
                f"{file.read().strip()} runs on this stack; wait for its end, or press Ctrl-C in "
                "its terminal"
            ) from None
        file.truncate()
        file.write(f"{what} (process {os.getpid()})")
        file.flush()
        yield


async def expect_ready(stack: StackApi, report: Report) -> None:
    """Wait until no alert is pending or firing; a new stack has pending ones too.

    Raises ``ScenarioError`` that says what is in the way: other rules, a fault, an alert.
    """
    await stack.expect_demo_rules()
    await _expect_no_fault(stack)
    activity = await _describe_activity(stack)
    if await stack.get_notifications(datetime.now(UTC)) is None:
        raise ScenarioError(f"cannot reach --inbox {stack.addresses.inbox}")
    if not activity:
        return
    report(f"waiting until no alert is pending or firing: {activity}")

    async def is_quiet() -> bool:
        return not await _describe_activity(stack)

    if not await wait_until(is_quiet, QUIET_TIMEOUT):
        activity = await _describe_activity(stack) or activity
        raise ScenarioError(
            f"{activity}, after {QUIET_TIMEOUT:g} s of waiting: a scenario starts only when no "
            "alert is pending or firing; end the incident that causes it, then run this again"
        )


async def wait_until(holds: Callable[[], Awaitable[bool]], within: float) -> bool:
    """Poll ``holds`` until it is true; return False after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not await holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_INTERVAL)
    return True


async def _expect_no_fault(stack: StackApi) -> None:
    for service in ("randsvc", "auth"):
        for fault in await stack.get_active_faults(service) or ():
            management = stack.addresses.find_management(service)
            raise ScenarioError(
                f"the fault {fault} of {service} is on already, perhaps by another scenario; "
                "wait for its end, or clear it: "
                f"randsvc fault clear {fault} --management {management}"
            )


async def _describe_activity(stack: StackApi) -> str:
    """Return what is in the way; empty if nothing is."""
    alerts = await stack.get_alerts()
    if alerts is None:
        return "Prometheus does not respond"
    if not alerts.has_watchdog:
        return "the Watchdog does not fire yet, so no rule has been evaluated"
    age = 'time() - process_start_time_seconds{job="prometheus"}'
    if (seconds := await stack.query_number(f"{age} < {SETTLING:g}")) is not None:
        return f"Prometheus started {seconds:.0f} s ago, and calls nothing down for {SETTLING:g} s"
    active = [f"{alert} is firing" for alert in sorted(alerts.firing)]
    active += [f"{alert} is pending" for alert in sorted(alerts.pending - alerts.firing)]
    return ", ".join(active)
