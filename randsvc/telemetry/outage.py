"""Logs once that telemetry cannot be delivered, and why, and once that it can be again.

The SDK's exporters log every failed attempt and every retry, for as long as the Collector is away.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from .log_records import REFUSED, count_dropped
from .otlp import fit_span

__all__ = ("AnnouncedLogExporter", "AnnouncedMetricExporter", "AnnouncedSpanExporter")

# https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
_RETRYABLE = frozenset((None, 429, 502, 503, 504))
RETRY_SECONDS = 1.0
"""Time between two exports of the same log records; the exporter itself backs off in each."""

_logger = logging.getLogger(__name__)

_export = threading.local()
"""What the exporter that runs in this thread logged last, and why its request failed."""


class _LastMessage(logging.Handler):
    """Keeps what an exporter logs about its export: the last is about the attempt that decided."""

    def emit(self, record: logging.LogRecord) -> None:
        _export.message = record.getMessage()


_exporters = logging.getLogger("opentelemetry.exporter.otlp")
_exporters.addHandler(_LastMessage())
_exporters.propagate = False


class _Client:
    """The HTTP client of an exporter, which knows the reason that the exporter does not log.

    An exporter takes a redirect for a success, and the last log line of a refused connection is
    about time-outs and retries.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def export(self, data: bytes) -> Any:
        """Export, and keep the reason of a failure."""
        result = self._client.export(data)
        status = result.status_code
        if result.success and status >= HTTPStatus.MULTIPLE_CHOICES:
            result = replace(result, success=False)
        if not result.success:
            _export.reason = _explain(status, result.reason, result.error)
            _export.is_retryable = status in _RETRYABLE
        return result

    def shutdown(self) -> None:
        """Shut the client down."""
        self._client.shutdown()


def _explain(status: int | None, reason: str | None, error: BaseException | None) -> str:
    if status:
        is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        advice = " (redirects are not followed: set the endpoint to their target)"
        return f"it answered {status} {reason or ''}".rstrip() + (advice if is_redirect else "")
    while error and (cause := error.__cause__ or error.__context__):
        error = cause
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__ if error else ""


class _Outage:
    def __init__(self, what: str, destination: str, exporter: Any) -> None:
        self._what = f"{what} to {destination}"
        self._failures = 0
        # The exporter over gRPC logs its reason; there, the attribute is a stub without this.
        if hasattr(client := getattr(exporter, "_client", None), "export"):
            exporter._client = _Client(client)

    def watch(self, export: Callable[[], Any], success: object) -> Any:
        """Export, and log where this begins an outage or ends one."""
        _export.message = _export.reason = ""
        _export.is_retryable = False
        try:
            result = export()
        except Exception as error:
            _export.reason = str(error) or type(error).__name__
            self._fail()
            raise
        if result is success:
            self._succeed()
        else:
            self._fail()
        return result

    def _fail(self) -> None:
        if not self._failures:
            _logger.warning(
                "cannot deliver %s; serving goes on, further attempts are silent: %s",
                self._what,
                _export.reason or _export.message or "no reason given",
            )
        self._failures += 1

    def _succeed(self) -> None:
        if self._failures:
            _logger.info("delivering %s again after %d failed attempts", self._what, self._failures)
        self._failures = 0


class AnnouncedMetricExporter(MetricExporter):
    """Exports through ``exporter`` and logs the beginning and the end of an outage."""

    def __init__(self, exporter: MetricExporter, destination: str) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self._outage = _Outage("metrics", destination, exporter)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Export, and note the result."""
        result: MetricExportResult = self._outage.watch(
            lambda: self._exporter.export(metrics_data, timeout_millis, **kwargs),
            MetricExportResult.SUCCESS,
        )
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
        self._outage = _Outage("traces", destination, exporter)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and note the result."""
        result: SpanExportResult = self._outage.watch(
            lambda: self._exporter.export(list(map(fit_span, spans))), SpanExportResult.SUCCESS
        )
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()


class AnnouncedLogExporter(LogRecordExporter):
    """The same for log records, which it exports again until somebody takes them.

    Later records wait in the queue meanwhile. The SDK would drop a batch after
    ``OTEL_EXPORTER_OTLP_TIMEOUT``, and logs are not repeated as the sums of metrics are.
    """

    def __init__(self, exporter: LogRecordExporter, destination: str) -> None:
        self._exporter = exporter
        self._outage = _Outage("logs", destination, exporter)
        self._stopping = threading.Event()

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export, and note the result; count the records that nobody will ever take."""
        while True:
            result: LogRecordExportResult = self._outage.watch(
                lambda: self._exporter.export(batch), LogRecordExportResult.SUCCESS
            )
            if result is LogRecordExportResult.SUCCESS:
                return result
            if not _export.is_retryable or self._stopping.wait(RETRY_SECONDS):
                count_dropped(REFUSED, len(batch))
                return result

    def stop_retrying(self) -> None:
        """Make one attempt for each batch from now on."""
        self._stopping.set()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
