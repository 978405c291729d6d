"""Several processes that share the public port, and the one that watches over them."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from randsvc import logs
from randsvc.errors import ConfigurationError
from randsvc.faults.faults import RANDOM_FAULTS, Faults
from randsvc.management.console import Console
from randsvc.service.random_app import make_app
from randsvc.service.serving import (
    announce,
    crash,
    listening,
    management_site,
    ports,
    termination,
    url_of,
)
from randsvc.settings import Settings
from randsvc.telemetry.environment import choices
from randsvc.telemetry.pipeline import Telemetry

__all__ = ("supervised",)

_logger = logging.getLogger(__name__)

# Not fork: a child would inherit the event loop and locks that a thread may hold.
_processes = multiprocessing.get_context("spawn")

FLUSH = 7.0
"""Seconds beyond the grace that a worker has to hand over its telemetry before it is killed."""


@contextlib.asynccontextmanager
async def supervised(settings: Settings, stop: asyncio.Event) -> AsyncIterator[str]:
    """Keep ``settings.workers`` workers until ``stop``, and give the URL of the public port.

    Each worker has its own telemetry and ``service.instance.id``, and pushes. One that dies is
    replaced. Raises ``ConfigurationError`` where a worker cannot start.
    """
    if "prometheus" in choices(os.environ, "OTEL_METRICS_EXPORTER", "otlp", _EXPORTERS):
        raise ConfigurationError(
            f"OTEL_METRICS_EXPORTER={os.environ['OTEL_METRICS_EXPORTER']} with "
            f"RANDSVC_WORKERS={settings.workers}: /metrics would show one worker's numbers as if "
            "they were all; push with otlp, or run one worker"
        )
    with ports(settings) as (public, management), _shared(settings) as settings:
        workers = _Workers(settings, public, stop)
        async with (
            management_site(
                management,
                settings,
                workers.ready,
                _no_metrics,
                workers.faults,
                _console(settings),
            ),
            asyncio.TaskGroup() as group,
        ):
            for index in range(settings.workers):
                group.create_task(workers.keep(index))
            announce(settings, public, management, workers=settings.workers)
            yield url_of(public)


@contextlib.contextmanager
def _shared(settings: Settings) -> Iterator[Settings]:
    """The settings with all that workers have to agree on, for as long as they run."""
    with tempfile.TemporaryDirectory(prefix="randsvc-") as folder:
        yield replace(
            settings,
            feedback_secret=settings.feedback_secret or secrets.token_urlsafe(),
            feedback_store=settings.feedback_store or Path(folder) / "feedback.sqlite",
        )


_EXPORTERS = ("otlp", "prometheus", "console")


async def _no_metrics() -> None:
    """The supervisor measures nothing; its workers push."""


def _console(settings: Settings) -> Console:
    return Console(
        service=settings.service,
        unmeasured=(
            f"The {settings.workers} workers are processes of their own, and each pushes its own "
            "numbers: look in Prometheus or Grafana for their sum. Faults set here are felt in all "
            "of them. With RANDSVC_WORKERS=1 this page shows the numbers itself."
        ),
        prometheus=settings.prometheus,
        links=settings.links,
    )


class _Workers:
    """The worker processes, and what has to be said to all of them.

    ``faults`` are not felt here but passed on, to those that run now and to those that come later.
    """

    def __init__(self, settings: Settings, public: socket.socket, stop: asyncio.Event) -> None:
        self.faults = Faults(RANDOM_FAULTS, crash=self._crash_one, changed=self._tell_all)
        self._settings = settings
        self._public = public
        self._stop = stop
        self._links: dict[int, Connection] = {}

    def ready(self) -> bool:
        """Whether all of them serve."""
        return len(self._links) == self._settings.workers and not self._stop.is_set()

    def _crash_one(self) -> None:
        for link in list(self._links.values())[:1]:
            _tell(link, "crash", {})

    def _tell_all(self, name: str, parameters: Mapping[str, float] | None) -> None:
        for link in self._links.values():
            _tell(link, name, parameters)

    async def keep(self, index: int) -> None:
        """Run worker ``index`` until it is time to stop, and another where it dies."""
        while not self._stop.is_set():
            link, workers_end = _processes.Pipe()
            process = _processes.Process(
                target=_work, args=(self._settings, index, self._public, workers_end)
            )
            process.start()
            workers_end.close()
            stopping = asyncio.create_task(self._stop.wait())
            with link:
                if (error := await _next_message(link)) is not None:
                    await asyncio.to_thread(process.join)
                    raise ConfigurationError(error)
                self._links[index] = link
                for name, parameters in self.faults.active().items():
                    _tell(link, name, parameters)
                ended = asyncio.create_task(_next_message(link))
                await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                del self._links[index]
                if self._stop.is_set():
                    process.terminate()
                    await asyncio.wait((ended,), timeout=self._settings.grace + FLUSH)
                    if not ended.done():
                        _logger.warning("worker %d did not stop in time: killed", index)
                        process.kill()
                await ended
            await asyncio.to_thread(process.join)
            if not self._stop.is_set():
                _logger.error(
                    "worker %d died with exit code %s; another takes its place",
                    index,
                    process.exitcode,
                )


def _tell(link: Connection, fault: str, parameters: Mapping[str, float] | None) -> None:
    """Have a worker set a fault, or clear it; one that is just dying has no need of it."""
    with contextlib.suppress(OSError):
        link.send((fault, parameters))


async def _next_message(link: Connection) -> str | None:
    """What the other side of the link sends; an explanation where it ends without a word."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(link.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(link.fileno())
    try:
        message: str | None = link.recv()
    except (EOFError, ConnectionError):
        return "a worker ended before it was ready"
    return message


def _work(settings: Settings, index: int, public: socket.socket, link: Connection) -> None:
    logs.configure(settings.log_level)
    with contextlib.suppress(BrokenPipeError), link:
        try:
            uvloop.run(_serve_as_worker(settings, index, public, link))
        except ConfigurationError as error:
            link.send(str(error))


async def _serve_as_worker(
    settings: Settings, index: int, public: socket.socket, link: Connection
) -> None:
    stop = termination()
    faults = Faults(RANDOM_FAULTS, crash=crash)
    telemetry = Telemetry(
        concurrency_limit=settings.max_concurrency, worker=index, faults=faults.states
    )

    def listen_to_supervisor() -> None:
        try:
            name, parameters = link.recv()
        except (EOFError, ConnectionError):
            # However the supervisor died: nobody would watch over this worker.
            stop.set()
            loop.remove_reader(link.fileno())
            return
        if parameters is None:
            faults.clear(name)
        else:
            faults.set(name, parameters)

    async with listening(
        public, make_app(settings, telemetry, faults, index), telemetry, settings.grace
    ):
        link.send(None)
        loop = asyncio.get_running_loop()
        loop.add_reader(link.fileno(), listen_to_supervisor)
        await stop.wait()
        loop.remove_reader(link.fileno())
