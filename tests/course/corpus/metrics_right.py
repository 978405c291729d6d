"""Right answers to exercise 1: the shop is instrumented in many ways."""

from tests.course.corpus.answer import Answer
from tests.course.corpus.metrics import (
    BOUNDS,
    COUNT,
    EXCEPT,
    FINALLY,
    HANDLED,
    LABELS,
    MIDDLEWARES,
    OBSERVE,
    PAGE,
    SERVE,
    STARTED,
    TEMPLATE,
    TRACKED,
    app,
    whole,
)


def right(*edits: tuple[str, str]) -> Answer:
    return app("", *edits)


def extra(name: str, value: str) -> Answer:
    return right(
        (LABELS, f'["route", "status", "{name}"]'),
        ("REQUESTS.labels(route, status)", f"REQUESTS.labels(route, status, {value})"),
    )


def page(content: str, *edits: tuple[str, str]) -> Answer:
    return right((PAGE, content), *edits)


FASTAPI = """
import asyncio, json, os
from time import perf_counter
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from prometheus_client import make_asgi_app

PRICES = {"tea": 4, "coffee": 6, "truffle": 90}
REQUESTS = Counter("shop_requests", "Requests.", ["route", "status"])
DURATION = Histogram("shop_request_duration_seconds", "Durations.", ["route"])
IN_PROGRESS = Gauge("shop_requests_in_progress", "In progress.")
app = FastAPI()

@app.middleware("http")
async def measure(request: Request, call_next):
    started, status = perf_counter(), 500
    IN_PROGRESS.inc()
    try:
        response = await call_next(request)
        status = response.status_code
        return response
    finally:
        IN_PROGRESS.dec()
        found = request.scope.get("route")
        route = found.path if found else "none"
        REQUESTS.labels(route, status).inc()
        DURATION.labels(route).observe(perf_counter() - started)

@app.get("/items/{name}")
async def get_item(name: str):
    if name not in PRICES:
        raise HTTPException(404, f"no item {name}")
    await asyncio.sleep(0.5 if name == "truffle" else 0.01)
    return {"item": name, "price": PRICES[name]}

@app.post("/orders")
async def post_order(request: Request):
    try:
        order = json.loads(await request.body())
    except json.JSONDecodeError:
        raise HTTPException(400, "the order is not JSON")
    return {"price": PRICES[order["item"]] * order["number"]}

#PAGE
if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]))
"""
FASTAPI_PAGE = """
@app.get("/metrics")
def metrics():
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
"""

ASGI = """
import asyncio, json, os
from time import perf_counter
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

PRICES = {"tea": 4, "coffee": 6, "truffle": 90}
REQUESTS = Counter("shop_requests", "Requests.", ["route", "status"])
DURATION = Histogram("shop_request_duration_seconds", "Durations.", ["route"])
IN_PROGRESS = Gauge("shop_requests_in_progress", "In progress.")

async def answer(scope, receive):
    path, method = scope["path"], scope["method"]
    if path == "/metrics":
        return "/metrics", 200, generate_latest(), CONTENT_TYPE_LATEST
    if path.startswith("/items/") and path.count("/") == 2:
        route, name = "/items/{name}", path.rpartition("/")[2]
        if method != "GET":
            return route, 405, b"Method Not Allowed", "text/plain"
        if name not in PRICES:
            return route, 404, f"no item {name}".encode(), "text/plain"
        await asyncio.sleep(0.5 if name == "truffle" else 0.01)
        return route, 200, json.dumps({"item": name, "price": PRICES[name]}).encode(), "application/json"
    if path == "/orders":
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        try:
            order = json.loads(body)
        except ValueError:
            return path, 400, b"the order is not JSON", "text/plain"
        try:
            price = PRICES[order["item"]] * order["number"]
        except KeyError:
            import traceback
            traceback.print_exc()
            return path, 500, b"Internal Server Error", "text/plain"
        return path, 200, json.dumps({"price": price}).encode(), "application/json"
    return "none", 404, b"Not Found", "text/plain"

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    started = perf_counter()
    with IN_PROGRESS.track_inprogress():
        route, status, body, kind = await answer(scope, receive)
    REQUESTS.labels(route, status).inc()
    DURATION.labels(route).observe(perf_counter() - started)
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-type", kind.encode())]})
    await send({"type": "http.response.body", "body": body})

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), lifespan="off")
"""

THREADS = """
import http.server, json, os, time, traceback
from time import perf_counter
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

PRICES = {"tea": 4, "coffee": 6, "truffle": 90}
REQUESTS = Counter("shop_requests", "Requests.", ["route", "status"])
DURATION = Histogram("shop_request_duration_seconds", "Durations.", ["route"])
IN_PROGRESS = Gauge("shop_requests_in_progress", "In progress.")

class Handler(http.server.BaseHTTPRequestHandler):
    def respond(self):
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/metrics":
            return path, 200, generate_latest(), CONTENT_TYPE_LATEST
        if path.startswith("/items/"):
            route, name = "/items/{name}", path.removeprefix("/items/")
            if self.command != "GET":
                return route, 405, b"Method Not Allowed", "text/plain"
            if name not in PRICES:
                return route, 404, f"no item {name}".encode(), "text/plain"
            time.sleep(0.5 if name == "truffle" else 0.01)
            return route, 200, json.dumps({"item": name, "price": PRICES[name]}).encode(), "application/json"
        if path == "/orders":
            try:
                order = json.loads(body)
            except ValueError:
                return path, 400, b"the order is not JSON", "text/plain"
            try:
                price = PRICES[order["item"]] * order["number"]
            except KeyError:
                traceback.print_exc()
                return path, 500, b"Internal Server Error", "text/plain"
            return path, 200, json.dumps({"price": price}).encode(), "application/json"
        return "none", 404, b"Not Found", "text/plain"

    def handle_any(self):
        started = perf_counter()
        with IN_PROGRESS.track_inprogress():
            route, status, body, kind = self.respond()
        REQUESTS.labels(route, status).inc()
        DURATION.labels(route).observe(perf_counter() - started)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = handle_any

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

BY_HAND = right(
    (
        "from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, "
        "generate_latest\n",
        "from collections import Counter\n",
    ),
    (
        'REQUESTS = Counter(\n    "shop_requests", "Requests by route and status, however they '
        'ended.", ["route", "status"]\n)\n',
        "REQUESTS, BUCKETS, SUMS, COUNTS, BUSY = Counter(), Counter(), Counter(), Counter(), [0]\n"
        "BOUNDS = (0.05, 0.25, 1, float('inf'))\n",
    ),
    (
        '        with IN_PROGRESS.track_inprogress():\n            response = await handler(request)\n',
        "        BUSY[0] += 1\n        response = await handler(request)\n",
    ),
    (
        FINALLY,
        "    finally:\n        BUSY[0] -= 1\n        took = perf_counter() - started\n"
        "        REQUESTS[route, status] += 1\n        COUNTS[route] += 1\n"
        "        SUMS[route] += took\n        for bound in BOUNDS:\n"
        "            BUCKETS[route, bound] += took <= bound\n",
    ),
    (
        PAGE,
        "    name = 'shop_request_duration_seconds'\n"
        "    lines = ['# TYPE shop_requests_total counter']\n"
        "    lines += [f'shop_requests_total{{route=\"{r}\",status=\"{s}\"}} {n}'\n"
        "              for (r, s), n in REQUESTS.items()]\n"
        "    lines += [f'# TYPE {name} histogram']\n"
        "    for r in COUNTS:\n"
        "        for b in BOUNDS:\n"
        "            le = '+Inf' if b == float('inf') else b\n"
        "            lines += [f'{name}_bucket{{route=\"{r}\",le=\"{le}\"}} {BUCKETS[r, b]}']\n"
        "        lines += [f'{name}_sum{{route=\"{r}\"}} {SUMS[r]}']\n"
        "        lines += [f'{name}_count{{route=\"{r}\"}} {COUNTS[r]}']\n"
        "    lines += ['# TYPE shop_requests_in_progress gauge']\n"
        "    lines += [f'shop_requests_in_progress {BUSY[0]}', '']\n"
        "    return web.Response(text='\\n'.join(lines))\n",
    ),
    (
        'DURATION = Histogram(\n    "shop_request_duration_seconds",\n    "Request durations.",\n'
        '    ["route"],\n    # The buckets of the OpenTelemetry semantic conventions.\n'
        f"    {BOUNDS}\n)\n",
        "",
    ),
    ('IN_PROGRESS = Gauge("shop_requests_in_progress", "Requests in progress.")\n', ""),
)  # fmt: skip

OPENTELEMETRY = right(
    ("from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest\n",
     "from opentelemetry.exporter.prometheus import PrometheusMetricReader\n"
     "from opentelemetry.sdk.metrics import MeterProvider\n"
     "from prometheus_client import CONTENT_TYPE_LATEST, generate_latest\n"),
    ('REQUESTS = Counter(\n    "shop_requests", "Requests by route and status, however they ended.", '
     '["route", "status"]\n)\n',
     'METER = MeterProvider(metric_readers=[PrometheusMetricReader()]).get_meter("shop")\n'
     'REQUESTS = METER.create_counter("shop.requests")\n'),
    ('DURATION = Histogram(\n    "shop_request_duration_seconds",\n    "Request durations.",\n    ["route"],\n',
     'DURATION = METER.create_histogram(\n    "shop.request.duration", unit="s",\n'),
    (BOUNDS, BOUNDS.replace("buckets=", "explicit_bucket_boundaries_advisory=")),
    ('Gauge("shop_requests_in_progress", "Requests in progress.")',
     'METER.create_up_down_counter("shop.requests.in_progress")'),
    (TRACKED, f"        IN_PROGRESS.add(1)\n{HANDLED}"),
    ("    finally:\n", "    finally:\n        IN_PROGRESS.add(-1)\n"),
    ("REQUESTS.labels(route, status).inc()", 'REQUESTS.add(1, {"route": route, "status": status})'),
    ("DURATION.labels(route).observe(perf_counter() - started)",
     'DURATION.record(perf_counter() - started, {"route": route})'),
)  # fmt: skip

BUSINESS = (
    "IN_PROGRESS = ",
    'ITEMS = Counter("shop_items_sold", "Items sold.", ["item"])\nIN_PROGRESS = ',
)
SOLD = '    return web.json_response({"price"'

RIGHT = {
    "the solution": Answer(),
    "OpenMetrics": page(
        "    return web.Response(body=openmetrics.generate_latest(REGISTRY), "
        'headers={"Content-Type": openmetrics.CONTENT_TYPE_LATEST})',
        ("from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest",
         "from prometheus_client import Counter, Gauge, Histogram, REGISTRY\n"
         "from prometheus_client.openmetrics import exposition as openmetrics"),
    ),
    "the format that is asked for": page(
        "    encode, kind = choose_encoder(request.headers.get('Accept', ''))\n"
        '    return web.Response(body=encode(REGISTRY), headers={"Content-Type": kind})',
        ("from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest",
         "from prometheus_client import Counter, Gauge, Histogram, REGISTRY\n"
         "from prometheus_client.exposition import choose_encoder"),
    ),
    "the handler of prometheus_client": right(
        (", get_metrics)", ", make_aiohttp_handler())"),
        ("from aiohttp.typedefs", "from prometheus_client.aiohttp import make_aiohttp_handler\n"
         "from aiohttp.typedefs"),
    ),
    "text/plain without a version": page("    return web.Response(text=generate_latest().decode())"),
    "a registry of its own": right(
        ("import CONTENT_TYPE_LATEST,", "import CONTENT_TYPE_LATEST, CollectorRegistry,"),
        ('REQUESTS = Counter(\n    "shop_requests", "Requests by route and status, however they ended.", '
         '["route", "status"]\n', 'REGISTRY = CollectorRegistry()\nREQUESTS = Counter(\n    "shop_requests", '
         '"Requests by route and status, however they ended.", ["route", "status"], registry=REGISTRY,\n'),
        ('    ["route"],\n    #', '    ["route"],\n    registry=REGISTRY,\n    #'),
        ('"Requests in progress.")', '"Requests in progress.", registry=REGISTRY)'),
        ("generate_latest()", "generate_latest(REGISTRY)"),
    ),
    "compressed": right((PAGE, PAGE.replace("return", "response =") + "\n    response.enable_compression()\n    return response")),
    "a page with a slash": right(
        ('app.router.add_get("/metrics", get_metrics)',
         'app.router.add_get("/metrics/", get_metrics)\n'
         '    app.router.add_get("/metrics", web.HTTPMovedPermanently("/metrics/").__class__ and go_on)'),
        ("def make_app", "async def go_on(request: web.Request) -> web.Response:\n"
         '    raise web.HTTPMovedPermanently("/metrics/")\n\n\ndef make_app'),
    ),
    "a bounded business metric": right(
        BUSINESS, (SOLD, f'    ITEMS.labels(order["item"] if order["item"] in PRICES else "none").inc()\n{SOLD}'),
    ),
    "a business metric after the bug": right(
        BUSINESS, (SOLD, f'    price = PRICES[order["item"]]\n    ITEMS.labels(order["item"]).inc(order["number"])\n{SOLD}'),
    ),
    "a metric of viewed items": right(
        BUSINESS, ("    await asyncio.sleep", "    ITEMS.labels(name).inc()\n    await asyncio.sleep"),
    ),
    "a counter of sales": right(
        ("IN_PROGRESS = ", 'SALES = Counter("shop_sales_euros", "Sales.")\nIN_PROGRESS = '),
        (SOLD, f'    SALES.inc(PRICES[order["item"]] * order["number"])\n{SOLD}'),
    ),
    "a histogram of order sizes": right(
        ("IN_PROGRESS = ", 'SIZES = Histogram("shop_order_size", "Sizes.", buckets=(1, 10, 100))\nIN_PROGRESS = '),
        (SOLD, f'    SIZES.observe(order["number"])\n{SOLD}'),
    ),
    "the type of an exception": right(
        ("    status = 500", '    error = ""\n    status = 500'),
        (LABELS, '["route", "status", "error"]'),
        ("REQUESTS.labels(route, status)", "REQUESTS.labels(route, status, error)"),
        (EXCEPT, "    except KeyError as problem:\n        error = type(problem).__name__\n"
         f"        raise\n{EXCEPT}"),
    ),
    "a method": extra("method", "request.method"),
    "a class of statuses": extra("outcome", 'f"{status // 100}xx"'),
    "an HTTP version": extra("version", 'f"{request.version.major}.{request.version.minor}"'),
    "whether there is a query": extra("query", "str(bool(request.query_string))"),
    "another word for no route": right(('else "none"', 'else "unmatched"')),
    "the method in the route": right((TEMPLATE, 'f"{request.method} {resource.canonical}" if resource else "none"')),
    "the name of the handler": right((TEMPLATE, 'getattr(request.match_info.handler, "__name__", "none")')),
    "a header of its own in each response": right((HANDLED, f"{HANDLED}            response.headers['X-Served-By'] = 'shop'\n")),
    "a size of responses": right(
        ("IN_PROGRESS = ", 'SIZES = Histogram("shop_response_bytes", "Sizes.", ["route"], buckets=(100, 1000))\nIN_PROGRESS = '),
        (COUNT, f"{COUNT}        SIZES.labels(route).observe(request.content_length or 0)\n")),
    "an empty route": right(('else "none"', 'else ""')),
    "names for routes": right((TEMPLATE, '{"/items/{name}": "items", "/orders": "orders", "/metrics": '
                               '"/metrics"}.get(resource.canonical if resource else "", "other")')),
    "a status of text": right((COUNT, COUNT.replace("status)", "str(status))"))),
    "labels by name": right((COUNT, COUNT.replace("(route, status)", "(route=route, status=status)"))),
    "a name with a dot, which prometheus_client replaces": right(('"shop_requests"', '"shop.requests"')),
    "the status by another name": right(("exception.status\n", "exception.status_code\n")),
    "a name with _total": right(('"shop_requests"', '"shop_requests_total"')),
    "the standard buckets": right((f"    # The buckets of the OpenTelemetry semantic conventions.\n    {BOUNDS}\n", "")),
    "three buckets": right((BOUNDS, "buckets=(0.1, 0.3, 1),")),
    "many buckets": right((BOUNDS, "buckets=[i / 100 for i in range(1, 200)],")),
    "a status on durations too": right(
        ('    ["route"],\n    #', '    ["route", "status"],\n    #'),
        ("DURATION.labels(route)", "DURATION.labels(route, status)"),
    ),
    "a duration measured by a context": right(
        (OBSERVE, ""), (TRACKED, "        with DURATION.labels(route).time(), IN_PROGRESS.track_inprogress():\n"
                        "            response = await handler(request)\n"),
    ),
    "inc and dec in finally": right(
        (TRACKED, HANDLED), (STARTED, f"{STARTED}    IN_PROGRESS.inc()\n"),
        ("    finally:\n", "    finally:\n        IN_PROGRESS.dec()\n"),
    ),
    "a gauge by a function": right(
        (TRACKED, HANDLED), (STARTED, f"{STARTED}    RUNNING.add(id(request))\n"),
        ("    finally:\n", "    finally:\n        RUNNING.discard(id(request))\n"),
        ("@web.middleware", "RUNNING: set[int] = set()\n"
         "IN_PROGRESS.set_function(lambda: len(RUNNING))\n\n\n@web.middleware"),
    ),
    "a gauge of a number that is kept": right(
        (TRACKED, HANDLED), (STARTED, f"{STARTED}    BUSY[0] += 1\n    IN_PROGRESS.set(BUSY[0])\n"),
        ("    finally:\n", "    finally:\n        BUSY[0] -= 1\n        IN_PROGRESS.set(BUSY[0])\n"),
        ("@web.middleware", "BUSY = [0]\n\n\n@web.middleware"),
    ),
    "a gauge by route": right(
        ('"Requests in progress.")', '"Requests in progress.", ["route"])'),
        ("IN_PROGRESS.track", "IN_PROGRESS.labels(route).track"),
    ),
    "scrapes are not counted": right(
        (COUNT, f'        if request.path != "/metrics":\n    {COUNT}'),
        (OBSERVE, f'        if request.path != "/metrics":\n    {OBSERVE}'),
    ),
    "scrapes are not measured at all": right(
        (STARTED, f'    if request.path == "/metrics":\n        return await handler(request)\n{STARTED}'),
    ),
    "exceptions in a branch of their own": right(
        ("    status = 500  # what aiohttp sends when a handler raises\n", "    status = 0\n"),
        (EXCEPT, f"{EXCEPT}"),
        ("    finally:\n", "    except Exception:\n        status = 500\n        raise\n    finally:\n"),
    ),
    "an exception that is logged and answered": right(
        ("    finally:\n", '    except Exception:\n        import logging\n        logging.exception("failed")\n'
         '        return web.Response(status=500, text="500 Internal Server Error")\n    finally:\n'),
    ),
    "a log of each request": right((STARTED, f'{STARTED}    print("request", request.path)\n')),
    "a seconds counter of another clock": right(("from time import perf_counter", "from time import monotonic as perf_counter")),
    "the wall clock": right(("from time import perf_counter", "from time import time as perf_counter")),
    "the clock of the loop": right(
        ("from time import perf_counter\n", ""), ("perf_counter()", "asyncio.get_running_loop().time()"),
    ),
    "counted when a response is prepared": right(
        (COUNT, ""),
        ("def make_app()",
         "async def count(request: web.Request, response: web.StreamResponse) -> None:\n"
         "    resource = request.match_info.route.resource\n"
         "    route = resource.canonical if resource else 'none'\n"
         "    REQUESTS.labels(route, response.status).inc()\n\n\ndef make_app()"),
        ("    return app\n", "    app.on_response_prepare.append(count)\n    return app\n"),
    ),
    "all addresses": right((SERVE, SERVE.replace("127.0.0.1", "0.0.0.0"))),
    "a name of this machine": right((SERVE, SERVE.replace("127.0.0.1", "localhost"))),
    "a middleware added later": right((MIDDLEWARES, "web.Application()"),
                                      ("    return app\n", "    app.middlewares.append(measure)\n    return app\n")),
    "metrics made by a function": right(
        ('IN_PROGRESS = Gauge("shop_requests_in_progress", "Requests in progress.")',
         'def make_gauge() -> Gauge:\n    return Gauge("shop_requests_in_progress", "In progress.")\n\n\n'
         "IN_PROGRESS = make_gauge()"),
    ),
    "in text, by hand": BY_HAND,
    "OpenTelemetry": OPENTELEMETRY,
    "FastAPI": whole("", FASTAPI.replace("#PAGE", FASTAPI_PAGE)),
    "FastAPI with a mounted page": whole("", FASTAPI.replace("#PAGE", 'app.mount("/metrics", make_asgi_app())')),
    "FastAPI without an access log": whole("", FASTAPI.replace("#PAGE", FASTAPI_PAGE).replace("port=int", 'access_log=False, port=int')),
    "ASGI": whole("", ASGI),
    "threads": whole("", THREADS),
}  # fmt: skip
