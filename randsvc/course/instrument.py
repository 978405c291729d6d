"""Exercise 1: instrument a service. The shop runs, gets requests, and its metrics are scraped."""

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
from randsvc.course.learner_program import Program, run_program

__all__ = ("INSTRUMENT",)

REQUESTS = "shop_requests_total"
DURATION = "shop_request_duration_seconds"
IN_PROGRESS = "shop_requests_in_progress"

TRUFFLES = 6
TRUFFLE_SECONDS = 0.5
RESPONSE_TIMEOUT = 10.0
"""Seconds that a response may take."""


@dataclass(frozen=True)
class _Request:
    """A request, and the status of the response of the unchanged shop."""

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
        yield _Request("an order that is not JSON", "/orders", 400, "tea, please")
    for _ in range(4):
        yield _Request("an unknown item", "/items/unicorn", 404)
    for _ in range(6):
        yield _Request("an unknown path", f"/{secrets.token_hex(6)}", 404)


Labels = Mapping[str, str]


@dataclass(frozen=True)
class _Scrape:
    """One scrape of /metrics: the type of each family, and the samples of each name."""

    types: Mapping[str, str]
    samples: Mapping[str, Sequence[tuple[Labels, float]]]

    def of(self, name: str) -> list[tuple[Labels, float]]:
        """Return the samples of a name, without those about /metrics itself."""
        return [
            (labels, value)
            for labels, value in self.samples.get(name, ())
            if "/metrics" not in labels.values()
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels."""
        return sum(value for found, value in self.of(name) if labels.items() <= found.items())

    def type_of(self, name: str) -> str:
        """Return the type of a metric; empty if it does not exist."""
        # The parser drops _total from the family name of a counter.
        return self.types.get(name) or self.types.get(name.removesuffix("_total"), "")


@dataclass(frozen=True)
class _Observations:
    """The scrapes in time order, and the requests that were sent."""

    first: _Scrape
    during: Sequence[_Scrape]
    last: _Scrape
    answered: Mapping[int, int]
    paths: frozenset[str]
    differences: Sequence[str]
    seconds: float

    @property
    def scrapes(self) -> tuple[_Scrape, ...]:
        """All scrapes, in time order."""
        return (self.first, *self.during, self.last)

    @property
    def sent(self) -> int:
        """The number of requests, without those for /metrics."""
        return sum(self.answered.values())


def _read(folder: Path) -> Path:
    path = folder / "app.py"
    if not path.is_file():
        raise WorkError(f"there is no {path}")
    return path


def _run_system(path: Path) -> AbstractContextManager[None]:
    return nullcontext()


def _observe(path: Path, system: None) -> _Observations:
    with run_program(path) as program:
        return asyncio.run(_send_requests(program))


async def _send_requests(program: Program) -> _Observations:
    differences: list[str] = []
    answered: Counter[int] = Counter()
    seconds = 0.0
    timeout = aiohttp.ClientTimeout(total=RESPONSE_TIMEOUT)
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
                    f"{method} {request.path} got no response: {error or type(error).__name__}"
                    f"{program.last_lines()}"
                ) from error
            seconds += time.monotonic() - began
            answered[answer.status] += 1
            if answer.status != request.status:
                differences.append(
                    f"{request.kind} ({method} {request.path}) now gets status {answer.status}; "
                    f"the unchanged shop responds with {request.status}{program.last_lines()}"
                )

        first = await _scrape(session, program)
        requests = list(_requests())
        for request in requests:
            await ask(request)
        during = []
        truffle = _Request("truffles", "/items/truffle", 200)
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(ask(truffle)) for _ in range(TRUFFLES)]
            while not any(task.done() for task in waiting):
                await asyncio.sleep(0.05)
                during.append(await _scrape(session, program))
        last = await _scrape(session, program)
    return _Observations(
        first=first,
        during=during,
        last=last,
        answered=answered,
        paths=frozenset({"/items/truffle", *(request.path for request in requests)}),
        differences=differences,
        seconds=seconds,
    )


async def _scrape(session: aiohttp.ClientSession, program: Program) -> _Scrape:
    try:
        async with session.get("/metrics") as answer:
            body = await answer.text()
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
        program.expect_alive(within=0.5)
        raise WorkError(f"GET /metrics got no response: {error}{program.last_lines()}") from error
    if answer.status == 404:
        raise WorkError(
            "GET /metrics gets status 404: add a route that returns "
            "prometheus_client.generate_latest()"
        )
    if answer.status != 200:
        raise WorkError(f"GET /metrics gets status {answer.status}{program.last_lines()}")
    try:
        families = list(text_string_to_metric_families(body))
    except ValueError as error:
        raise WorkError(f"GET /metrics is not in the Prometheus text format: {error}") from error
    samples: dict[str, list[tuple[Labels, float]]] = {}
    for family in families:
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return _Scrape({family.name: family.type for family in families}, samples)


def _check_responses(observed: _Observations) -> str | None:
    """The shop responds as before."""
    return observed.differences[0] if observed.differences else None


def _check_counter(observed: _Observations) -> str | None:
    """A counter counts the requests."""
    kind = observed.last.type_of(REQUESTS)
    if not kind:
        return f"there is no metric {REQUESTS}: traffic is the number of requests"
    if kind != "counter":
        return (
            f"{REQUESTS} is a {kind}: use a Counter for a number that only increases, so that "
            "rate() works; rate() treats each decrease of a gauge as a counter reset"
        )
    totals = [scrape.total(REQUESTS) for scrape in observed.scrapes]
    if any(later < earlier for earlier, later in pairwise(totals)):
        return (
            f"{REQUESTS} decreased from {max(totals):g} to {min(totals[1:]):g}: a counter must not "
            "decrease while its process runs, as rate() treats that as a restart and counts its "
            "whole value again"
        )
    return None


def _check_labels(name: str, *wanted: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        for labels, _ in observed.last.of(name):
            for label in wanted:
                if label not in labels:
                    return f"{name} has no label {label}: {REASONS[label]}"
        return None

    check.__doc__ = f"{name} has the labels {' and '.join(wanted)}."
    return check


REASONS = {
    "status": "it distinguishes errors from successes",
    "route": "without it the other routes hide a slow or failing one",
}


def _check_label_values(observed: _Observations) -> str | None:
    """Labels have a bounded number of values, whatever clients request."""
    words = {part for path in observed.paths for part in (path, path.rpartition("/")[2])}
    for name, samples in observed.last.samples.items():
        for labels, _ in samples:
            for label, value in labels.items():
                if value in words - {"/orders", "orders"}:
                    return (
                        f'{name}{{{label}="{value}"}}: this value is from the path. Clients can '
                        "invent any number of paths, and each adds a series. Use the template "
                        "request.match_info.route.resource.canonical, and one fixed value if "
                        "resource is None"
                    )
    return None


def _check_errors(observed: _Observations) -> str | None:
    """Every request counts once, with its status, however it ends."""
    counted = Counter[str]()
    for labels, value in observed.last.of(REQUESTS):
        counted[labels["status"]] += round(value)
    # The worst status first. A lost request often counts as another, so look for lost ones first.
    for status, number in sorted(observed.answered.items(), reverse=True):
        found = counted[str(status)]
        if found < number:
            return (
                f"{_describe_difference(status, number, found)}: "
                f"{_explain_loss(status, counted, observed)}"
            )
    for status, number in sorted(observed.answered.items(), reverse=True):
        found = counted[str(status)]
        # The learner's counter may include requests for /metrics, under an unknown label.
        if found > number + (len(observed.scrapes) if status == 200 else 0):
            return f"{_describe_difference(status, number, found)}: count each request once"
    return None


def _describe_difference(status: int, number: int, found: int) -> str:
    series = f'{REQUESTS}{{status="{status}"}}'
    return f"{number} requests got status {status}, but {series} is {found}"


def _explain_loss(status: int, counted: Mapping[str, int], observed: _Observations) -> str:
    if status == 500 and counted["200"] > observed.answered[200] + len(observed.scrapes):
        return (
            "requests that end in an exception count as successes; aiohttp responds to them with "
            "500"
        )
    if status == 500:
        return (
            "requests that end in an exception are lost: after an exception the following lines do "
            "not run; count in `finally`, with status 500"
        )
    return (
        "a handler can also respond by raising web.HTTPException, which has the status in .status, "
        "and only a middleware sees requests that match no route"
    )


def _check_routes(observed: _Observations) -> str | None:
    """Each route has its own series."""
    routes = {labels["route"] for labels, _ in observed.last.of(REQUESTS)}
    if len(routes) >= 3:
        return None
    return (
        f"{REQUESTS} has the routes {', '.join(sorted(routes))}: expected /items/{{name}}, "
        "/orders, and one value for requests that match no route"
    )


def _check_histogram(observed: _Observations) -> str | None:
    """A histogram has the durations."""
    kind = observed.last.type_of(DURATION)
    if kind == "histogram":
        return None
    averages = [n for n in observed.last.types if any(w in n for w in ("avg", "average", "mean"))]
    if kind == "summary" or (not kind and averages):
        what = f"{DURATION} is a summary" if kind else f"there is {averages[0]}"
        return (
            f"{what}, from which only an average can be computed: 30 fast teas hide 6 truffles "
            "that take half a second. Use a Histogram: it has quantiles, also over several "
            "processes"
        )
    if not kind:
        return f"there is no metric {DURATION}: latency is the duration of requests"
    return (
        f"{DURATION} is a {kind}, which has one number: the last duration, or an average. Use a "
        "Histogram, which shows how long the slowest 1% took"
    )


def _check_unit(observed: _Observations) -> str | None:
    """Durations are in seconds, and include the whole handler."""
    total = observed.last.total(f"{DURATION}_sum")
    if total > 20 * observed.seconds:
        return (
            f"{DURATION} has a sum of {total:g}, but all requests together took "
            f"{observed.seconds:.1f} s: record seconds, as the name says, not milliseconds"
        )
    slow = TRUFFLES * TRUFFLE_SECONDS
    if total < 0.9 * slow:
        return (
            f"{DURATION} has a sum of {total:g} s, but {TRUFFLES} truffles alone took {slow:g} s: "
            "start the clock before you await the handler, and stop it afterwards"
        )
    return None


def _check_duration_count(observed: _Observations) -> str | None:
    """Every request has its duration recorded, failed ones too."""
    found = observed.last.total(f"{DURATION}_count")
    if observed.sent <= found <= observed.sent + len(observed.scrapes):
        return None
    failed = sum(n for status, n in observed.answered.items() if status >= 400)
    hint = f": {failed} requests failed; observe in `finally`" if found < observed.sent else ""
    return f"{observed.sent} requests were sent, but {DURATION}_count is {found:g}{hint}"


def _check_buckets(observed: _Observations) -> str | None:
    """The buckets distinguish tea from truffles."""
    bounds = sorted({float(labels["le"]) for labels, _ in observed.last.of(f"{DURATION}_bucket")})
    between = [b for b in bounds if 0.015 <= b <= TRUFFLE_SECONDS]
    beyond = [b for b in bounds if TRUFFLE_SECONDS < b < float("inf")]
    if between and beyond:
        return None
    return (
        f"the buckets of {DURATION} have the bounds {', '.join(f'{b:g}' for b in bounds)}: tea "
        f"takes 0.01 s and truffles {TRUFFLE_SECONDS:g} s, so add a bound between them and one "
        "above"
    )


def _check_saturation(observed: _Observations) -> str | None:
    """The number of requests in progress rises and falls."""
    kind = observed.last.type_of(IN_PROGRESS)
    if not kind:
        return f"there is no metric {IN_PROGRESS}: saturation is how full the shop is"
    if kind != "gauge":
        return f"{IN_PROGRESS} is a {kind}: use a Gauge for a number that rises and falls"
    most = max((scrape.total(IN_PROGRESS) for scrape in observed.during), default=0.0)
    if most < TRUFFLES:
        return (
            f"{TRUFFLES} requests were in progress at a time, but {IN_PROGRESS} was {most:g} at "
            "most: increment it before you await the handler, and decrement it afterwards"
        )
    left = observed.last.total(IN_PROGRESS)
    if left > 1:  # the request for /metrics itself
        return (
            f"no request is in progress any more, but {IN_PROGRESS} is {left:g}: an exception "
            "skips the decrement; use track_inprogress() or `finally`"
        )
    return None


INSTRUMENT = Exercise(
    number=1,
    name="1-instrument",
    title="Instrument a service with the golden signals",
    read=_read,
    run_system=_run_system,
    observe=_observe,
    checks=(
        _check_responses,
        _check_counter,
        _check_labels(REQUESTS, "route", "status"),
        _check_label_values,
        _check_errors,
        _check_routes,
        _check_histogram,
        _check_labels(f"{DURATION}_count", "route"),
        _check_unit,
        _check_duration_count,
        _check_buckets,
        _check_saturation,
    ),
)
