"""What a broken loop that logs 10,000 times a second does to the service (1 min).

``python -m benchmarks.logs`` serves /random with the default delay. The service logs as JSON, and
by OTLP to a receiver that takes everything. Phases with and without the loop take turns, and the
ratio of the medians is printed.
"""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from statistics import median, quantiles

import psutil
from aiohttp import ClientSession, web
from rich.console import Console
from rich.progress import track

from randsvc import logs
from randsvc.faults.faults import RANDOM_FAULTS, Faults
from randsvc.service.random_app import make_app
from randsvc.settings import Settings
from randsvc.telemetry import Telemetry
from randsvc.telemetry.log_records import get_drops
from tests.support.otlp import otlp_receiver

PHASES = 6
"""Every second one with the loop."""
SECONDS = 8.0
CLIENTS = 10
RATE, BURSTS = 10_000, 100
"""Records a second, and the groups in which they are logged."""

_logger = logging.getLogger("broken")


async def serve() -> None:
    """Serve /random; SIGUSR1 starts and stops the loop. Lines of stderr are the state as JSON."""
    logs.configure()
    telemetry = Telemetry("randsvc", readers=[])
    runner = web.AppRunner(
        make_app(Settings(), telemetry, Faults(RANDOM_FAULTS, crash=sys.exit)), access_log=None
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    is_broken, logged = asyncio.Event(), 0

    def tell() -> None:
        state = {
            "port": runner.addresses[0][1],
            "logged": logged,
            "dropped": sum(get_drops().values()),
        }
        sys.stderr.write(json.dumps(state) + "\n")
        sys.stderr.flush()

    def toggle() -> None:
        tell()
        if is_broken.is_set():
            is_broken.clear()
        else:
            is_broken.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, toggle)
    tell()
    due = time.perf_counter()
    while True:
        await is_broken.wait()
        # What cannot be logged in time is not made up for.
        due = max(due + 1 / BURSTS, time.perf_counter())
        for _ in range(RATE // BURSTS):
            logged += 1
            _logger.error("item %d is broken", logged, extra={"item": logged})
        await asyncio.sleep(due - time.perf_counter())


async def request_for(seconds: float, url: str) -> list[float]:
    """Request one after the other in each client; give the durations in s."""
    durations: list[float] = []
    ends = time.perf_counter() + seconds

    async def request(session: ClientSession) -> None:
        while (started := time.perf_counter()) < ends:
            async with session.get(url) as response:
                await response.read()
            durations.append(time.perf_counter() - started)

    async with ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(request(session))
    return durations


def read_state(service: subprocess.Popen[str]) -> dict[str, int]:
    """Read the next line that the service tells."""
    if service.stderr is None:
        raise ValueError("expected a process whose stderr is a pipe")
    state: dict[str, int] = json.loads(service.stderr.readline())
    return state


def main() -> None:
    """Measure, and print what was found."""
    with otlp_receiver("up") as receiver:
        environ = {
            **os.environ,
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        }
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.logs", "serve"],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as service:
            url = f"http://127.0.0.1:{read_state(service)['port']}/random"
            process = psutil.Process(service.pid)
            p99: tuple[list[float], list[float]] = ([], [])
            memory: tuple[list[int], list[int]] = ([], [])
            logged = dropped = 0
            for phase in track(range(PHASES), console=Console(stderr=True)):
                durations = asyncio.run(request_for(SECONDS, url))
                p99[phase % 2].append(quantiles(durations, n=100)[98])
                memory[phase % 2].append(process.memory_info().rss)
                service.send_signal(signal.SIGUSR1)
                state = read_state(service)
                logged, dropped = state["logged"], state["dropped"]
            service.kill()
    usual, broken = map(median, p99)
    before, during = (max(found) / 1e6 for found in memory)
    Console().print(
        f"p99 without the loop {usual * 1000:.0f} ms, with it {broken * 1000:.0f} ms: "
        f"{broken / usual:.2f} times\n"
        f"{logged / (PHASES // 2) / SECONDS:.0f} records/s logged, {dropped / logged:.1%} dropped; "
        f"memory without the loop {before:.0f} MB, with it {during:.0f} MB"
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
