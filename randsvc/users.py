"""Simulated users in the process itself, for the start without containers."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import aiohttp

from randsvc.wave import rate_at

__all__ = ("simulated_users",)

REQUESTS_PER_SECOND = 1.0
"""Of one user, averaged over a day."""
AMPLITUDE = 0.5
DAY = 600.0
"""Seconds that a simulated day takes: a class sees a night and a noon."""


@contextlib.asynccontextmanager
async def simulated_users(number: int, address: tuple[str, int]) -> AsyncIterator[None]:
    """Let ``number`` users ask for ``/random`` at ``address`` inside, at random, in a wave."""
    host, port = address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - to, not on
    url = f"http://[{host}]:{port}/random" if ":" in host else f"http://{host}:{port}/random"
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        users = [group.create_task(_use(session, url)) for _ in range(number)]
        yield
        for user in users:
            user.cancel()


async def _use(session: aiohttp.ClientSession, url: str) -> None:
    loop = asyncio.get_running_loop()
    while True:
        rate = rate_at(loop.time(), mean=REQUESTS_PER_SECOND, amplitude=AMPLITUDE, period=DAY)
        await asyncio.sleep(random.expovariate(rate))
        with contextlib.suppress(aiohttp.ClientError):  # what users get is for the service to count
            async with session.get(url) as response:
                await response.read()
