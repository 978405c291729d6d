"""Exercise 1: instrument a service. The shop runs, gets requests, and its metrics are scraped."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from randsvc.course.exercise import Exercise
from randsvc.course.handed_in import find_file
from randsvc.course.sandbox import run_program
from randsvc.course.scrape import Scrape
from randsvc.course.shop_traffic import (
    IN_PROGRESS,
    TRUFFLE_SECONDS,
    TRUFFLES,
    Traffic,
    send_traffic,
)

__all__ = ("INSTRUMENT",)

REQUESTS = "shop_requests_total"
DURATION = "shop_request_duration_seconds"
TIME = re.compile(r"\b20\d\d-\d\d|\b\d\d:\d\d\b")
"""A date or a time of the day."""


@dataclass(frozen=True)
class _Work:
    path: Path
    source: str


@dataclass(frozen=True)
class _Observations:
    work: _Work
    traffic: Traffic

    @property
    def last(self) -> Scrape:
        """The scrape after all requests."""
        return self.traffic.last


def _read(folder: Path) -> _Work:
    path = find_file(folder, "app.py")
    return _Work(path, path.read_text(errors="replace"))


def _run_system(work: _Work) -> AbstractContextManager[None]:
    return nullcontext()


def _observe(work: _Work, system: None) -> _Observations:
    with run_program(work.path) as program:
        traffic = send_traffic(program)
    return _Observations(work, traffic)


def _check_responses(observed: _Observations) -> str | None:
    """The shop responds as before."""
    differences = observed.traffic.differences
    return differences[0] if differences else None


def _check_exceptions(observed: _Observations) -> str | None:
    """An exception still appears in the log."""
    if "KeyError" in observed.traffic.output and "Traceback" in observed.traffic.output:
        return None
    return (
        "orders for an unknown item end in a KeyError, but its traceback is not in the output: an "
        "exception that you catch must be raised again (`raise`), so that somebody can find the bug"
    )


def _check_concurrency(observed: _Observations) -> str | None:
    """The shop still serves several requests at the same time."""
    if observed.traffic.is_serial:
        return (
            f"{TRUFFLES} truffles at once were served one after the other: a blocking call, such "
            "as time.sleep(), or a lock stops the event loop for all requests; await instead"
        )
    if observed.traffic.busy is None:
        return (
            f"{TRUFFLES} truffles at once ended before other requests and /metrics were answered, "
            "which take too long"
        )
    return None


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
    totals = [scrape.total(REQUESTS) for scrape in observed.traffic.scrapes]
    if any(later < earlier for earlier, later in pairwise(totals)):
        return (
            f"{REQUESTS} decreased from {max(totals):g} to {min(totals[1:]):g}: a counter must not "
            "decrease while its process runs, as rate() treats that as a restart and counts its "
            "whole value again"
        )
    if not max(totals):
        return (
            f"{REQUESTS} has counted none of {observed.traffic.sent} requests: call "
            ".labels(route, status).inc() for each request, in a middleware"
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
    for name, samples in observed.last.samples.items():
        for labels, _ in samples:
            for label, value in labels.items():
                for sent, origin in observed.traffic.origins.items():
                    if sent in value:
                        return _explain_origin(f'{name}{{{label}="{value}"}}', origin)
                if TIME.search(value):
                    return (
                        f'{name}{{{label}="{value}"}}: a time as a label adds a series again and '
                        "again, without end: Prometheus stores the time of each sample"
                    )
    for name in observed.last.samples:
        early, late = (
            {item for labels, _ in scrape.of(name) for item in labels.items()}
            for scrape in (observed.traffic.middle, observed.last)
        )
        for label, value in sorted(late - early):
            return (
                f'{name}{{{label}="{value}"}}: the second half of the requests is like the first, '
                f"but has new values of {label}. Each adds a series, without end: leave out what "
                "differs from request to request, such as an id, a number or a time"
            )
    return None


def _explain_origin(series: str, origin: str) -> str:
    if origin == "the path":
        return (
            f"{series}: this value is from the path. Clients can invent any number of paths, and "
            "each adds a series. Use the template request.match_info.route.resource.canonical, and "
            "one fixed value if resource is None"
        )
    return (
        f"{series}: this value is from {origin} of a request, also if it is in the text of an "
        "exception. Clients can invent any number of values, and each adds a series: leave the "
        "label out, or map it to a few fixed values"
    )


def _check_errors(observed: _Observations) -> str | None:
    """Every request counts once, with its status, however it ends."""
    counted = Counter[str]()
    for labels, value in observed.last.of(REQUESTS):
        counted[labels["status"]] += round(value)
    # The worst status first. A lost request often counts as another, so look for lost ones first.
    for status, number in sorted(observed.traffic.answered.items(), reverse=True):
        found = counted[str(status)]
        if found < number:
            return (
                f"{_describe_difference(status, number, found)}: "
                f"{_explain_loss(status, counted, observed)}"
            )
    for status, number in sorted(observed.traffic.answered.items(), reverse=True):
        found = counted[str(status)]
        # The learner's counter may include requests for /metrics, under an unknown label.
        if found > number + (observed.traffic.fetches if status == 200 else 0):
            return f"{_describe_difference(status, number, found)}: count each request once"
    return None


def _describe_difference(status: int, number: int, found: int) -> str:
    series = f'{REQUESTS}{{status="{status}"}}'
    return f"{number} requests got status {status}, but {series} is {found}"


def _explain_loss(status: int, counted: Mapping[str, int], observed: _Observations) -> str:
    if status == 500 and counted["200"] > observed.traffic.answered[200] + len(
        observed.traffic.scrapes
    ):
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
    by_route = Counter[str]()
    for labels, value in observed.last.of(REQUESTS):
        by_route[labels["route"]] += round(value)
    kinds = observed.traffic.kinds
    items = kinds["tea"] + kinds["coffee"] + kinds["truffles"] + kinds["an unknown item"]
    orders = kinds["an order"] + kinds["an exception"] + kinds["an order that is not JSON"]
    # A wrong method counts for its path or for no route, depending on the framework.
    slack = kinds["a wrong method"]
    has_items = any(items <= number <= items + slack for number in by_route.values())
    has_orders = any(orders <= number <= orders + slack for number in by_route.values())
    if has_items and has_orders and len(by_route) >= 3:
        return None
    found = ", ".join(f"{route!r} ({number})" for route, number in sorted(by_route.items())[:6])
    return (
        f"{REQUESTS} has the routes {found}: expected /items/{{name}} ({items}), /orders "
        f"({orders}), and one value for requests that match no route"
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
    if total > 20 * observed.traffic.seconds:
        return (
            f"{DURATION} has a sum of {total:g}, but all requests together took "
            f"{observed.traffic.seconds:.1f} s: record seconds, as the name says, not milliseconds"
        )
    if hint := _find_longer_durations(observed):
        return hint
    # Only while truffles are in progress: other requests take longer on a busy machine.
    total -= observed.traffic.before_busy.total(f"{DURATION}_sum")
    number = TRUFFLES
    slow = number * TRUFFLE_SECONDS
    if total < 0.9 * slow:
        said = f"{DURATION} has a sum of {total:g} s, but {number} truffles alone took {slow:g} s"
        if function := _find_decorated(observed.work.source, "time"):
            return (
                f"{said}: @time() on `async def {function}` measures how long it takes to make "
                "the coroutine, not to run it; use `with ...time():` around the await"
            )
        return f"{said}: start the clock before you await the handler, and stop it afterwards"
    return None


def _find_longer_durations(observed: _Observations) -> str | None:
    """Compare with the client, who waits longer than the handler runs, however busy all are."""
    if observed.last.total(f"{DURATION}_count") != observed.traffic.sent:
        return None  # what is missing, or is measured too, is checked apart
    recorded = Counter[float]()
    for labels, value in observed.last.of(f"{DURATION}_bucket"):
        recorded[float(labels["le"])] += round(value)
    for bound, number in sorted(recorded.items()):
        waited = sum(duration <= bound for duration in observed.traffic.durations)
        if number < waited:
            return (
                f"{waited} requests ended within {bound:g} s, but {DURATION} has only {number} "
                "durations of at most that: do not add to them, or round them up"
            )
    return None


def _find_decorated(source: str, name: str) -> str:
    """Return the first coroutine function with a decorator ``@....name()``; empty if none."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                call = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(call, ast.Attribute) and call.attr == name:
                    return node.name
    return ""


def _check_duration_count(observed: _Observations) -> str | None:
    """Every request has its duration recorded, failed ones too."""
    found = observed.last.total(f"{DURATION}_count")
    if observed.traffic.sent <= found <= observed.traffic.sent + observed.traffic.fetches:
        return None
    failed = sum(n for status, n in observed.traffic.answered.items() if status >= 400)
    hint = (
        f": {failed} requests failed; observe in `finally`" if found < observed.traffic.sent else ""
    )
    return f"{observed.traffic.sent} requests were sent, but {DURATION}_count is {found:g}{hint}"


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
    busy, still_busy = observed.traffic.busy, observed.traffic.still_busy
    assert busy  # noqa: S101 - checked before
    assert still_busy  # noqa: S101 - as above
    most = busy.total(IN_PROGRESS)
    if most < TRUFFLES:
        said = f"{TRUFFLES} requests were in progress at a time, but {IN_PROGRESS} was {most:g}"
        if function := _find_decorated(observed.work.source, "track_inprogress"):
            return (
                f"{said} at most: @track_inprogress() on `async def {function}` tracks the making "
                "of the coroutine, not its run; use `with ...track_inprogress():` around the await"
            )
        return (
            f"{said} at most: increment it before you await the handler, and decrement it "
            "afterwards"
        )
    if still_busy.total(IN_PROGRESS) < TRUFFLES:
        return (
            f"{TRUFFLES} requests were still in progress when two others ended, but {IN_PROGRESS} "
            f"went from {most:g} to {still_busy.total(IN_PROGRESS):g}: when a request ends, call "
            ".dec(), which subtracts one, not .set()"
        )
    left = observed.last.total(IN_PROGRESS)
    if left > 2:  # the request for /metrics itself, perhaps counted twice
        return (
            f"no request is in progress any more, but {IN_PROGRESS} is {left:g}: an exception "
            "skips the decrement; use track_inprogress() or `finally`"
        )
    if most > TRUFFLES + 1:
        return (
            f"{TRUFFLES} requests were in progress at a time, but {IN_PROGRESS} was {most:g}: "
            "increment it once for each request"
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
        _check_exceptions,
        _check_concurrency,
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
