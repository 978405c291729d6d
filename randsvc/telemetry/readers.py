"""The SDK's readers, chosen by the standard ``OTEL_*`` variables, with our histograms added.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    InMemoryMetricReader,
    MetricExporter,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)

from randsvc.telemetry import exposition
from randsvc.telemetry.accumulator import Histogram, Reading
from randsvc.telemetry.environment import choices, otlp_endpoint, otlp_protocol
from randsvc.telemetry.instruments import SCOPE
from randsvc.telemetry.outage import AnnouncedMetricExporter

__all__ = ("InMemoryReader", "PullReader", "PushReader", "Reader", "readers_from_environment")


class Reader(MetricReader):
    """What our readers have in common: at each collection they receive our histograms as well.

    ``histograms`` is filled in once they exist; they are made with the ``reading`` of each reader.
    """

    reading = Reading()
    histograms: Sequence[Histogram] = ()

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        metrics = [m for histogram in self.histograms if (m := histogram.collect(self.reading))]
        if metrics:
            (resource,) = metrics_data.resource_metrics  # there always are observed instruments
            scopes = [
                replace(scope, metrics=[*scope.metrics, *metrics])
                if scope.scope.name == SCOPE
                else scope
                for scope in resource.scope_metrics
            ]
            resource = replace(resource, scope_metrics=scopes)
            metrics_data = replace(metrics_data, resource_metrics=[resource])
        super()._receive_metrics(metrics_data, timeout_millis, **kwargs)  # type: ignore[safe-super]


class PushReader(Reader, PeriodicExportingMetricReader):
    """Collects in a thread of its own at ``OTEL_METRIC_EXPORT_INTERVAL``, for an exporter."""

    def __init__(self, exporter: MetricExporter) -> None:
        preferred = exporter._preferred_temporality or {}
        self.reading = Reading(delta=preferred.get(SdkHistogram) is AggregationTemporality.DELTA)
        super().__init__(exporter)


class InMemoryReader(Reader, InMemoryMetricReader):
    """Collects when it is asked, for tests and for pages that show the metrics themselves."""

    def __init__(self, reading: Reading | None = None) -> None:
        self.reading = reading or Reading()
        temporality = (
            AggregationTemporality.DELTA
            if self.reading.delta
            else AggregationTemporality.CUMULATIVE
        )
        super().__init__(preferred_temporality={SdkHistogram: temporality})


class PullReader(InMemoryReader):
    """Collects when ``/metrics`` is asked for."""

    def __init__(self) -> None:
        super().__init__(Reading(native=False))

    def render(self) -> bytes:
        """The metrics in the Prometheus text format; a matter of ms, so not for the event loop."""
        data = self.get_metrics_data()
        return exposition.render(data) if data else b""


def readers_from_environment(environ: Mapping[str, str]) -> list[Reader]:
    """The readers that ``OTEL_METRICS_EXPORTER`` names; raises ``ConfigurationError``."""
    known: dict[str, Callable[[], Reader]] = {
        "otlp": lambda: PushReader(
            AnnouncedMetricExporter(_otlp_exporter(environ), otlp_endpoint(environ, "METRICS"))
        ),
        "prometheus": PullReader,
        "console": lambda: PushReader(ConsoleMetricExporter()),
    }
    return [known[name]() for name in choices(environ, "OTEL_METRICS_EXPORTER", "otlp", known)]


def _otlp_exporter(environ: Mapping[str, str]) -> MetricExporter:
    if otlp_protocol(environ, "METRICS") == "http/protobuf":
        return OTLPMetricExporter()
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
        OTLPMetricExporter as GrpcExporter,
    )

    return GrpcExporter()
