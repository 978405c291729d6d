"""Server processes: started, frozen while another is measured, stopped at the end."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import psutil
from yarl import URL

from benchmarks.wrk import BenchmarkError

__all__ = ("Server", "started")

PATIENCE = 20.0
"""Seconds that a server may take until its first answer."""


@dataclass(frozen=True)
class Server:
    """A server that answers at ``url``, frozen unless it is ``awake``."""

    url: URL
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """CPU time of the process so far, in steps of 10 ms."""
        times = self.process.cpu_times()
        return times.user + times.system

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run inside."""
        self.process.resume()
        try:
            yield
        finally:
            self.process.suspend()


@contextlib.asynccontextmanager
async def started(
    command: Sequence[str],
    environment: Mapping[str, str],
    url: URL,
    patience: float = PATIENCE,
) -> AsyncIterator[Server]:
    """A server, once ``url`` answers; frozen. Raises ``BenchmarkError`` where it does not start."""
    # In a session of its own: Ctrl-C is for the benchmark, which then stops the servers.
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(patience):
            while not await _answers(url):
                if process.returncode is not None:
                    raise BenchmarkError(f"{' '.join(command)}: exit code {process.returncode}")
                await asyncio.sleep(0.05)
        server = Server(url, psutil.Process(process.pid))
        server.process.suspend()
        yield server
    except TimeoutError as error:
        raise BenchmarkError(f"{' '.join(command)}: no answer in {patience:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()  # frozen, and with nothing to hand over
            await process.wait()


async def _answers(url: URL) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.ok
    except aiohttp.ClientConnectionError:
        return False
