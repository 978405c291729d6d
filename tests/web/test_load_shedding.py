import asyncio
import logging

import pytest
from aiohttp import request, web
from yarl import URL

from randsvc.web import load_shedding
from randsvc.web.load_shedding import limit_concurrency
from tests.support.serving import serving


async def refusals(url: URL, number: int) -> None:
    """Send requests above the limit of 1, one after the other."""
    async with asyncio.TaskGroup() as group:
        first = group.create_task(get(url))
        await asyncio.sleep(0.1)
        for _ in range(number):
            assert await get(url) == 503
        first.cancel()


async def get(url: URL) -> int:
    async with request("GET", url / "slow") as response:
        return response.status


def slow_app() -> web.Application:
    async def wait(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_get("/slow", limit_concurrency(wait, 1))
    return app


async def test_an_overload_is_logged_once_when_it_begins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(slow_app(), handler_cancellation=True) as url:
        await refusals(url, 5)
    (record,) = (r for r in caplog.records if r.name == load_shedding.__name__)
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "shedding load: the concurrency limit of 1 requests is reached"
    assert vars(record)["http.route"] == "/slow"


async def test_an_overload_after_a_quiet_time_is_logged_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_shedding, "QUIET", 0.01)
    async with serving(slow_app(), handler_cancellation=True) as url:
        for _ in range(2):
            await refusals(url, 1)
            await asyncio.sleep(0.2)
    assert len([r for r in caplog.records if r.name == load_shedding.__name__]) == 2
