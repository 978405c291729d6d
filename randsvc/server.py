"""One process that serves: the public port, and the management port where it is its own."""

import asyncio
import contextlib
import errno
import logging
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from randsvc.app import make_app
from randsvc.management import make_management_app
from randsvc.settings import Settings
from randsvc.telemetry.environment import ConfigurationError
from randsvc.telemetry.pipeline import Telemetry
from randsvc.users import simulated_users

__all__ = ("listen", "listening", "management_site", "serve", "termination")

_logger = logging.getLogger(__name__)


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket; raises ``ConfigurationError`` with the ``setting`` where it cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = socket.socket(family, kind, protocol)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen(1024)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "the port is taken" if taken else error.strerror
        raise ConfigurationError(f"{setting}={port}: cannot listen on {host}: {reason}") from error
    return server


async def serve(settings: Settings) -> None:
    """Serve in this process until SIGTERM or SIGINT, then finish what is in flight and return."""
    with (
        listen(settings.host, settings.port, "RANDSVC_PORT") as public,
        listen(
            settings.management_host, settings.management_port, "RANDSVC_MANAGEMENT_PORT"
        ) as management,
    ):
        telemetry = Telemetry(concurrency_limit=settings.max_concurrency)
        stop = termination()
        ready = lambda: not stop.is_set()  # noqa: E731
        async with (
            management_site(management, ready, telemetry.render),
            listening(public, settings, telemetry),
            simulated_users(settings.users, public.getsockname()),
        ):
            _logger.info(
                "serving",
                extra={
                    "public": address(public),
                    "management": address(management),
                    "value": str(settings.value),
                    "delay": str(settings.delay),
                },
            )
            await stop.wait()
            _logger.info("stopping: finishing what is in flight")
    _logger.info("stopped")


@contextlib.asynccontextmanager
async def listening(
    public: socket.socket, settings: Settings, telemetry: Telemetry, worker: int | None = None
) -> AsyncIterator[None]:
    """Answer requests on ``public`` inside; at the end finish those in flight, then flush."""
    seed = None if settings.seed is None else f"{settings.seed}/{worker or 0}"
    app = make_app(
        value=settings.value,
        delay=settings.delay,
        rng=random.Random(seed),
        max_concurrency=settings.max_concurrency,
        telemetry=telemetry,
    )
    async with telemetry.running():
        runner = web.AppRunner(
            app,
            access_log_class=telemetry.server.access_log_class(),
            shutdown_timeout=settings.grace,
        )
        async with _site(runner, public):
            yield


@contextlib.asynccontextmanager
async def management_site(
    management: socket.socket,
    ready: Callable[[], bool],
    metrics: Callable[[], Awaitable[bytes | None]],
) -> AsyncIterator[None]:
    """Serve the management application inside."""
    app = make_management_app(ready=ready, metrics=metrics)
    async with _site(web.AppRunner(app, access_log=None, shutdown_timeout=1), management):
        yield


@contextlib.asynccontextmanager
async def _site(runner: web.AppRunner, listener: socket.socket) -> AsyncIterator[None]:
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


def termination() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def address(listener: socket.socket) -> str:
    """``host:port`` of a socket, for a person."""
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"
