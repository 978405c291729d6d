"""Metrics as plain values: name -> attributes -> data point."""

from typing import Any

from opentelemetry.sdk.metrics.export import MetricsData

Attributes = frozenset[tuple[str, Any]]
Measured = dict[str, dict[Attributes, Any]]


def measured(data: MetricsData | None) -> Measured:
    """Every data point by metric name and attributes."""
    assert data is not None
    return {
        metric.name: {frozenset((p.attributes or {}).items()): p for p in metric.data.data_points}
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def counts(points: dict[Attributes, Any], *names: str) -> dict[tuple[Any, ...], int]:
    """Observations of a histogram by the values of some attributes; None where it has none."""
    result: dict[tuple[Any, ...], int] = {}
    for attributes, point in points.items():
        key = tuple(dict(attributes).get(name) for name in names)
        result[key] = result.get(key, 0) + point.count
    return result
