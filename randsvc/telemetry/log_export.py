"""Exports the records of Python's ``logging``, where ``OTEL_LOGS_EXPORTER`` asks for it.

A record is put into a queue by whoever logs it, and exported in batches by a thread of its own, so
that logging never waits for a Collector. The queue is bounded. While nobody takes the records they
wait there, and the oldest are dropped and counted once it is full.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from time import time_ns
from typing import cast

from opentelemetry._logs import SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
)
from opentelemetry.sdk._shared_internal._processor_metrics import NoOpProcessorMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.util.types import AnyValue

from .environment import get_otlp_endpoint, get_otlp_protocol, list_names, sdk_environment
from .log_records import QUEUE_FULL, REFUSED, RateLimit, attributes_of, count_dropped
from .otlp import fit
from .outage import AnnouncedLogExporter

__all__ = ("LogExport",)

TEXT_LIMIT = 16_384
"""Characters of a text, so that the queue is bounded in bytes too; a stack trace has 10,000."""

_OF_OUTAGES = AnnouncedLogExporter.__module__
_OF_THE_QUEUE = "opentelemetry.sdk._shared_internal"


class LogExport:
    """Exports what the root logger's handlers get, from ``start`` to ``shutdown``.

    Of several in one process, the first that starts exports: a record does not say whose it is.
    """

    _running: "LogExport | None" = None

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Export as the variables say, by what ``configuration`` gave."""
        self._environ = environ
        self._pid = 0
        self._handler: _Handler | None = None
        self._provider: LoggerProvider | None = None
        self._exporters: list[AnnouncedLogExporter] = []
        self._last_resort = False
        for reason in (QUEUE_FULL, REFUSED):
            count_dropped(reason, 0)

    def start(self, resource: Resource) -> None:
        """Begin to export as ``resource``, where nothing does yet; also in a forked process."""
        running = LogExport._running
        if running and running._pid == os.getpid():
            return
        if running:
            running._detach()  # what the parent of this process exports
        LogExport._running = self
        self._pid = os.getpid()
        with sdk_environment(self._environ):
            self._provider = LoggerProvider(resource, shutdown_on_exit=False)
            known: dict[str, Callable[[], LogRecordExporter]] = {
                "otlp": self._make_otlp_exporter,
                "console": lambda: ConsoleLogRecordExporter(out=sys.stdout),
            }
            for name in list_names(self._environ, "OTEL_LOGS_EXPORTER"):
                processor = BatchLogRecordProcessor(known[name]())
                processor._batch_processor._metrics = _Drops()
                self._provider.add_log_record_processor(processor)
        root = logging.getLogger()
        if not root.handlers and logging.lastResort:
            # Python prints what nobody handles. It would not, with the handler alone.
            root.addHandler(logging.lastResort)
            self._last_resort = True
        self._handler = _Handler(self._provider)
        limits = (f for h in root.handlers for f in h.filters if isinstance(f, RateLimit))
        self._handler.addFilter(next(limits, None) or RateLimit())
        root.addHandler(self._handler)

    def shutdown(self) -> None:
        """Export what waits, with one attempt for each batch, and stop."""
        if LogExport._running is not self or self._pid != os.getpid():
            return
        self._detach()
        LogExport._running = None
        for exporter in self._exporters:
            exporter.stop_retrying()
        if self._provider:
            self._provider.shutdown()

    def _detach(self) -> None:
        root = logging.getLogger()
        if self._handler:
            root.removeHandler(self._handler)
        if self._last_resort and logging.lastResort:
            root.removeHandler(logging.lastResort)
            self._last_resort = False

    def _make_otlp_exporter(self) -> LogRecordExporter:
        exporter: LogRecordExporter
        if get_otlp_protocol(self._environ, "LOGS") == "http/protobuf":
            exporter = OTLPLogExporter()
        else:
            from opentelemetry.exporter.otlp.proto.grpc._log_exporter import (
                OTLPLogExporter as GrpcExporter,
            )

            exporter = GrpcExporter()
        announced = AnnouncedLogExporter(exporter, get_otlp_endpoint(self._environ, "LOGS"))
        self._exporters.append(announced)
        return announced


class _Handler(logging.Handler):
    """Makes a log record of OpenTelemetry of each record of Python.

    The SDK's own handler is deprecated. It adds the paths of source files, and one text that is not
    UTF-8, or an integer beyond 64 bits, fails the export of all records that are exported with it.
    """

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider
        self._pid = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the queues; it never raises."""
        if self._pid != os.getpid() or not _is_exported(record):
            return
        try:
            self._provider.get_logger(record.name).emit(
                timestamp=int(record.created * 1e9),
                observed_timestamp=time_ns(),
                context=get_current(),
                severity_number=_find_severity(record.levelno),
                severity_text=record.levelname,
                body=_cut(record.getMessage()),
                attributes={
                    _cut(name): _make_exportable(value)
                    for name, value in attributes_of(record).items()
                },
            )
        except Exception:
            self.handleError(record)


class _Drops(NoOpProcessorMetrics):
    """Counts what the SDK's queue drops; it tells nobody by default."""

    def drop_items(self, count: int, error_type: str = QUEUE_FULL) -> None:
        """Count what was dropped."""
        count_dropped(error_type, count)


def _is_exported(record: logging.LogRecord) -> bool:
    """Not what exporting itself logs, but for its outages: each export would lead to another."""
    if record.name == _OF_THE_QUEUE:
        return False
    return is_instrumentation_enabled() or record.name == _OF_OUTAGES


def _find_severity(level: int) -> SeverityNumber:
    """The severity number of a level of Python: 9 for INFO, 13 for WARNING, 17 for ERROR.

    https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
    """
    return SeverityNumber(min(max(level, 0) // 10, 5) * 4 + 1)


def _make_exportable(value: object) -> AnyValue:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return [_cut(item) for item in value]
    is_plain = value is None or isinstance(value, bool | int | float)
    return cast("AnyValue", fit(value) if is_plain else _cut(str(value)))


def _cut(text: str) -> str:
    return str(fit(text[:TEXT_LIMIT]))
