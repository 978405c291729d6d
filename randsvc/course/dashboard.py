"""Exercise 3: build a dashboard. Its queries run on a healthy service, then on a broken one."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from randsvc.course.exercise import Exercise, WorkError
from randsvc.course.promql import (
    Node,
    find_misuse,
    is_average,
    parse_query,
    query_types,
    query_values,
)
from randsvc.course.small_stack import PULLED, run_small_stack, set_fault
from randsvc.documents import DocumentError, load_json, show
from randsvc.stack.programs import make_randsvc
from randsvc.stack.supervisor import Stack
from randsvc.telemetry.catalogue import ACTIVE_REQUESTS, CONCURRENCY_LIMIT, REQUEST_DURATION

__all__ = ("DASHBOARD",)

WINDOW = 10
"""Seconds that replace $__rate_interval."""
SETTLED = 14
"""Seconds until a window has only new samples."""
TOLERANCE = 0.1
"""Relative error that a value may have."""

_COUNT = f"{REQUEST_DURATION.prometheus_name}_count"
_BUCKET = f"{REQUEST_DURATION.prometheus_name}_bucket"
_REQUESTS = f'sum (rate({_COUNT}{{job="randsvc"}}[{WINDOW}s]))'
_FAILED = f'sum (rate({_COUNT}{{job="randsvc",http_response_status_code=~"5.."}}[{WINDOW}s]))'
_QUANTILE = f'sum by (le) (rate({_BUCKET}{{job="randsvc"}}[{WINDOW}s]))'
_ACTIVE = f'sum ({ACTIVE_REQUESTS.prometheus_name}{{job="randsvc"}})'
_LIMIT = f'sum ({CONCURRENCY_LIMIT.prometheus_name}{{job="randsvc"}})'


@dataclass(frozen=True)
class _Signal:
    """A panel: its unit, and a query for its expected value."""

    unit: str
    expected: str


SIGNALS: Mapping[str, _Signal] = {
    "Traffic": _Signal("reqps", _REQUESTS),
    "Latency": _Signal("s", f"histogram_quantile(0.99, {_QUANTILE})"),
    "Errors": _Signal("percentunit", f"({_FAILED} or vector(0)) / {_REQUESTS}"),
    "Saturation": _Signal("percentunit", f"{_ACTIVE} / {_LIMIT}"),
}
MOMENTS = ("healthy", "broken")


@dataclass(frozen=True)
class _Panel:
    unit: str
    queries: Sequence[str]


Work = Mapping[str, _Panel]
"""The panels by title."""


@dataclass(frozen=True)
class _System:
    stack: Stack
    at: Mapping[str, float]
    """The Unix times at which it was healthy and broken."""


@dataclass(frozen=True)
class _Observations:
    """The results of the queries of each panel, in order, at both moments."""

    panels: Work
    trees: Mapping[str, Node]
    types: Mapping[str, str]
    shown: Mapping[tuple[str, str], Sequence[Sequence[float]]]
    expected: Mapping[tuple[str, str], float]


def _read(folder: Path) -> Work:
    path = folder / "dashboard.json"
    if not path.is_file():
        raise WorkError(f"there is no {path}")
    try:
        board = load_json(path)
    except DocumentError as error:
        raise WorkError(f"{path.name} is {error.problem}") from error
    if isinstance(board, dict):
        board = board.get("dashboard", board)  # the format of Grafana's HTTP API
    if not isinstance(board, dict) or not isinstance(board.get("panels"), list):
        raise WorkError(f"{path.name} has no list of panels: export the dashboard as JSON")
    return {str(panel.get("title")): _panel(panel) for panel in _panels(board["panels"])}


def _panels(panels: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    for panel in map(_mapping, panels):
        yield panel
        yield from _panels(_list(panel.get("panels")))  # a collapsed row contains its panels


def _panel(panel: Mapping[str, Any]) -> _Panel:
    queries = [str(_mapping(target).get("expr") or "") for target in _list(panel.get("targets"))]
    defaults = _mapping(_mapping(panel.get("fieldConfig")).get("defaults"))
    return _Panel(str(defaults.get("unit") or ""), [query for query in queries if query.strip()])


def _mapping(node: Any) -> Mapping[str, Any]:
    if not isinstance(node or {}, dict):
        raise WorkError(
            f"dashboard.json has {show(node)}, expected an object as Grafana exports it"
        )
    return node or {}


def _list(node: Any) -> Sequence[Any]:
    if not isinstance(node or [], list):
        raise WorkError(f"dashboard.json has {show(node)}, expected a list as Grafana exports it")
    return node or []


@contextmanager
def _run_system(work: Work) -> Iterator[_System]:
    """Run a service with users, healthy at first, then broken."""
    env = {
        **PULLED,
        "RANDSVC_USERS": "30",
        "RANDSVC_MAX_CONCURRENCY": "40",
        # A few are slow, so that the average differs from the quantile.
        "RANDSVC_DELAY": "mixture(0.97*constant(value=0.01), 0.03*constant(value=0.4))",
    }
    with run_small_stack(partial(make_randsvc, env=env)) as stack:
        time.sleep(SETTLED)
        healthy = time.time()
        # A third of the requests fails; a quarter takes 2 s and fills a third of the limit.
        set_fault(stack, "randsvc:9464", "errors", share=0.3)
        set_fault(stack, "randsvc:9464", "latency", share=0.25, seconds=2)
        time.sleep(SETTLED)
        yield _System(stack, {"healthy": healthy, "broken": time.time()})


def _observe(work: Work, system: _System) -> _Observations:
    queries = {
        title: [_replace_variables(query) for query in work[title].queries]
        for title in SIGNALS
        if title in work
    }
    ask = partial(query_values, system.stack)
    return _Observations(
        panels=work,
        trees={
            query: parse_query(system.stack, query) for each in queries.values() for query in each
        },
        types=query_types(system.stack),
        shown={
            (title, moment): [ask(query, system.at[moment]) for query in each]
            for title, each in queries.items()
            for moment in MOMENTS
        },
        expected={
            (title, moment): ask(signal.expected, system.at[moment])[0]
            for title, signal in SIGNALS.items()
            for moment in MOMENTS
        },
    )


def _replace_variables(query: str) -> str:
    """Replace the variables, as Grafana does."""
    for variable in ("$__rate_interval", "${__rate_interval}", "$__interval", "${__interval}"):
        query = query.replace(variable, f"{WINDOW}s")
    for variable in ("$job", "${job}"):
        query = query.replace(variable, "randsvc")
    return query


def _check_query(title: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        panel = observed.panels.get(title)
        if panel is None:
            there = ", ".join(observed.panels) or "none"
            return f"there is no panel {title}; the panels are {there}"
        if not panel.queries:
            return f"the panel {title} has no query: write PromQL into expr of its first target"
        for query in panel.queries:
            filled = _replace_variables(query)
            if hint := find_misuse(filled, observed.trees[filled], observed.types):
                return f"{title}: {hint}"
            if title == "Latency" and is_average(observed.trees[filled]):
                return (
                    "Latency is an average, in which many fast requests hide the slow ones: use "
                    "histogram_quantile(0.99, ...) of the buckets"
                )
            if _has_fixed_window(observed.trees[filled]):
                return (
                    f"{title} has a fixed window: use [$__rate_interval], which follows the zoom "
                    "and always contains several scrapes"
                )
        return None

    check.__doc__ = f"{title} has a query with functions for its type of metric."
    return check


def _has_fixed_window(tree: Any) -> bool:
    """Whether a range differs from $__rate_interval."""
    if isinstance(tree, Mapping):
        selector = tree.get("type") == "matrixSelector"
        other = selector and tree["range"] != WINDOW * 1000
        return other or any(_has_fixed_window(value) for value in tree.values())
    return isinstance(tree, list) and any(_has_fixed_window(value) for value in tree)


def _check_values(title: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        for moment in MOMENTS:
            shown, expected = observed.shown[title, moment], observed.expected[title, moment]
            if title == "Traffic":
                # A stack of routes or statuses is traffic too.
                found = [sum(each) for each in shown if each]
            else:
                found = [value for each in shown for value in each]
            if not found:
                return _explain_no_data(title, moment)
            if not any(_is_near(value, expected) for value in found):
                return _explain_difference(title, moment, found, expected)
        return None

    check.__doc__ = f"{title} shows the right values for a healthy and for a broken service."
    return check


def _is_near(value: float, expected: float) -> bool:
    return abs(value - expected) <= TOLERANCE * abs(expected) + 1e-9


def _explain_no_data(title: str, moment: str) -> str:
    if title == "Errors" and moment == "healthy":
        return (
            "Errors shows no data while the service is healthy: a series of errors exists only "
            "after the first error. (... or vector(0)) shows 0 instead"
        )
    return (
        f"{title} shows no data while the service is {moment}: compare the names of metric and "
        "labels with /metrics"
    )


def _explain_difference(title: str, moment: str, found: Sequence[float], expected: float) -> str:
    numbers = ", ".join(f"{value:.3g}" for value in found[:5])
    said = f"{title} shows {numbers} while the service is {moment}, expected {expected:.3g}"
    if any(_is_near(value, 1000 * expected) for value in found):
        return f"{said}: both the metric and the unit s of the panel are in seconds"
    if any(_is_near(value, 100 * expected) for value in found):
        return f"{said}: percentunit expects a share from 0 to 1, which Grafana shows as percent"
    if title == "Traffic" and any(_is_near(value, WINDOW * expected) for value in found):
        return f"{said}: increase() counts over the whole window, rate() per second"
    if title == "Traffic" and any(value > 10 * expected for value in found):
        return f"{said}: a counter has the total since the start; use rate()"
    return f"{said}: {EXPECTED[title]}"


EXPECTED = {
    "Traffic": "use the sum of the rates of all requests, with any status",
    "Latency": "use the 0.99 quantile of sum by (le) of the rates of the buckets",
    "Errors": "divide the sum of the rates of 5xx responses by the sum of all rates",
    "Saturation": "divide the requests in progress by the concurrency limit",
}


def _check_units(observed: _Observations) -> str | None:
    """Every panel has the right unit."""
    for title, signal in SIGNALS.items():
        unit = observed.panels[title].unit
        if unit != signal.unit:
            return (
                f"the unit of {title} is {unit or 'not set'}, expected {signal.unit}: with the "
                "right unit a reader can distinguish 0.3 s from 0.3 ms"
            )
    return None


DASHBOARD = Exercise(
    number=3,
    name="3-dashboard",
    title="Build a dashboard of the golden signals",
    read=_read,
    run_system=_run_system,
    observe=_observe,
    checks=(
        *(check(title) for title in SIGNALS for check in (_check_query, _check_values)),
        _check_units,
    ),
)
