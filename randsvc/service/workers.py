"""Several processes that share the public port, and the one that watches over them."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import secrets
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

import uvloop

from randsvc import __version__, logs
from randsvc.errors import ConfigurationError
from randsvc.faults.faults import RANDOM_FAULTS, Faults
from randsvc.management.console import Console
from randsvc.service.random_app import make_app
from randsvc.service.serving import (
    announce,
    build_instance,
    listening_sockets,
    management_site,
    public_site,
    url_of,
)
from randsvc.service.shutdown import Shutdown
from randsvc.settings import Settings
from randsvc.telemetry import Telemetry, exposition
from randsvc.telemetry.environment import list_names, read_configuration

__all__ = ("supervise",)

_logger = logging.getLogger(__name__)

# Not fork: a child would inherit the event loop and locks that a thread may hold.
_processes = multiprocessing.get_context("spawn")

OVERDUE = 0.3
"""Seconds beyond the grace after which a worker that has not ended is killed."""
START = 60.0
"""Seconds that a worker has to start."""
SHORT = 30.0
"""A worker that served for fewer seconds is replaced later each time."""
SCRAPE = 5.0
"""Seconds that a worker has to render its metrics: half of the time-out of a scrape."""
BACK_OFF = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before a replacement is started, by the number of short lives before it."""


@contextlib.asynccontextmanager
async def supervise(settings: Settings, shutdown: Shutdown) -> AsyncIterator[str]:
    """Keep ``settings.workers`` workers inside, and give the URL of the public port.

    Each worker has its own telemetry and ``service.instance.id``. It pushes, or the management port
    shows the metrics of all workers, with the label ``worker``. One that dies is replaced. Raises
    ``ConfigurationError`` where one of the first workers cannot start.
    """
    with (
        listening_sockets(settings) as (public, management),
        _shared(settings) as settings,
        _exported_logs(settings, shutdown),
    ):
        workers = _Workers(settings, public, shutdown)
        async with (
            management_site(
                management,
                settings,
                workers.ready,
                workers.render,
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


@contextlib.contextmanager
def _exported_logs(settings: Settings, shutdown: Shutdown) -> Iterator[None]:
    """Export the logs of this process, which measures nothing, as the workers do theirs."""
    if not list_names(read_configuration(os.environ), "OTEL_LOGS_EXPORTER"):
        yield
        return
    telemetry = Telemetry(
        settings.service,
        __version__,
        readers=[],
        environ={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
    )
    try:
        yield
    finally:
        telemetry.shutdown(shutdown.remaining())


def _console(settings: Settings) -> Console:
    return Console(
        service=settings.service,
        unmeasured=(
            f"The metrics are measured in {settings.workers} worker processes: open Prometheus or "
            "Grafana for their sum. Faults that you set here apply to all workers. With "
            "RANDSVC_WORKERS=1 this page shows the metrics itself."
        ),
        prometheus=settings.prometheus,
        links=settings.links,
    )


class _Workers:
    """The worker processes.

    ``faults`` are not felt here but passed on, to the workers that run now and to later ones.
    """

    def __init__(self, settings: Settings, public: socket.socket, shutdown: Shutdown) -> None:
        self.faults = Faults(RANDOM_FAULTS, crash=self._crash_one, changed=self._pass_on)
        self._settings = settings
        self._public = public
        self._shutdown = shutdown
        self._links: dict[int, Connection] = {}
        exporters = list_names(read_configuration(os.environ), "OTEL_METRICS_EXPORTER")
        self._are_pulled = "prometheus" in exporters
        self._scrapes: dict[int, Connection] = {}
        self._scrape = 0
        self._scraping = asyncio.Lock()

    async def render(self, content_type: str) -> bytes | None:
        """The metrics of all workers in a format of Prometheus; None where they are not pulled.

        A worker that does not answer in ``SCRAPE`` seconds is left out: its series end, and go on
        when it answers again.
        """
        if not self._are_pulled:
            return None
        async with self._scraping:
            return await asyncio.to_thread(self._collect, content_type)

    def _collect(self, content_type: str) -> bytes:
        self._scrape += 1
        links = dict(self._scrapes)
        for link in links.values():
            with contextlib.suppress(OSError):  # it has just died
                link.send((self._scrape, content_type))
        texts, deadline = {}, time.monotonic() + SCRAPE
        for index, link in links.items():
            text = None
            with contextlib.suppress(EOFError, OSError):
                while text is None and link.poll(max(0.0, deadline - time.monotonic())):
                    scrape, rendered = link.recv()
                    text = rendered if scrape == self._scrape else None  # or a late answer
            if text is None:
                _logger.warning("worker %d did not give its metrics in %g s", index, SCRAPE)
            else:
                texts[str(index)] = text
        return exposition.merge(texts, "worker", content_type)

    def ready(self) -> bool:
        """Whether all of them serve."""
        return len(self._links) == self._settings.workers and not self._shutdown.is_requested()

    def _crash_one(self) -> None:
        for link in list(self._links.values())[:1]:
            _send_fault(link, "crash", {})

    def _pass_on(self, name: str, parameters: Mapping[str, float] | None) -> None:
        for link in self._links.values():
            _send_fault(link, name, parameters)

    async def keep(self, index: int) -> None:
        """Run worker ``index``, and a replacement where it dies, until the end.

        Raises ``ConfigurationError`` where the first one cannot start. A replacement that cannot
        is tried again, later each time, while the other workers serve.
        """
        short_lives = 0
        started_once = False
        while not self._shutdown.is_requested():
            started = time.monotonic()
            try:
                reason = await self._run(index)
                started_once = True
            except (ConfigurationError, OSError) as error:
                if not started_once:
                    raise ConfigurationError(str(error)) from error
                reason = f"could not start: {error}"
            if self._shutdown.is_requested():
                return
            short_lives = short_lives + 1 if time.monotonic() - started < SHORT else 1
            wait = BACK_OFF[min(short_lives, len(BACK_OFF)) - 1]
            _logger.error("worker %d %s; another takes its place in %g s", index, reason, wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._shutdown.wait(), wait)

    async def _run(self, index: int) -> str:
        """Run a worker until it ends, and say how it did.

        Raises ``ConfigurationError`` or ``OSError`` where it cannot start.
        """
        link, workers_end = _processes.Pipe()
        scrapes, workers_scrapes = _processes.Pipe()
        with link, scrapes:
            with workers_end, workers_scrapes:
                process = _processes.Process(
                    target=_work,
                    args=(self._settings, index, self._public, workers_end, workers_scrapes),
                )
                process.start()
            self._shutdown.children.add(process)
            try:
                if (error := await self._first_message(link)) is not None:
                    raise ConfigurationError(error)
                self._links[index], self._scrapes[index] = link, scrapes
                for name, parameters in self.faults.active().items():
                    _send_fault(link, name, parameters)
                await self._wait_for_end(index, process, link)
            finally:
                self._links.pop(index, None)
                self._scrapes.pop(index, None)
                if self._shutdown.is_requested():
                    left = self._shutdown.remaining() + OVERDUE
                    await asyncio.to_thread(process.join, left)
                process.kill()
                await asyncio.to_thread(process.join)
                self._shutdown.children.discard(process)
        return f"died with exit code {process.exitcode}"

    async def _first_message(self, link: Connection) -> str | None:
        """None from a worker that serves, or the reason why it does not."""
        message = asyncio.create_task(_next_message(link))
        stopping = asyncio.create_task(self._shutdown.wait())
        await asyncio.wait((message, stopping), timeout=START, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if message.done():
            return message.result()
        message.cancel()
        return (
            "the service ends" if self._shutdown.is_requested() else f"not ready after {START:g} s"
        )

    async def _wait_for_end(self, index: int, process: BaseProcess, link: Connection) -> None:
        """Return when a worker has ended: by itself, or because the service ends."""
        ended = asyncio.create_task(_next_message(link))
        stopping = asyncio.create_task(self._shutdown.wait())
        await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            process.terminate()
            await asyncio.wait((ended,), timeout=self._shutdown.remaining() + OVERDUE)
            if not ended.done():
                _logger.warning("worker %d did not stop in time: killed", index)
        ended.cancel()


def _send_fault(link: Connection, fault: str, parameters: Mapping[str, float] | None) -> None:
    """Have a worker set a fault, or clear it; one that is ending does not need it."""
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


def _work(
    settings: Settings,
    index: int,
    public: socket.socket,
    link: Connection,
    scrapes: Connection,
) -> None:
    logs.configure(settings.log_level)
    with contextlib.suppress(BrokenPipeError), link, scrapes:
        try:
            uvloop.run(_serve_as_worker(settings, index, public, link, scrapes))
        except ConfigurationError as error:
            link.send(str(error))


def _answer_scrapes(scrapes: Connection, telemetry: Telemetry) -> None:
    """Render the metrics whenever the supervisor asks; not in the event loop, which may hang."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            scrape, content_type = scrapes.recv()
            scrapes.send((scrape, telemetry.render_at_once(content_type) or b""))


async def _serve_as_worker(
    settings: Settings,
    index: int,
    public: socket.socket,
    link: Connection,
    scrapes: Connection,
) -> None:
    shutdown = Shutdown(settings.grace)
    shutdown.follow_signals()
    instance = build_instance(
        settings, partial(make_app, settings, worker=index), RANDOM_FAULTS, worker=index
    )
    Thread(target=_answer_scrapes, args=(scrapes, instance.telemetry), daemon=True).start()
    loop = asyncio.get_running_loop()

    def follow_supervisor() -> None:
        try:
            name, parameters = link.recv()
        except (EOFError, ConnectionError):
            # However the supervisor died: nobody would watch over this worker.
            shutdown.request()
            loop.remove_reader(link.fileno())
            return
        if parameters is None:
            instance.faults.clear(name)
        else:
            instance.faults.set(name, parameters)

    async with public_site(public, settings, instance, shutdown):
        link.send(None)
        loop.add_reader(link.fileno(), follow_supervisor)
        await shutdown.wait()
        loop.remove_reader(link.fileno())
