"""The synchronous instruments of the OpenTelemetry API, whose measurements are recorded locally.

The SDK's ``add`` and ``record`` clean attributes, take locks and walk views for each measurement.
Here a measurement is appended to the list of its attribute set; what becomes of it is done later,
many at a time. Each reader is handed ordinary data points, in its own temporality, when it
collects.

Why this is exact without a lock around the append: the append, the copy of a slice and the deletion
of a slice are one operation each under the interpreter's lock, so a measurement lands either before
the copy or after it.
"""

import json
import logging
import math
from bisect import bisect_left
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import time_ns
from typing import Any, Literal, TypeVar

from opentelemetry import metrics as api
from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    MetricReader,
)
from opentelemetry.sdk.metrics.export import Gauge as GaugeData
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.metrics.export import Metric as MetricData
from opentelemetry.sdk.metrics.export import Sum as SumData
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    DefaultAggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)
from opentelemetry.trace import SpanContext
from opentelemetry.util.types import Attributes

from .aggregate import (
    Aggregate,
    DataPoint,
    ExplicitAggregate,
    ExponentialAggregate,
    LastValue,
    Sum,
)
from .otlp import fit, fit_number

__all__ = (
    "Counter",
    "Gauge",
    "Histogram",
    "Reading",
    "Series",
    "Shared",
    "UpDownCounter",
    "read_number",
)

_logger = logging.getLogger(__name__)

CARDINALITY_LIMIT = 200
"""Series of one metric, the overflow series included; more attribute sets are counted there.

https://opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits has 2000 as its default: a
scrape of 34,000 lines for a histogram with 14 buckets.
"""
OVERFLOW: Mapping[str, str | bool] = {"otel.metric.overflow": True}

PENDING_LIMIT = 4096
"""Measurements of one series that wait to be folded; whoever records the next one folds them."""

# https://opentelemetry.io/docs/specs/otel/metrics/sdk/#explicit-bucket-histogram-aggregation
_DEFAULT_BOUNDS = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)

# Attribute values that are equal if their types are too; lists and the like are not looked up fast.
_SIMPLE = frozenset((str, bool, int, float))

# Takes a value and keeps none, without a call of Python.
_DISCARD: Callable[[float], None] = deque[float](maxlen=0).append

Refusal = Literal["negative", "not_a_number", "not_finite"]
Fresh = Callable[[], Aggregate]
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Reading:
    """One reader, and what it prefers.

    The reader itself is made when the application starts. ``preferences`` is a reader too, of which
    nothing is read but the temporality and the aggregation that it prefers for each instrument.
    """

    preferences: MetricReader
    make: Callable[[], MetricReader]

    @classmethod
    def of(cls, reader: MetricReader) -> "Reading":
        """The reading of a reader that exists."""
        return cls(reader, lambda: reader)

    def temporality(self, kind: type) -> AggregationTemporality:
        """The temporality that the reader prefers for a kind of the SDK's instruments."""
        return _of_kind(self.preferences._instrument_class_temporality, kind)

    def aggregation(self, kind: type) -> Aggregation:
        """The aggregation that the reader prefers for a kind of the SDK's instruments."""
        return _of_kind(self.preferences._instrument_class_aggregation, kind)


@dataclass
class Shared:
    """State that all instruments of one provider share.

    ``traced`` keeps the trace of a sampled request as an exemplar of what is recorded in it.
    ``refused`` counts the measurements that no metric can take, by metric and reason.
    """

    readings: Sequence[Reading]
    traced: bool = False
    lock: Lock = field(default_factory=Lock)
    refused: Tally[tuple[str, Refusal]] = field(default_factory=Tally)

    def refuse(self, name: str, value: object, refusal: Refusal) -> None:
        """Count a measurement that the metric of a name cannot take, and log the first."""
        if not self.refused[name, refusal]:
            _logger.warning(
                "%s does not count %s: %s; further ones are counted in silence",
                *(name, _show(value), refusal.replace("_", " ")),
            )
        self.refused[name, refusal] += 1


class Series:
    """The measurements of one attribute set.

    ``observe(value)`` records a value at the cost of a ``list.append``, from any thread; its caller
    sees to it that somebody folds. ``record`` needs nobody.
    """

    __slots__ = (
        "_aggregates",
        "_attributes",
        "_exemplars",
        "_instrument",
        "_pending",
        "_starts",
        "observe",
    )

    def __init__(self, instrument: "_Instrument", attributes: Attributes) -> None:
        self._instrument = instrument
        self._attributes = attributes
        self._pending: list[float] = []
        self.observe: Callable[[float], None] = (
            self._pending.append if instrument.streams else _DISCARD
        )
        self.forget()

    def record(self, value: float) -> None:
        """Record a value, from any thread."""
        pending = self._pending
        pending.append(value)
        if len(pending) >= PENDING_LIMIT:
            self.fold()

    def offer_exemplar(self, value: float, span: SpanContext) -> None:
        """Keep the trace of ``value`` as the latest example of its explicit bucket.

        What is no finite number is not counted, so it is no example either.
        """
        number, refusal = read_number(value)
        if refusal is None:
            self._exemplars[bisect_left(self._instrument.bounds, number)] = Exemplar(
                {}, fit_number(number), time_ns(), span.span_id, span.trace_id
            )

    def fold(self) -> None:
        """Fold what was recorded, so that memory stays small; not while somebody else does."""
        lock = self._instrument.shared.lock
        if lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                lock.release()

    def forget(self) -> None:
        """Begin as if nothing had been recorded."""
        now = time_ns()
        self._pending.clear()
        streams = self._instrument.streams.values()
        self._aggregates = {stream.key: stream.fresh() for stream in streams}
        self._starts = {stream.key: now for stream in streams}
        self._exemplars: dict[int, Exemplar] = {}

    def collect(self, stream: "_Stream", since: int, now: int) -> DataPoint | None:
        """The data point for one reader at ``now``; None where there is none.

        The exemplars of a delta are those from ``since`` on; both are in Unix nanoseconds. A
        cumulative point has the latest of each bucket, as a Collector that is scraped shows what
        the last push had.
        """
        with self._instrument.shared.lock:
            self._fold()
            aggregate, start = self._aggregates[stream.key], self._starts[stream.key]
            if aggregate.is_empty:
                if not stream.is_delta:
                    # Nothing was counted until now. Prometheus takes a series to be 0 at its start,
                    # and ignores a start that is an hour old.
                    self._starts[stream.key] = now
                return None
            if stream.is_delta:
                self._aggregates[stream.key] = stream.fresh()
                self._starts[stream.key] = now
            exemplars = [
                exemplar
                for exemplar in list(self._exemplars.values())
                if not stream.is_delta or since <= exemplar.time_unix_nano < now
            ]
            return aggregate.point(self._attributes, start, now, exemplars)

    def _fold(self) -> None:
        values: Sequence[float] = self._pending[:]
        if values:
            del self._pending[: len(values)]
            if values := self._instrument.accepted(values):
                for aggregate in self._aggregates.values():
                    aggregate.fold(values)


@dataclass(frozen=True)
class _Stream:
    """How an instrument is read by one reader. Those with one ``key`` share their aggregates."""

    key: tuple[object, ...]
    fresh: Fresh
    is_delta: bool


class _Instrument:
    """What all synchronous instruments have in common.

    ``name``, ``unit`` and ``description`` are those of the metric.
    """

    kind: type
    """The class of the SDK's instrument, for which readers have their preferences."""
    bounds: Sequence[float] = ()
    exponential = False

    def __init__(self, name: str, unit: str, description: str, shared: Shared) -> None:
        self.name, self.unit, self.description = name, unit, description
        self.shared = shared
        self.streams: dict[Reading, _Stream] = {
            reading: stream
            for reading in shared.readings
            if (stream := self._stream(reading)) is not None
        }
        self._series: dict[str, Series] = {}
        # The same by the attributes as they are given: to clean and to sort them takes long.
        self._known: dict[tuple[object, ...], Series] = {}
        self._without_attributes: Series | None = None

    def bind(self, attributes: Attributes = None) -> Callable[[float], None]:
        """A function that records for these attributes, at a fraction of the usual cost.

        It takes no exemplars.
        """
        return self.series(attributes).record if self.streams else _DISCARD

    def series(self, attributes: Attributes = None) -> Series:
        """The series of an attribute set, made at its first use."""
        cleaned: Mapping[str, Any] = dict(_clean(attributes))
        # Unlike a set of items it tells True from 1 and 1 from 1.0, as OTLP does.
        key = json.dumps(cleaned, sort_keys=True, default=repr)
        with self.shared.lock:
            if key not in self._series and len(self._series) >= CARDINALITY_LIMIT - 1:
                cleaned, key = OVERFLOW, json.dumps(OVERFLOW)
            if key not in self._series:
                self._series[key] = Series(self, cleaned)
            return self._series[key]

    def fold(self) -> None:
        """Fold every series."""
        for series in list(self._series.values()):
            series.fold()

    def forget(self) -> None:
        """Begin every series as if nothing had been recorded."""
        for series in list(self._series.values()):
            series.forget()

    def collect(self, reading: Reading, since: int, now: int) -> MetricData | None:
        """The metric for one reader; None where it has no data point. Times are in Unix ns."""
        stream = self.streams.get(reading)
        if stream is None:
            return None
        every = list(self._series.values())
        points = [p for s in every if (p := s.collect(stream, since, now)) is not None]
        if not points:
            return None
        temporality = (
            AggregationTemporality.DELTA if stream.is_delta else AggregationTemporality.CUMULATIVE
        )
        data = self._data(points, temporality)
        return MetricData(self.name, self.description, self.unit, data)

    def accepted(self, values: Sequence[float]) -> Sequence[float]:
        """Those of ``values`` that the metric can take; the others are counted and logged."""
        try:
            total = sum(values)
            # Fast, and true of a sum only if it is true of every value.
            if type(total) in (float, int) and math.isfinite(total) and not self._refuses(values):
                return self._ordered(values)
        except Exception:  # noqa: S110 - whatever was recorded is looked at below
            pass
        kept = []
        for value in values:
            number, refusal = read_number(value)
            if refusal is None and self._refuses((number,)):
                refusal = "negative"
            if refusal is None:
                kept.append(number)
            else:
                self.shared.refuse(self.name, value, refusal)
        return self._ordered(kept)

    def _refuses(self, values: Sequence[float]) -> bool:
        """Whether one of the finite ``values`` is none that the instrument takes."""
        return False

    def _ordered(self, values: Sequence[float]) -> Sequence[float]:
        """The values in the order that the aggregates need."""
        return values

    def _stream(self, reading: Reading) -> _Stream | None:
        aggregation = reading.aggregation(self.kind)
        if isinstance(aggregation, DropAggregation):
            return None
        name, fresh = self._aggregation(aggregation)
        is_delta = reading.temporality(self.kind) is AggregationTemporality.DELTA
        key = (reading, name) if is_delta else (name,)
        return _Stream(key, fresh, is_delta)

    def _aggregation(self, preferred: Aggregation) -> tuple[object, Fresh]:
        """What identifies the aggregation, and what makes one; ``preferred`` is the reader's."""
        if type(preferred) is not DefaultAggregation:
            raise ValueError(
                f"{self.name}: the aggregation {type(preferred).__name__} is not supported for "
                f"{type(self).__name__}; expected DefaultAggregation or DropAggregation"
            )
        return Sum, Sum

    def _data(self, points: list[Any], temporality: AggregationTemporality) -> Any:
        raise NotImplementedError

    def _record(
        self, amount: float, attributes: Attributes = None, context: Context | None = None
    ) -> None:
        """Record a measurement, from any thread."""
        if attributes:
            try:
                # The types too, as True is 1 and 1 is 1.0, but not here.
                values = attributes.values()
                series = self._known[(*attributes, *values, *map(type, values))]
            except (AttributeError, KeyError, TypeError):
                series = self._find(attributes)
        else:
            series = self._without_attributes or self._find(None)
        pending = series._pending
        pending.append(amount)
        if len(pending) >= PENDING_LIMIT:
            series.fold()
        if self.shared.traced:
            span = trace.get_current_span(context).get_span_context()
            if span.trace_flags.sampled:
                series.offer_exemplar(amount, span)

    def _find(self, attributes: Attributes) -> Series:
        series = self.series(attributes)
        if not attributes:
            self._without_attributes = series
        # Every order of the attributes is a key of its own, and clients may choose their values.
        elif isinstance(attributes, Mapping) and len(self._known) < 4 * CARDINALITY_LIMIT:
            values = attributes.values()
            types = tuple(map(type, values))
            if _SIMPLE.issuperset(types):
                self._known[(*attributes, *values, *types)] = series
        return series


class Counter(_Instrument, api.Counter):
    """Counts up."""

    kind = sdk.Counter

    add = _Instrument._record

    def _refuses(self, values: Sequence[float]) -> bool:
        return min(values) < 0

    def _data(self, points: list[Any], temporality: AggregationTemporality) -> SumData:
        return SumData(points, temporality, is_monotonic=True)


class UpDownCounter(_Instrument, api.UpDownCounter):
    """Counts up and down."""

    kind = sdk.UpDownCounter

    add = _Instrument._record

    def _data(self, points: list[Any], temporality: AggregationTemporality) -> SumData:
        return SumData(points, temporality, is_monotonic=False)


class Gauge(_Instrument, api._Gauge):
    """Holds the last value."""

    kind = sdk._Gauge

    set = _Instrument._record

    def _aggregation(self, preferred: Aggregation) -> tuple[object, Fresh]:
        super()._aggregation(preferred)
        return LastValue, LastValue

    def _data(self, points: list[Any], temporality: AggregationTemporality) -> GaugeData:
        return GaugeData(points)


class Histogram(_Instrument, api.Histogram):
    """Counts values by size: in the buckets of ``bounds``, or exponential ones.

    They are exponential where the reader asks for it, and with ``exponential`` also where it has no
    preference. Negative values are recorded.
    """

    kind = sdk.Histogram
    record = _Instrument._record

    def __init__(
        self,
        name: str,
        unit: str,
        description: str,
        shared: Shared,
        *,
        bounds: Sequence[float] | None = None,
        exponential: bool = False,
    ) -> None:
        self.bounds = tuple(_DEFAULT_BOUNDS if bounds is None else bounds)
        self.exponential = exponential
        super().__init__(name, unit, description, shared)

    def _ordered(self, values: Sequence[float]) -> Sequence[float]:
        return sorted(values)

    def _aggregation(self, preferred: Aggregation) -> tuple[object, Fresh]:
        if isinstance(preferred, ExponentialBucketHistogramAggregation):
            size, scale = preferred._max_size, preferred._max_scale
            return (size, scale), lambda: ExponentialAggregate(size, scale)
        if isinstance(preferred, ExplicitBucketHistogramAggregation):
            given = preferred._boundaries
            bounds = tuple(self.bounds if given is None else given)
            return bounds, lambda: ExplicitAggregate(bounds)
        super()._aggregation(preferred)
        if self.exponential:
            return self._aggregation(ExponentialBucketHistogramAggregation())
        return self._aggregation(ExplicitBucketHistogramAggregation())

    def _data(self, points: list[Any], temporality: AggregationTemporality) -> Any:
        is_explicit = hasattr(points[0], "explicit_bounds")
        return (HistogramData if is_explicit else ExponentialHistogram)(points, temporality)


def _of_kind(preferences: Mapping[Any, _T], kind: type) -> _T:
    """The preference for a kind of instrument, which the SDK has by a class derived from it."""
    return next(value for of, value in preferences.items() if issubclass(of, kind))


def _clean(attributes: object) -> Mapping[str, Any]:
    """The attributes with values that OTLP can carry, as the SDK cleans them."""
    if attributes is None or isinstance(attributes, Mapping):
        cleaned: Mapping[str, Any] = fit(BoundedAttributes(attributes=attributes or {}))
        return cleaned
    _logger.warning("attributes %.100r are left out: expected a mapping", attributes)
    return {}


def read_number(value: object) -> tuple[float, Refusal | None]:
    """A finite number, or why ``value`` is none."""
    try:
        if isinstance(value, (str, bytes, bytearray)):
            return 0, "not_a_number"
        # Numbers of numpy and the like become ours; a bool is counted as the SDK counts it.
        number = value if type(value) in (int, float, bool) else float(value)  # type: ignore[arg-type]
        return (number, None) if math.isfinite(number) else (0, "not_finite")  # type: ignore[arg-type,return-value]
    except OverflowError:
        return 0, "not_finite"
    except Exception:  # whatever it is, it is not a number
        return 0, "not_a_number"


def _show(value: object) -> str:
    """Show a value in 100 characters; not each has a text, such as an integer of 5,000 digits."""
    try:
        return f"{value!r:.100}"
    except Exception:
        return f"a value of type {type(value).__name__}"
