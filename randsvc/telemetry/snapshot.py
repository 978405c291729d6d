"""The metrics at one moment as plain values, for who shows them and need not know the SDK."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any

from opentelemetry.sdk.metrics.export import ExponentialHistogramDataPoint, MetricsData

from .catalogue import Metric

__all__ = ("Attributes", "Exponential", "Point", "Snapshot", "take_snapshot")

Attributes = frozenset[tuple[str, Any]]


@dataclass(frozen=True)
class Exponential:
    """Counts by index i of buckets (base^i, base^(i+1)], base = 2^(2^-scale), and of zeros."""

    scale: int
    zeros: int = 0
    positive: Mapping[int, int] = field(default_factory=dict)
    negative: Mapping[int, int] = field(default_factory=dict)
    count: int = 0
    sum: float = 0.0


Point = float | Exponential


@dataclass(frozen=True)
class Snapshot:
    """Every cumulative data point, by metric name and attributes.

    ``time`` is in Unix seconds; ``resource`` holds the attributes of the process.
    """

    time: float
    resource: Mapping[str, Any]
    points: Mapping[str, Mapping[Attributes, Point]]

    def numbers(self, metric: Metric) -> Iterator[tuple[Mapping[str, Any], float]]:
        """The attributes and value of each point of a counter or gauge."""
        for attributes, point in self.points.get(metric.name, {}).items():
            if isinstance(point, int | float):
                yield dict(attributes), float(point)

    def histograms(self, metric: Metric) -> Iterator[tuple[Mapping[str, Any], Exponential]]:
        """The attributes and counts of each point of a histogram."""
        for attributes, point in self.points.get(metric.name, {}).items():
            if isinstance(point, Exponential):
                yield dict(attributes), point

    def histogram(self, metric: Metric) -> Exponential | None:
        """All series of a histogram as one; None before the first observation."""
        points = [point for _, point in self.histograms(metric)]
        return _join(points) if points else None


def take_snapshot(data: MetricsData) -> Snapshot:
    """What a reader of the SDK collected, as plain values."""
    (resource,) = data.resource_metrics
    return Snapshot(
        time=time(),
        resource=dict(resource.resource.attributes),
        points={
            metric.name: {
                frozenset((point.attributes or {}).items()): _reduce_to_point(point)
                for point in metric.data.data_points
            }
            for scope in resource.scope_metrics
            for metric in scope.metrics
        },
    )


def _join(points: Sequence[Exponential]) -> Exponential:
    """The sum, at the coarsest scale of all; by halving the resolution nothing is split.

    https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponential-scale
    """
    scale = min(point.scale for point in points)
    positive: Counter[int] = Counter()
    negative: Counter[int] = Counter()
    for point in points:
        for buckets, sums in ((point.positive, positive), (point.negative, negative)):
            for index, count in buckets.items():
                sums[index >> (point.scale - scale)] += count
    return Exponential(
        scale=scale,
        zeros=sum(point.zeros for point in points),
        positive=positive,
        negative=negative,
        count=sum(point.count for point in points),
        sum=sum(point.sum for point in points),
    )


def _reduce_to_point(point: Any) -> Point:
    if isinstance(point, ExponentialHistogramDataPoint):
        return Exponential(
            scale=point.scale,
            zeros=point.zero_count,
            positive=_sparse(point.positive.offset, point.positive.bucket_counts),
            negative=_sparse(point.negative.offset, point.negative.bucket_counts),
            count=point.count,
            sum=point.sum,
        )
    return float(point.value)


def _sparse(offset: int, counts: Sequence[int]) -> dict[int, int]:
    return {offset + i: count for i, count in enumerate(counts) if count}
