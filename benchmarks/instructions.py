"""The price of measuring in instructions, which other programs on the machine do not change.

CPU time of the same code differs by a quarter from run to run on a busy machine. callgrind counts
what the server process executes in user space instead. What is paid by the request and what is paid
by the second are counted apart, as callgrind changes how many requests there are in a second.
Two starts of one state differ by 1%: the interpreter's caches depend on addresses and hashes.
"""

import asyncio
import contextlib
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from benchmarks.environment import SAME, pushing_to
from benchmarks.processes import Server, started
from benchmarks.readers import otlp_sink
from benchmarks.report import Row, Section
from benchmarks.summary import Spread, compute_ratios
from benchmarks.wrk import BenchmarkError
from randsvc.stack.addresses import find_unused_ports

__all__ = ("ask", "measure", "measure_rest", "steps", "steps_of_rest")

WARM_UP = 300
"""Requests after which caches are full and the interpreter has specialized its code."""
REQUESTS = 512
"""Requests of one count: what the SDK exports spans in, so that each count has one export. The
measurements of so many are folded at once, as in a service with 5,120 requests per second."""
AT_REST = 10.0
"""Seconds without requests of one count."""
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
    return len(STATES) * rounds


async def measure(rounds: int, seconds: int, step: Callable[[str], None]) -> Section:
    """Count ``rounds`` times for each state; ``step`` is told what comes next."""
    thousands: dict[State, list[float]] = {state: [] for state in STATES}
    async with otlp_sink() as sink:
        for number in range(rounds):
            for state in STATES:
                step(f"round {number + 1} under callgrind: {state.name}")
                async with _served(state, sink, "benchmarks.servers.slowed") as counted:
                    await counted.ask_and_fold(WARM_UP)
                    before = await counted.instructions()
                    await counted.ask_and_fold(REQUESTS)
                    after = await counted.instructions()
                    thousands[state].append((after - before) / REQUESTS / 1000)
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
            "What is done by the clock is not in it: the measurements are folded once in "
            f"{REQUESTS} requests, metrics are not exported, spans are. The row of 1% is 99% of "
            "the row without sampled requests and 1% of the row with all sampled. "
            f"{rounds} starts of the server for each row, {REQUESTS} requests each."
        ),
        quantity="thousand instructions per request",
        rows=[
            Row(name, Spread.of(values), Spread.of(compute_ratios(values, thousands[OFF])), at_most)
            for name, values, at_most in rows
        ],
    )


def steps_of_rest(rounds: int, seconds: int) -> int:
    """How many times ``measure_rest`` says what comes next."""
    return 2 * rounds


async def measure_rest(rounds: int, seconds: int, step: Callable[[str], None]) -> Section:
    """Count what is paid by the second; ``step`` is told what comes next."""
    thousands: dict[State, list[float]] = {OFF: [], ON: []}
    async with otlp_sink() as sink:
        for number in range(rounds):
            for state, counts in thousands.items():
                step(f"round {number + 1} at rest under callgrind: {state.name}")
                async with _served(state, sink, "randsvc") as counted:
                    await counted.ask(WARM_UP)
                    before = await counted.instructions()
                    await asyncio.sleep(AT_REST)
                    counts.append((await counted.instructions() - before) / AT_REST / 1000)
    return Section(
        title="The price of measuring, by the second",
        method=(
            f"User instructions of the server process in {AT_REST:.0f} s without a request: the "
            "event loop is watched and measurements are folded ten times a second, and the console "
            "keeps its history. Metrics are not exported meanwhile."
        ),
        quantity="thousand instructions per second",
        rows=[
            Row(state.name, Spread.of(counts), Spread.of(compute_ratios(counts, thousands[OFF])))
            for state, counts in thousands.items()
        ],
    )


@dataclass(frozen=True)
class _Counted:
    """A server under callgrind, which counts since its start."""

    server: Server
    out: Path

    async def ask(self, number: int) -> None:
        await ask(self.server.url, number)

    async def ask_and_fold(self, number: int) -> None:
        await self.ask(number - 2)
        self.server.process.send_signal(signal.SIGUSR1)
        await self.ask(2)  # it folds between these two at the latest

    async def instructions(self) -> int:
        """Instructions of all threads since counting began."""
        dump = self.out.with_name(f"{self.out.name}.{1 + len(self._dumps())}")
        await _control_callgrind("--dump", self.server)
        async with asyncio.timeout(PATIENCE):
            while True:  # callgrind writes it when the process runs next
                if _read_total(dump):
                    return sum(map(_read_total, self._dumps()))
                await asyncio.sleep(0.05)

    def _dumps(self) -> list[Path]:
        return list(self.out.parent.glob(f"{self.out.name}.*"))


@contextlib.asynccontextmanager
async def _served(state: State, sink: URL, module: str) -> AsyncIterator[_Counted]:
    if not shutil.which("callgrind_control"):
        raise BenchmarkError("valgrind is not installed: apt install valgrind (the Debian package)")
    (port,) = find_unused_ports(1)
    environment = {
        **SAME,
        **pushing_to(sink),
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        **state.environment,
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [
            *("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"),
            f"--callgrind-out-file={out}",
            *(sys.executable, "-m", module, "serve", "--host=127.0.0.1", f"--port={port}"),
            "--management-port=0",
        ]
        url = URL(f"http://127.0.0.1:{port}/random")
        async with started(command, environment, url, patience=PATIENCE) as server:
            with server.awake():
                await ask(url, WARM_UP)
                await _control_callgrind("--instr=on", server)
                yield _Counted(server, out)


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


def _read_total(dump: Path) -> int:
    """The instructions of a dump; 0 while it is not written."""
    text = dump.read_text() if dump.exists() else ""
    found = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


async def _control_callgrind(option: str, server: Server) -> str:
    process = await asyncio.create_subprocess_exec(
        *("callgrind_control", option, str(server.process.pid)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise BenchmarkError(f"callgrind_control {option}: {output.decode().strip()}")
    return output.decode()
