"""A small shop whose golden signals are at /metrics.

PORT=8000 python app.py
curl localhost:8000/items/tea
curl localhost:8000/metrics
"""

import asyncio
import json
import os
from time import perf_counter

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

PRICES = {"tea": 4, "coffee": 6, "truffle": 90}

REQUESTS = Counter(
    "shop_requests", "Requests that were answered, by route and status.", ["route", "status"]
)
DURATION = Histogram(
    "shop_request_duration_seconds",
    "How long requests took.",
    ["route"],
    # Those of the OpenTelemetry semantic conventions.
    buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
)
IN_PROGRESS = Gauge("shop_requests_in_progress", "Requests that are being served now.")


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Measure a request, however it ends."""
    resource = request.match_info.route.resource
    # The template, never the path: anybody can invent paths, and each would be a series for ever.
    route = resource.canonical if resource else "none"
    status = 500  # what aiohttp answers where a handler raises
    started = perf_counter()
    try:
        with IN_PROGRESS.track_inprogress():
            response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as exception:  # an answer, though it is raised
        status = exception.status
        raise
    finally:
        REQUESTS.labels(route, status).inc()
        DURATION.labels(route).observe(perf_counter() - started)


async def get_metrics(request: web.Request) -> web.Response:
    """Answer the metrics in the Prometheus text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def get_item(request: web.Request) -> web.Response:
    """Answer the price of an item; truffles have to be found first."""
    name = request.match_info["name"]
    if name not in PRICES:
        raise web.HTTPNotFound(text=f"no item {name}\n")
    await asyncio.sleep(0.5 if name == "truffle" else 0.01)
    return web.json_response({"item": name, "price": PRICES[name]})


async def post_order(request: web.Request) -> web.Response:
    """Answer what an order costs; there is a bug in here, which monitoring has to show."""
    try:
        order = json.loads(await request.text())
    except json.JSONDecodeError:
        raise web.HTTPBadRequest(text="the order is no JSON\n") from None
    return web.json_response({"price": PRICES[order["item"]] * order["number"]})


def make_app() -> web.Application:
    """Make the application."""
    app = web.Application(middlewares=[measured])
    app.router.add_get("/items/{name}", get_item)
    app.router.add_post("/orders", post_order)
    app.router.add_get("/metrics", get_metrics)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
