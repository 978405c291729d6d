"""Clients that use the services as they are meant to be used, as fast as they are answered."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from randsvc.credentials import PASSWORD
from randsvc.simulation.behaviour import User, draw_features

__all__ = ("GoodClients",)

CLIENTS = 8
"""Enough to keep one process busy all the time."""
TIMEOUT = 30.0
"""Seconds after which a response counts as missing."""


@dataclass
class GoodClients:
    """Clients that log in, ask for values and report outcomes, and keep books of the responses.

    ``service`` and ``auth`` are URLs. ``responses`` counts those with status 200 by request;
    ``failed`` has one line for each other.
    """

    service: str
    auth: str
    responses: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    async def run(self, seconds: float) -> list[float]:
        """Send requests for a time, and give the latencies in seconds."""
        latencies: list[float] = []
        ends = time.monotonic() + seconds
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(
                *(self._use(session, f"user {i}", ends, latencies) for i in range(CLIENTS))
            )
        return latencies

    @property
    def sent(self) -> int:
        """The number of requests."""
        return self.responses.total() + len(self.failed)

    async def _use(
        self, session: aiohttp.ClientSession, name: str, ends: float, latencies: list[float]
    ) -> None:
        user = User(name, PASSWORD)
        while time.monotonic() < ends:
            began = time.monotonic()
            try:
                await self._take_turn(session, user, latencies)
            except (aiohttp.ClientError, TimeoutError) as error:
                waited = time.monotonic() - began
                self.failed.append(f"no response after {waited:.1f} s: {error!r}")

    async def _take_turn(
        self, session: aiohttp.ClientSession, user: User, latencies: list[float]
    ) -> None:
        async def ask(
            what: str, method: str, url: str, **given: Any
        ) -> tuple[int, Mapping[str, str], bytes]:
            began = time.perf_counter()
            async with session.request(method, url, **given) as response:
                body = await response.read()
            latencies.append(time.perf_counter() - began)
            if response.status == 200:
                self.responses[what] += 1
            else:
                self.failed.append(f"{what} got {response.status}: {body[:200]!r}")
            return response.status, response.headers, body

        if user.wants_login:
            login = f"{self.auth}/login"
            status, _, body = await ask("login", "POST", login, json=user.credentials)
            user.log_in(status, body)
        answer = await ask(
            "random", "GET", f"{self.service}/random", headers=user.headers, params=draw_features()
        )
        if report := user.receive(*answer):
            await ask("feedback", "POST", f"{self.service}/feedback", json=report.body)
