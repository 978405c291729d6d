"""The SDK's readers, chosen by the standard ``OTEL_*`` variables.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    InMemoryMetricReader,
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    DefaultAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)

from . import exposition
from .environment import get_otlp_endpoint, get_otlp_protocol, get_value, list_names
from .instruments import Reading
from .outage import AnnouncedMetricExporter

__all__ = ("PullReader", "PushReader", "make_readings")

# https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/#additional-environment-variable-configuration
_DELTA: Mapping[str, tuple[type, ...]] = {
    "cumulative": (),
    "delta": (sdk.Counter, sdk.Histogram, sdk.ObservableCounter),
    "lowmemory": (sdk.Counter, sdk.Histogram),
}
_KINDS = (
    *(sdk.Counter, sdk.UpDownCounter, sdk.Histogram),
    *(sdk.ObservableCounter, sdk.ObservableUpDownCounter, sdk.ObservableGauge),
)
_AGGREGATION: Mapping[str, Callable[[], Aggregation]] = {
    "": DefaultAggregation,
    "explicit_bucket_histogram": ExplicitBucketHistogramAggregation,
    "base2_exponential_bucket_histogram": ExponentialBucketHistogramAggregation,
}


class PushReader(PeriodicExportingMetricReader):
    """Collects in a thread of its own at ``OTEL_METRIC_EXPORT_INTERVAL``, for an exporter."""

    def _at_fork_reinit(self) -> None:
        """Stay stopped in a process that was forked: that is another instance.

        The SDK's goes on there, and pushes the parent's numbers again.
        """


class PullReader(InMemoryMetricReader):
    """Collects when ``/metrics`` is asked for."""

    def __init__(self) -> None:
        # The text format has no exponential buckets.
        explicit = ExplicitBucketHistogramAggregation()
        super().__init__(preferred_aggregation={sdk.Histogram: explicit})

    def render(self, content_type: str) -> bytes:
        """The metrics as text; a matter of ms, so not for the event loop."""
        data = self.get_metrics_data() or MetricsData([])
        return exposition.render(data, content_type)


def make_readings(environ: Mapping[str, str]) -> list[Reading]:
    """The readers that ``OTEL_METRICS_EXPORTER`` names, by what ``configuration`` gave."""
    known: dict[str, Callable[[], Reading]] = {
        "otlp": lambda: _make_otlp_reading(environ),
        "prometheus": lambda: Reading(PullReader(), PullReader),
        "console": lambda: Reading(
            InMemoryMetricReader(), lambda: PushReader(ConsoleMetricExporter())
        ),
    }
    return [known[name]() for name in list_names(environ, "OTEL_METRICS_EXPORTER")]


def _make_otlp_reading(environ: Mapping[str, str]) -> Reading:
    preference = get_value(environ, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")
    # Unset is no preference: then each histogram has the buckets that it asks for itself.
    aggregation = get_value(environ, "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION")
    of_sdk: dict[str, Any] = {
        "preferred_temporality": {
            kind: AggregationTemporality.DELTA
            if kind in _DELTA[preference]
            else AggregationTemporality.CUMULATIVE
            for kind in _KINDS
        },
        "preferred_aggregation": {sdk.Histogram: _AGGREGATION[aggregation]()},
    }
    protocol, endpoint = (
        get_otlp_protocol(environ, "METRICS"),
        get_otlp_endpoint(environ, "METRICS"),
    )

    def make() -> PushReader:
        return PushReader(AnnouncedMetricExporter(_make_exporter(protocol, of_sdk), endpoint))

    return Reading(InMemoryMetricReader(**of_sdk), make)


def _make_exporter(protocol: str, of_sdk: Mapping[str, Any]) -> MetricExporter:
    if protocol == "http/protobuf":
        return OTLPMetricExporter(**of_sdk)
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
        OTLPMetricExporter as GrpcExporter,
    )

    return GrpcExporter(**of_sdk)
