"""Logs as JSON on stdout: one line an event, with the ids of the span it happened in.

The attributes are those that ``OTEL_LOGS_EXPORTER=otlp`` exports.
"""

import logging
import sys
from datetime import UTC, datetime

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger
from aiohttp.web_protocol import RequestPayloadError
from pythonjsonlogger.json import JsonFormatter

from randsvc.telemetry.log_records import RateLimit, attributes_of, get_span_ids

__all__ = ("configure", "leave_out_malformed_requests")


def configure(level: str = "INFO") -> None:
    """Send everything from ``level`` up to stdout, warnings of Python included.

    A statement that logs very often is limited, see ``RateLimit``.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Formatter())
    handler.addFilter(RateLimit())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    leave_out_malformed_requests()


def leave_out_malformed_requests() -> None:
    """Log no request that is not HTTP, nor one whose body cannot be decoded.

    aiohttp logs a traceback for each, and anybody can send them. Metrics count them with status
    400.
    """
    server_logger.addFilter(_is_no_malformed_request)


def _is_no_malformed_request(record: logging.LogRecord) -> bool:
    error = record.exc_info and record.exc_info[1]
    return not isinstance(error, (HttpProcessingError, RequestPayloadError))


class _Formatter(JsonFormatter):
    """The fields of the OpenTelemetry log data model, under the names that JSON logs use.

    https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
    """

    def __init__(self) -> None:
        super().__init__(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
        )

    def add_fields(
        self,
        log_data: dict[str, object],
        record: logging.LogRecord,
        message_dict: dict[str, object],
    ) -> None:
        """Put the time first and the span last."""
        time = datetime.fromtimestamp(record.created, UTC)
        log_data["time"] = time.isoformat(timespec="milliseconds")
        message_dict.pop("exc_info", None)  # the attributes have it, under its names
        super().add_fields(log_data, record, message_dict)
        log_data.update(attributes_of(record))
        log_data.pop("_is_kept", None)
        log_data.update(get_span_ids())
