"""Simulated users in the process itself, for the start without containers."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from randsvc.wave import rate_at

__all__ = ("Login", "simulated_users")

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
async def simulated_users(
    number: int, service: str, login: Login | None = None
) -> AsyncIterator[None]:
    """Let ``number`` users ask for ``/random`` at the URL of ``service``, at random, in a wave.

    Where there is a ``login`` they log in first. One who cannot goes on without, and tries again at
    each request.
    """
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
        asyncio.TaskGroup() as group,
    ):
        users = [_User(f"user-{i}", session, service, login) for i in range(number)]
        tasks = [group.create_task(user.use()) for user in users]
        yield
        for task in tasks:
            task.cancel()


class _User:
    def __init__(
        self, name: str, session: aiohttp.ClientSession, service: str, login: Login | None
    ) -> None:
        self._name = name
        self._session = session
        self._url = f"{service.rstrip('/')}/random"
        self._login = login
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
        headers = {"Authorization": f"Bearer {self._token}"} if logged_in else {}
        async with self._session.get(self._url, headers=headers) as answer:
            await answer.read()
        if answer.status == 401 or random.random() * REQUESTS_PER_VISIT < 1:
            self._renew_at = self._expires_at = 0.0  # logged out
