"""Exercise 3: build a dashboard. Its queries are asked of a system that is healthy, then broken."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from randsvc.course.exercise import Exercise, WorkError
from randsvc.course.promql import Node, averages, misused, parsed, types, values
from randsvc.course.watched import PULLED, set_fault, watched
from randsvc.stack.programs import make_randsvc
from randsvc.stack.supervisor import Stack
from randsvc.telemetry.catalogue import ACTIVE_REQUESTS, CONCURRENCY_LIMIT, REQUEST_DURATION

__all__ = ("DASHBOARD",)

WINDOW = 10
"""Seconds that $__rate_interval is."""
SETTLED = 14
"""Seconds until a window holds nothing of before."""
LOOSE = 0.1
"""How far a value may be from the one expected, as a share of it."""

_COUNT = f"{REQUEST_DURATION.prometheus_name}_count"
_BUCKET = f"{REQUEST_DURATION.prometheus_name}_bucket"
_REQUESTS = f'sum (rate({_COUNT}{{job="randsvc"}}[{WINDOW}s]))'
_FAILED = f'sum (rate({_COUNT}{{job="randsvc",http_response_status_code=~"5.."}}[{WINDOW}s]))'
_QUANTILE = f'sum by (le) (rate({_BUCKET}{{job="randsvc"}}[{WINDOW}s]))'
_ACTIVE = f'sum ({ACTIVE_REQUESTS.prometheus_name}{{job="randsvc"}})'
_LIMIT = f'sum ({CONCURRENCY_LIMIT.prometheus_name}{{job="randsvc"}})'


@dataclass(frozen=True)
class _Signal:
    """A panel: its unit, and what it has to show."""

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
"""The panels by their titles."""


@dataclass(frozen=True)
class _System:
    stack: Stack
    at: Mapping[str, float]
    """When it was healthy, and when broken, in Unix seconds."""


@dataclass(frozen=True)
class _Seen:
    """What the queries of each panel gave, in their order, at both moments."""

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
        board = json.loads(path.read_text())
    except ValueError as error:
        raise WorkError(f"{path.name} is no JSON: {error}") from error
    if isinstance(board, dict):
        board = board.get("dashboard", board)  # as the HTTP API of Grafana has it
    if not isinstance(board, dict) or not isinstance(board.get("panels"), list):
        raise WorkError(f"{path.name} has no list of panels: export the dashboard as JSON")
    return {str(panel.get("title")): _panel(panel) for panel in _panels(board["panels"])}


def _panels(panels: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels") or ())  # a row that is closed holds its own


def _panel(panel: Mapping[str, Any]) -> _Panel:
    queries = [str(target.get("expr") or "") for target in panel.get("targets") or ()]
    unit = (panel.get("fieldConfig") or {}).get("defaults", {}).get("unit") or ""
    return _Panel(str(unit), [query for query in queries if query.strip()])


@contextmanager
def _system(work: Work) -> Iterator[_System]:
    """Run a service with users, healthy for a while, then broken."""
    env = {
        **PULLED,
        "RANDSVC_USERS": "30",
        "RANDSVC_MAX_CONCURRENCY": "40",
        # Of lasting tails a mean knows nothing.
        "RANDSVC_DELAY": "mixture(0.97*constant(value=0.01), 0.03*constant(value=0.4))",
    }
    with watched(partial(make_randsvc, env=env)) as stack:
        time.sleep(SETTLED)
        healthy = time.time()
        # A third fails, a quarter takes two seconds, and these fill a third of the handlers.
        set_fault(stack, "randsvc:9464", "errors", share=0.3)
        set_fault(stack, "randsvc:9464", "latency", share=0.25, seconds=2)
        time.sleep(SETTLED)
        yield _System(stack, {"healthy": healthy, "broken": time.time()})


def _observe(work: Work, system: _System) -> _Seen:
    queries = {
        title: [_filled(query) for query in work[title].queries]
        for title in SIGNALS
        if title in work
    }
    ask = partial(values, system.stack)
    return _Seen(
        panels=work,
        trees={query: parsed(system.stack, query) for each in queries.values() for query in each},
        types=types(system.stack),
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


def _filled(query: str) -> str:
    """The query as Grafana asks it."""
    for variable in ("$__rate_interval", "${__rate_interval}", "$__interval", "${__interval}"):
        query = query.replace(variable, f"{WINDOW}s")
    for variable in ("$job", "${job}"):
        query = query.replace(variable, "randsvc")
    return query


def _is_there(title: str) -> Callable[[_Seen], str | None]:
    def check(seen: _Seen) -> str | None:
        panel = seen.panels.get(title)
        if panel is None:
            there = ", ".join(seen.panels) or "none"
            return f"there is no panel {title}; there is {there}"
        if not panel.queries:
            return f"the panel {title} has no query: its first target's expr is one of PromQL"
        for query in panel.queries:
            filled = _filled(query)
            if hint := misused(filled, seen.trees[filled], seen.types):
                return f"{title}: {hint}"
            if title == "Latency" and averages(seen.trees[filled]):
                return (
                    "Latency is an average, which many fast requests make look well whatever "
                    "happens to the others: histogram_quantile(0.99, ...) of the buckets"
                )
            if _fixed(seen.trees[filled]):
                return (
                    f"{title} has a window of its own: [$__rate_interval] follows the zoom, and "
                    "always holds some scrapes"
                )
        return None

    check.__doc__ = f"{title} has a query that fits the metric."
    return check


def _fixed(tree: Any) -> bool:
    """Whether a range is not that of the variable."""
    if isinstance(tree, Mapping):
        selector = tree.get("type") == "matrixSelector"
        other = selector and tree["range"] != WINDOW * 1000
        return other or any(_fixed(value) for value in tree.values())
    return isinstance(tree, list) and any(_fixed(value) for value in tree)


def _shows(title: str) -> Callable[[_Seen], str | None]:
    def check(seen: _Seen) -> str | None:
        for moment in MOMENTS:
            shown, expected = seen.shown[title, moment], seen.expected[title, moment]
            if title == "Traffic":
                # Routes or statuses one above the other are traffic too.
                found = [sum(each) for each in shown if each]
            else:
                found = [value for each in shown for value in each]
            if not found:
                return _nothing(title, moment)
            if not any(_near(value, expected) for value in found):
                return _differs(title, moment, found, expected)
        return None

    check.__doc__ = f"{title} tells the healthy service from the broken one."
    return check


def _near(value: float, expected: float) -> bool:
    return abs(value - expected) <= LOOSE * abs(expected) + 1e-9


def _nothing(title: str, moment: str) -> str:
    if title == "Errors" and moment == "healthy":
        return (
            "Errors shows no data while the service is healthy, as a series of errors exists only "
            "once one has happened: (... or vector(0)) makes that a 0, and a misspelt query no calm"
        )
    return f"{title} shows no data while the service is {moment}: are metric and labels its own?"


def _differs(title: str, moment: str, found: Sequence[float], expected: float) -> str:
    numbers = ", ".join(f"{value:.3g}" for value in found[:5])
    said = f"{title} shows {numbers} while the service is {moment}, expected {expected:.3g}"
    if any(_near(value, 1000 * expected) for value in found):
        return f"{said}: the metric is in seconds, and the unit s of the panel too"
    if any(_near(value, 100 * expected) for value in found):
        return f"{said}: percentunit is a share from 0 to 1, which Grafana shows as percent"
    if title == "Traffic" and any(_near(value, WINDOW * expected) for value in found):
        return f"{said}: increase() is of the whole window, rate() of a second of it"
    if title == "Traffic" and any(value > 10 * expected for value in found):
        return f"{said}: a counter says how many there ever were; rate() of it is wanted"
    return f"{said}: {WHY[title]}"


WHY = {
    "Traffic": "the sum of the rates of all that is answered, whatever its status",
    "Latency": "the 0.99 quantile of sum by (le) of the rates of the buckets",
    "Errors": "the rate of what is answered 5xx over the rate of all, summed before dividing",
    "Saturation": "what is in a handler over the limit",
}


def _units(seen: _Seen) -> str | None:
    """Every panel has its unit."""
    for title, signal in SIGNALS.items():
        unit = seen.panels[title].unit
        if unit != signal.unit:
            return (
                f"the unit of {title} is {unit or 'not set'}, expected {signal.unit}: without the "
                "right one nobody can tell 0.3 s from 0.3 ms"
            )
    return None


DASHBOARD = Exercise(
    number=3,
    name="3-dashboard",
    title="Build a dashboard of the golden signals",
    read=_read,
    system=_system,
    observe=_observe,
    checks=(
        *(check(title) for title in SIGNALS for check in (_is_there, _shows)),
        _units,
    ),
)
