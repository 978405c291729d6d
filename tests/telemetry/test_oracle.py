"""Our way of counting requests against contrib's instrumentation: the same traffic through both."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import ClientSession, web
from opentelemetry import metrics
from opentelemetry.instrumentation import aiohttp_server as contrib
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider
from yarl import URL

from randsvc.telemetry import Telemetry
from tests.support.reading import Attributes, Measured, measured
from tests.support.serving import serving

Key = tuple[Any, ...]
NAMES = (
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "error.type",
    "url.scheme",
    "network.protocol.version",
)
COMMON = ("http", "1.1")

# contrib's series -> ours, and why ours is another one.
DIFFERENCES: dict[Key, tuple[Key, str]] = {
    ("GET", "", 404, None, *COMMON): (
        ("GET", None, 404, None, *COMMON),
        "http.route must not be set where no route matched",
    ),
    ("POST", "", 405, None, *COMMON): (
        ("POST", None, 405, None, *COMMON),
        "http.route must not be set where no route matched",
    ),
    ("GET", "/fails", None, "ZeroDivisionError", *COMMON): (
        ("GET", "/fails", 500, "ZeroDivisionError", *COMMON),
        "an unhandled exception is answered 500, and that status is what the client saw",
    ),
    ("GET", "/leaves", 200, None, *COMMON): (
        ("GET", "/leaves", None, "ClientConnectionResetError", *COMMON),
        "the client was gone: no response was sent, so there is no status",
    ),
}
# What contrib does not see at all.
UNSEEN = {
    ("_OTHER", None, 400, None, "http", "1.0"): "what is no HTTP is answered before any middleware",
}


def routes() -> list[web.RouteDef]:
    async def answers(request: web.Request) -> web.Response:
        await asyncio.sleep(0.001)
        return web.Response(status=int(request.match_info.get("status", 200)))

    async def raises(request: web.Request) -> web.Response:
        raise web.HTTPServiceUnavailable if request.method == "GET" else web.HTTPForbidden

    async def fails(_: web.Request) -> web.Response:
        raise ZeroDivisionError

    async def reads(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.Response()

    return [
        web.get("/status/{status}", answers),
        web.route("*", "/raises", raises),
        web.get("/fails", fails),
        web.post("/reads", reads),
        web.get("/leaves", slow),
    ]


async def send_mixed_traffic(url: URL) -> None:
    """Every class of status, exceptions and clients that leave, many at a time."""
    async with ClientSession() as session:

        async def ask(path: str, method: str = "GET", data: bytes | None = None) -> None:
            async with session.request(method, url.joinpath(path), data=data) as response:
                await response.read()

        statuses = (200, 204, 302, 400, 404, 418, 500, 503)
        await asyncio.gather(
            *(ask(f"status/{status}") for status in statuses for _ in range(7)),
            *(ask("raises", method) for method in ("GET", "PUT", "DELETE") for _ in range(5)),
            *(ask("fails") for _ in range(6)),
            *(ask("reads", "POST", b"x" * size) for size in (1, 1, 999)),
            *(ask("nothing/here") for _ in range(4)),
            ask("status/200", "POST"),
            leave(url),
            leave(url),
            say(url, b"no such thing\r\n\r\n"),
        )
    await asyncio.sleep(0.3)  # until the server has noticed who left


async def leave(url: URL) -> None:
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET /leaves HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.1)
    writer.close()


async def say(url: URL, what: bytes) -> None:
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(what)
    await reader.read()
    writer.close()


def series(points: dict[Attributes, Any]) -> dict[Key, Any]:
    return {tuple(dict(attributes).get(n) for n in NAMES): p for attributes, p in points.items()}


@pytest.fixture
def contrib_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """Contrib's instrumentation with meters of its own, not the process-wide ones."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    instrumentor = contrib.AioHttpServerInstrumentor()
    instrumentor.instrument()
    instrumentor.uninstrument()
    yield reader
    provider.shutdown()


async def test_every_series_equals_contribs_or_differs_for_a_listed_reason(
    telemetry: Telemetry,
    read: Callable[[], Measured],
    contrib_reader: InMemoryMetricReader,
) -> None:
    ours = web.Application(client_max_size=100)
    ours.router.add_routes(routes())
    async with serving(ours, telemetry) as url:
        await send_mixed_traffic(url)

    middleware = contrib.create_aiohttp_middleware(NoOpTracerProvider())
    theirs = web.Application(client_max_size=100, middlewares=[middleware])
    theirs.router.add_routes(routes())
    async with serving(theirs) as url:
        await send_mixed_traffic(url)

    name = "http.server.request.duration"
    mine = series(read()[name])
    oracle = series(measured(contrib_reader.get_metrics_data())[name])
    assert DIFFERENCES.keys() <= oracle.keys(), "a listed difference is none any more"
    expected = {DIFFERENCES[key][0] if key in DIFFERENCES else key: p for key, p in oracle.items()}

    counted = Counter({key: point.count for key, point in mine.items()})
    assert counted == Counter({k: p.count for k, p in expected.items()}) + Counter(
        dict.fromkeys(UNSEEN, 1)
    )
    for key, point in expected.items():
        assert mine[key].explicit_bounds == point.explicit_bounds
        # How long a request takes is the machine's to say, but for the least that its handler does.
        if key[1] == "/leaves":
            assert min(mine[key].min, point.min) >= 0.2


async def test_both_are_back_at_no_active_requests(
    telemetry: Telemetry,
    read: Callable[[], Measured],
    contrib_reader: InMemoryMetricReader,
) -> None:
    app = web.Application(middlewares=[contrib.create_aiohttp_middleware(NoOpTracerProvider())])
    app.router.add_routes(routes())
    async with serving(app, telemetry) as url:
        await send_mixed_traffic(url)
    name = "http.server.active_requests"
    mine, oracle = read()[name], measured(contrib_reader.get_metrics_data())[name]
    assert {point.value for point in (*mine.values(), *oracle.values())} == {0}
    malformed = frozenset({("http.request.method", "_OTHER"), ("url.scheme", "http")})
    assert mine.keys() == oracle.keys() | {malformed}, "contrib does not see what is no HTTP"
