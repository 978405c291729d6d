"""wrk, the load generator: a run, and what it printed."""

import asyncio
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

__all__ = ("BenchmarkError", "Run", "find_executable", "load", "parse")


class BenchmarkError(Exception):
    """A benchmark that says nothing: one line on what stopped it."""


@dataclass(frozen=True)
class Run:
    """``requests`` that were answered, and the latency in seconds that 99% of them stayed under."""

    requests: int
    p99: float


_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


async def load(url: URL, *, connections: int, seconds: int, script: Sequence[str] = ()) -> Run:
    """Send requests on one thread; ``script`` is a file beside this one and its arguments.

    Raises ``BenchmarkError`` without wrk, and where not every request was answered with success.
    """
    command = [find_executable(), "--latency", "-t1", f"-c{connections}", f"-d{seconds}s"]
    if script:
        name, *arguments = script
        command += ["-s", str(Path(__file__).with_name(name)), str(url), "--", *arguments]
    else:
        command.append(str(url))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return parse(output.decode())


def find_executable() -> str:
    """The path of wrk; raises ``BenchmarkError`` where there is none."""
    if wrk := shutil.which("wrk"):
        return wrk
    raise BenchmarkError("wrk is not to be found: apt install wrk (the Debian package)")


def parse(output: str) -> Run:
    """What wrk printed; raises ``BenchmarkError`` where a request failed or the text is another."""
    failure = re.search(r"^\s*(Non-2xx.*|Socket errors.*|unable to.*)$", output, re.MULTILINE)
    if failure:
        raise BenchmarkError(f"wrk: {failure[1]}")
    requests = re.search(r"(\d+) requests in ", output)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", output)
    if not requests or not p99:
        raise BenchmarkError(f"wrk printed something unexpected: {output.strip() or 'nothing'}")
    return Run(int(requests[1]), float(p99[1]) * _SECONDS[p99[2]])
