"""The structure of PromQL expressions, by the parser of Prometheus, and common misuse."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from randsvc.course.exercise import WorkError
from randsvc.prometheus_api import PrometheusError
from randsvc.stack.supervisor import Stack

__all__ = (
    "Node",
    "find_misuse",
    "find_raw_counter",
    "has_data",
    "has_threshold",
    "is_average",
    "list_metrics",
    "list_unknown_metrics",
    "list_windows",
    "looks_back",
    "parse_query",
    "query_types",
    "query_values",
)

Node = Mapping[str, Any]
"""https://github.com/prometheus/prometheus/blob/main/web/api/v1/translate_ast.go"""

PER_SECOND = ("rate", "irate", "increase")
FOR_GAUGES = ("delta", "deriv", "idelta", "predict_linear")
OF_SAMPLES = tuple(
    f"{what}_over_time"
    for what in ("avg", "count", "mad", "max", "min", "quantile", "stddev", "stdvar", "sum")
)
"""Functions of the samples themselves, which of a counter are totals since its start."""
LATELY = 300
"""Seconds."""
_SUFFIXES = ("_bucket", "_count", "_sum", "_total")


def parse_query(stack: Stack, expr: str) -> Node:
    """Return the syntax tree of an expression; raises ``WorkError`` for a syntax error."""
    tree: Node = _get(stack, "parse_query", expr)
    return tree


def query_values(stack: Stack, expr: str, at: float) -> list[float]:
    """Return the value of each series at a Unix time; raises ``WorkError``."""
    found = _get(stack, "query", expr, time=f"{at:.3f}")
    match found["resultType"]:
        case "scalar":
            return [float(found["result"][1])]
        case "string":
            return []
    # NaN is a value too, and an alert on it fires.
    return [float(series["value"][1]) for series in found["result"] if "value" in series]


def has_data(stack: Stack, expr: str) -> bool:
    """Whether a query has returned something lately; raises ``WorkError``.

    Not only now: after a missed scrape a query returns nothing until the next one.
    """
    now = time.time()
    times = {"start": f"{now - LATELY:.3f}", "end": f"{now:.3f}", "step": "1"}
    return bool(_get(stack, "query_range", expr, **times)["result"])


def list_metrics(tree: Any) -> list[str]:
    """Return the names of the metrics in a tree, or in a part of one."""
    return [
        node["name"]
        for node in _nodes(tree)
        if node.get("type") in ("vectorSelector", "matrixSelector")
    ]


def list_unknown_metrics(tree: Node, known: Mapping[str, str]) -> list[str]:
    """Return the metrics in a tree that no service has and no rule records."""
    return [
        name
        for name in list_metrics(tree)
        if ":" not in name and name != "up" and not _type(name, known)
    ]


def _get(stack: Stack, endpoint: str, expr: str, **parameters: str) -> Any:
    try:
        return stack.prometheus.get(endpoint, query=expr, **parameters)
    except PrometheusError as error:
        raise WorkError(f"{expr}: {error.refusal or error}") from error


def query_types(stack: Stack) -> dict[str, str]:
    """Return the type of each scraped metric, by its name."""
    known = stack.prometheus.get("metadata")
    return {name: entries[0]["type"] for name, entries in known.items()}


def find_misuse(expr: str, tree: Node, known: Mapping[str, str]) -> str | None:
    """Return a hint if a function is used on the wrong type of metric; ``known`` has the types."""
    for function, argument in _calls(tree):
        for name in list_metrics(argument):
            kind = _type(name, known)
            if function in PER_SECOND and ":" in name:
                return (
                    f"{function}() of {name}, which a rule records: it is no counter any more. Use "
                    f"{function}() on the counter, and record the result"
                )
            if function in PER_SECOND and kind == "gauge":
                return (
                    f"{function}() of {name}, which is a gauge: {function}() treats each decrease "
                    "as a counter reset. Query a gauge as it is, or use avg_over_time() or "
                    "max_over_time()"
                )
            if function in FOR_GAUGES and kind in ("counter", "histogram"):
                return (
                    f"{function}() of {name}, which is a counter: {function}() is for gauges, and "
                    "takes a counter reset for a decrease. Use rate()"
                )
        if function in OF_SAMPLES and (name := _find_samples(argument, known)):
            return (
                f"{function}() of {name}, which is a counter: its samples are totals since the "
                "start of the process, not what happened in the window. Use rate()"
            )
        if function == "irate":
            return (
                "irate() uses only the last two samples, so that a graph misses what is between "
                "its points, and rules and alerts flap: use rate()"
            )
        if function == "histogram_quantile" and _loses_bounds(argument):
            return (
                "histogram_quantile() needs the label le, which distinguishes the buckets, but an "
                "aggregation in it removes le: use sum by (job, le) (rate(..._bucket[1m]))"
            )
        if function in PER_SECOND and _aggregated(argument):
            return (
                f"{function}() of an aggregation: when one instance restarts, the sum decreases, "
                f"and {function}() treats that as a reset of all instances. Use {function}() "
                "first, then sum()"
            )
    for node in _nodes(tree):
        # rate() of an earlier window is a matrixSelector.
        if node.get("type") == "vectorSelector" and node.get("offset"):
            name = node["name"]
            if _type(name, known) in ("counter", "histogram"):
                return (
                    f"{name} is compared with its value at another time: a counter is 0 again when "
                    "its process restarts, so that the difference is negative. Use rate() or "
                    "increase(), which know that"
                )
    return None


def is_average(tree: Node) -> bool:
    """Whether the tree divides a _sum by its _count, or averages over time."""
    return any(
        _ends(node["lhs"], "_sum") and _ends(node["rhs"], "_count")
        for node in _nodes(tree)
        if node.get("type") == "binaryExpr" and node["op"] == "/"
    ) or any(function == "avg_over_time" for function, _ in _calls(tree))


def has_threshold(tree: Node) -> bool:
    """Whether a query compares with something, or asks for what is absent, as an alert does."""
    compares = any(
        node.get("type") == "binaryExpr"
        and node["op"] in (">", ">=", "<", "<=", "==", "!=", "unless")
        and not node.get("bool")
        for node in _nodes(tree)
    )
    return compares or any(function.startswith("absent") for function, _ in _calls(tree))


def find_raw_counter(tree: Any, known: Mapping[str, str]) -> str:
    """Return a counter whose value since the start of its process a query uses; empty if none."""
    if isinstance(tree, list):
        return next(filter(None, (find_raw_counter(each, known) for each in tree)), "")
    if not isinstance(tree, Mapping):
        return ""
    kind = tree.get("type")
    if kind == "vectorSelector":
        name = str(tree["name"])
        return name if _type(name, known) in ("counter", "histogram") else ""
    if kind in ("matrixSelector", "subquery"):
        return ""
    # Only whether there are series counts.
    if kind == "aggregation" and tree["op"] in ("count", "group"):
        return ""
    if kind == "call" and tree["func"]["name"].startswith("absent"):
        return ""
    return find_raw_counter(list(tree.values()), known)


def list_windows(tree: Node) -> list[float]:
    """Return the seconds of every range in a tree."""
    return [
        node["range"] / 1000
        for node in _nodes(tree)
        if node.get("type") in ("matrixSelector", "subquery")
    ]


def looks_back(tree: Node) -> bool:
    """Whether a query needs samples from before its windows, which a new service does not have."""
    return any(node.get("type") == "subquery" or node.get("offset") for node in _nodes(tree))


def _loses_bounds(tree: Any) -> bool:
    """Whether an aggregation of classic buckets removes their bounds."""
    return any(
        ("le" in node["grouping"]) == node["without"]
        for node in _nodes(tree)
        if node.get("type") == "aggregation"
        and any(name.endswith("_bucket") for name in list_metrics(node["expr"]))
    )


def _find_samples(tree: Any, known: Mapping[str, str]) -> str:
    """Return a counter whose samples a function gets as they are; empty if none."""
    for node in _nodes(tree):
        if node.get("type") == "matrixSelector":
            return find_raw_counter({**node, "type": "vectorSelector"}, known)
        if node.get("type") == "subquery":
            return find_raw_counter(node["expr"], known)
    return ""


def _nodes(tree: Any) -> Iterator[Node]:
    if isinstance(tree, Mapping):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _calls(tree: Node) -> Iterator[tuple[str, Any]]:
    for node in _nodes(tree):
        if node.get("type") == "call":
            yield node["func"]["name"], node["args"]


def _aggregated(tree: Any) -> bool:
    return any(node.get("type") == "aggregation" for node in _nodes(tree))


def _ends(tree: Any, suffix: str) -> bool:
    names = list_metrics(tree)
    return bool(names) and all(name.endswith(suffix) for name in names)


def _type(name: str, known: Mapping[str, str]) -> str:
    for suffix in ("", *_SUFFIXES):
        if name.endswith(suffix) and (kind := known.get(name.removesuffix(suffix))):
            return kind
    return ""
