"""A small shop without metrics: add its golden signals at /metrics.

PORT=8000 python app.py
curl localhost:8000/items/tea
curl --data '{"item": "tea", "number": 2}' localhost:8000/orders
"""

import asyncio
import json
import os

from aiohttp import web

PRICES = {"tea": 4, "coffee": 6, "truffle": 90}


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
    app = web.Application()
    app.router.add_get("/items/{name}", get_item)
    app.router.add_post("/orders", post_order)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
