"""Sends requests to the shop of exercise 1, and scrapes its metrics in between.

Every request carries values that no other request has: in its path, query, headers and body. A
metric that has one of them as a label grows with the traffic.
"""

import asyncio
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from randsvc.course.exercise import WorkError
from randsvc.course.sandbox import Program
from randsvc.course.scrape import ACCEPT, Scrape, read_page

__all__ = ("IN_PROGRESS", "TRUFFLES", "TRUFFLE_SECONDS", "Traffic", "send_traffic")

IN_PROGRESS = "shop_requests_in_progress"
TRUFFLES = 6
TRUFFLE_SECONDS = 0.5
LAST_TEA = 0.35
"""Seconds after which a tea is ordered while truffles are in progress."""
RESPONSE_TIMEOUT = 30.0
"""Seconds that a response may take."""
TRAFFIC_TIMEOUT = 300.0
"""Seconds that all requests together may take."""
BODY_BYTES = 4 * 2**20
"""Largest response that is read."""
ATTEMPTS = 6
"""Scrapes while every truffle is in progress, of which one must have a gauge that says so."""
ATTEMPTS_AT_MOST = 30
"""Attempts to scrape while every truffle is in progress, which a busy machine can prevent."""
HEADERS = (
    *("User-Agent", "X-Request-ID", "Referer", "Cookie", "X-Forwarded-For"),
    *("Host", "Accept-Language", "Authorization", "X-Tenant"),
)
AMOUNTS = ((300_000, 900_000), (30_000, 90_000))
"""Numbers in the orders of each round, of which the second makes shorter requests and responses."""


@dataclass(frozen=True)
class _Request:
    """A request, and the response of the unchanged shop: its status and data, or a part of it."""

    kind: str
    method: str
    path: str
    status: int
    answer: Any
    body: str | None = None


@dataclass
class Traffic:
    """What was sent, and what the program said: its responses, scrapes in time order, its log."""

    first: Scrape = field(default_factory=lambda: Scrape({}, {}))
    middle: Scrape = field(default_factory=lambda: Scrape({}, {}))
    """After the first of two rounds with the same kinds of requests."""
    before_busy: Scrape = field(default_factory=lambda: Scrape({}, {}))
    busy: Scrape | None = None
    """While every truffle is in progress; None if that was never seen."""
    seen_busy: int = 0
    """How often it was seen."""
    still_busy: Scrape | None = None
    """While every truffle is in progress, after other requests have ended."""
    last: Scrape = field(default_factory=lambda: Scrape({}, {}))
    scrapes: list[Scrape] = field(default_factory=list)
    answered: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    origins: dict[str, str] = field(default_factory=dict)
    """The part of a request that each of its own values was in."""
    differences: list[str] = field(default_factory=list)
    truffles: int = 0
    fetches: int = 0
    """The number of requests for /metrics, with those that were redirected."""
    is_serial: bool = False
    """Whether truffles were served one after the other."""
    seconds: float = 0.0
    """The durations of all requests together."""
    durations: list[float] = field(default_factory=list)
    """The duration of each request."""
    output: str = ""

    @property
    def sent(self) -> int:
        """The number of requests, without those for /metrics."""
        return sum(self.answered.values())

    def make(self, part: str) -> str:
        """Make a value that no other request has."""
        value = secrets.token_hex(6)
        self.origins[value] = part
        return value


def send_traffic(program: Program) -> Traffic:
    """Send all requests; raises ``WorkError`` without a response or without metrics."""
    try:
        traffic = asyncio.run(_send_all(program))
    except BaseExceptionGroup as group:
        # Of requests at the same time; the first failure is as good as another.
        raise group.exceptions[0] from None
    except TimeoutError:
        program.expect_alive(within=0.5)
        raise WorkError(
            f"the requests were not answered within {TRAFFIC_TIMEOUT:g} s{program.last_lines()}"
        ) from None
    traffic.output = program.output
    return traffic


async def _send_all(program: Program) -> Traffic:
    timeout = aiohttp.ClientTimeout(total=RESPONSE_TIMEOUT)
    traffic = Traffic()
    async with (
        asyncio.timeout(TRAFFIC_TIMEOUT),
        aiohttp.ClientSession(
            program.url,
            timeout=timeout,
            connector=program.connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session,
    ):
        client = _Client(session, program, traffic)
        traffic.first = await client.scrape()
        for request in _make_round(traffic, *AMOUNTS[0]):
            await client.ask(request)
        traffic.middle = await client.scrape()
        for request in _make_round(traffic, *AMOUNTS[1]):
            await client.ask(request)
        for _ in range(ATTEMPTS_AT_MOST):
            if await client.order_truffles() or traffic.seen_busy >= ATTEMPTS:
                break
        traffic.last = await client.scrape()
    return traffic


def _make_round(traffic: Traffic, least: int, most: int) -> Iterator[_Request]:
    make = traffic.make
    for _ in range(15):
        yield _make_tea(traffic)
    yield _Request("coffee", "GET", "/items/coffee", 200, {"item": "coffee", "price": 6})
    yield _make_truffle(traffic)
    for _ in range(3):
        number = random.randrange(least, most)
        order = {"item": "tea", "number": number, "customer": make("the body")}
        answer = {"price": 4 * number}
        yield _Request("an order", "POST", "/orders", 200, answer, json.dumps(order))
        yield _make_exception(traffic)
    for _ in range(2):
        kind, body = "an order that is not JSON", f"tea for {make('the body')}, please"
        yield _Request(kind, "POST", "/orders", 400, "the order is not JSON", body)
        item = make("the path")
        yield _Request("an unknown item", "GET", f"/items/{item}", 404, f"no item {item}")
        yield _Request("a wrong method", "DELETE", "/items/tea", 405, "Method Not Allowed")
        yield _Request("an unknown path", "GET", f"/{make('the path')}", 404, "Not Found")
        yield _Request("an unknown path", "GET", f"/shop/{make('the path')}", 404, "Not Found")


def _make_tea(traffic: Traffic) -> _Request:
    path = f"/items/tea?page={traffic.make('the query string')}"
    return _Request("tea", "GET", path, 200, {"item": "tea", "price": 4})


def _make_truffle(traffic: Traffic) -> _Request:
    traffic.truffles += 1
    answer = {"item": "truffle", "price": 90}
    return _Request("truffles", "GET", "/items/truffle", 200, answer)


def _make_exception(traffic: Traffic) -> _Request:
    body = json.dumps({"item": f"unicorn-{traffic.make('the body')}", "number": 1})
    return _Request("an exception", "POST", "/orders", 500, "Internal Server Error", body)


class _Client:
    def __init__(self, session: aiohttp.ClientSession, program: Program, traffic: Traffic) -> None:
        self._session = session
        self._program = program
        self._traffic = traffic

    async def ask(self, request: _Request) -> float:
        """Send a request, compare its response, and return the time of its end."""
        traffic, sent = self._traffic, f"{request.method} {request.path}"
        headers = {name: traffic.make(f"the header {name}") for name in HEADERS}
        began = time.monotonic()
        try:
            async with self._session.request(
                request.method,
                request.path,
                data=request.body,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                body = await _read(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._program.expect_alive(within=0.5)
            raise WorkError(
                f"{sent} got no response: {error or type(error).__name__}"
                f"{self._program.last_lines()}"
            ) from error
        ended = time.monotonic()
        traffic.seconds += ended - began
        traffic.durations.append(ended - began)
        traffic.answered[answer.status] += 1
        traffic.kinds[request.kind] += 1
        if answer.status != request.status:
            traffic.differences.append(
                f"{request.kind} ({sent}) now gets status {answer.status}; the unchanged shop "
                f"responds with {request.status}{self._program.last_lines()}"
            )
        elif not _is_same(body, request.answer):
            traffic.differences.append(
                f"{request.kind} ({sent}) now gets {body[:100]!r}; the unchanged shop responds "
                f"with {request.answer!r}"
            )
        return ended

    async def scrape(self) -> Scrape:
        """Fetch and read /metrics."""
        return self._keep(*await self._fetch())

    def _keep(self, content_type: str, body: str) -> Scrape:
        found = read_page(content_type, body)
        self._traffic.scrapes.append(found)
        return found

    async def _fetch(self) -> tuple[str, str]:
        """Fetch /metrics as Prometheus does, which follows redirects."""
        url = "/metrics"
        try:
            for _ in range(3):
                async with self._session.get(
                    url, headers={"Accept": ACCEPT}, allow_redirects=False
                ) as answer:
                    body = await _read(answer)
                self._traffic.fetches += 1
                place = urljoin(f"{self._program.url}{url}", answer.headers.get("Location", ""))
                if answer.status not in (301, 302, 307, 308) or not place.startswith(
                    f"{self._program.url}/"
                ):
                    break
                url = urlsplit(place).path
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._program.expect_alive(within=0.5)
            raise WorkError(
                f"GET /metrics got no response: {error or type(error).__name__}"
                f"{self._program.last_lines()}"
            ) from error
        if answer.status == 404:
            raise WorkError(
                "GET /metrics gets status 404: add a route that returns "
                "prometheus_client.generate_latest()"
            )
        if answer.status != 200:
            raise WorkError(f"GET /metrics gets status {answer.status}{self._program.last_lines()}")
        return answer.headers.get("Content-Type", ""), body

    async def order_truffles(self) -> bool:
        """Ask for truffles at once, and scrape meanwhile; whether nothing else has to be seen."""
        traffic = self._traffic
        truffles = [_make_truffle(traffic) for _ in range(TRUFFLES)]
        traffic.before_busy = await self.scrape()
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(self.ask(truffle)) for truffle in truffles]
            await asyncio.sleep(0.1)
            # Read afterwards: that takes a while on a busy machine.
            busy = await self._fetch()
            in_time = not any(task.done() for task in waiting)
            await asyncio.gather(self.ask(_make_tea(traffic)), self.ask(_make_exception(traffic)))
            still_busy = await self._fetch()
            in_time &= not any(task.done() for task in waiting)
            # A clock that all requests share is set again.
            await asyncio.sleep(began + LAST_TEA - time.monotonic())
            await self.ask(_make_tea(traffic))
        ends = sorted(task.result() for task in waiting)
        gaps = [later - earlier for earlier, later in pairwise(ends)]
        traffic.is_serial = all(gap > 0.8 * TRUFFLE_SECONDS for gap in gaps)
        pages = self._keep(*busy), self._keep(*still_busy)
        if in_time:
            traffic.busy, traffic.still_busy = pages
            traffic.seen_busy += 1
        # On a busy machine a request may arrive after the scrape: then it is tried again.
        return (in_time and pages[0].total(IN_PROGRESS) >= TRUFFLES) or traffic.is_serial


async def _read(answer: aiohttp.ClientResponse) -> str:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(65536):
        body += chunk
        if len(body) > BODY_BYTES:
            answer.close()
            raise WorkError(
                f"the response to {answer.method} {answer.url.path} is longer than "
                f"{BODY_BYTES // 2**20} MB"
            )
    return body.decode(errors="replace")


def _is_same(body: str, expected: Mapping[str, Any] | str) -> bool:
    """Whether a body has the data; frameworks word the text of an error differently."""
    if isinstance(expected, str):
        return expected in body
    try:
        return bool(json.loads(body) == expected)
    except ValueError:
        return False
