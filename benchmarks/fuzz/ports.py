"""Noise for all ports of both services, and what must not come of it."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable

from benchmarks.fuzz.documents import check_documents
from benchmarks.fuzz.exchanges import Sender
from benchmarks.fuzz.grammar import FEEDBACK_SECRET, IDS, PASSWORD
from benchmarks.growth import judge_growth
from benchmarks.promises import Promise
from benchmarks.services import (
    PORTS,
    Reading,
    find_tracebacks,
    read,
    running_services,
    sum_samples,
)
from randsvc.stack.supervisor import Stack

__all__ = ("fuzz_ports", "judge")

SERVICES = ("randsvc", "auth")
READINGS = 20
DOCUMENT_SHARE = 0.01
"""Share of the requests that the OpenAPI documents describe: Schemathesis takes 5 ms for one."""
OPERATIONS = 6
"""Operations of both documents, each with right and wrong requests."""
SERIES = 200 * 18 + 1000
"""Series of a service: the limit of 200 of a metric, each with 18 numbers where it is a histogram;
the other metrics have fixed attributes."""
LOG_LINES = 20
"""Log lines of a service, however many requests there are."""
ENV = {
    "RANDSVC_DELAY": "constant(value=0)",
    "RANDSVC_FEEDBACK_SECRET": FEEDBACK_SECRET,
    "RANDSVC_AUTH_PASSWORD": PASSWORD,
    "RANDSVC_MANAGEMENT_TOKEN": "management" * 4,
    "RANDSVC_AUTH_MANAGEMENT_TOKEN": "management" * 4,
    "RANDSVC_CLIENT_TIMEOUT": "1",
    "RANDSVC_AUTH_CLIENT_TIMEOUT": "1",
}


def fuzz_ports(
    requests: int, seed: int, seconds: float, step: Callable[[str, int], None]
) -> tuple[list[Promise], Counter[tuple[str, int]], int]:
    """Send so many requests, or as many as ``seconds`` allow.

    Returns the promises, the number of responses by port and status, and the number of requests.
    ``step`` is given what is done, and the number of requests so far. Raises ``StackError`` where a
    service ends by itself.
    """
    with running_services(ENV) as stack:
        examples = max(1, round(requests * DOCUMENT_SHARE / (2 * OPERATIONS)))
        urls = {name: stack.url(PORTS[name]) for name in SERVICES}
        described, deviations = check_documents(urls, examples, seed)
        step("requests of the documents", described)
        sender = Sender({name: stack.book[address] for name, address in PORTS.items()})
        try:
            readings = asyncio.run(
                _send(stack, sender, requests - described, seed, seconds, described, step)
            )
        finally:
            stack.check()
        return (
            [
                *judge(stack, sender, described, deviations),
                *(
                    promise
                    for name, each in readings.items()
                    for promise in judge_growth(name, each, series=SERIES, lines=LOG_LINES)
                ),
            ],
            sender.statuses,
            described + sender.sent,
        )


async def _send(
    stack: Stack,
    sender: Sender,
    number: int,
    seed: int,
    seconds: float,
    before: int,
    step: Callable[[str, int], None],
) -> dict[str, list[tuple[float, Reading]]]:
    """Send, and read what the services hold ``READINGS`` times, or more where time is short."""
    readings: dict[str, list[tuple[float, Reading]]] = {name: [] for name in SERVICES}
    began = time.monotonic()
    due = began + seconds / READINGS

    async def look() -> None:
        for name, each in readings.items():
            reading = await asyncio.to_thread(read, stack, name)
            each.append((time.monotonic() - began, reading))

    async def progress(sent: int) -> None:
        nonlocal due
        step("mutated requests", before + sent)
        if sent % max(1, number // READINGS) == 0 or time.monotonic() >= due:
            due = time.monotonic() + seconds / READINGS
            await look()

    await sender.send_all(number, seed, progress, until=began + seconds)
    # Connections that were reset are gone after a moment.
    await asyncio.sleep(1)
    await look()
    return readings


def judge(stack: Stack, sender: Sender, described: int, deviations: list[str]) -> list[Promise]:
    """Hold what was observed against what is promised."""
    accepted = sum_samples(stack, "randsvc", "randsvc_feedback_total", randsvc_outcome="accepted")
    tracebacks = [line[:2000] for name in SERVICES for line in find_tracebacks(stack, name)]
    changes = [*sender.intruders, *_find_faults(stack)]
    answered = sender.statuses.total()
    return [
        Promise(
            "Responses with a status of 500 or above",
            f"{len(sender.failures)} of {answered:,} responses to {sender.sent:,} inputs",
            "0",
            not sender.failures,
            sender.failures,
        ),
        Promise(
            "Responses that differ from the OpenAPI document",
            f"{len(deviations)} operations, {described:,} requests",
            "0",
            not deviations,
            deviations,
        ),
        Promise(
            "Connections that stay open when the client has sent everything",
            f"{len(sender.hangs)}",
            "0",
            not sender.hangs,
            sender.hangs,
        ),
        Promise(
            "Log lines that are a traceback, or no event",
            f"{len(tracebacks)}",
            "0",
            not tracebacks,
            tracebacks[:20],
        ),
        Promise(
            "Faults set or tokens given without the token or the password",
            f"{len(changes)}",
            "0",
            not changes,
            changes,
        ),
        Promise(
            "Accepted feedback",
            f"{accepted:.0f}",
            f"{IDS}, the number of ids",
            accepted <= IDS,
        ),
    ]


def _find_faults(stack: Stack) -> list[str]:
    """The faults that are on, or that were on at any time."""
    found = []
    for name in SERVICES:
        on = json.loads(stack.get(PORTS[f"{name} management"], "/faults"))["on"]
        found += [f"{name}: fault {fault} is on" for fault in on]
        # A fault that was on at any time has a series.
        if "\nrandsvc_fault_active{" in stack.get(PORTS[f"{name} management"], "/metrics").decode():
            found.append(f"{name}: a fault was on")
    return found
