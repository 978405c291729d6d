"""Clients that hold connections, or open as many as they can, and do not use them as meant.

A process of its own, ``python -m benchmarks.soak.hostile_clients HOST:PORT ...``, so that the good
clients do not wait for it. It reads ``on`` and ``off`` from its input and confirms each; ``off``
closes all connections. At the end of its input it prints how many connections of each kind it has
opened, as JSON.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

__all__ = ("HOSTILE_CLIENTS",)

DRIP = 0.5
"""Seconds between two bytes of a slow client."""
FLOOD = 10
"""Connections that a flood opens at once, half of them with a request; all end with a reset."""
BURST = 25
"""Requests that are sent at once on one connection, and whose responses nobody reads."""
EVERY = 0.5
"""Seconds between two floods, bursts, or half-closed connections of a client."""
RESET = struct.pack("ii", 1, 0)
"""The SO_LINGER of a connection that ends with a reset."""

GET = b"GET /random HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEADERS = b"GET /random HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST /feedback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], contextlib.AbstractAsyncContextManager[Streams]]
Client = Callable[[Connect], Awaitable[None]]


async def send_slowly(connect: Connect, first: bytes) -> None:
    """Send a byte every ``DRIP`` seconds until the service closes the connection."""
    async with connect() as (reader, writer):
        closing = asyncio.create_task(reader.read())
        try:
            writer.write(first)
            while not closing.done():
                await asyncio.wait((closing,), timeout=DRIP)
                writer.write(b"x")
            await closing
        finally:
            closing.cancel()


async def send_headers_slowly(connect: Connect) -> None:
    """Never end the headers."""
    await send_slowly(connect, HEADERS)


async def send_body_slowly(connect: Connect) -> None:
    """Never end the body."""
    await send_slowly(connect, BODY)


async def stay_idle(connect: Connect) -> None:
    """Send nothing."""
    async with connect() as (reader, _):
        await reader.read()


async def flood(connect: Connect) -> None:
    """Open many connections, and reset them all."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(FLOOD):
            _, writer = await stack.enter_async_context(connect())
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if number % 2:
                writer.write(GET)
    await asyncio.sleep(EVERY)


async def pipeline(connect: Connect) -> None:
    """Send many requests at once, and read no response."""
    async with connect() as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET * BURST)
        await asyncio.sleep(EVERY)


async def half_close(connect: Connect) -> None:
    """End the sending side within a body, and wait for the service to end the other."""
    async with connect() as (reader, writer):
        writer.write(BODY)
        writer.write_eof()
        await reader.read()
    await asyncio.sleep(EVERY)


HOSTILE_CLIENTS: Mapping[str, tuple[int, Client]] = {
    "slow headers": (50, send_headers_slowly),
    "slow bodies": (50, send_body_slowly),
    "idle connections": (50, stay_idle),
    "floods of connections": (2, flood),
    "pipelining": (2, pipeline),
    "half-closed": (2, half_close),
}
"""The number of clients of each kind at each port, and what each does again and again."""


class Swarm:
    """All hostile clients of some ports; ``opened`` counts their connections by kind."""

    def __init__(self, addresses: list[str]) -> None:
        self.opened: Counter[str] = Counter()
        self._addresses = addresses
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Start the clients."""
        self._tasks = [
            asyncio.create_task(self._repeat(client, self._connect_to(address, kind)))
            for address in self._addresses
            for kind, (number, client) in HOSTILE_CLIENTS.items()
            for _ in range(number)
        ]

    async def end(self) -> None:
        """Stop the clients and close their connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, client: Client, connect: Connect) -> None:
        while True:
            try:
                await client(connect)
            except OSError:
                # Refused, reset, or without a free descriptor: none of it ends an attack.
                await asyncio.sleep(0.1)

    def _connect_to(self, address: str, kind: str) -> Connect:
        host, port = address.rsplit(":", 1)

        @contextlib.asynccontextmanager
        async def connect() -> AsyncIterator[Streams]:
            reader, writer = await asyncio.open_connection(host, int(port))
            self.opened[kind] += 1
            try:
                yield reader, writer
            finally:
                writer.close()

        return connect


async def obey(addresses: list[str]) -> None:
    """Begin and end as the lines of the input say."""
    swarm = Swarm(addresses)
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "on":
            swarm.begin()
        else:
            await swarm.end()
        print(line.strip(), flush=True)
    await swarm.end()
    print(json.dumps(swarm.opened), flush=True)


if __name__ == "__main__":
    asyncio.run(obey(sys.argv[1:]))
