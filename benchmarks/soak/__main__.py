"""Good clients at full speed, with and without hostile clients: ``python -m benchmarks.soak``.

Both services run on this machine. Quiet and hostile phases alternate, and each pair gives one ratio
of the good clients' p99. What a service holds (memory, descriptors, series, log) is read at the end
of each pair, when no hostile client is connected. The exit code is 1 if a promise is broken.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.arguments import parse_positive
from benchmarks.growth import DESCRIPTORS, judge_growth
from benchmarks.promises import Promise, conclude
from benchmarks.services import (
    PORTS,
    Reading,
    find_tracebacks,
    measure_store,
    read,
    running_services,
    sum_samples,
)
from benchmarks.soak.good_clients import CLIENTS, GoodClients
from benchmarks.summary import Spread
from randsvc.stack.programs import StackError
from randsvc.stack.supervisor import Stack

RESULTS = Path(__file__).parent.with_name("soak-results.md")
SERVICES = ("randsvc", "auth")
TARGETS = ("randsvc", "auth", "randsvc management")
PHASE = 5.0
"""Seconds of a phase."""
PAIRS = 4
"""Fewest pairs of phases, however short the run is: fewer have no interval of a slope."""
SETTLING = 0.5
"""Seconds after hostile clients come or go that are not measured."""
CLIENT_TIMEOUT = 3.0
"""Seconds that a service waits for a slow client: less than a phase, so that it comes to that."""

P99_RATIO = 2.0
"""Largest p99 of good clients with hostile clients, over that without."""
SERIES = 600
"""Series of a service: what it has at its start, and a histogram for each status of each route."""
LOG_LINES = 5
"""Log lines of a service per minute, and as many at the start."""
STORE_BYTES = 20 * 10**6
"""11 MB of answers, docs/reliability.md, and the journal of SQLite."""


@dataclass
class Observed:
    """What was measured; ``readings`` are by service, with the seconds since the start."""

    quiet: list[float] = field(default_factory=list)
    hostile: list[float] = field(default_factory=list)
    readings: dict[str, list[tuple[float, Reading]]] = field(
        default_factory=lambda: {name: [] for name in SERVICES}
    )
    store: list[int] = field(default_factory=list)
    opened: dict[str, int] = field(default_factory=dict)
    tracebacks: list[str] = field(default_factory=list)
    counted: float = 0.0
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Run, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=parse_positive, default=60.0, help="length of the run")
    parser.add_argument("--phase", type=parse_positive, default=PHASE, help="seconds of a phase")
    parser.add_argument("--seed", type=int, default=1, help="seed of the clients' choices")
    parser.add_argument("--no-results", action="store_true", help="write no results file")
    given = parser.parse_args(arguments)
    console = console or Console(width=150)
    random.seed(given.seed)
    try:
        observed, clients = run(given.minutes * 60, given.phase, console)
    except StackError as error:
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing was written")
        return 130
    attacks = ", ".join(f"{kind} {number:,}" for kind, number in observed.opened.items())
    return conclude(
        console,
        "Good clients next to hostile clients",
        (
            f"Seed {given.seed}, {observed.seconds / 60:.1f} minutes, {len(observed.quiet)} pairs "
            f"of phases of {given.phase:g} s.",
            f"{CLIENTS} good clients sent {clients.sent:,} requests (logins, values, feedback), "
            "each as soon as the one before was answered.",
            f"Connections of hostile clients: {attacks}.",
            "The delay of /random is 0. Clients and services share the machine.",
        ),
        judge(observed, clients),
        command=f"make soak MINUTES={given.minutes:g} SEED={given.seed}",
        results=None if given.no_results else RESULTS,
    )


def judge(observed: Observed, clients: GoodClients) -> list[Promise]:
    """Hold what was measured against what is promised."""
    ratio = Spread.of([b / a for a, b in zip(observed.quiet, observed.hostile, strict=True)])
    alone, attacked = (Spread.of(each).median * 1e3 for each in (observed.quiet, observed.hostile))
    accepted = clients.responses["feedback"]
    promises = [
        Promise(
            "p99 of good clients with hostile clients, over p99 without",
            f"{ratio.median:.2f} (quartiles {ratio.low:.2f} to {ratio.high:.2f}; "
            f"{alone:.1f} ms alone, {attacked:.1f} ms next to them)",
            f"{P99_RATIO:g}",
            ratio.median <= P99_RATIO,
        ),
        Promise(
            "Requests of good clients that failed",
            f"{len(clients.failed)} of {clients.sent:,}",
            "0",
            not clients.failed,
            clients.failed[:10],
        ),
        Promise(
            "Feedback is counted exactly once",
            f"{observed.counted:,.0f} counted",
            f"{accepted:,} accepted",
            observed.counted == accepted,
        ),
        Promise(
            "Size of the feedback store",
            f"{max(observed.store) / 1e6:.1f} MB",
            f"{STORE_BYTES / 1e6:g} MB",
            max(observed.store) <= STORE_BYTES,
        ),
        Promise(
            "Log lines that are a traceback, or no event",
            f"{len(observed.tracebacks)}",
            "0",
            not observed.tracebacks,
            observed.tracebacks[:10],
        ),
    ]
    for name, readings in observed.readings.items():
        lines = LOG_LINES * (1 + observed.seconds / 60)
        promises += judge_growth(name, readings, series=SERIES, lines=lines)
    return promises


def run(seconds: float, phase: float, console: Console) -> tuple[Observed, GoodClients]:
    """Run both services and all clients; give what was measured, and the books."""
    env = {
        "RANDSVC_DELAY": "constant(value=0)",
        # Short, so that the store reaches its size within the run.
        "RANDSVC_FEEDBACK_LIFETIME": f"{min(3600.0, max(seconds / 3, 5)):g}",
        "RANDSVC_CLIENT_TIMEOUT": f"{CLIENT_TIMEOUT:g}",
        "RANDSVC_AUTH_CLIENT_TIMEOUT": f"{CLIENT_TIMEOUT:g}",
    }
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with (
        running_services(env) as stack,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        task = progress.add_task("warming up", total=seconds)

        def step(description: str, completed: float) -> None:
            progress.update(task, description=description, completed=completed)

        clients = GoodClients(stack.url(PORTS["randsvc"]), stack.url(PORTS["auth"]))
        return asyncio.run(_observe(stack, clients, seconds, phase, step)), clients


async def _observe(
    stack: Stack,
    clients: GoodClients,
    seconds: float,
    phase: float,
    step: Callable[[str, float], None],
) -> Observed:
    observed = Observed()
    began = time.monotonic()
    async with _hostile_clients([stack.book[PORTS[name]] for name in TARGETS]) as hostile:
        await clients.run(phase)
        alone = {name: read(stack, name).descriptors for name in SERVICES}
        while (passed := time.monotonic() - began) < seconds or len(observed.quiet) < PAIRS:
            # Each goes first in every second pair, so that neither gains from a trend.
            for is_hostile in (False, True) if len(observed.quiet) % 2 else (True, False):
                kind = "hostile" if is_hostile else "quiet"
                step(f"{kind}, pair {len(observed.quiet) + 1}", passed)
                if is_hostile:
                    await hostile("on")
                    await asyncio.sleep(SETTLING)
                p99 = float(np.quantile(await clients.run(phase), 0.99))
                if is_hostile:
                    observed.hostile.append(p99)
                    await hostile("off")
                    await asyncio.sleep(SETTLING)
                else:
                    observed.quiet.append(p99)
            for name, readings in observed.readings.items():
                reading = await _read_settled(stack, name, alone[name])
                readings.append((time.monotonic() - began, reading))
            observed.store.append(measure_store(stack))
            stack.check()
        observed.opened = json.loads(await hostile("end"))
    observed.seconds = time.monotonic() - began
    observed.tracebacks = [line for name in SERVICES for line in find_tracebacks(stack, name)]
    observed.counted = sum_samples(
        stack, "randsvc", "randsvc_feedback_total", randsvc_outcome="accepted"
    )
    return observed


async def _read_settled(stack: Stack, name: str, descriptors: int) -> Reading:
    """Look at a service that has few more descriptors than that, or does not get there.

    On a busy machine it takes a while until a service has noticed that its clients are gone.
    """
    for _ in range(40):
        reading = await asyncio.to_thread(read, stack, name)
        if reading.descriptors <= descriptors + DESCRIPTORS:
            break
        await asyncio.sleep(0.25)
    return reading


@contextlib.asynccontextmanager
async def _hostile_clients(
    addresses: Sequence[str],
) -> AsyncIterator[Callable[[str], "asyncio.Future[str]"]]:
    """The process of the hostile clients, and what sends it a word and gives its answer."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.soak.hostile_clients", *addresses),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )

    async def say(word: str) -> str:
        assert process.stdin  # noqa: S101
        assert process.stdout  # noqa: S101
        if word == "end":
            process.stdin.close()
        else:
            process.stdin.write(f"{word}\n".encode())
        return (await process.stdout.readline()).decode()

    try:
        yield lambda word: asyncio.ensure_future(say(word))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


if __name__ == "__main__":
    sys.exit(main())
