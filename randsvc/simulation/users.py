"""Simulated users in the process itself, for the start without containers."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp

from randsvc.simulation.customers import (
    SIMULATED_OUTCOME,
    SIMULATED_USER,
    draw_features,
    draw_report_delay,
)
from randsvc.simulation.daily_wave import rate_at

__all__ = ("Login", "simulate_users")

REQUESTS_PER_SECOND = 1.0
"""Of one user, averaged over a day."""
AMPLITUDE = 0.5
DAY = 600.0
"""Seconds that a simulated day takes: a class sees a night and a noon."""
REQUESTS_PER_VISIT = 10
"""On average; then the user logs out, and in again at the next request."""
PATIENCE = 10.0
"""Seconds that a user waits for an answer."""
RENEWED_AT = 0.8
"""Part of the life of a token after which the user gets another."""


@dataclass(frozen=True)
class Login:
    """Where users log in, such as ``http://localhost:8081``, and the password of all of them."""

    url: str
    password: str


@contextlib.asynccontextmanager
async def simulate_users(
    number: int, service: str, login: Login | None = None
) -> AsyncIterator[None]:
    """Let ``number`` users ask for ``/random`` at the URL of ``service``, at random, in a wave.

    Where there is a ``login`` they log in first. One who cannot goes on without, and tries again at
    each request. Of a part of the answers they later report what turned out to be true.
    """
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
        asyncio.TaskGroup() as group,
    ):
        tasks: set[asyncio.Task[None]] = set()

        def start(doing: Coroutine[Any, Any, None]) -> None:
            task = group.create_task(doing)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        for i in range(number):
            start(_User(f"user-{i}", session, service.rstrip("/"), login, start).use())
        yield
        for task in tasks:
            task.cancel()


class _User:
    def __init__(
        self,
        name: str,
        session: aiohttp.ClientSession,
        service: str,
        login: Login | None,
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._name = name
        self._session = session
        self._service = service
        self._login = login
        self._start = start
        self._token = ""
        self._renew_at = self._expires_at = 0.0

    async def use(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            rate = rate_at(loop.time(), mean=REQUESTS_PER_SECOND, amplitude=AMPLITUDE, period=DAY)
            await asyncio.sleep(random.expovariate(rate))
            # What users get is for the service to count.
            if self._login and loop.time() >= self._renew_at:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    await self._log_in(self._login)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._ask(loop.time() < self._expires_at)

    async def _log_in(self, login: Login) -> None:
        credentials = {"user": self._name, "password": login.password}
        async with self._session.post(f"{login.url.rstrip('/')}/login", json=credentials) as answer:
            body = await answer.read()
        if answer.status == 200:
            granted = json.loads(body)
            now = asyncio.get_running_loop().time()
            self._token = granted["token"]
            self._renew_at = now + RENEWED_AT * granted["expires_in"]
            self._expires_at = now + granted["expires_in"]

    async def _ask(self, logged_in: bool) -> None:
        headers = {SIMULATED_USER: self._name}
        if logged_in:
            headers["Authorization"] = f"Bearer {self._token}"
        async with self._session.get(
            f"{self._service}/random", params=draw_features(), headers=headers
        ) as answer:
            body = await answer.read()
        outcome = answer.headers.get(SIMULATED_OUTCOME)
        if outcome and (seconds := draw_report_delay()) is not None:
            truth = {"id": json.loads(body)["id"], "actual": float(outcome)}
            self._start(self._report(seconds, truth))
        if answer.status == 401 or random.random() * REQUESTS_PER_VISIT < 1:
            self._renew_at = self._expires_at = 0.0  # logged out

    async def _report(self, seconds: float, truth: dict[str, object]) -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.post(f"{self._service}/feedback", json=truth) as answer:
                await answer.read()
