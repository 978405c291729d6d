import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import request, web
from yarl import URL

from randsvc.web.load_shedding import limit_concurrency
from randsvc.web.problems import guard
from randsvc.web.request_body import read_first, read_object
from tests.support.serving import serving

LIMIT = 5
TIMEOUT = 0.5


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[URL]:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(await read_object(request))

    app = web.Application(client_max_size=1000)
    app.router.add_post("/", guard(read_first(limit_concurrency(answer, LIMIT), TIMEOUT)))
    async with serving(app, lingering_time=0.2) as url:
        yield url


async def send(url: URL, head: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + head)
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 50\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
    ids=["of a length", "in chunks"],
)
async def test_many_unfinished_bodies_keep_nobody_out_and_are_closed(head: bytes) -> None:
    async with echo() as url:
        slow = [await send(url, head) for _ in range(20 * LIMIT)]
        async with request("POST", url, data=b'{"a": 1}') as response:
            assert (response.status, await response.json()) == (200, {"a": 1})
        for reader, writer in slow:
            text = await asyncio.wait_for(reader.read(), 20)  # to the end of the connection
            assert text.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert b"the body did not arrive within 0.5 s" in text
            writer.close()


async def test_a_body_that_trickles_has_no_more_time() -> None:
    async with echo() as url:
        reader, writer = await send(url, b"Content-Length: 50\r\n\r\n")
        answer = asyncio.create_task(reader.readline())
        for _ in range(50):
            writer.write(b" ")
            await asyncio.sleep(0.1)
            if answer.done():
                break
        assert b"408" in await answer
        writer.close()


async def test_a_body_that_is_too_large_takes_no_place_either() -> None:
    async with echo() as url, request("POST", url, data=b" " * 2000) as response:
        assert response.status == 413
        assert json.loads(await response.text())["status"] == 413
