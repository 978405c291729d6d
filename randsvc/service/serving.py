"""How each of our services is served: a public port, a management port, an end in good order."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

from aiohttp import web
from yarl import URL

from randsvc.distributions import Distribution
from randsvc.errors import ConfigurationError
from randsvc.faults.faults import Fault, Faults
from randsvc.management.app import make_management_app
from randsvc.management.console import Console
from randsvc.settings import ServerSettings
from randsvc.telemetry.catalogue import Metric
from randsvc.telemetry.pipeline import Telemetry

__all__ = ("announce", "crash", "listening", "management_site", "ports", "served", "termination")

_logger = logging.getLogger(__name__)

MakeApp = Callable[[Telemetry, Faults], web.Application]


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


@contextlib.contextmanager
def ports(settings: ServerSettings) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The listening sockets of the public port and the management port."""
    public_setting, management_setting = (
        f"{settings.prefix}PORT",
        f"{settings.prefix}MANAGEMENT_PORT",
    )
    with (
        listen(settings.host, settings.port, public_setting) as public,
        listen(
            settings.management_host, settings.management_port, management_setting
        ) as management,
    ):
        yield public, management


@contextlib.asynccontextmanager
async def served(
    settings: ServerSettings,
    make_app: MakeApp,
    known: Sequence[Fault],
    stop: asyncio.Event,
    truths: Mapping[Metric, Distribution],
    **announced: object,
) -> AsyncIterator[str]:
    """Serve in this process inside, and give the URL of the public port; not ready from ``stop``.

    ``truths`` is what the console draws over what was measured. At the end requests in flight are
    finished, and telemetry is handed over.
    """
    with ports(settings) as (public, management):
        faults = Faults(known, crash=crash)
        telemetry = Telemetry(
            service=settings.service,
            concurrency_limit=settings.max_concurrency,
            faults=faults.states,
            viewed=True,
        )
        console = Console(
            service=settings.service,
            view=telemetry.view,
            truths=truths,
            prometheus=settings.prometheus,
            links=settings.links,
        )
        app = make_app(telemetry, faults)
        ready = lambda: not stop.is_set()  # noqa: E731
        async with (
            management_site(management, settings, ready, telemetry.render, faults, console),
            listening(public, app, telemetry, settings.grace),
        ):
            announce(settings, public, management, **announced)
            yield url_of(public)


@contextlib.asynccontextmanager
async def listening(
    public: socket.socket, app: web.Application, telemetry: Telemetry, grace: float
) -> AsyncIterator[None]:
    """Answer requests on ``public`` inside; at the end finish those in flight, then flush.

    ``grace`` is the seconds that those in flight have.
    """
    async with telemetry.running():
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=grace)
        async with _site(runner, public):
            yield


@contextlib.asynccontextmanager
async def management_site(
    management: socket.socket,
    settings: ServerSettings,
    ready: Callable[[], bool],
    metrics: Callable[[], Awaitable[bytes | None]],
    faults: Faults,
    console: Console,
) -> AsyncIterator[None]:
    """Serve the management application inside."""
    host = ipaddress.ip_address(management.getsockname()[0])
    app = make_management_app(
        ready=ready,
        metrics=metrics,
        faults=faults,
        console=console,
        token=settings.management_token,
        local=host.is_loopback,
    )
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


def crash() -> None:
    """End the process as a kill would, once whoever asked for it has the answer."""
    asyncio.get_running_loop().call_later(0.1, os._exit, 1)


def announce(
    settings: ServerSettings,
    public: socket.socket,
    management: socket.socket,
    **announced: object,
) -> None:
    """Log that a service answers now, and where; ``announced`` is how."""
    _logger.info(
        "serving",
        extra={
            "service": settings.service,
            "public": _address(public),
            "management": _address(management),
            **announced,
        },
    )


def url_of(listener: socket.socket) -> str:
    """The URL at which this machine reaches a listening socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - to, not on
    return str(URL.build(scheme="http", host=host, port=port))


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"
