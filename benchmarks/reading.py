"""The price of being read: the latency of the users while the metrics are scraped or pushed."""

import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import aiohttp
from yarl import URL

from benchmarks.environment import SAME, pushing_to
from benchmarks.processes import Server, started
from benchmarks.readers import otlp_sink, scraping
from benchmarks.report import Row, Section
from benchmarks.summary import Spread, compute_ratios, rotate
from benchmarks.wrk import load
from randsvc.stack.addresses import find_unused_ports

__all__ = ("measure", "steps")

SERIES = (12, 150)
"""Histogram series of the service: few routes, and as many as successful requests can make."""
OTHERS = 3
"""Of which are not requests': value, delay and event-loop lag."""
NOBODY, SCRAPED, PUSHED = "nobody reads", "scraped every second", "pushed every second"
CASES = tuple((series, reader) for series in SERIES for reader in (NOBODY, SCRAPED, PUSHED))
CONNECTIONS = 16
PAUSE = 16
"""Mean milliseconds between an answer and the next request of a connection: with 16 connections
some 900 requests a second, a tenth of what one process can serve."""
TARGET = 1.2


def steps(rounds: int, seconds: int) -> int:
    """How many times ``measure`` says what comes next."""
    return 2 * len(SERIES) + rounds * len(CASES)


async def measure(rounds: int, seconds: int, step: Callable[[str], None]) -> Section:
    """Measure in interleaved rounds; ``step`` is told what comes next."""
    p99: dict[tuple[int, str], list[float]] = {case: [] for case in CASES}
    async with contextlib.AsyncExitStack() as stack:
        sink = await stack.enter_async_context(otlp_sink())
        servers: dict[tuple[int, str], tuple[Server, URL]] = {}
        for series in SERIES:
            for exporter in ("prometheus", "otlp"):
                step(f"starting the server with {series} series for {exporter}")
                servers[series, exporter] = await stack.enter_async_context(
                    _many_routes(series - OTHERS, exporter, sink)
                )
        for turn in range(rounds):
            for series, reader in rotate(CASES, turn):
                step(f"{series} series, {reader}")
                server, page = servers[series, "otlp" if reader == PUSHED else "prometheus"]
                script = "users.lua", str(series - OTHERS), str(PAUSE)
                with server.awake():
                    async with scraping(page) if reader == SCRAPED else contextlib.nullcontext():
                        run = await load(
                            server.url, connections=CONNECTIONS, seconds=seconds, script=script
                        )
                p99[series, reader].append(run.p99 * 1e3)
    return Section(
        title="The price of being read",
        method=(
            f"99% of the requests are answered within so long, of {CONNECTIONS} users who pause "
            f"for {PAUSE} ms on average and ask all routes in turn; the delay is 0. The ratio is "
            f"to nobody reading as many series. {rounds} rounds of {seconds} s."
        ),
        quantity="p99 (ms)",
        rows=[
            Row(
                f"{series} histogram series, {reader}",
                Spread.of(p99[series, reader]),
                Spread.of(compute_ratios(p99[series, reader], p99[series, NOBODY])),
                None if reader == NOBODY else TARGET,
            )
            for series, reader in CASES
        ],
    )


@contextlib.asynccontextmanager
async def _many_routes(routes: int, exporter: str, sink: URL) -> AsyncIterator[tuple[Server, URL]]:
    """The service with that many routes, all of which were asked; and the address of /metrics."""
    port, management_port = find_unused_ports(2)
    command = [sys.executable, "-m", "benchmarks.servers.many_routes"]
    url = URL(f"http://127.0.0.1:{port}/random")
    environment = {**SAME, **pushing_to(sink), "OTEL_METRICS_EXPORTER": exporter}
    async with started(
        [*command, str(port), str(management_port), str(routes)], environment, url / "0"
    ) as server:
        with server.awake():
            async with aiohttp.ClientSession(raise_for_status=True) as session:
                for i in range(routes):
                    async with session.get(url / str(i)) as response:
                        await response.read()
        yield replace(server, url=url), url.with_port(management_port).with_path("/metrics")
