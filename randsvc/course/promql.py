"""What an expression does, by Prometheus's own parser, and what is wrong with that anywhere."""

import json
import urllib.error
from collections.abc import Iterator, Mapping
from typing import Any

from randsvc.course.exercise import WorkError
from randsvc.stack.supervisor import Stack

__all__ = ("Node", "averages", "misused", "parsed", "selected", "types", "unknown", "values")

Node = Mapping[str, Any]
"""https://github.com/prometheus/prometheus/blob/main/web/api/v1/translate_ast.go"""

PER_SECOND = ("rate", "irate", "increase")
_SUFFIXES = ("_bucket", "_count", "_sum")


def parsed(stack: Stack, expr: str) -> Node:
    """Give the tree of an expression; raises ``WorkError`` where it is none."""
    tree: Node = _asked(stack, "parse_query", expr)
    return tree


def values(stack: Stack, expr: str, at: float) -> list[float]:
    """Give the value of each series at a time in Unix seconds; raises ``WorkError``."""
    found = _asked(stack, "query", expr, time=f"{at:.3f}")
    if found["resultType"] == "scalar":
        return [float(found["result"][1])]
    return [float(series["value"][1]) for series in found["result"] if "value" in series]


def selected(tree: Any) -> list[str]:
    """Give the names of the metrics in a tree, or in a part of one."""
    return [
        node["name"]
        for node in _nodes(tree)
        if node.get("type") in ("vectorSelector", "matrixSelector")
    ]


def unknown(tree: Node, known: Mapping[str, str]) -> list[str]:
    """Give the metrics in a tree that neither a service has nor a rule records."""
    return [
        name
        for name in selected(tree)
        if ":" not in name and name != "up" and not _type(name, known)
    ]


def _asked(stack: Stack, what: str, expr: str, **parameters: str) -> Any:
    try:
        answer = stack.get("prometheus:9090", f"/api/v1/{what}", query=expr, **parameters)
    except urllib.error.HTTPError as error:
        with error:
            said = json.loads(error.read())["error"]
        raise WorkError(f"{expr}: {said}") from error
    return json.loads(answer)["data"]


def types(stack: Stack) -> dict[str, str]:
    """Give the type of each metric that was scraped, by its name there."""
    answer = json.loads(stack.get("prometheus:9090", "/api/v1/metadata"))
    return {name: entries[0]["type"] for name, entries in answer["data"].items()}


def misused(expr: str, tree: Node, known: Mapping[str, str]) -> str | None:
    """Give a hint where a function is not for what it is used on; ``known`` are types by name."""
    for function, argument in _calls(tree):
        for name in selected(argument):
            kind = _type(name, known)
            if function in PER_SECOND and kind == "gauge":
                return (
                    f"{function}() of {name}, which is a gauge: it goes down by itself, which "
                    f"{function}() takes for a restart. A gauge is read as it is, or by "
                    "avg_over_time() and max_over_time()"
                )
        if function in PER_SECOND and _aggregated(argument):
            return (
                f"{function}() of a sum: when one instance begins again, the sum falls, which "
                f"{function}() takes for a restart of all. First {function}(), then sum()"
            )
    return None


def averages(tree: Node) -> bool:
    """Whether something that ends in _sum is divided by its _count."""
    return any(
        _ends(node["lhs"], "_sum") and _ends(node["rhs"], "_count")
        for node in _nodes(tree)
        if node.get("type") == "binaryExpr" and node["op"] == "/"
    ) or any(function == "avg_over_time" for function, _ in _calls(tree))


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
    names = selected(tree)
    return bool(names) and all(name.endswith(suffix) for name in names)


def _type(name: str, known: Mapping[str, str]) -> str:
    for suffix in ("", *_SUFFIXES):
        if name.endswith(suffix) and (kind := known.get(name.removesuffix(suffix))):
            return kind
    return ""
