"""The public application: ``GET /random``."""

import asyncio
import json
import random

from aiohttp import web

from randsvc.concurrency import limited
from randsvc.distributions import Distribution
from randsvc.problems import add_catch_all, guarded
from randsvc.telemetry.pipeline import Telemetry

__all__ = ("make_app",)


def make_app(
    *,
    value: Distribution,
    delay: Distribution,
    rng: random.Random,
    max_concurrency: int,
    telemetry: Telemetry,
) -> web.Application:
    """The application of one worker, measured by ``telemetry``."""
    draw_value, draw_delay = value.sampler(rng), delay.sampler(rng)
    observe_value, observe_delay = telemetry.value.observe, telemetry.delay.observe

    async def get_random(request: web.Request) -> web.Response:
        # Drawn before the wait, so that a seed gives the same sequence however requests interleave.
        drawn, seconds = draw_value(), draw_delay()
        observe_delay(seconds)
        await asyncio.sleep(seconds)
        observe_value(drawn)
        return web.Response(text=json.dumps({"value": drawn}), content_type="application/json")

    app = web.Application(middlewares=telemetry.middlewares())
    handler = telemetry.server.around(guarded(limited(get_random, max_concurrency)))
    app.router.add_get("/random", handler)
    add_catch_all(app.router)
    return app
