"""The handler at ROUTES routes, measured as the service is: real requests make as many series.

Run it with PORT, the management port and ROUTES: the routes are /random/0, /random/1 and so on.
"""

import asyncio
import json
import sys

import uvloop
from aiohttp import web

from benchmarks.servers.drawing import drawing
from randsvc.metrics import ServiceMetrics
from randsvc.telemetry import Telemetry


async def serve(port: int, management_port: int, routes: int) -> None:
    """Serve until the process is killed."""
    telemetry = Telemetry("randsvc", concurrency_limit=100)
    metrics = ServiceMetrics(telemetry.meter)
    record_delay, record_value = (
        metrics.delay.bind(),
        metrics.value.bind({"randsvc.source": "model"}),
    )
    draw = drawing()

    async def get_random(request: web.Request) -> web.Response:
        answer, seconds = draw()
        record_delay(seconds)
        await asyncio.sleep(seconds)
        record_value(float(answer["value"]))
        return web.Response(text=json.dumps(answer), content_type="application/json")

    async def get_metrics(request: web.Request) -> web.Response:
        return web.Response(body=await telemetry.render())

    app, management = web.Application(), web.Application()
    app.router.add_routes([web.get(f"/random/{i}", get_random) for i in range(routes)])
    management.router.add_get("/metrics", get_metrics)
    telemetry.install(app)
    await _serve(app, port)
    await _serve(management, management_port)
    await asyncio.Event().wait()


async def _serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()


if __name__ == "__main__":
    uvloop.run(serve(*(int(argument) for argument in sys.argv[1:4])))
