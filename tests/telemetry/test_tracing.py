import asyncio
import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientSession, request, web
from opentelemetry import propagate
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from randsvc.telemetry import Telemetry
from randsvc.telemetry.http_server import HttpServerMetrics
from randsvc.telemetry.provider import MeterProvider
from randsvc.telemetry.tracing import (
    ServerTracing,
    make_tracer_provider,
)
from tests.support.reading import Measured
from tests.support.serving import serving


def test_traces_are_off_until_they_are_asked_for() -> None:
    assert make_tracer_provider({}, Resource({})) is None


async def test_a_request_makes_one_span_and_leaves_its_trace_as_exemplar(
    reader: InMemoryMetricReader, read: Callable[[], Measured], capfd: pytest.CaptureFixture[str]
) -> None:
    telemetry = Telemetry(
        concurrency_limit=5, environ={"OTEL_TRACES_EXPORTER": "console"}, readers=[reader]
    )

    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/answer", answer)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    parent = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    async with (
        serving(app, telemetry) as url,
        request("GET", url.joinpath("answer"), headers=parent) as response,
    ):
        assert response.status == 200
    measured = read()
    telemetry.shutdown()

    (point,) = measured["http.server.request.duration"].values()
    assert isinstance(point, HistogramDataPoint)
    (exemplar,) = point.exemplars
    assert f"{exemplar.trace_id:032x}" == trace_id
    span = json.loads(capfd.readouterr().out)
    assert span["name"] == "GET /answer"
    assert span["context"]["trace_id"] == f"0x{trace_id}"
    assert span["attributes"]["http.response.status_code"] == 200
    # Contrib's own metrics would count each request twice.
    assert point.count == 1
    assert measured["http.server.active_requests"].keys() == {
        frozenset({("http.request.method", "GET"), ("url.scheme", "http")})
    }


TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED, NOT_SAMPLED = (f"00-{TRACE_ID}-b7ad6b7169203331-{flags}" for flags in ("01", "00"))


async def spans_of(
    environ: dict[str, str], *raw_headers: str, app: web.Application | None = None
) -> list[dict[str, Any]]:
    """The spans that requests with these headers leave, all of which are answered with 200."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        telemetry = Telemetry(environ={"OTEL_TRACES_EXPORTER": "console", **environ}, readers=[])
        if app is None:
            app = web.Application()
            app.router.add_get("/answer", answer)
        async with serving(app, telemetry) as url:
            for headers in raw_headers:
                reader, writer = await asyncio.open_connection(url.host, url.port)
                text = f"GET /answer HTTP/1.1\r\nConnection: close\r\n{headers}\r\n\r\n"
                writer.write(text.encode("latin-1"))
                assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
                writer.close()
        telemetry.shutdown()
    decoder, text, spans = json.JSONDecoder(), out.getvalue().strip(), []
    while text:
        span, end = decoder.raw_decode(text)
        spans.append(span)
        text = text[end:].strip()
    return spans


async def answer(_: web.Request) -> web.Response:
    return web.Response()


@pytest.mark.parametrize(
    ("sampler", "argument", "parent", "traced"),
    [
        # By default the ratio decides, whatever the client says.
        ("", "", "", True),
        ("", "", NOT_SAMPLED, True),
        ("", "0", "", False),
        ("", "0", SAMPLED, False),
        ("traceidratio", "0", SAMPLED, False),
        ("traceidratio", "1", NOT_SAMPLED, True),
        ("TraceIdRatio", "", "", True),
        # Whoever asks for the parent to decide gets what the specification says.
        ("parentbased_traceidratio", "0", "", False),
        ("parentbased_traceidratio", "0", SAMPLED, True),
        ("parentbased_traceidratio", "1", NOT_SAMPLED, False),
        ("parentbased_always_on", "", "", True),
        ("parentbased_always_on", "", NOT_SAMPLED, False),
        ("parentbased_always_off", "", SAMPLED, True),
        ("parentbased_always_off", "", "", False),
        ("always_on", "", NOT_SAMPLED, True),
        ("always_off", "", SAMPLED, False),
    ],
)
async def test_the_sampler_decides_which_requests_are_traced(
    sampler: str, argument: str, parent: str, traced: bool
) -> None:
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    spans = await spans_of(environ, f"Host: x\r\ntraceparent: {parent}" if parent else "Host: x")
    assert len(spans) == traced
    if traced and parent:
        assert spans[0]["context"]["trace_id"] == f"0x{TRACE_ID}"


async def test_the_ratio_is_the_share_of_requests_that_are_traced() -> None:
    spans = await spans_of({"OTEL_TRACES_SAMPLER_ARG": "0.5"}, *["Host: x"] * 100)
    assert 20 < len(spans) < 80


async def test_the_work_of_a_request_is_traced_if_the_request_is() -> None:
    def app_of(tracer: Tracer) -> web.Application:
        async def handle(_: web.Request) -> web.Response:
            with tracer.start_as_current_span("inside"):
                return web.Response()

        app = web.Application()
        app.router.add_get("/answer", handle)
        return app

    for argument, expected in (("1", ["GET /answer", "inside"]), ("0", [])):
        environ = {"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER_ARG": argument}
        provider = make_tracer_provider(environ, Resource({}))
        assert provider
        spans = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        tracing = ServerTracing(provider)
        duration = MeterProvider().get_meter("test").create_histogram("duration")
        app = app_of(provider.get_tracer("test"))
        HttpServerMetrics(duration, tracing=tracing).install(app)
        async with serving(app) as url, request("GET", url / "answer") as response:
            assert response.status == 200
        assert sorted(span.name for span in spans.get_finished_spans()) == expected


async def test_each_request_that_is_not_sampled_passes_on_one_trace_of_its_own() -> None:
    async def name_trace() -> str:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier["traceparent"]

    async def handle(_: web.Request) -> web.Response:
        traces = [await name_trace(), *await asyncio.gather(name_trace(), name_trace())]
        return web.json_response(traces)

    app = web.Application()
    app.router.add_get("/answer", handle)
    environ = {"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER_ARG": "0"}
    telemetry = Telemetry(environ=environ, readers=[])
    seen = []
    async with serving(app, telemetry) as url, ClientSession() as session:  # one connection
        for headers in ({}, {}, {"traceparent": SAMPLED}):
            async with session.get(url / "answer", headers=headers) as response:
                traces = await response.json()
                assert len(set(traces)) == 1
                seen.append(traces[0])
    telemetry.shutdown()
    assert len(set(seen)) == 3
    assert all(trace.endswith("-00") for trace in seen)
    assert TRACE_ID in seen[2]


@pytest.mark.parametrize(
    "headers",
    ["Host: a:b", "Host: ::1", "Host: \xff", "Host: [", "Host: x\r\nUser-Agent: \xff"],
    ids=ascii,
)
async def test_a_malformed_header_fails_neither_the_request_nor_the_export(headers: str) -> None:
    (span,) = await spans_of({}, headers)
    assert span["name"] == "GET /answer"
    json.dumps(span, ensure_ascii=False).encode()
