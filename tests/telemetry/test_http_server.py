import asyncio
import time
from collections.abc import AsyncIterator, Callable
from itertools import product

import pytest
from aiohttp import ClientSession, HttpVersion10, HttpVersion11, request, web
from yarl import URL

from randsvc.telemetry import Telemetry, http_server
from randsvc.telemetry.instruments import CARDINALITY_LIMIT
from randsvc.web.problems import add_catch_all, guard
from tests.support.reading import Measured, counts
from tests.support.serving import serving

Read = Callable[[], Measured]


def outcomes(read: Read) -> dict[tuple[object, ...], int]:
    """Requests counted by method, route, status and error."""
    return counts(
        read()["http.server.request.duration"],
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "error.type",
    )


class Served:
    """A server with a handler for each way a request can end, and a client to it."""

    url: URL

    def __init__(self) -> None:
        self.entered, self.leave = asyncio.Event(), asyncio.Event()
        self.app = web.Application(client_max_size=10)
        for path, handler in {
            "/ok": self.ok,
            "/fails": self.fails,
            "/broken": self.broken,
            "/reads": self.reads,
            "/waits": self.waits,
            "/blocks": self.blocks,
        }.items():
            self.app.router.add_route("*", path, guard(handler))
        self.app.router.add_get("/get/{name}", guard(self.ok))
        self.app.router.add_get("/bare", self.fails)
        self.app.router.add_route("*", "/status/{status}", self.answers)
        add_catch_all(self.app.router)

    async def ok(self, _: web.Request) -> web.Response:
        return web.Response()

    async def answers(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]))

    async def fails(self, _: web.Request) -> web.Response:
        raise ZeroDivisionError

    async def broken(self, _: web.Request) -> web.Response:
        raise web.HTTPBadGateway

    async def reads(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def waits(self, _: web.Request) -> web.Response:
        self.entered.set()
        await self.leave.wait()
        return web.Response()

    async def blocks(self, _: web.Request) -> web.Response:
        time.sleep(0.3)  # noqa: ASYNC251 - that is the point
        return web.Response()

    async def ask(self, path: str, method: str = "GET", data: bytes | None = None) -> int:
        async with request(method, self.url.joinpath(path[1:]), data=data) as response:
            await response.read()
            return response.status

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.url.host, self.url.port)


@pytest.fixture
async def served(telemetry: Telemetry) -> AsyncIterator[Served]:
    served = Served()
    async with serving(served.app, telemetry) as served.url:
        yield served


async def test_a_response_is_counted_by_method_route_and_status(served: Served, read: Read) -> None:
    assert await served.ask("/get/1") == await served.ask("/get/2") == 200
    assert await served.ask("/ok", "PUT") == 200
    assert outcomes(read) == {
        ("GET", "/get/{name}", 200, None): 2,
        ("PUT", "/ok", 200, None): 1,
    }


async def test_an_unmatched_path_or_method_has_no_route(served: Served, read: Read) -> None:
    assert await served.ask("/nothing") == await served.ask("/else") == 404
    assert await served.ask("/get/1", "POST") == 405
    assert outcomes(read) == {("GET", None, 404, None): 2, ("POST", None, 405, None): 1}


async def test_an_unknown_method_is_counted_as_other(served: Served, read: Read) -> None:
    assert await served.ask("/ok", "PROPFIND") == await served.ask("/ok", "MKCOL") == 200
    assert outcomes(read) == {("_OTHER", "/ok", 200, None): 2}


async def test_a_body_that_is_too_large_is_a_counted_413(served: Served, read: Read) -> None:
    assert await served.ask("/reads", "POST", data=b"x" * 11) == 413
    assert outcomes(read) == {("POST", "/reads", 413, None): 1}


@pytest.mark.parametrize("path", ["/fails", "/bare"])
async def test_an_exception_is_a_500_of_its_type(served: Served, read: Read, path: str) -> None:
    assert await served.ask(path) == 500
    assert outcomes(read) == {("GET", path, 500, "ZeroDivisionError"): 1}


async def test_an_error_without_exception_has_its_status_as_type(
    served: Served, read: Read
) -> None:
    assert await served.ask("/broken") == 502
    assert outcomes(read) == {("GET", "/broken", 502, "502"): 1}


@pytest.mark.parametrize("request_line", [b"no such thing", b"CONNECT ", b"GET  HTTP/1.1"])
async def test_bytes_that_are_no_http_are_a_counted_400(
    served: Served, read: Read, request_line: bytes
) -> None:
    reader, writer = await served.connect()
    writer.write(request_line + b"\r\n\r\n")
    assert b"400 Bad Request" in await reader.read()
    writer.close()
    assert outcomes(read) == {("_OTHER", None, 400, None): 1}


async def test_a_client_that_leaves_has_an_error_and_no_status(served: Served, read: Read) -> None:
    _, writer = await served.connect()
    writer.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
    await served.entered.wait()
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.05)  # until the server has seen it
    served.leave.set()
    await asyncio.sleep(0.05)
    assert outcomes(read) == {("GET", "/waits", None, "ClientConnectionResetError"): 1}


async def test_a_client_that_leaves_is_counted_so_where_aiohttp_cancels_its_handler(
    telemetry: Telemetry, read: Read
) -> None:
    served = Served()
    async with serving(served.app, telemetry, handler_cancellation=True) as served.url:
        _, writer = await served.connect()
        writer.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        await served.entered.wait()
        writer.close()
        await asyncio.sleep(0.05)
        assert outcomes(read) == {("GET", "/waits", None, "ClientConnectionResetError"): 1}


async def test_requests_in_a_handler_are_active_until_they_leave_it(
    served: Served, read: Read
) -> None:
    def active() -> dict[object, int]:
        return {
            dict(attributes)["http.request.method"]: point.value
            for attributes, point in read()["http.server.active_requests"].items()
        }

    asking = asyncio.create_task(served.ask("/waits"))
    await served.entered.wait()
    assert active() == {"GET": 1}
    served.leave.set()
    await asking
    await served.ask("/fails", "POST")
    assert active() == {"GET": 0, "POST": 0}


async def test_a_handler_that_blocks_the_loop_takes_the_time_it_takes(
    served: Served, read: Read
) -> None:
    assert await served.ask("/blocks") == 200
    (point,) = read()["http.server.request.duration"].values()
    assert point.sum >= 0.3


async def test_errors_of_known_routes_keep_their_series_whatever_clients_send(
    served: Served, read: Read
) -> None:
    methods = (*["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], "MKCOL", "LOCK", "LINK")
    sent = 0
    for version in (HttpVersion10, HttpVersion11):
        async with ClientSession(version=version) as session:
            for method, status in product(methods, range(200, 600, 5)):
                headers = {"Host": f"host-{sent}"}
                url = served.url / "status" / str(status)
                async with session.request(method, url, headers=headers) as response:
                    assert response.status == status
                sent += 1
    assert await served.ask("/fails", "POST") == await served.ask("/bare") == 500

    counted = outcomes(read)
    assert counted["_OTHER", "/fails", 500, "ZeroDivisionError"] == 1
    assert counted["GET", "/bare", 500, "ZeroDivisionError"] == 1
    assert sum(counted.values()) == sent + 2
    assert len(read()["http.server.request.duration"]) <= CARDINALITY_LIMIT


def test_an_application_is_installed_once_and_before_it_is_part_of_another(
    telemetry: Telemetry,
) -> None:
    app, part = web.Application(), web.Application()
    telemetry.install(app)
    with pytest.raises(RuntimeError, match="installed in this application already"):
        telemetry.install(app)
    app.add_subapp("/part", part)
    with pytest.raises(RuntimeError, match="outermost application"):
        telemetry.install(part)


async def test_a_part_of_an_application_says_once_that_it_is_not_measured(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "CHECK_SECONDS", 0.01)
    app, part = web.Application(), web.Application()
    telemetry.install(part)
    app.add_subapp("/part", part)
    async with serving(app):
        await asyncio.sleep(0.1)
    (record,) = caplog.records
    assert "install it in the outermost one" in record.message


async def test_the_access_log_class_says_once_that_an_application_is_not_measured(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served()
    access_log_class = telemetry.server.access_log_class()
    async with serving(served.app, access_log_class=access_log_class) as served.url:
        await served.ask("/ok")
        await served.ask("/ok")
    (record,) = caplog.records
    assert "call install(app)" in record.message
