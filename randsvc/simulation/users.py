"""Simulated users that run in the event loop of this process."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp

from randsvc.simulation.behaviour import Feedback, User, draw_features
from randsvc.simulation.daily_wave import compute_rate

__all__ = ("Login", "simulate_users")

REQUESTS_PER_SECOND = 1.0
"""Requests/s of one user, averaged over a day."""
AMPLITUDE = 0.5
"""Requests/s from the mean to the peak, and to the trough."""
DAY = 600.0
"""Seconds in a simulated day: a class sees a night and a noon."""
TIMEOUT = 10.0
"""Seconds that a user waits for a response."""


@dataclass(frozen=True)
class Login:
    """Where users log in, such as ``http://localhost:8081``, and the password of all users."""

    url: str
    password: str


@contextlib.asynccontextmanager
async def simulate_users(
    number: int, service: str, login: Login | None = None
) -> AsyncIterator[None]:
    """Let ``number`` users send requests to the URL of ``service``, in a daily wave.

    With a ``login`` they log in first. A user whose login fails goes on without, and tries again
    before each request. Users report the ground truth of some predictions later.
    """
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session,
        asyncio.TaskGroup() as group,
    ):
        tasks: set[asyncio.Task[None]] = set()

        def start(coroutine: Coroutine[Any, Any, None]) -> None:
            task = group.create_task(coroutine)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        auth = login.url.rstrip("/") if login else None
        for i in range(number):
            user = User(f"user-{i}", login.password if login else "")
            start(_Client(user, session, service.rstrip("/"), auth, start).run())
        yield
        for task in tasks:
            task.cancel()


@dataclass
class _Client:
    """Sends the requests of one user."""

    user: User
    session: aiohttp.ClientSession
    service: str
    auth: str | None
    start: Callable[[Coroutine[Any, Any, None]], None]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            rate = compute_rate(
                loop.time(), mean=REQUESTS_PER_SECOND, amplitude=AMPLITUDE, period=DAY
            )
            await asyncio.sleep(random.expovariate(rate))
            # The service counts its failures; a user goes on after one.
            if self.auth and self.user.wants_login:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    await self._log_in(self.auth)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._request()

    async def _log_in(self, auth: str) -> None:
        async with self.session.post(f"{auth}/login", json=self.user.credentials) as response:
            self.user.log_in(response.status, await response.read())

    async def _request(self) -> None:
        async with self.session.get(
            f"{self.service}/random", params=draw_features(), headers=self.user.headers
        ) as response:
            body = await response.read()
        if feedback := self.user.receive(response.status, response.headers, body):
            self.start(self._report(feedback))

    async def _report(self, feedback: Feedback) -> None:
        await asyncio.sleep(feedback.delay)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self.session.post(
                f"{self.service}/feedback", json=feedback.body
            ) as response:
                await response.read()
