"""Those who read: a Prometheus that scrapes every second, a Collector that is pushed to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

__all__ = ("otlp_sink", "scraping")

INTERVAL = 1.0
"""Seconds between two readings; Prometheus and the SDK have 60 as their default."""


@contextlib.asynccontextmanager
async def otlp_sink(take: Callable[[bytes], object] = len) -> AsyncIterator[URL]:
    """The endpoint of a receiver of OTLP over HTTP; ``take`` is given what is pushed."""

    async def accept(request: web.Request) -> web.Response:
        take(await request.read())
        return web.Response(content_type="application/x-protobuf")

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/metrics", accept)
    app.router.add_post("/v1/traces", accept)
    async with TestServer(app) as server:
        yield server.make_url("/")


@contextlib.asynccontextmanager
async def scraping(url: URL) -> AsyncIterator[None]:
    """Ask for ``url`` every ``INTERVAL`` inside."""

    async def scrape() -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            while True:
                async with session.get(url) as response:
                    await response.read()
                await asyncio.sleep(INTERVAL)

    task = asyncio.create_task(scrape())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task  # raises where a scrape failed, as the measurement is void then
