"""The application of the request matrix: a route of each kind, whose requests end as they ask.

``command`` runs it in one of ``WAYS``. The environment says where: ``MATRIX_PORT`` is the port of
the application, ``MATRIX_CONTROL_PORT`` has what was counted, and ``MATRIX_FINAL`` is the file that
gets it at the end.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import uvloop
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from randsvc.telemetry import Telemetry
from tests.support.reading import counts, measured

BODY_LIMIT = 1000
LARGE = 8_000_000
"""Bytes; more than the buffers of both ends take."""

GRACE = 0.5
"""Seconds that requests under way get when the server stops."""
CANCELLING_WAYS = ("AppRunner, cancelling", "TestServer")
"""Those where aiohttp cancels a handler whose connection is lost."""
WAYS = ("run_app", "AppRunner", "AppRunner, cancelling", "TestServer", "gunicorn")
ATTRIBUTES = ("http.request.method", "http.route", "http.response.status_code", "error.type")

Respond = Callable[[web.Request, str], Awaitable[web.StreamResponse]]
state = {"entered": 0}


async def fail_before_headers(request: web.Request, end: str) -> None:
    """Do what ends the request before its response; return where the response is what ends it."""
    state["entered"] += 1
    match end:
        case "redirects":
            raise web.HTTPFound("/")
        case "refuses":
            raise web.HTTPForbidden
        case "breaks":
            raise web.HTTPBadGateway
        case "raises":
            raise ZeroDivisionError
        case "cannot reach its backend":
            raise ConnectionRefusedError
        case "overruns":
            raise TimeoutError
        case "cancels itself":
            await cancel_itself()
        case "reads too much":
            await request.read()
        case "is left":
            while request.transport:  # noqa: ASYNC110 - nothing else tells where it is not read
                await asyncio.sleep(0.001)
        case "hangs up":
            assert request.transport
            request.transport.close()
        case "never ends":
            await asyncio.Event().wait()


async def fail_after_headers(end: str) -> None:
    match end:
        case "raises after its headers":
            raise ZeroDivisionError
        case "refuses after its headers":
            raise web.HTTPForbidden
        case "cancels itself after its headers":
            await cancel_itself()
        case "never ends after its headers":
            await asyncio.Event().wait()


async def cancel_itself() -> NoReturn:
    task = asyncio.current_task()
    assert task
    task.cancel()
    await asyncio.Event().wait()
    raise AssertionError


async def fail_to_prepare(request: web.Request, _: web.StreamResponse) -> None:
    if request.path.endswith("/cannot-be-prepared"):
        raise RuntimeError


def headers_of(end: str) -> dict[str, str]:
    return {"X-Bad": "a\nb"} if end == "cannot write its headers" else {}


def size_of(end: str) -> int:
    return LARGE if end in ("is read slowly", "is left midway") else 2


async def send_body(request: web.Request, end: str) -> web.StreamResponse:
    return web.Response(body=b"x" * size_of(end), headers=headers_of(end))


async def send_stream(request: web.Request, end: str) -> web.StreamResponse:
    return await stream(web.StreamResponse(headers=headers_of(end)), request, end)


async def send_events(request: web.Request, end: str) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers_of(end))
    response.content_type = "text/event-stream"
    return await stream(response, request, end)


async def stream(
    response: web.StreamResponse, request: web.Request, end: str
) -> web.StreamResponse:
    await response.prepare(request)
    await response.write(b"x")
    await fail_after_headers(end)
    for _ in range(size_of(end) // 1000):
        await response.write(b"x" * 1000)
    return response


async def talk(request: web.Request, end: str) -> web.StreamResponse:
    socket = web.WebSocketResponse(timeout=0.05)
    socket.headers.update(headers_of(end))
    await socket.prepare(request)
    await fail_after_headers(end)
    if end == "is left midway":
        await socket.receive()
    return socket


async def send_file(request: web.Request, end: str) -> web.StreamResponse:
    name = "large" if size_of(end) == LARGE else "small"
    return web.FileResponse(folder() / name, headers=headers_of(end))


def folder() -> Path:
    return Path(os.environ["MATRIX_FOLDER"])


def handler(respond: Respond) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        end = request.match_info["end"].replace("-", " ")
        await fail_before_headers(request, end)
        if end == "returns nothing":
            return None  # type: ignore[return-value] # that is the point
        return await respond(request, end)

    return handle


class View(web.View):
    async def get(self) -> web.StreamResponse:
        return await handler(send_body)(self.request)

    post = get
    head = get


async def make_app() -> web.Application:
    """The application with telemetry installed."""
    app, part = web.Application(client_max_size=BODY_LIMIT), web.Application()
    for method in ("GET", "HEAD", "POST"):
        app.router.add_route(method, "/plain/{end}", handler(send_body))
        app.router.add_route(method, "/regex/{end:[a-z-]+}", handler(send_body))
        app.router.add_route(method, "/stream/{end}", handler(send_stream))
        app.router.add_route(method, "/events/{end}", handler(send_events))
        app.router.add_route(method, "/socket/{end}", handler(talk))
        app.router.add_route(method, "/file/{end}", handler(send_file))
        part.router.add_route(method, "/{end}", handler(send_body))
    app.router.add_view("/view/{end}", View)
    app.router.add_route("*", "/any/{end}", handler(send_body))
    app.router.add_static("/static", folder())
    app.add_subapp("/part", part)
    app.on_response_prepare.append(fail_to_prepare)

    reader = InMemoryMetricReader()
    telemetry = Telemetry(environ={}, readers=[reader])
    telemetry.install(app)
    app.cleanup_ctx.append(partial(control, reader))
    return app


async def control(reader: InMemoryMetricReader, app: web.Application) -> AsyncIterator[None]:
    """Say at a port of its own what was counted, and write it to a file at the end."""

    def counted() -> str:
        metrics = measured(reader.get_metrics_data())
        active = metrics.get("http.server.active_requests", {}).values()
        duration = metrics.get("http.server.request.duration", {})
        return json.dumps(
            {
                "entered": state["entered"],
                "active": sum(point.value for point in active),
                "counted": [[*key, count] for key, count in counts(duration, *ATTRIBUTES).items()],
            }
        )

    async def get_counted(_: web.Request) -> web.Response:
        return web.Response(text=counted())

    site = web.Application()
    site.router.add_get("/", get_counted)
    runner = web.AppRunner(site, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["MATRIX_CONTROL_PORT"])).start()
    yield
    await asyncio.sleep(0.1)  # handlers that were cancelled last have yet to notice
    save(counted())
    await runner.cleanup()


async def make_runner() -> web.AppRunner:
    """What gunicorn calls in its worker.

    Of an application alone it makes a runner whose handlers have so long to end that the worker is
    killed before it has handed over what it measured.
    """
    return web.AppRunner(await make_app(), shutdown_timeout=GRACE)


async def run_by_app_runner(**options: Any) -> None:
    runner = web.AppRunner(await make_app(), shutdown_timeout=GRACE, **options)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port()).start()
    await stopped()
    await runner.cleanup()


async def run_by_test_server() -> None:
    server = TestServer(await make_app(), port=port())
    await server.start_server(shutdown_timeout=GRACE)
    await stopped()
    await server.close()


async def stopped() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


def save(text: str) -> None:
    Path(os.environ["MATRIX_FINAL"]).write_text(text)


def port() -> int:
    return int(os.environ["MATRIX_PORT"])


def run(way: str) -> None:
    match way:
        case "run_app":
            web.run_app(make_app(), host="127.0.0.1", port=port(), shutdown_timeout=GRACE)
        case "AppRunner":
            uvloop.run(run_by_app_runner(access_log=None))
        case "AppRunner, cancelling":
            asyncio.run(run_by_app_runner(handler_cancellation=True))
        case "TestServer":
            asyncio.run(run_by_test_server())


def command(way: str, port: int) -> list[str]:
    """What to run, for a server that is run in this way."""
    if way != "gunicorn":
        return [sys.executable, "-m", "tests.support.request_matrix", way]
    # gunicorn kills a worker, and with it what it has counted, that gives no sign of life for 30 s.
    # A machine that is paused or very busy is enough.
    options = [f"--bind=127.0.0.1:{port}", "--timeout=0"]
    options += ["--worker-class=aiohttp.GunicornWebWorker"]
    options += ["--no-control-socket", "tests.support.request_matrix:make_runner"]
    return [sys.executable, "-m", "gunicorn", *options]


if __name__ == "__main__":
    run(sys.argv[1])
