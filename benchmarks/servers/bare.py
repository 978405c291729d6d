"""Bare aiohttp: the yardstick."""

import asyncio
import json
import sys

import uvloop
from aiohttp import web
from aiohttp.typedefs import Middleware

from benchmarks.servers.drawing import drawing

__all__ = ("make_app", "serve")


def make_app(*middlewares: Middleware) -> web.Application:
    """The handler of /random without measurements, limit, faults and problem details."""
    draw = drawing()

    async def get_random(request: web.Request) -> web.Response:
        answer, seconds = draw()
        await asyncio.sleep(seconds)
        return web.Response(text=json.dumps(answer), content_type="application/json")

    app = web.Application(middlewares=list(middlewares))
    app.router.add_get("/random", get_random)
    return app


def serve(app: web.Application) -> None:
    """Serve on the port of the command line, on uvloop and without access log as the service."""
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    serve(make_app())
