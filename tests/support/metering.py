"""Instruments of ours that are read in memory, without an application."""

from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricReader,
)
from opentelemetry.sdk.resources import Resource

from randsvc.telemetry.instruments import Reading
from randsvc.telemetry.provider import Meter, MeterProvider

KINDS: tuple[type, ...] = (
    *(sdk.Counter, sdk.UpDownCounter, sdk.Histogram),
    *(sdk.ObservableCounter, sdk.ObservableUpDownCounter, sdk.ObservableGauge),
)

OF_SDK = {
    "counter": ("Sum", True),
    "updowncounter": ("Sum", False),
    "gauge": ("Gauge", None),
    "histogram": ("Histogram", None),
    "exponential_histogram": ("ExponentialHistogram", None),
}
"""The data of the SDK, and whether it is monotonic, by the kind of a declared metric."""


def delta_reader() -> InMemoryMetricReader:
    """A reader that prefers deltas for every kind of instrument."""
    return InMemoryMetricReader(dict.fromkeys(KINDS, AggregationTemporality.DELTA))


def provider_of(*readers: MetricReader) -> MeterProvider:
    """A provider that these readers read."""
    provider = MeterProvider([Reading.of(reader) for reader in readers])
    provider.start(Resource.get_empty())
    return provider


def meter_of(*readers: MetricReader) -> Meter:
    """A meter that these readers read."""
    return provider_of(*readers).get_meter("tested")
