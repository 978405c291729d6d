"""The dead man's switch, with the inbox as the pager."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from randsvc.stack import dead_mans_switch
from randsvc.stack.dead_mans_switch import NAME, make_switch
from randsvc.stack.inbox import make_inbox

Client = TestClient[web.Request, web.Application]
TIMEOUT = 0.5


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_mans_switch, "LOOK_EVERY", 0.02)


@pytest.fixture
async def inbox(aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> Client:
    return await aiohttp_client(make_inbox())


async def find_pages(inbox: Client) -> list[tuple[str, str]]:
    """The alerts that the pager was sent, the first one first."""
    async with inbox.get("/notifications") as answer:
        found: list[dict[str, Any]] = await answer.json()
    assert {each["receiver"] for each in found} <= {"pager"}
    return [(alert["name"], alert["status"]) for each in found[::-1] for alert in each["alerts"]]


async def wait_for(inbox: Client, number: int) -> list[tuple[str, str]]:
    async with asyncio.timeout(30):
        while len(found := await find_pages(inbox)) < number:  # noqa: ASYNC110 - the inbox has none
            await asyncio.sleep(0.02)
    return found


async def test_silence_pages_once_and_the_next_heartbeat_resolves_it(
    inbox: Client, aiohttp_client: Callable[[web.Application], Awaitable[Client]]
) -> None:
    switch = await aiohttp_client(make_switch(str(inbox.make_url("/pager")), TIMEOUT))
    assert await wait_for(inbox, 1) == [(NAME, "firing")]
    await asyncio.sleep(0.2)
    assert await find_pages(inbox) == [(NAME, "firing")]
    async with switch.post("/", json={"status": "firing"}) as answer:
        assert answer.status == 204
    assert (await wait_for(inbox, 2))[:2] == [(NAME, "firing"), (NAME, "resolved")]


async def test_heartbeats_keep_it_quiet(
    inbox: Client, aiohttp_client: Callable[[web.Application], Awaitable[Client]]
) -> None:
    switch = await aiohttp_client(make_switch(str(inbox.make_url("/pager")), 60))
    await switch.post("/")
    async with switch.get("/metrics") as answer:
        text = await answer.text()
    assert "dead_mans_switch_overdue 0\n" in text
    assert "heartbeat_timestamp_seconds 1" in text
    assert await find_pages(inbox) == []


async def test_a_pager_that_is_down_is_tried_again(
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
) -> None:
    taken = asyncio.Event()
    fails = [True, True]

    async def take(_request: web.Request) -> web.Response:
        if fails:
            fails.pop()
            raise web.HTTPServiceUnavailable
        taken.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/pager", take)
    async with TestServer(app) as pager:
        await aiohttp_client(make_switch(str(pager.make_url("/pager")), TIMEOUT))
        async with asyncio.timeout(30):
            await taken.wait()
