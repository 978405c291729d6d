"""Sends inputs to the ports, each on a connection of its own, and judges the responses."""

import asyncio
import contextlib
import math
import re
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.fuzz.grammar import PASSWORD, port_of

__all__ = ("CONNECTIONS", "Sender")

CONNECTIONS = 64
"""Inputs that are under way at once: fewer than the concurrency limit, so that none is shed."""
FIRST = 0.25
"""Seconds that a response is waited for; an input that is no whole request gets none."""
QUIET = 0.02
"""Seconds without a byte after which a response is taken to be complete."""
PATIENCE = 30.0
"""Seconds in which a service must close a connection whose client has sent everything."""
KEPT = 20
"""Deviations of a kind that are kept."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")
_RESET = struct.pack("ii", 1, 0)
_TOKEN = b'{"token": "'


@dataclass
class Sender:
    """Counts what was answered; ``addresses`` are host and port of each port by name.

    ``failures`` are the inputs whose response has a status of 500 or above, ``hangs`` those whose
    connection a service did not close, ``intruders`` those that changed something without a token.
    """

    addresses: Mapping[str, str]
    sent: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    intruders: list[str] = field(default_factory=list)

    async def send_all(
        self,
        runs: int,
        seed: int,
        progress: Callable[[int], Awaitable[object]],
        until: float = math.inf,
    ) -> None:
        """Send so many inputs, or those that are sent ``until`` then (monotonic seconds).

        ``progress`` is given the number that was sent so far.
        """
        source = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.fuzz.mutations", str(runs), str(seed)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        turn = asyncio.Lock()

        async def take_turns() -> None:
            while True:
                async with turn:
                    if self.sent >= runs or time.monotonic() >= until:
                        return
                    given = await _read(source.stdout)
                if given is None:
                    return
                self.sent += 1
                number = self.sent
                await self.send(given)
                await progress(number)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(take_turns())
        finally:
            if source.returncode is None:
                source.kill()
            await source.wait()

    async def send(self, given: bytes) -> None:
        """Send one input and judge the response; raises ``OSError`` where nobody listens."""
        port = port_of(given)
        host, number = self.addresses[port].rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(number))
        received = bytearray()
        try:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.write(given[1:])
            await _receive(reader, received)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                received += await reader.read()
        except TimeoutError:
            _keep(self.hangs, f"{port}: {given[1:]!r}")
        except OSError:
            pass  # the service has reset the connection
        finally:
            writer.transport.abort()
        self._judge(port, given[1:], bytes(received))

    def _judge(self, port: str, request: bytes, received: bytes) -> None:
        for status in map(int, _STATUS.findall(received)):
            self.statuses[port, status] += 1
            shown = f"{port}: {request[:2000]!r}"
            if status >= 500:
                _keep(self.failures, f"{status} from {shown}")
            # Nothing but setting and clearing faults is answered so.
            if status == 204 and "management" in port:
                _keep(self.intruders, f"fault changed by {shown}")
            if port == "auth" and _TOKEN in received and PASSWORD.encode() not in request:
                _keep(self.intruders, f"token for {shown}")


async def _read(source: asyncio.StreamReader | None) -> bytes | None:
    """The next input; None at the end."""
    if source is None:
        return None
    try:
        (size,) = struct.unpack(">I", await source.readexactly(4))
        return await source.readexactly(size)
    except asyncio.IncompleteReadError:
        return None


async def _receive(reader: asyncio.StreamReader, received: bytearray) -> None:
    """Receive until the service is quiet, or closes the connection."""
    within = FIRST
    with contextlib.suppress(TimeoutError):
        while more := await asyncio.wait_for(reader.read(2**16), within):
            received += more
            within = QUIET


def _keep(kept: list[str], line: str) -> None:
    if len(kept) < KEPT:
        kept.append(line)
