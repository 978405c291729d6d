"""The price of measuring in instructions, which other programs on the machine change less.

CPU time of the same code differs by a quarter from run to run on a busy machine. callgrind counts
what the server process executes in user space instead. Counts of one state still differed by up to
7% on a busy machine, as what the server does in the background depends on time: see the quartiles.
"""

import asyncio
import contextlib
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from benchmarks.environment import SAME, pushing_to
from benchmarks.processes import Server, free_port, started
from benchmarks.readers import otlp_sink
from benchmarks.report import Row, Section
from benchmarks.summary import Spread, ratios
from benchmarks.wrk import BenchmarkError

__all__ = ("ask", "measure", "steps")

WARM_UP = 300
"""Requests after which caches are full and the interpreter has specialized its code."""
REQUESTS = 512
"""Requests of one count: what the SDK exports spans in, so that each count has one export."""
PATIENCE = 300.0
"""Seconds that a server may take to start under callgrind."""
TRACED_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class State:
    """Telemetry in one state: the variables that set it."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)


_TRACED = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "traceidratio"}
OFF = State("telemetry off", {"OTEL_SDK_DISABLED": "true"})
ON = State("metrics on")
NOT_SAMPLED = State("metrics on, no request sampled", {**_TRACED, "OTEL_TRACES_SAMPLER_ARG": "0"})
SAMPLED = State("metrics on, every request sampled", {**_TRACED, "OTEL_TRACES_SAMPLER_ARG": "1"})
STATES = (OFF, ON, NOT_SAMPLED, SAMPLED)


def steps(rounds: int, seconds: int) -> int:
    """How many times ``measure`` says what comes next."""
    return len(STATES) * (1 + rounds)


async def measure(rounds: int, seconds: int, step: Callable[[str], None]) -> Section:
    """Count ``rounds`` times for each state; ``step`` is told what comes next."""
    thousands: dict[State, list[float]] = {}
    async with otlp_sink() as sink:
        for state in STATES:
            step(f"starting under callgrind: {state.name}")
            thousands[state] = []
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "out"
                async with _served(state, sink, out) as server:
                    await ask(server.url, WARM_UP)
                    await _callgrind_control("--instr=on", server)
                    await ask(server.url, WARM_UP)
                    await _count(server, out)  # up to here it was the start
                    for _ in range(rounds):
                        step(f"counting: {state.name}")
                        await ask(server.url, REQUESTS)
                        thousands[state].append(await _count(server, out) / REQUESTS / 1000)
    traced = [
        (1 - TRACED_SHARE) * not_sampled + TRACED_SHARE * sampled
        for not_sampled, sampled in zip(thousands[NOT_SAMPLED], thousands[SAMPLED], strict=True)
    ]
    rows: list[tuple[str, list[float], float | None]] = [
        (OFF.name, thousands[OFF], None),
        (ON.name, thousands[ON], 1.02),
        (f"metrics on, {TRACED_SHARE:.0%} of the requests sampled", traced, 1.05),
        (NOT_SAMPLED.name, thousands[NOT_SAMPLED], None),
        (SAMPLED.name, thousands[SAMPLED], None),
    ]
    return Section(
        title="The price of measuring, in instructions",
        method=(
            "User instructions of the server process for each `GET /random`, counted by callgrind, "
            "delay 0, one connection. The ratio is to the service with `OTEL_SDK_DISABLED=true`. "
            "Metrics are not exported meanwhile, as that is paid by the second and not by the "
            "request; spans are. The row of 1% is 99% of the row without sampled requests and 1% "
            f"of the row with all sampled. {rounds} counts of {REQUESTS} requests."
        ),
        quantity="thousand instructions per request",
        rows=[
            Row(name, Spread.of(values), Spread.of(ratios(values, thousands[OFF])), at_most)
            for name, values, at_most in rows
        ],
    )


@contextlib.asynccontextmanager
async def _served(state: State, sink: URL, out: Path) -> AsyncIterator[Server]:
    if not shutil.which("callgrind_control"):
        raise BenchmarkError("valgrind is not installed: apt install valgrind (the Debian package)")
    port = free_port()
    environment = {
        **SAME,
        **pushing_to(sink),
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        "PYTHONHASHSEED": "0",
        **state.environment,
    }
    command = [
        *(
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={out}",
        ),
        *(
            sys.executable,
            "-m",
            "benchmarks.servers.slowed",
            "serve",
            "--host=127.0.0.1",
            f"--port={port}",
        ),
        "--management-port=0",
    ]
    url = URL(f"http://127.0.0.1:{port}/random")
    async with started(command, environment, url, patience=PATIENCE) as server:
        with server.awake():
            yield server


async def ask(url: URL, number: int) -> None:
    """Send requests one after the other on one connection."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        for _ in range(number):
            writer.write(f"GET {url.path} HTTP/1.1\r\nHost: {url.authority}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"^content-length: (\d+)", head, re.IGNORECASE | re.MULTILINE)
            if not head.startswith("HTTP/1.1 200 ") or not length:
                raise BenchmarkError(f"{url}: not the expected response: {head.splitlines()[0]}")
            await reader.readexactly(int(length[1]))
    finally:
        writer.close()
        await writer.wait_closed()


async def _count(server: Server, out: Path) -> int:
    """Instructions since the last count, of all threads."""
    dump = _next_dump(out)
    await _callgrind_control("--dump", server)
    async with asyncio.timeout(PATIENCE):
        while True:  # callgrind writes it when the process runs next
            if total := re.search(r"^totals: (\d+)$", _text(dump), re.MULTILINE):
                return int(total[1])
            await asyncio.sleep(0.05)


def _next_dump(out: Path) -> Path:
    return out.with_name(f"{out.name}.{1 + len(list(out.parent.glob(f'{out.name}.*')))}")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def _callgrind_control(option: str, server: Server) -> str:
    process = await asyncio.create_subprocess_exec(
        *("callgrind_control", option, str(server.process.pid)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise BenchmarkError(f"callgrind_control {option}: {output.decode().strip()}")
    return output.decode()
