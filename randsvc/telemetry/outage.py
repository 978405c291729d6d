"""Says once that telemetry cannot be delivered, and once that it can be again.

The SDK's exporters log every failed attempt and every retry, for as long as the Collector is away.
"""

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

__all__ = ("AnnouncedMetricExporter", "AnnouncedSpanExporter")

_logger = logging.getLogger(__name__)


class _FirstMessage(logging.Handler):
    """Keeps what the exporters said first in an outage: the reason; later they count retries."""

    message = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.message = self.message or record.getMessage()


_reason = _FirstMessage()
_exporters = logging.getLogger("opentelemetry.exporter.otlp")
_exporters.addHandler(_reason)
_exporters.propagate = False


class _Outage:
    def __init__(self, what: str, destination: str) -> None:
        self._what = f"{what} to {destination}"
        self._failures = 0

    def note(self, *, delivered: bool) -> None:
        if delivered and self._failures:
            _logger.info("delivering %s again after %d failed attempts", self._what, self._failures)
        elif not delivered and not self._failures:
            _logger.warning(
                "cannot deliver %s; serving goes on, further attempts are silent: %s",
                self._what,
                _reason.message or "no reason given",
            )
        if delivered:
            _reason.message = ""
        self._failures = 0 if delivered else self._failures + 1


class AnnouncedMetricExporter(MetricExporter):
    """Exports through ``exporter`` and logs the beginning and the end of an outage."""

    def __init__(self, exporter: MetricExporter, destination: str) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self._outage = _Outage("metrics", destination)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Export, and note the result."""
        result = self._exporter.export(metrics_data, timeout_millis, **kwargs)
        self._outage.note(delivered=result is MetricExportResult.SUCCESS)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown(timeout_millis, **kwargs)


class AnnouncedSpanExporter(SpanExporter):
    """The same for spans."""

    def __init__(self, exporter: SpanExporter, destination: str) -> None:
        self._exporter = exporter
        self._outage = _Outage("traces", destination)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and note the result."""
        result = self._exporter.export(spans)
        self._outage.note(delivered=result is SpanExportResult.SUCCESS)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()
