import json
from collections.abc import Callable

import pytest
from aiohttp import request, web
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from randsvc.telemetry import Telemetry
from randsvc.telemetry.tracing import tracer_provider_from_environment
from tests.support.reading import Measured
from tests.support.serving import serving


def test_traces_are_off_until_they_are_asked_for() -> None:
    assert tracer_provider_from_environment({}, Resource({})) is None


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
