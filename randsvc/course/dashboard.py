"""Exercise 3: build a dashboard. Its queries run on a real service, and on series that change."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from randsvc.course import signals
from randsvc.course.exercise import Exercise, WorkError
from randsvc.course.handed_in import find_file
from randsvc.course.promql import (
    Node,
    find_misuse,
    has_data,
    is_average,
    list_unknown_metrics,
    parse_query,
    query_types,
)
from randsvc.course.signals import Signal, Values, judge, try_queries
from randsvc.course.small_stack import PULLED, run_small_stack
from randsvc.documents import DocumentError, load_json, show
from randsvc.stack.programs import make_randsvc
from randsvc.stack.supervisor import Stack, wait_until

__all__ = ("DASHBOARD",)

WINDOW = 60
"""Seconds that replace $__rate_interval: four scrapes, as in Grafana."""
SCRAPED_WITHIN = 120.0
"""Seconds; a busy machine takes longer than the three of the scrapes."""
FILE_BYTES = 5 * 2**20
MOST_QUERIES = 50
"""Queries that are evaluated, each on many series."""


@dataclass(frozen=True)
class _Expected:
    """A panel: its signal, and the names of the units that say what it shows."""

    signal: Signal
    units: Sequence[str]


# https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts
SIGNALS: Mapping[str, _Expected] = {
    "Traffic": _Expected(signals.TRAFFIC, ("reqps", "cps", "ops")),
    "Latency": _Expected(signals.LATENCY, ("s", "dtdurations")),
    "Errors": _Expected(signals.ERRORS, ("percentunit",)),
    "Saturation": _Expected(signals.SATURATION, ("percentunit",)),
}
SUFFIX = re.compile(r"(?i)(suffix:)?\s*(req|reqs|requests)\s*(/s|/sec|/second|ps| per second)")
"""A unit of one's own, for Traffic."""


@dataclass(frozen=True)
class _Panel:
    title: str
    unit: str
    overrides: Sequence[str]
    """The units that an override sets for some of the series."""
    queries: Sequence[str]


Work = Mapping[str, _Panel]
"""The panels by title, in lower case."""


@dataclass(frozen=True)
class _Observations:
    panels: Work
    trees: Mapping[str, Node]
    types: Mapping[str, str]
    values: Mapping[str, Values]
    """By query, its values on synthetic series."""
    has_data: Mapping[str, bool]
    """By query, whether the real service has data for it."""

    def panel(self, title: str) -> _Panel | None:
        """Return a panel, whose title may be written in lower case."""
        return self.panels.get(title.lower())


def _read(folder: Path) -> Work:
    path = find_file(folder, "dashboard.json", FILE_BYTES)
    try:
        board = load_json(path)
    except DocumentError as error:
        raise WorkError(f"{path.name} is {error.problem}") from error
    try:
        panels = list(_list_panels(board))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WorkError(f"{path.name} is no dashboard of Grafana: {show(str(error))}") from error
    if not panels and not _is_dashboard(board):
        raise WorkError(f"{path.name} has no list of panels: export the dashboard as JSON")
    # A row may have the title of a panel.
    ordered = sorted(panels, key=lambda panel: bool(panel.queries))
    return {panel.title.strip().lower(): panel for panel in ordered}


def _is_dashboard(board: Any) -> bool:
    return isinstance(board, dict) and any(key in board for key in ("panels", "elements"))


def _list_panels(board: Any) -> Iterator[_Panel]:
    """Yield the panels of a dashboard in any format that Grafana exports.

    That is the classic model, alone or in the answer of the HTTP API, and the resources of the
    schemas v1 (the classic model in ``spec``) and v2 (``elements``), whole or ``spec`` alone.
    https://grafana.com/docs/grafana/latest/visualizations/dashboards/share-dashboards-panels/
    """
    if not isinstance(board, dict):
        return
    for key in ("dashboard", "spec"):
        if isinstance(board.get(key), dict) and not isinstance(board.get("panels"), list):
            yield from _list_panels(board[key])
            return
    if isinstance(board.get("elements"), dict):
        variables = {each["spec"]["name"]: each["spec"] for each in board.get("variables") or ()}
        for element in board["elements"].values():
            if element.get("kind") == "Panel":
                yield _read_v2_panel(element["spec"], variables)
    elif isinstance(board.get("panels"), list):
        listed = (board.get("templating") or {}).get("list") or ()
        variables = {each["name"]: each for each in listed}
        for panel in _flatten(board["panels"]):
            yield _read_panel(panel, variables)


def _flatten(panels: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _flatten(panel.get("panels") or ())  # a collapsed row contains its panels


def _read_panel(panel: Mapping[str, Any], variables: Mapping[str, Any]) -> _Panel:
    queries = [
        target.get("expr")
        for target in panel.get("targets") or ()
        if not target.get("hide") and _asks_prometheus(target.get("datasource"), panel)
    ]
    return _make_panel(panel.get("title"), panel.get("fieldConfig"), queries, variables)


def _asks_prometheus(source: Any, panel: Mapping[str, Any]) -> bool:
    """Whether a data source is a Prometheus, or is not known before Grafana has it."""
    kind = str(source.get("type") or "prometheus") if isinstance(source, dict) else "prometheus"
    if kind == "__expr__":
        raise WorkError(
            f"the panel {panel.get('title')} has an expression of Grafana, which cannot be "
            "evaluated here: calculate in PromQL"
        )
    return "prometheus" in kind or "$" in kind


def _read_v2_panel(panel: Mapping[str, Any], variables: Mapping[str, Any]) -> _Panel:
    queries = [
        query["spec"]["query"]["spec"].get("expr")
        for query in panel["data"]["spec"].get("queries") or ()
        if not query["spec"].get("hidden")
        and _asks_prometheus({"type": _name_v2_source(query["spec"]["query"])}, panel)
    ]
    config = panel["vizConfig"]["spec"].get("fieldConfig")
    return _make_panel(panel.get("title"), config, queries, variables)


def _name_v2_source(query: Mapping[str, Any]) -> Any:
    return query["group"] if query.get("kind") == "DataQuery" else query.get("kind")


def _make_panel(
    title: Any, config: Any, queries: Sequence[Any], variables: Mapping[str, Any]
) -> _Panel:
    config = config or {}
    overrides = [
        str(each.get("value"))
        for override in config.get("overrides") or ()
        for each in override.get("properties") or ()
        if each.get("id") == "unit"
    ]
    return _Panel(
        str(title or ""),
        str((config.get("defaults") or {}).get("unit") or ""),
        overrides,
        [
            _replace_variables(str(query), variables)
            for query in queries
            if str(query or "").strip()
        ],
    )


def _replace_variables(query: str, variables: Mapping[str, Any]) -> str:
    """Replace the variables of a dashboard by their current values, as Grafana does."""
    for name, variable in variables.items():
        value = (variable.get("current") or {}).get("value")
        if isinstance(value, list):
            value = "|".join(map(str, value))
        if not value or "$__all" in str(value):
            value = variable.get("allValue") or ("randsvc" if name == "job" else ".*")
        # A function, as the value may contain a backslash.
        query = re.sub(
            rf"\$\{{{re.escape(name)}(:\w+)?\}}|\${re.escape(name)}\b|\[\[{re.escape(name)}\]\]",
            lambda _, text=str(value): text,  # type: ignore[misc]
            query,
        )
    return re.sub(r"\$\{job(:\w+)?\}|\$job\b", "randsvc", query)


def _fill_interval(query: str) -> str:
    return re.sub(r"\$__rate_interval\b|\$\{__rate_interval(:\w+)?\}", f"{WINDOW}s", query)


@contextmanager
def _run_system(work: Work) -> Iterator[Stack]:
    """Run a service with users, so that its metrics have data."""
    env = {**PULLED, "RANDSVC_USERS": "10", "RANDSVC_DELAY": "constant(value=0.01)"}
    with run_small_stack(partial(make_randsvc, env=env), interval="500ms") as stack:
        answered = 'sum(rate(http_server_request_duration_seconds_count{job="randsvc"}[1m])) > 0'
        wait_until(lambda: stack.query(answered), within=SCRAPED_WITHIN, every=0.25)
        yield stack


def _observe(work: Work, system: Stack) -> _Observations:
    panels = [work[title.lower()] for title in SIGNALS if title.lower() in work]
    queries = list(dict.fromkeys(query for panel in panels for query in panel.queries))
    if len(queries) > MOST_QUERIES:
        raise WorkError(f"the panels have {len(queries)} queries, expected at most {MOST_QUERIES}")
    trees = {}
    for query in queries:
        # The checks name a variable that hides the structure of a query.
        if _find_variable(query) is None:
            trees[query] = parse_query(system, _fill_interval(query))
    types = query_types(system)
    return _Observations(
        panels=work,
        trees=trees,
        types=types,
        values=try_queries({query: _fill_interval(query) for query in trees}),
        has_data={query: has_data(system, _fill_interval(query)) for query in trees},
    )


def _find_variable(query: str) -> str | None:
    """Return a variable that has no value here."""
    found = re.search(r"\$\{?(?!__rate_interval\b)[A-Za-z_]\w*", query)
    return found[0].replace("{", "") if found else None


def _check_query(title: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        panel = observed.panel(title)
        if panel is None:
            there = ", ".join(each.title for each in observed.panels.values()) or "none"
            return f"there is no panel {title}; the panels are {there}"
        if not panel.queries:
            return f"the panel {title} has no query: write PromQL into expr of its first target"
        for query in panel.queries:
            if hint := _explain_variable(title, query):
                return hint
            tree = observed.trees[query]
            if hint := find_misuse(query, tree, observed.types):
                return f"{title}: {hint}"
            if missing := list_unknown_metrics(tree, observed.types):
                return f"{title}: the service has no metric {missing[0]}"
            if title == "Latency" and is_average(tree):
                return (
                    "Latency is an average, in which many fast requests hide the slow ones: use "
                    "histogram_quantile(0.99, ...) of the buckets"
                )
            if re.search(r"\[\s*\d", query):
                return (
                    f"{title} has a fixed window: use [$__rate_interval], which follows the zoom "
                    "and always contains several scrapes"
                )
        return None

    check.__doc__ = f"{title} has a query with functions for its type of metric."
    return check


def _explain_variable(title: str, query: str) -> str | None:
    variable = _find_variable(query)
    if variable is None:
        return None
    if variable == "$__interval":
        return (
            f"{title} has the window [$__interval], which can be shorter than two scrapes, so that "
            "the graph has gaps: use [$__rate_interval], which is at least four scrapes"
        )
    if variable in ("$__range", "$__range_s", "$__range_ms"):
        return (
            f"{title} has the window [{variable}], the whole time of the dashboard: use "
            "[$__rate_interval], which shows how the rate changes"
        )
    return f"{title} uses {variable}, which the dashboard does not define"


def _check_values(title: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        panel = observed.panel(title)
        assert panel  # noqa: S101 - checked before
        signal = SIGNALS[title].signal
        found = [observed.values[query] for query in panel.queries]
        if title == "Traffic":
            # A stack of routes or statuses is traffic too.
            found = [{at: [sum(v)] if v else [] for at, v in each.items()} for each in found]
        hints = [judge(signal, each) for each in found]
        has_data = any(observed.has_data[query] for query in panel.queries)
        if all(hints):
            return f"{title} shows {_explain_no_data(title, found, has_data) or hints[-1]}"
        if not has_data:
            return (
                f"{title} shows no data of the real service: compare the names of metric and "
                "labels with /metrics"
            )
        return None

    check.__doc__ = f"{title} shows the right values while load, durations and errors change."
    return check


def _explain_no_data(title: str, found: Sequence[Values], has_data: bool) -> str:
    if all(not values for each in found for values in each.values()):
        if has_data:
            return f"another metric: {SIGNALS[title].signal.advice}"
        return "no data: compare the names of metric and labels with /metrics"
    if title == "Errors" and all(not each["healthy", "8m30s"] for each in found):
        return (
            "no data while the service is healthy: a series of errors exists only after the first "
            "error. (... or vector(0)) shows 0 instead"
        )
    return ""


def _check_units(observed: _Observations) -> str | None:
    """Every panel has the right unit."""
    for title, expected in SIGNALS.items():
        panel = observed.panel(title)
        assert panel  # noqa: S101 - checked before
        found = [panel.unit, *panel.overrides]
        if any(unit in expected.units for unit in found):
            continue
        if title == "Traffic" and any(SUFFIX.fullmatch(unit) for unit in found):
            continue
        shown = next(filter(None, reversed(found)), "not set")
        return (
            f"the unit of {title} is {shown}, expected {expected.units[0]}: with the right unit a "
            "reader can distinguish 0.3 s from 0.3 ms"
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
