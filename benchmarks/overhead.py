"""The price of measuring: CPU time of the server process per request."""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from yarl import URL

from benchmarks.environment import SAME, pushing_to
from benchmarks.processes import Server, started
from benchmarks.readers import otlp_sink
from benchmarks.report import Row, Section
from benchmarks.summary import Spread, compute_ratios, rotate
from benchmarks.wrk import load
from randsvc.stack.addresses import find_unused_ports

__all__ = ("CANDIDATES", "OURS", "Candidate", "measure", "steps")


@dataclass(frozen=True)
class Candidate:
    """One way to serve and to measure: a Python module and its arguments, ``{port}`` among them.

    ``read`` is how the metrics get out; nobody scrapes while this is measured.
    """

    name: str
    arguments: tuple[str, ...]
    read: Literal["pushed", "pulled"] | None = None
    at_most: float | None = None
    environment: tuple[tuple[str, str], ...] = ()

    def started(self, sink: URL) -> contextlib.AbstractAsyncContextManager[Server]:
        """Its server, frozen; metrics that are pushed go to ``sink``."""
        (port,) = find_unused_ports(1)
        command = [argument.format(port=port) for argument in self.arguments]
        environment = {**SAME, **pushing_to(sink), "OTEL_METRICS_EXPORTER": "otlp,prometheus"}
        environment.update(self.environment)
        url = URL(f"http://127.0.0.1:{port}/random")
        return started([sys.executable, "-m", *command], environment, url)


_OURS = ("randsvc", "serve", "--host=127.0.0.1", "--port={port}", "--management-port=0")
_SERVERS = "benchmarks.servers."
BARE = Candidate("aiohttp, bare", (_SERVERS + "bare", "{port}"))
_OFF = (("OTEL_SDK_DISABLED", "true"),)
_TRACED = (
    ("OTEL_TRACES_EXPORTER", "otlp"),
    ("OTEL_TRACES_SAMPLER", "traceidratio"),
    ("OTEL_TRACES_SAMPLER_ARG", "0.01"),
)
OURS = Candidate("randsvc, everything on", _OURS, read="pushed", at_most=1.10)
CANDIDATES = (
    BARE,
    Candidate("randsvc, telemetry off", _OURS, environment=_OFF),
    OURS,
    Candidate("randsvc, 1% of the requests traced", _OURS, read="pushed", environment=_TRACED),
    Candidate("aiohttp + prometheus_client", (_SERVERS + "prometheus", "{port}"), "pulled"),
    Candidate("aiohttp + OpenTelemetry contrib", (_SERVERS + "contrib", "{port}"), "pushed"),
    Candidate("FastAPI, bare", (_SERVERS + "fastapi_bare", "{port}")),
    Candidate(
        "FastAPI + prometheus-fastapi-instrumentator",
        (_SERVERS + "fastapi_prometheus", "{port}"),
        "pulled",
    ),
    Candidate("FastAPI + OpenTelemetry contrib", (_SERVERS + "fastapi_otel", "{port}"), "pushed"),
)
CONNECTIONS = 8


def steps(rounds: int, seconds: int) -> int:
    """How many times ``measure`` says what comes next."""
    return rounds * (1 + seconds) * len(CANDIDATES)


async def measure(rounds: int, seconds: int, step: Callable[[str], None]) -> Section:
    """Measure in rounds of ``seconds`` turns; ``step`` is told what comes next.

    Each round has processes of its own, as one process can be some 10% slower than its twin for as
    long as it lives, and each turn lasts a second, as the speed of a shared machine drifts.
    """
    microseconds: dict[Candidate, list[float]] = {candidate: [] for candidate in CANDIDATES}
    async with otlp_sink() as sink:
        for _ in range(rounds):
            async with contextlib.AsyncExitStack() as stack:
                servers: dict[Candidate, Server] = {}
                for candidate in CANDIDATES:
                    step(f"starting {candidate.name}")
                    servers[candidate] = await stack.enter_async_context(candidate.started(sink))
                    await _measure_cpu_per_request(servers[candidate])
                for turn in range(seconds):
                    for candidate in rotate(CANDIDATES, turn):
                        step(candidate.name)
                        spent = await _measure_cpu_per_request(servers[candidate])
                        microseconds[candidate].append(spent)
    return Section(
        title="The price of measuring",
        method=(
            f"CPU time of the server process over the requests it served, {CONNECTIONS} "
            "connections, delay 0, metrics pushed every second where they are pushed. The ratio "
            "is to bare aiohttp with the same handler. Each round has new processes, measured in "
            f"turns of one second. {rounds} rounds of {seconds} s."
        ),
        quantity="CPU per request (us)",
        rows=[
            Row(
                candidate.name,
                Spread.of(values),
                Spread.of(compute_ratios(values, microseconds[BARE])),
                candidate.at_most,
            )
            for candidate, values in microseconds.items()
        ],
    )


async def _measure_cpu_per_request(server: Server) -> float:
    """Microseconds, over one second under load."""
    with server.awake():
        before = server.cpu_seconds()
        run = await load(server.url, connections=CONNECTIONS, seconds=1)
        return 1e6 * (server.cpu_seconds() - before) / run.requests
