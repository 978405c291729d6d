"""Load whose sender keeps books, and the comparison of the books with what Prometheus counted.

The books say what the clients know. A response that a client has was counted exactly once, except
those that a process had not handed over when it was killed. A request without a response may have
been counted or not.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import starmap
from types import MappingProxyType
from typing import Any, NamedTuple

import aiohttp

from randsvc.credentials import PASSWORD
from randsvc.prometheus_api import Prometheus, PrometheusError, format_matcher, format_selector
from randsvc.simulation.behaviour import User, draw_features

__all__ = (
    "Balance",
    "Books",
    "Kind",
    "Load",
    "Window",
    "compare",
    "count_requests",
    "list_differences",
    "send_load",
    "settle",
)

REQUESTS = "http_server_request_duration_seconds_count"
USER = User("chaos", PASSWORD)
RATE = 10.0
"""Requests/s at first."""
LOGIN_SHARE = 0.25
WRONG_SHARE = 0.1
"""Of the requests that the service refuses: an unknown path, a wrong password."""
GATEWAY = (502, 503, 504)
"""The statuses of a balancer without a response."""
TIMEOUT = 5.0
"""Seconds that a client waits for its response."""


class Kind(NamedTuple):
    """What is counted apart: the job that serves, and the status of the response."""

    job: str
    status: str


class Window(NamedTuple):
    """A time, in Unix seconds, in which a job may have measured what it did not hand over."""

    job: str
    begin: float
    end: float


@dataclass
class Books:
    """What the clients know of their requests."""

    responses: list[tuple[float, Kind]] = field(default_factory=list)
    """When a client had a response, in Unix seconds, and of which kind."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """Requests without a response, which the job may have counted, by job."""
    failures: list[tuple[float, str]] = field(default_factory=list)
    """When a request ended without a response, in Unix seconds, and the class of the error."""

    def count_responses(self) -> Counter[Kind]:
        """Return the number of responses of each kind."""
        return Counter(kind for _, kind in self.responses)

    def count_within(self, windows: Sequence[Window]) -> Counter[Kind]:
        """Return the number of responses of each kind that a client got within the windows."""
        return Counter(
            kind
            for at, kind in self.responses
            if any(one.job == kind.job and one.begin <= at <= one.end for one in windows)
        )


@dataclass(frozen=True, kw_only=True)
class Balance:
    """The result of a comparison, in requests."""

    requests: int = 0
    """Responses that the clients have."""
    counted: int = 0
    missing: int = 0
    """Responses that were not counted."""
    bound: int = 0
    """Responses that may be missing."""
    unanswered: int = 0
    """Requests without a response, which may have been counted."""
    uncertain: int = 0
    """The same, with those of the books before: they may still be counted."""
    problems: tuple[str, ...] = ()
    """One line for each kind whose count no such request explains."""

    @property
    def is_exact(self) -> bool:
        """Whether no request is missing and none is counted too often."""
        return not self.problems and not self.missing


def compare(
    books: Books,
    counted: Mapping[Kind, int],
    windows: Sequence[Window],
    earlier: Mapping[str, int] = MappingProxyType({}),
) -> Balance:
    """Compare the books with what was counted; responses within ``windows`` may be missing.

    ``earlier`` is the requests of the books before that had no response, by job: on a busy machine
    a service may still serve them, and count them now.
    """
    received, excused = books.count_responses(), books.count_within(windows)
    kinds = sorted({*received, *counted})
    missing = {kind: max(0, received[kind] - counted.get(kind, 0)) for kind in kinds}
    problems = [
        f"{kind.job}: {missing[kind]} of {received[kind]} responses with status {kind.status} were "
        f"not counted, at most {excused[kind]} may be missing"
        for kind in kinds
        if missing[kind] > excused[kind]
    ]
    for job in sorted({kind.job for kind in kinds}):
        excess = sum(
            max(0, counted.get(kind, 0) - received[kind]) for kind in kinds if kind.job == job
        )
        without = books.unanswered[job] + earlier.get(job, 0)
        if excess > without:
            problems.append(
                f"{job}: {excess} requests were counted more than once, or with another status; "
                f"{without} requests had no response"
            )
    return Balance(
        requests=received.total(),
        counted=sum(counted.values()),
        missing=sum(missing.values()),
        bound=excused.total(),
        unanswered=books.unanswered.total(),
        uncertain=books.unanswered.total() + sum(earlier.values()),
        problems=tuple(problems),
    )


class Load:
    """A load of ``rate`` requests/s that can be paused.

    ``close_books`` gives what was sent since the last time.
    """

    def __init__(self, service: str, auth: str, seed: int) -> None:
        self.rate = RATE
        self._urls = {"randsvc": service, "auth": auth}
        self._rng = random.Random(seed)
        self._books = Books()
        self._sending = threading.Event()
        self._sending.set()
        self._ended = threading.Event()
        self._in_flight: set[asyncio.Task[None]] = set()

    @property
    def ended(self) -> int:
        """Requests that have ended since the books were closed, with or without a response."""
        return len(self._books.responses) + len(self._books.failures)

    def close_books(self, within: float = TIMEOUT + 5) -> Books:
        """Pause the load, wait for the requests in flight, and return the books."""
        self._sending.clear()
        deadline = time.monotonic() + within
        time.sleep(2 / self.rate)
        while self._in_flight:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self._in_flight)} requests are in flight after {within}s")
            time.sleep(0.05)
        books, self._books = self._books, Books()
        return books

    def resume(self) -> None:
        """Send again."""
        self._sending.set()

    def end(self) -> None:
        """Send nothing more; ``run`` returns."""
        self._ended.set()

    async def run(self) -> None:
        """Send until ``end``."""
        # A connection for each request, so that both workers serve.
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            # aiohttp repeats a GET whose connection breaks, which a service may have counted. Its
            # own TestClient prevents it in this way, as there is no other.
            session._retry_connection = False
            due = time.monotonic()
            while not self._ended.is_set():
                # On a busy machine a sleep takes longer; the next ones are then shorter.
                due = max(due + self._rng.expovariate(self.rate), time.monotonic() - 1)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if self._sending.is_set():
                    task = asyncio.create_task(self._send(session))
                    self._in_flight.add(task)
                    task.add_done_callback(self._in_flight.discard)
            for task in self._in_flight:
                task.cancel()

    async def _send(self, session: aiohttp.ClientSession) -> None:
        """Log in, or request a value and perhaps report what was true of it."""
        is_wrong = self._rng.random() < WRONG_SHARE
        if self._rng.random() < LOGIN_SHARE:
            body = {"user": USER.name, "password": "wrong" if is_wrong else PASSWORD}
            await self._request(session, "auth", "POST", "/login", json=body)
            return
        path = "/no-such-path" if is_wrong else "/random"
        received = await self._request(
            session, "randsvc", "GET", path, params=draw_features(), headers=USER.headers
        )
        if received and (feedback := USER.receive(*received)):
            await self._request(session, "randsvc", "POST", "/feedback", json=feedback.body)

    async def _request(
        self, session: aiohttp.ClientSession, job: str, method: str, path: str, **options: Any
    ) -> tuple[int, Mapping[str, str], bytes] | None:
        """Send one request, enter it in the books, and return the response."""
        try:
            async with session.request(method, self._urls[job] + path, **options) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._books.failures.append((time.time(), type(error).__name__))
            if not isinstance(error, aiohttp.ClientConnectorError):  # no program has seen those
                self._books.unanswered[job] += 1
            return None
        if response.status in GATEWAY and not response.content_type.endswith("json"):
            # The services answer in JSON. A balancer says that it had no response of theirs.
            self._books.failures.append((time.time(), f"{response.status} of a balancer"))
            self._books.unanswered[job] += 1
            return None
        self._books.responses.append((time.time(), Kind(job, str(response.status))))
        return response.status, response.headers, body


@contextmanager
def send_load(service: str, auth: str, seed: int) -> Iterator[Load]:
    """Send load to the URLs of both services from another thread, inside the ``with`` block."""
    load = Load(service, auth, seed)
    thread = threading.Thread(target=lambda: asyncio.run(load.run()), daemon=True)
    thread.start()
    try:
        yield load
    finally:
        load.end()
        thread.join()


def count_requests(source: Prometheus, jobs: Iterable[str], seconds: int) -> Counter[Kind]:
    """Return what a source has counted in so many seconds, ended processes included."""
    found = source.query(
        f"sum by (job, http_response_status_code) ({_count_of_each(jobs, seconds)})"
    )
    return Counter(
        {
            Kind(series.labels["job"], series.labels.get("http_response_status_code", "")): int(
                series.values[-1][1]
            )
            for series in found
        }
    )


def list_differences(
    sources: Mapping[str, Prometheus], jobs: Iterable[str], seconds: int
) -> list[str]:
    """Return a line for each series of requests that is not the same in all sources."""
    # The receivers of Thanos add a tenant.
    query = f"max without (tenant_id) ({_count_of_each(jobs, seconds)})"
    found = {
        name: {
            format_selector(REQUESTS, starmap(format_matcher, sorted(series.labels.items()))): int(
                series.values[-1][1]
            )
            for series in source.query(query)
        }
        for name, source in sources.items()
    }
    lines = []
    for labels in sorted(set().union(*found.values())):
        counted = {name: series.get(labels) for name, series in found.items()}
        if len(set(counted.values())) > 1:
            in_each = ", ".join(f"{number} in {name}" for name, number in counted.items())
            lines.append(f"{labels}: {in_each}")
    return lines


def _count_of_each(jobs: Iterable[str], seconds: int) -> str:
    """Return the query for the count of each series."""
    return f'max_over_time({REQUESTS}{{job=~"{"|".join(jobs)}"}}[{seconds}s])'


def settle(
    count: Callable[[], dict[str, Counter[Kind]]],
    judge: Callable[[str, Counter[Kind]], Balance],
    *,
    within: float,
    stable_for: float,
    every: float,
) -> tuple[dict[str, Counter[Kind]], dict[str, Balance]]:
    """Count until each source has everything; return the counts and the balances, by source.

    The counts are final where each balance is exact and no request can still be counted, where none
    has a problem and nothing has changed for ``stable_for`` seconds, or after ``within`` seconds.
    """
    deadline = time.monotonic() + within
    seen, since = count(), time.monotonic()
    while True:
        found = {source: judge(source, counted) for source, counted in seen.items()}
        stable = time.monotonic() - since > stable_for
        kept = stable and not any(balance.problems for balance in found.values())
        if kept or all(one.is_exact and not one.uncertain for one in found.values()):
            break
        if time.monotonic() > deadline:
            break
        time.sleep(every)
        with suppress(PrometheusError):
            now = count()
            if now != seen:
                seen, since = now, time.monotonic()
    return seen, found
