"""Whatever an application records and traces can be exported, as OTLP's own encoder says."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode

from randsvc.telemetry import Telemetry
from randsvc.telemetry.otlp import fit, fit_span
from randsvc.telemetry.outage import AnnouncedSpanExporter

NAME = "caf\udce9"
"""A name of a file that is not UTF-8, as Python reads it."""
LARGE = 2**64


def export(telemetry: Telemetry, reader: InMemoryMetricReader) -> str:
    data = reader.get_metrics_data()
    assert data
    telemetry.shutdown()
    return str(encode_metrics(data))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"file": NAME}, "caf?"),
        ({NAME: "x"}, "caf?"),
        ({"files": ["a", NAME]}, "caf?"),
        ({"file": {NAME: [NAME]}}, "caf?"),
        ({"size": LARGE}, f'"{LARGE}"'),
        ({"café": "crème"}, "café"),
    ],
)
@pytest.mark.parametrize("observed", [False, True])
def test_attributes_are_exported_whatever_they_are(
    attributes: dict[str, Any], expected: str, observed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    reader = InMemoryMetricReader()
    telemetry = Telemetry("shop", environ={}, readers=[reader])
    if observed:
        telemetry.meter.create_observable_gauge("m", [lambda _: [Observation(1, attributes)]])
    else:
        telemetry.meter.create_counter("m").add(1, attributes)
    assert expected in export(telemetry, reader)
    assert not caplog.messages


@pytest.mark.parametrize(
    "measure",
    [
        lambda t: t.meter.create_gauge("m").set(LARGE),
        lambda t: t.meter.create_counter("m").add(LARGE),
        lambda t: t.meter.create_observable_gauge("m", [lambda _: [Observation(LARGE)]]),
    ],
)
def test_a_number_of_more_than_64_bits_is_exported_as_a_float(
    measure: Callable[[Telemetry], None],
) -> None:
    reader = InMemoryMetricReader()
    telemetry = Telemetry("shop", environ={}, readers=[reader])
    measure(telemetry)
    assert f"as_double: {float(LARGE)}" in export(telemetry, reader)


def test_names_and_descriptions_are_exported_whatever_they_are() -> None:
    reader = InMemoryMetricReader()
    telemetry = Telemetry(NAME, NAME, environ={}, readers=[reader])
    telemetry.meter.create_counter("a", description=NAME).add(1)
    telemetry.meter.create_observable_gauge("b", [lambda _: [Observation(1)]], description=NAME)
    scope = telemetry.meter_provider.get_meter(NAME, NAME, NAME, {NAME: NAME})
    scope.create_counter("c").add(1)
    resource, own_scope, descriptions, other_scope = 2, 2, 2, 5
    expected = resource + own_scope + descriptions + other_scope
    assert export(telemetry, reader).count("caf?") == expected


def spans_of(record: Callable[[Span], object], name: str, scope: str) -> Iterator[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    link = Link(SpanContext(1, 1, is_remote=False), {"file": name})
    with provider.get_tracer(scope).start_as_current_span(name, links=[link]) as span:
        record(span)
    yield from kept.get_finished_spans()


@pytest.mark.parametrize(
    "record",
    [
        lambda span: span.set_attributes({"file": NAME, "size": LARGE}),
        lambda span: span.add_event(NAME, {"file": NAME}),
        lambda span: span.record_exception(FileNotFoundError(NAME)),
        lambda span: span.set_status(Status(StatusCode.ERROR, NAME)),
    ],
)
@pytest.mark.parametrize(("name", "scope"), [("GET", "shop"), (NAME, NAME)])
def test_a_span_is_exported_whatever_is_in_it(
    record: Callable[[Span], object], name: str, scope: str, caplog: pytest.LogCaptureFixture
) -> None:
    exported = []

    class Exporter(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            exported.append(str(encode_spans(spans)))
            return SpanExportResult.SUCCESS

    exporter = AnnouncedSpanExporter(Exporter(), "http://collector")
    assert exporter.export(list(spans_of(record, name, scope))) is SpanExportResult.SUCCESS
    assert "caf?" in exported[0]
    assert not caplog.messages


def test_a_span_that_fits_is_exported_as_it_is() -> None:
    (span,) = spans_of(lambda span: span.set_attribute("café", (1, 2.5, True)), "GET", "shop")
    assert fit_span(span) is span


SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.binary()
TEXT = st.text(st.characters())


@given(st.recursive(SIMPLE | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_every_value_fits_and_stays_so(value: Any) -> None:
    fitting = fit(value)
    str(fitting).encode()
    assert repr(fit(fitting)) == repr(fitting)
