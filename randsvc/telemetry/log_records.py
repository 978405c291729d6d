"""What a log record says, wherever it goes, and how many of one kind go there.

Names are those of the semantic conventions:
https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/
"""

import logging
import traceback
from collections.abc import Mapping
from threading import Lock
from time import monotonic

from opentelemetry import trace

__all__ = (
    "QUEUE_FULL",
    "RATE_LIMITED",
    "REFUSED",
    "RateLimit",
    "attributes_of",
    "count_dropped",
    "get_drops",
    "get_span_ids",
)

RATE_LIMITED, QUEUE_FULL, REFUSED = "rate_limited", "queue_full", "refused"
"""Why a record is dropped: too many of its kind, too many that wait, nobody takes it."""

LIMIT = 100
"""Records a second of one kind: far above what a person reads, far below what a loop writes."""
KINDS = 10_000
"""Kinds whose number is kept; a program has fewer statements that log."""

_KEPT, _SUPPRESSED = "_is_kept", "log.suppressed"
_OF_LOGGING = frozenset(vars(logging.makeLogRecord({}))) | {
    *("asctime", "message", "taskName", "color_message", _KEPT)
}
"""What every record has, which is no attribute of one."""

_lock = Lock()
_drops: dict[str, int] = {}


def get_drops() -> Mapping[str, int]:
    """The records that this process dropped so far, by reason; the reasons that can occur."""
    with _lock:
        return dict(_drops)


def count_dropped(reason: str, count: int) -> None:
    """Count records that were dropped; 0 says that the reason can occur."""
    with _lock:
        _drops[reason] = _drops.get(reason, 0) + count


def attributes_of(record: logging.LogRecord) -> dict[str, object]:
    """The attributes of a record: its ``extra``, and what the exception says that it carries."""
    given = vars(record)
    attributes = {name: given[name] for name in given.keys() - _OF_LOGGING}
    if record.exc_info and record.exc_info[0]:
        kind, error, _ = record.exc_info
        attributes.setdefault("error.type", kind.__qualname__)
        attributes["exception.type"] = kind.__qualname__
        try:
            attributes["exception.message"] = str(error)
        except Exception:
            attributes["exception.message"] = "the message of the exception cannot be read"
        attributes["exception.stacktrace"] = "".join(traceback.format_exception(*record.exc_info))
    return attributes


def get_span_ids() -> dict[str, str]:
    """The ids of the current span as text, ``trace_id`` and ``span_id``; empty outside of one."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(span.trace_id),
        "span_id": trace.format_span_id(span.span_id),
    }


class RateLimit(logging.Filter):
    """Lets through ``limit`` records a second of each kind: of each statement that logs.

    So that a broken loop fills neither a disk nor the processor. What is suppressed is counted, and
    the next record of the kind says how many were, as ``log.suppressed``. One object may be the
    filter of several handlers: it counts a record once.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__()
        self._limit = limit
        # The second, and the records of the kind in it.
        self._seen: dict[tuple[str, int], list[int]] = {}
        count_dropped(RATE_LIMITED, 0)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is kept."""
        given = record.__dict__
        kept: bool | None = given.get(_KEPT)
        if kept is None:
            kept = given[_KEPT] = self._is_kept(record)
        return kept

    def _is_kept(self, record: logging.LogRecord) -> bool:
        kind = record.pathname, record.lineno
        second = int(monotonic())
        seen = self._seen.get(kind)
        if seen is None:
            if len(self._seen) >= KINDS:
                self._seen.clear()
            seen = self._seen[kind] = [second, 0]
        elif seen[0] != second:
            if (suppressed := seen[1] - self._limit) > 0:
                setattr(record, _SUPPRESSED, suppressed)
            seen[:] = second, 0
        seen[1] += 1
        if seen[1] <= self._limit:
            return True
        count_dropped(RATE_LIMITED, 1)
        return False
