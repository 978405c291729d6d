"""Makes values fit into OTLP, where text is UTF-8 and an integer has 64 bits.

Without this, the SDK's exporters leave out an attribute that does not fit and log a traceback at
each export. A name, a description or a number that does not fit makes them lose the whole export.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics.export import NumberDataPoint, ScopeMetrics
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Status

__all__ = ("fit", "fit_number", "fit_observations", "fit_scope", "fit_span")

_INT64 = 2**63


def fit(value: Any) -> Any:
    """Give a text or an attribute value that fits, or a mapping or a sequence of them.

    ``?`` replaces what has no UTF-8: lone surrogates, as in the names of files and in headers. An
    integer that is too large becomes text, as in
    https://opentelemetry.io/docs/specs/otel/common/#mapping-arbitrary-data-to-otlp-anyvalue
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, Mapping):
        return {fit(key): fit(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return tuple(map(fit, value))
    return value


def fit_number(value: float) -> float:
    """Give a measurement that fits: an integer that is too large becomes a float."""
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return float(value)
    return value


def fit_scope(scope: InstrumentationScope) -> InstrumentationScope:
    """Give an instrumentation scope that fits."""
    return InstrumentationScope(
        fit(scope.name), fit(scope.version), fit(scope.schema_url), fit(scope.attributes)
    )


def fit_observations(scope: ScopeMetrics) -> ScopeMetrics:
    """Give the metrics of observable instruments with attributes and numbers that fit."""

    def fit_point(point: Any) -> Any:
        if not isinstance(point, NumberDataPoint):
            return point
        return replace(point, attributes=fit(point.attributes), value=fit_number(point.value))

    metrics: list[Any] = []
    for metric in scope.metrics:
        data: Any = metric.data
        points = list(map(fit_point, data.data_points))
        metrics.append(replace(metric, data=replace(data, data_points=points)))
    return replace(scope, metrics=metrics)


def fit_span(span: ReadableSpan) -> ReadableSpan:
    """Give a span that fits; a copy does not know how many attributes the limits left out."""
    scope, description = span.instrumentation_scope, span.status.description
    texts = (
        *(span.name, description, dict(span.attributes or {})),
        *((event.name, dict(event.attributes or {})) for event in span.events),
        *(dict(link.attributes or {}) for link in span.links),
    )
    if fit(texts) == texts and (scope is None or fit_scope(scope) == scope):
        return span
    return ReadableSpan(
        fit(span.name),
        span.context,
        span.parent,
        span.resource,
        fit(span.attributes),
        [Event(fit(e.name), fit(e.attributes), e.timestamp) for e in span.events],
        [Link(link.context, fit(link.attributes)) for link in span.links],
        span.kind,
        status=Status(span.status.status_code, fit(description)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope and fit_scope(scope),
    )
