"""Histograms that cost the request one ``list.append``.

The SDK's ``Histogram.record`` takes locks, filters attributes and walks views for each
observation: 9 to 12 us. Here an observation is appended to a list; the bucketing is done later,
many observations at a time, on a sorted batch. Each reader of the SDK is handed ordinary data
points, in its own temporality, when it collects.

Why this is exact without a lock around ``observe``: the append, the copy of a slice and the
deletion of a slice are one operation each under the interpreter's lock, so an observation lands
either before the copy or after it.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from time import time_ns

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
)
from opentelemetry.sdk.metrics.export import Histogram as ExplicitHistogram
from opentelemetry.sdk.metrics.export import Metric as MetricData
from opentelemetry.trace import SpanContext

from randsvc.telemetry.aggregate import ExplicitAggregate, ExponentialAggregate
from randsvc.telemetry.catalogue import Metric

__all__ = ("Histogram", "Reading", "Series")

CARDINALITY_LIMIT = 200
"""Series of one metric, the overflow series included; more attribute sets are counted there.

https://opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits has 2000 as its default: a
scrape of 34,000 lines for a histogram with 14 buckets.
"""
OVERFLOW: Mapping[str, str | bool] = {"otel.metric.overflow": True}

Attributes = Mapping[str, str | int | bool]


@dataclass(frozen=True, eq=False)
class Reading:
    """How one reader wants histograms; the object is the key to the state kept for that reader.

    ``native`` is false where exponential buckets cannot be carried: in the Prometheus text format.
    """

    delta: bool = False
    native: bool = True


class Series:
    """The observations of one attribute set.

    ``observe(value)`` adds a finite value: from any thread, at the cost of a ``list.append``.
    """

    __slots__ = (
        "_aggregates",
        "_attributes",
        "_exemplars",
        "_lock",
        "_metric",
        "_pending",
        "_start",
        "observe",
    )

    def __init__(self, metric: Metric, attributes: Attributes, readings: Sequence[Reading]) -> None:
        self._metric = metric
        self._attributes = dict(attributes)
        self._pending: list[float] = []
        self.observe: Callable[[float], None] = self._pending.append
        self._lock = Lock()
        self._aggregates = {reading: _aggregate(metric, reading) for reading in readings}
        self._start = dict.fromkeys(readings, time_ns())
        self._exemplars: dict[int, Exemplar] = {}

    def offer_exemplar(self, value: float, span: SpanContext) -> None:
        """Keep the trace of ``value`` as the latest example of its explicit bucket."""
        self._exemplars[bisect_left(self._metric.buckets, value)] = Exemplar(
            {}, value, time_ns(), span.span_id, span.trace_id
        )

    def fold(self) -> None:
        """Move what was observed into the buckets, so that memory stays small between readings."""
        with self._lock:
            self._fold()

    def collect(
        self, reading: Reading, now: int
    ) -> HistogramDataPoint | ExponentialHistogramDataPoint | None:
        """The data point for one reader at ``now`` (Unix ns); None where nothing was observed."""
        with self._lock:
            self._fold()
            aggregate, start = self._aggregates[reading], self._start[reading]
            if reading.delta:
                self._aggregates[reading] = _aggregate(self._metric, reading)
                self._start[reading] = now
            if not aggregate.count:
                return None
            # In here, as whoever folds meanwhile adds to this very aggregate.
            point = aggregate.point(self._attributes, start, now)
        if not self._exemplars:
            return point
        return replace(point, exemplars=list(self._exemplars.values()))

    def _fold(self) -> None:
        values = self._pending[:]
        if values:
            del self._pending[: len(values)]
            values.sort()
            for aggregate in self._aggregates.values():
                aggregate.fold(values)


class Histogram:
    """The series of one metric of the catalogue, at most ``CARDINALITY_LIMIT`` of them."""

    def __init__(self, metric: Metric, readings: Sequence[Reading]) -> None:
        self._metric = metric
        self._readings = tuple(readings)
        self._series: dict[frozenset[tuple[str, str | int | bool]], Series] = {}
        self._lock = Lock()

    def series(self, attributes: Attributes | None = None) -> Series:
        """The series of an attribute set, made at its first use. Keep it where the path is hot."""
        attributes = attributes or {}
        key = frozenset(attributes.items())
        with self._lock:
            if key not in self._series and len(self._series) >= CARDINALITY_LIMIT - 1:
                attributes, key = OVERFLOW, frozenset(OVERFLOW.items())
            if key not in self._series:
                self._series[key] = Series(self._metric, attributes, self._readings)
            return self._series[key]

    def fold(self) -> None:
        """Fold every series."""
        for series in self._all():
            series.fold()

    def collect(self, reading: Reading) -> MetricData | None:
        """The metric as the SDK's data for one reader; None where nothing was observed."""
        now = time_ns()
        points = [p for series in self._all() if (p := series.collect(reading, now)) is not None]
        if not points:
            return None
        temporality = (
            AggregationTemporality.DELTA if reading.delta else AggregationTemporality.CUMULATIVE
        )
        native = _exponential(self._metric, reading)
        data_type = ExponentialHistogram if native else ExplicitHistogram
        return MetricData(
            name=self._metric.name,
            description=self._metric.description,
            unit=self._metric.unit,
            data=data_type(points, temporality),  # type: ignore[arg-type] # all points are of its kind
        )

    def _all(self) -> list[Series]:
        with self._lock:
            return list(self._series.values())


def _exponential(metric: Metric, reading: Reading) -> bool:
    return metric.kind == "exponential_histogram" and reading.native


def _aggregate(metric: Metric, reading: Reading) -> ExplicitAggregate | ExponentialAggregate:
    if _exponential(metric, reading):
        return ExponentialAggregate()
    return ExplicitAggregate(metric.buckets)
