"""Exercise 1: instrument a service. The learner's shop is run, asked, and its metrics are read."""

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from randsvc.course.exercise import Exercise, WorkError
from randsvc.course.learner import Program, running_program

__all__ = ("INSTRUMENT",)

REQUESTS = "shop_requests_total"
DURATION = "shop_request_duration_seconds"
IN_PROGRESS = "shop_requests_in_progress"

TRUFFLES = 6
TRUFFLE_SECONDS = 0.5
SECONDS = 10.0
"""That an answer may take."""


@dataclass(frozen=True)
class _Request:
    """What is asked for, and what the shop answered before anybody changed it."""

    kind: str
    path: str
    status: int
    body: str | None = None


def _requests() -> Iterator[_Request]:
    for _ in range(30):
        yield _Request("tea", "/items/tea", 200)
    for _ in range(5):
        yield _Request("an order", "/orders", 200, json.dumps({"item": "tea", "number": 2}))
        yield _Request("an exception", "/orders", 500, json.dumps({"item": "unicorn"}))
    for _ in range(3):
        yield _Request("an order that is no JSON", "/orders", 400, "tea, please")
    for _ in range(4):
        yield _Request("an item that there is not", "/items/unicorn", 404)
    for _ in range(6):
        yield _Request("a path that there is not", f"/{secrets.token_hex(6)}", 404)


Labels = Mapping[str, str]


@dataclass(frozen=True)
class _Page:
    """What /metrics said once: the type of each family, and the samples of each name."""

    types: Mapping[str, str]
    samples: Mapping[str, Sequence[tuple[Labels, float]]]

    def of(self, name: str) -> list[tuple[Labels, float]]:
        """The samples of a name, without what is about /metrics itself."""
        return [
            (labels, value)
            for labels, value in self.samples.get(name, ())
            if "/metrics" not in labels.values()
        ]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        return sum(value for found, value in self.of(name) if labels.items() <= found.items())

    def type_of(self, name: str) -> str:
        """The type; empty where there is no such metric."""
        # In the text format a counter's family has the name of its samples; in the parser not.
        return self.types.get(name) or self.types.get(name.removesuffix("_total"), "")


@dataclass(frozen=True)
class _Seen:
    """What came of driving the shop: pages of metrics in time order, and what was sent."""

    first: _Page
    during: Sequence[_Page]
    last: _Page
    answered: Mapping[int, int]
    paths: frozenset[str]
    differences: Sequence[str]
    seconds: float

    @property
    def pages(self) -> tuple[_Page, ...]:
        """All pages, in time order."""
        return (self.first, *self.during, self.last)

    @property
    def sent(self) -> int:
        """All requests, but those for /metrics."""
        return sum(self.answered.values())


def _read(folder: Path) -> Path:
    path = folder / "app.py"
    if not path.is_file():
        raise WorkError(f"there is no {path}")
    return path


def _system(path: Path) -> AbstractContextManager[None]:
    return nullcontext()


def _observe(path: Path, system: None) -> _Seen:
    with running_program(path) as program:
        return asyncio.run(_drive(program))


async def _drive(program: Program) -> _Seen:
    differences: list[str] = []
    answered: Counter[int] = Counter()
    seconds = 0.0
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(program.url, timeout=timeout) as session:

        async def ask(request: _Request) -> None:
            nonlocal seconds
            began = time.monotonic()
            method = "GET" if request.body is None else "POST"
            try:
                async with session.request(method, request.path, data=request.body) as answer:
                    await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                program.expect_alive(within=0.5)
                raise WorkError(
                    f"{method} {request.path} got no answer: {error or type(error).__name__}"
                    f"{program.last_lines()}"
                ) from error
            seconds += time.monotonic() - began
            answered[answer.status] += 1
            if answer.status != request.status:
                differences.append(
                    f"{request.kind} ({method} {request.path}) was answered {request.status}, "
                    f"and is answered {answer.status} now{program.last_lines()}"
                )

        first = await _page(session, program)
        requests = list(_requests())
        for request in requests:
            await ask(request)
        during = []
        truffle = _Request("truffles", "/items/truffle", 200)
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(ask(truffle)) for _ in range(TRUFFLES)]
            while not any(task.done() for task in waiting):
                await asyncio.sleep(0.05)
                during.append(await _page(session, program))
        last = await _page(session, program)
    return _Seen(
        first=first,
        during=during,
        last=last,
        answered=answered,
        paths=frozenset({"/items/truffle", *(request.path for request in requests)}),
        differences=differences,
        seconds=seconds,
    )


async def _page(session: aiohttp.ClientSession, program: Program) -> _Page:
    try:
        async with session.get("/metrics") as answer:
            body = await answer.text()
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
        program.expect_alive(within=0.5)
        raise WorkError(f"GET /metrics got no answer: {error}{program.last_lines()}") from error
    if answer.status == 404:
        raise WorkError(
            "GET /metrics is answered 404: add a route that answers "
            "prometheus_client.generate_latest()"
        )
    if answer.status != 200:
        raise WorkError(f"GET /metrics is answered {answer.status}{program.last_lines()}")
    try:
        families = list(text_string_to_metric_families(body))
    except ValueError as error:
        raise WorkError(f"GET /metrics is not in the Prometheus text format: {error}") from error
    samples: dict[str, list[tuple[Labels, float]]] = {}
    for family in families:
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return _Page({family.name: family.type for family in families}, samples)


def _answers(seen: _Seen) -> str | None:
    """The shop answers as before."""
    return seen.differences[0] if seen.differences else None


def _counter(seen: _Seen) -> str | None:
    """Requests are counted, by a counter."""
    kind = seen.last.type_of(REQUESTS)
    if not kind:
        return f"there is no {REQUESTS}: traffic is how many requests were answered"
    if kind != "counter":
        return (
            f"{REQUESTS} is a {kind}: what only ever adds up is a Counter, of which rate() may be "
            "asked; a gauge can be set back, and rate() takes that for a restart"
        )
    totals = [page.total(REQUESTS) for page in seen.pages]
    if any(later < earlier for earlier, later in pairwise(totals)):
        return (
            f"{REQUESTS} went back from {max(totals):g} to {min(totals[1:]):g}: a counter never "
            "falls while its process lives, or rate() counts everything again, as after a restart"
        )
    return None


def _labels(name: str, *wanted: str) -> Callable[[_Seen], str | None]:
    def check(seen: _Seen) -> str | None:
        for labels, _ in seen.last.of(name):
            for label in wanted:
                if label not in labels:
                    return f"{name} has no label {label}: {WHY[label]}"
        return None

    check.__doc__ = f"{name} has the labels {' and '.join(wanted)}."
    return check


WHY = {
    "status": "errors cannot be told from successes without it",
    "route": "one slow or failing route hides behind all others without it",
}


def _bounded(seen: _Seen) -> str | None:
    """Labels have few values, whatever people ask for."""
    words = {part for path in seen.paths for part in (path, path.rpartition("/")[2])}
    for name, samples in seen.last.samples.items():
        for labels, _ in samples:
            for label, value in labels.items():
                if value in words - {"/orders", "orders"}:
                    return (
                        f'{name}{{{label}="{value}"}}: that is from the path, of which people can '
                        "invent any number, and each becomes a series for ever. Take the template, "
                        "request.match_info.route.resource.canonical, and one value where resource "
                        "is None"
                    )
    return None


def _errors(seen: _Seen) -> str | None:
    """Every request is counted once, with its status, however it ended."""
    counted = Counter[str]()
    for labels, value in seen.last.of(REQUESTS):
        counted[labels["status"]] += round(value)
    # The worst first; what is lost before what is counted too often, as the one follows the other.
    for status, number in sorted(seen.answered.items(), reverse=True):
        found = counted[str(status)]
        if found < number:
            return f"{_differs(status, number, found)}: {_lost(status, counted, seen)}"
    for status, number in sorted(seen.answered.items(), reverse=True):
        found = counted[str(status)]
        # Requests for /metrics may be in there under a name that is not known here.
        if found > number + (len(seen.pages) if status == 200 else 0):
            return f"{_differs(status, number, found)}: each has to be counted once"
    return None


def _differs(status: int, number: int, found: int) -> str:
    series = f'{REQUESTS}{{status="{status}"}}'
    return f"{number} requests were answered {status}, and {series} is {found}"


def _lost(status: int, counted: Mapping[str, int], seen: _Seen) -> str:
    if status == 500 and counted["200"] > seen.answered[200] + len(seen.pages):
        return "those that end in an exception are counted as successes; aiohttp answers them 500"
    if status == 500:
        return (
            "those that end in an exception are lost: a handler that raises skips every line "
            "behind it; count in `finally`, with status 500"
        )
    return (
        "handlers also answer by raising web.HTTPException, whose .status it is, and what no route "
        "matches only a middleware sees"
    )


def _routes(seen: _Seen) -> str | None:
    """Routes are told apart."""
    routes = {labels["route"] for labels, _ in seen.last.of(REQUESTS)}
    if len(routes) >= 3:
        return None
    return (
        f"{REQUESTS} has the routes {', '.join(sorted(routes))}: /items/{{name}}, /orders and what "
        "no route matches have to be told apart"
    )


def _histogram(seen: _Seen) -> str | None:
    """Durations are in a histogram."""
    kind = seen.last.type_of(DURATION)
    if kind == "histogram":
        return None
    averages = [n for n in seen.last.types if any(w in n for w in ("avg", "average", "mean"))]
    if kind == "summary" or (not kind and averages):
        what = f"{DURATION} is a summary" if kind else f"there is {averages[0]}"
        return (
            f"{what}, which tells an average only: 6 truffles that take half a second vanish "
            "behind 30 cups of tea. A Histogram tells quantiles, also of several processes together"
        )
    if not kind:
        return f"there is no {DURATION}: latency is how long requests took"
    return (
        f"{DURATION} is a {kind}, which tells one number: the last request's, or an average. Only "
        "a Histogram tells how long the slowest hundredth took"
    )


def _seconds(seen: _Seen) -> str | None:
    """Durations are in seconds, from before the handler until after it."""
    total = seen.last.total(f"{DURATION}_sum")
    if total > 20 * seen.seconds:
        return (
            f"{DURATION} has a sum of {total:g}, where all requests together took "
            f"{seen.seconds:.1f} s: Prometheus wants seconds, not milliseconds, as the name says"
        )
    slow = TRUFFLES * TRUFFLE_SECONDS
    if total < 0.9 * slow:
        return (
            f"{DURATION} has a sum of {total:g} s, where {TRUFFLES} truffles alone took {slow:g} s:"
            " start the clock before the handler is awaited, and look at it after"
        )
    return None


def _durations(seen: _Seen) -> str | None:
    """The duration of every request is measured, failed ones included."""
    found = seen.last.total(f"{DURATION}_count")
    if seen.sent <= found <= seen.sent + len(seen.pages):
        return None
    failed = sum(n for status, n in seen.answered.items() if status >= 400)
    lost = f", and {failed} of them failed: observe in `finally`" if found < seen.sent else ""
    return f"{seen.sent} requests were answered{lost}; {DURATION}_count is {found:g}"


def _buckets(seen: _Seen) -> str | None:
    """The buckets tell tea from truffles."""
    bounds = sorted({float(labels["le"]) for labels, _ in seen.last.of(f"{DURATION}_bucket")})
    between = [b for b in bounds if 0.015 <= b <= TRUFFLE_SECONDS]
    beyond = [b for b in bounds if TRUFFLE_SECONDS < b < float("inf")]
    if between and beyond:
        return None
    return (
        f"the buckets of {DURATION} end at {', '.join(f'{b:g}' for b in bounds)}: tea takes 0.01 s "
        f"and truffles {TRUFFLE_SECONDS:g} s, and a quantile can only tell them apart by a bound "
        "between them and one beyond"
    )


def _saturation(seen: _Seen) -> str | None:
    """What is in progress goes up and comes down again."""
    kind = seen.last.type_of(IN_PROGRESS)
    if not kind:
        return f"there is no {IN_PROGRESS}: saturation is how full the shop is"
    if kind != "gauge":
        return f"{IN_PROGRESS} is a {kind}: what goes up and down is a Gauge"
    most = max((page.total(IN_PROGRESS) for page in seen.during), default=0.0)
    if most < TRUFFLES:
        return (
            f"{TRUFFLES} requests were in progress at once, and {IN_PROGRESS} was {most:g} at most:"
            " add one before the handler is awaited, and take it off after"
        )
    left = seen.last.total(IN_PROGRESS)
    if left > 1:  # that of /metrics itself
        return (
            f"nothing is in progress any more, and {IN_PROGRESS} is {left:g}: where a handler "
            "raises it was not taken off; track_inprogress() or `finally` does it always"
        )
    return None


INSTRUMENT = Exercise(
    number=1,
    name="1-instrument",
    title="Instrument a service with the golden signals",
    read=_read,
    system=_system,
    observe=_observe,
    checks=(
        _answers,
        _counter,
        _labels(REQUESTS, "route", "status"),
        _bounded,
        _errors,
        _routes,
        _histogram,
        _labels(f"{DURATION}_count", "route"),
        _seconds,
        _durations,
        _buckets,
        _saturation,
    ),
)
