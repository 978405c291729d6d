import asyncio

from aiohttp import web

from randsvc.users import simulated_users
from tests.serving import serving


async def test_users_ask_until_they_are_sent_home() -> None:
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response()

    app = web.Application()
    app.router.add_get("/random", answer)
    async with serving(app) as url:
        async with simulated_users(50, ("0.0.0.0", url.port or 0)):
            await asyncio.sleep(0.5)
        assert asked > 3  # 12 to 37 are expected, with the wave
        seen = asked
        await asyncio.sleep(0.1)
        assert asked == seen


async def test_users_keep_trying_where_nobody_listens() -> None:
    async with simulated_users(50, ("127.0.0.1", 1)):
        await asyncio.sleep(0.2)
