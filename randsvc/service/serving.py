"""How each of our services is served: a public port, a management port, an end in good order."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from yarl import URL

from randsvc import __version__
from randsvc.distributions import Distribution
from randsvc.errors import ConfigurationError
from randsvc.faults.faults import Fault, Faults
from randsvc.management.app import make_management_app
from randsvc.management.console import Console
from randsvc.metrics import observe_faults
from randsvc.service.shutdown import Shutdown
from randsvc.settings import ServerSettings
from randsvc.telemetry import Telemetry
from randsvc.telemetry.catalogue import Metric
from randsvc.web.descriptors import keep_reserve

__all__ = (
    "Instance",
    "announce",
    "build_instance",
    "listening_sockets",
    "management_site",
    "public_site",
    "serve_in_process",
    "url_of",
)

_logger = logging.getLogger(__name__)

MakeApp = Callable[[Telemetry, Faults], web.Application]

DRAIN = 0.75
"""Part of the grace that requests in flight have; the rest is for the last export."""
LINGERING = 1.0
"""Seconds in which the rest of a body is read after the response, so that the response arrives."""
CANCELLATION = 0.05
"""Seconds that a handler has to notice that it is cancelled."""


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Open a listening socket; ``setting`` is the variable of the port.

    Raises ``ConfigurationError`` with the variable of the host or of the port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, ValueError) as error:  # IDNA refuses a..b with a ValueError
        shown = ascii(host).strip("'\"")
        raise ConfigurationError(
            f"{setting.removesuffix('PORT')}HOST={shown}: expected an address or a name of this "
            "machine, such as 127.0.0.1"
        ) from error
    try:
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
def listening_sockets(settings: ServerSettings) -> Iterator[tuple[socket.socket, socket.socket]]:
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


@dataclass(frozen=True)
class Instance:
    """One process of a service: its application, what measures it, and what can break it."""

    app: web.Application
    telemetry: Telemetry
    faults: Faults


def build_instance(
    settings: ServerSettings,
    make_app: MakeApp,
    known: Sequence[Fault],
    *,
    worker: int | None = None,
    viewed: bool = False,
) -> Instance:
    """Build what answers requests, for ``worker`` where there are several.

    ``viewed`` lets the console read the metrics.
    """
    faults = Faults(known, crash=crash)
    telemetry = Telemetry(
        settings.service,
        __version__,
        concurrency_limit=settings.max_concurrency,
        worker=worker,
        viewed=viewed,
    )
    if worker in (None, 0) and (job := telemetry.job) not in ("", settings.service):
        _logger.warning(
            'metrics are pushed with job="%s", which no alert sees: the rules select job="%s"; '
            "unset OTEL_SERVICE_NAME and service.namespace, or change the rules",
            job,
            settings.service,
        )
    observe_faults(telemetry.meter, faults.states)
    return Instance(make_app(telemetry, faults), telemetry, faults)


@contextlib.asynccontextmanager
async def serve_in_process(
    settings: ServerSettings,
    make_app: MakeApp,
    known: Sequence[Fault],
    shutdown: Shutdown,
    true_distributions: Mapping[Metric, Distribution],
    **announced: object,
) -> AsyncIterator[str]:
    """Serve in this process inside, and give the URL of the public port.

    The console draws ``true_distributions`` over the measured ones. From ``shutdown`` on, the
    service is not ready, finishes the requests in progress and exports its last telemetry.
    """
    with listening_sockets(settings) as (public, management):
        instance = build_instance(settings, make_app, known, viewed=True)
        console = Console(
            service=settings.service,
            view=instance.telemetry.view,
            true_distributions=true_distributions,
            prometheus=settings.prometheus,
            links=settings.links,
        )
        async with (
            management_site(
                management,
                settings,
                lambda: not shutdown.is_requested(),
                instance.telemetry.render,
                instance.faults,
                console,
            ),
            public_site(public, settings, instance, shutdown),
        ):
            announce(settings, public, management, **announced)
            yield url_of(public)


@contextlib.asynccontextmanager
async def public_site(
    public: socket.socket, settings: ServerSettings, instance: Instance, shutdown: Shutdown
) -> AsyncIterator[None]:
    """Answer requests on ``public`` inside.

    The end begins with ``shutdown``, not with the end of the block, so that services that end one
    after the other share one deadline: requests in flight have ``DRAIN`` of the grace, and
    telemetry has the rest.
    """
    started = asyncio.Event()
    serving = asyncio.create_task(_serve(public, settings, instance, shutdown, started))
    serving.add_done_callback(lambda _: shutdown.request())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if started.is_set():
            yield
    finally:
        shutdown.request()
        await serving


async def _serve(
    public: socket.socket,
    settings: ServerSettings,
    instance: Instance,
    shutdown: Shutdown,
    started: asyncio.Event,
) -> None:
    async with instance.telemetry.running(shutdown.remaining):
        runner = _runner(instance.app, settings)
        await runner.setup()
        if runner.server:
            keep_reserve(runner.server)
        try:
            site = web.SockSite(runner, public)
            await site.start()
            started.set()
            await shutdown.wait()
            await site.stop()
            # aiohttp would wait for the time-out twice: for the handlers, then for its own tasks.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(shutdown.remaining(DRAIN)):
                    if runner.server:
                        await runner.server.shutdown()
        finally:
            await runner.cleanup()
        # Handlers that were cut off are cancelled now; they are measured when they have noticed.
        await asyncio.sleep(CANCELLATION)


@contextlib.asynccontextmanager
async def management_site(
    management: socket.socket,
    settings: ServerSettings,
    ready: Callable[[], bool],
    metrics: Callable[[str], Awaitable[bytes | None]],
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
        allowed_hosts=settings.management_allowed_hosts | {settings.management_host.lower()},
    )
    runner = _runner(app, settings)
    await runner.setup()
    try:
        await web.SockSite(runner, management).start()
        yield
    finally:
        await runner.cleanup()


def _runner(app: web.Application, settings: ServerSettings) -> web.AppRunner:
    return web.AppRunner(
        app,
        access_log=None,
        # Of idle connections; aiohttp counts it until the headers of a request are complete.
        keepalive_timeout=settings.client_timeout,
        lingering_time=LINGERING,
        shutdown_timeout=CANCELLATION,
    )


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
