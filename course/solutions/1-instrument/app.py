"""A small shop that serves its golden signals at /metrics.

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
    "shop_requests", "Requests by route and status, however they ended.", ["route", "status"]
)
DURATION = Histogram(
    "shop_request_duration_seconds",
    "Request durations.",
    ["route"],
    # The buckets of the OpenTelemetry semantic conventions.
    buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
)
IN_PROGRESS = Gauge("shop_requests_in_progress", "Requests in progress.")


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Measure a request, however it ends."""
    resource = request.match_info.route.resource
    # The route template, never the path: clients can invent paths, and each would be a new series.
    route = resource.canonical if resource else "none"
    status = 500  # what aiohttp sends when a handler raises
    started = perf_counter()
    try:
        with IN_PROGRESS.track_inprogress():
            response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as exception:  # a response that is raised
        status = exception.status
        raise
    finally:
        REQUESTS.labels(route, status).inc()
        DURATION.labels(route).observe(perf_counter() - started)


async def get_metrics(request: web.Request) -> web.Response:
    """Return the metrics in the Prometheus text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def get_item(request: web.Request) -> web.Response:
    """Return the price of an item. Truffles take longer, because they must be found first."""
    name = request.match_info["name"]
    if name not in PRICES:
        raise web.HTTPNotFound(text=f"no item {name}\n")
    await asyncio.sleep(0.5 if name == "truffle" else 0.01)
    return web.json_response({"item": name, "price": PRICES[name]})


async def post_order(request: web.Request) -> web.Response:
    """Return the price of an order. This function has a bug, which monitoring must show."""
    try:
        order = json.loads(await request.text())
    except json.JSONDecodeError:
        raise web.HTTPBadRequest(text="the order is not JSON\n") from None
    return web.json_response({"price": PRICES[order["item"]] * order["number"]})


def make_app() -> web.Application:
    """Make the application."""
    app = web.Application(middlewares=[measure])
    app.router.add_get("/items/{name}", get_item)
    app.router.add_post("/orders", post_order)
    app.router.add_get("/metrics", get_metrics)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
