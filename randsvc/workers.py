"""Several processes that share the public port, and the one that watches over them."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import socket
from multiprocessing.connection import Connection

import uvloop

from randsvc import logs
from randsvc.server import address, listen, listening, management_site, termination
from randsvc.settings import Settings
from randsvc.telemetry.environment import ConfigurationError, choices
from randsvc.telemetry.pipeline import Telemetry
from randsvc.users import simulated_users

__all__ = ("supervise",)

_logger = logging.getLogger(__name__)

# Not fork: a child would inherit the event loop and locks that a thread may hold.
_processes = multiprocessing.get_context("spawn")

FLUSH = 7.0
"""Seconds beyond the grace that a worker has to hand over its telemetry before it is killed."""


async def supervise(settings: Settings) -> None:
    """Run ``settings.workers`` workers until SIGTERM or SIGINT; start another where one dies.

    Each worker has its own telemetry and ``service.instance.id``, and pushes. Raises
    ``ConfigurationError`` where a worker cannot start.
    """
    if "prometheus" in choices(os.environ, "OTEL_METRICS_EXPORTER", "otlp", _EXPORTERS):
        raise ConfigurationError(
            f"OTEL_METRICS_EXPORTER={os.environ['OTEL_METRICS_EXPORTER']} with "
            f"RANDSVC_WORKERS={settings.workers}: /metrics would show one worker's numbers as if "
            "they were all; push with otlp, or run one worker"
        )
    ready: set[int] = set()
    with (
        listen(settings.host, settings.port, "RANDSVC_PORT") as public,
        listen(
            settings.management_host, settings.management_port, "RANDSVC_MANAGEMENT_PORT"
        ) as management,
    ):
        stop = termination()

        def all_ready() -> bool:
            return len(ready) == settings.workers and not stop.is_set()

        async with (
            management_site(management, all_ready, _no_metrics),
            simulated_users(settings.users, public.getsockname()),
        ):
            _logger.info(
                "serving",
                extra={
                    "public": address(public),
                    "management": address(management),
                    "workers": settings.workers,
                },
            )
            async with asyncio.TaskGroup() as group:
                for index in range(settings.workers):
                    group.create_task(_keep_working(settings, index, public, ready, stop))
    _logger.info("stopped")


_EXPORTERS = ("otlp", "prometheus", "console")


async def _no_metrics() -> None:
    """The supervisor measures nothing; its workers push."""


async def _keep_working(
    settings: Settings, index: int, public: socket.socket, ready: set[int], stop: asyncio.Event
) -> None:
    while not stop.is_set():
        link, workers_end = _processes.Pipe()
        process = _processes.Process(target=_work, args=(settings, index, public, workers_end))
        process.start()
        workers_end.close()
        stopping = asyncio.create_task(stop.wait())
        with link:
            if (error := await _next_message(link)) is not None:
                await asyncio.to_thread(process.join)
                raise ConfigurationError(error)
            ready.add(index)
            ended = asyncio.create_task(_next_message(link))
            await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            ready.discard(index)
            if stop.is_set():
                process.terminate()
                await asyncio.wait((ended,), timeout=settings.grace + FLUSH)
                if not ended.done():
                    _logger.warning("worker %d did not stop in time: killed", index)
                    process.kill()
            await ended
        await asyncio.to_thread(process.join)
        if not stop.is_set():
            _logger.error(
                "worker %d died with exit code %s; another takes its place", index, process.exitcode
            )


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
    telemetry = Telemetry(concurrency_limit=settings.max_concurrency, worker=index)
    async with listening(public, settings, telemetry, index):
        link.send(None)
        # The link ends with the supervisor, however it dies: nobody would watch over this worker.
        asyncio.get_running_loop().add_reader(link.fileno(), stop.set)
        await stop.wait()
        asyncio.get_running_loop().remove_reader(link.fileno())
