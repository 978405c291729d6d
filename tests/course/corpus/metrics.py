"""Answers to exercise 1: shops with metrics."""

from tests.course.corpus.answer import Answer

EXERCISE = 1


def app(hint: str, *edits: tuple[str, str]) -> Answer:
    return Answer(hint, {"app.py": edits})


def whole(hint: str, text: str) -> Answer:
    return Answer(hint, files={"app.py": text})


COUNT = "        REQUESTS.labels(route, status).inc()\n"
OBSERVE = "        DURATION.labels(route).observe(perf_counter() - started)\n"
FINALLY = f"    finally:\n{COUNT}{OBSERVE}"
RETURN = "        return response\n    except"
COUNTER = 'REQUESTS = Counter(\n    "shop_requests"'
HISTOGRAM = "DURATION = Histogram("
TRACKED = (
    "        with IN_PROGRESS.track_inprogress():\n            response = await handler(request)\n"
)
HANDLED_STATUS = "        status = response.status\n"
HANDLED = "        response = await handler(request)\n"
BOUNDS = "buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),"
COMMENT = "    # The buckets of the OpenTelemetry semantic conventions.\n"
DURATION_BLOCK = f"""{HISTOGRAM}
    "shop_request_duration_seconds",
    "Request durations.",
    ["route"],
{COMMENT}    {BOUNDS}
)"""
SIMPLER = DURATION_BLOCK.replace(COMMENT, "").replace(f"    {BOUNDS}\n", "")
PAGE = (
    '    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})'
)
TEMPLATE = 'resource.canonical if resource else "none"'
LABELS = '["route", "status"]'
EXCEPT = "    except web.HTTPException as exception:"
DURATION_LABEL = '    ["route"],\n    #'
STARTED = "    started = perf_counter()\n"
SLEEP = 'await asyncio.sleep(0.5 if name == "truffle" else 0.01)'
SERVE = 'web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))'
MIDDLEWARES = "web.Application(middlewares=[measure])"


def extra_label(name: str, value: str, hint: str) -> Answer:
    """Add a label to the counter."""
    return app(
        hint,
        (LABELS, f'["route", "status", "{name}"]'),
        ("REQUESTS.labels(route, status)", f"REQUESTS.labels(route, status, {value})"),
    )


def page(content: str, hint: str) -> Answer:
    """Serve /metrics in another way."""
    return app(hint, (PAGE, f"    {content}"))


def shop(hint: str, old: str, new: str) -> Answer:
    """Change what the shop does."""
    return app(hint, (old, new))


FROM_HEADER = "is from the header"
NEW_VALUES = "but has new values of"
REFUSED = "for which Prometheus refuses the page"

LABEL_MISTAKES = {
    "the raw path as a label": app(
        "Clients can invent any number of paths, and each adds a series",
        (TEMPLATE, "request.path"),
    ),
    "the path with its query as a label": app(
        "Clients can invent any number of", (TEMPLATE, "request.path_qs")
    ),
    "the whole URL as a label": app(
        "Clients can invent any number of", (TEMPLATE, "str(request.url)")
    ),
    "the raw path where no route matches": app(
        "and one fixed value if resource is None", ('else "none"', "else request.path")
    ),
    "the last part of the path": app(
        "is from the path", (TEMPLATE, 'request.path.rpartition("/")[2]')
    ),
    "a hash of the path": app(NEW_VALUES, (TEMPLATE, "str(hash(request.path))")),
    "an item as a label": app(
        "this value is from the path",
        ("IN_PROGRESS = ", 'ITEMS = Counter("shop_items", "Items.", ["item"])\nIN_PROGRESS = '),
        ("    if name not in PRICES", "    ITEMS.labels(name).inc()\n    if name not in PRICES"),
    ),
    "an ordered item as a label": app(
        "is from the body",
        ("IN_PROGRESS = ", 'ITEMS = Counter("shop_items", "Items.", ["item"])\nIN_PROGRESS = '),
        ('    return web.json_response({"price"', '    ITEMS.labels(order["item"]).inc()\n'
         '    return web.json_response({"price"'),
    ),
    "the text of an order that is not JSON": app(
        "is from the body",
        ("IN_PROGRESS = ", 'BAD = Counter("shop_bad_orders", "Bad.", ["text"])\nIN_PROGRESS = '),
        ("    except json.JSONDecodeError:\n",
         "    except json.JSONDecodeError:\n        BAD.labels(await request.text()).inc()\n"),
    ),
    "a customer as a label": app(
        "is from the body",
        ("IN_PROGRESS = ", 'SOLD = Counter("shop_sold", "Sold.", ["customer"])\nIN_PROGRESS = '),
        ('    return web.json_response({"price"',
         '    SOLD.labels(order.get("customer", "")).inc()\n    return web.json_response({"price"'),
    ),
    "the number of an order as a label": app(
        NEW_VALUES,
        ("IN_PROGRESS = ", 'SOLD = Counter("shop_sold", "Sold.", ["number"])\nIN_PROGRESS = '),
        ('    return web.json_response({"price"',
         '    SOLD.labels(order["number"]).inc()\n    return web.json_response({"price"'),
    ),
    "a request id": extra_label("id", 'request.headers.get("X-Request-ID", "")', FROM_HEADER),
    "a user agent": extra_label("agent", 'request.headers.get("User-Agent", "")', FROM_HEADER),
    "the first word of a user agent": extra_label(
        "agent", 'request.headers.get("User-Agent", "").split()[0].lower()', FROM_HEADER
    ),
    "a referer": extra_label("referer", 'request.headers.get("Referer", "")', FROM_HEADER),
    "a cookie": extra_label("session", 'request.headers.get("Cookie", "")', FROM_HEADER),
    "an address of a client": extra_label(
        "client", 'request.headers.get("X-Forwarded-For", "")', FROM_HEADER
    ),
    "a query string": extra_label("query", "request.query_string", "is from the query string"),
    "a parameter of the query": extra_label(
        "page", 'request.query.get("page", "")', "is from the query string"
    ),
    "a new id for each request": app(
        NEW_VALUES,
        ("import os\n", "import os\nimport uuid\n"),
        (LABELS, '["route", "status", "id"]'),
        ("REQUESTS.labels(route, status)", "REQUESTS.labels(route, status, uuid.uuid4())"),
    ),
    "the port of a client": extra_label(
        "port", 'request.transport.get_extra_info("peername")[1] if request.transport else 0',
        NEW_VALUES,
    ),
    "the address of an object": extra_label("object", "id(request) + started", NEW_VALUES),
    "a time": extra_label("time", "perf_counter()", NEW_VALUES),
    "a duration": extra_label("took", "perf_counter() - started", NEW_VALUES),
    "a running number": app(
        NEW_VALUES,
        ("import os\n", "import itertools\nimport os\n"),
        ("IN_PROGRESS = ", "NUMBERS = itertools.count()\nIN_PROGRESS = "),
        (LABELS, '["route", "status", "number"]'),
        ("REQUESTS.labels(route, status)", "REQUESTS.labels(route, status, next(NUMBERS))"),
    ),
    "an exception with its text": app(
        "also if it is in the text of an exception",
        ("    status = 500", '    error = ""\n    status = 500'),
        (LABELS, '["route", "status", "error"]'),
        ("REQUESTS.labels(route, status)", "REQUESTS.labels(route, status, error)"),
        (EXCEPT, "    except KeyError as problem:\n        error = repr(problem)\n"
         f"        raise\n{EXCEPT}"),
    ),
    "the message of an exception in a metric of its own": app(
        "also if it is in the text of an exception",
        ("IN_PROGRESS = ", 'FAILED = Counter("shop_failed", "Failed.", ["why"])\nIN_PROGRESS = '),
        (EXCEPT, "    except KeyError as problem:\n        FAILED.labels(str(problem)).inc()\n"
         f"        raise\n{EXCEPT}"),
    ),
    "a query in the histogram": app(
        "is from the query string",
        (DURATION_LABEL, '    ["route", "query"],\n    #'),
        ("DURATION.labels(route)", "DURATION.labels(route, request.query_string)"),
    ),
    "a path in the gauge": app(
        "is from the path",
        ('"Requests in progress.")', '"Requests in progress.", ["path"])'),
        ("IN_PROGRESS.track", "IN_PROGRESS.labels(request.path).track"),
    ),
    "one route for all": app("expected /items/{name}", (TEMPLATE, '"all"')),
    "the method for a route": app("expected /items/{name}", (TEMPLATE, "request.method")),
    "two routes": app(
        "expected /items/{name}", (TEMPLATE, '"/orders" if request.path == "/orders" else "rest"')
    ),
    "known items apart": app(
        "expected /items/{name}",
        (TEMPLATE, 'request.path if request.path in ("/items/tea", "/items/truffle", "/orders") '
         'else "none"'),
    ),
    "errors under a route of their own": app(
        "expected /items/{name}",
        (COUNT, COUNT.replace("(route,", '("error" if status >= 400 else route,')),
    ),
    "no status": app(
        "shop_requests_total has no label status: it distinguishes errors from successes",
        (LABELS, '["route"]'),
        ("REQUESTS.labels(route, status)", "REQUESTS.labels(route)"),
    ),
    "a status under another name": app("has no label status", (LABELS, '["route", "code"]')),
    "no route": app(
        "shop_requests_total has no label route: without it the other routes hide a slow or "
        "failing",
        (LABELS, '["status"]'),
        ("REQUESTS.labels(route, status)", "REQUESTS.labels(status)"),
    ),
    "a route under another name": app("has no label route", (LABELS, '["path", "status"]')),
    "a histogram without a route": app(
        "shop_request_duration_seconds_count has no label route",
        (DURATION_LABEL, "    #"),
        ("DURATION.labels(route)", "DURATION"),
    ),
}  # fmt: skip

COUNTER_MISTAKES = {
    "a gauge for a counter": app(
        "shop_requests_total is a gauge: use a Counter for a number that only increases",
        (COUNTER, 'REQUESTS = Gauge(\n    "shop_requests_total"'),
    ),
    "a counter that is set back": app(
        "a counter must not decrease while its process runs",
        (PAGE, f"    body = generate_latest()\n    REQUESTS.clear()\n{PAGE}".replace(
            "body=generate_latest()", "body=body")),
    ),
    "a counter that is set back when an order fails": app(
        "a counter must not decrease while its process runs",
        ("    finally:\n", "    except KeyError:\n        REQUESTS.clear()\n        raise\n    finally:\n"),
    ),
    "no counter": app("there is no metric shop_requests_total", ('"shop_requests"', '"requests"')),
    "another name": app(
        "there is no metric shop_requests_total", ('"shop_requests"', '"shop_request"')
    ),
    "nothing is counted": app("has counted none of", (COUNT, "")),
    "nothing is counted, but its labels are made": app(
        "has counted none of", (COUNT, "        REQUESTS.labels(route, status)\n")
    ),
    "counted by zero": app("has counted none of", (".inc()\n", ".inc(0)\n")),
    "the middleware is not used": app("has counted none of", (MIDDLEWARES, "web.Application()")),
    "errors lost on exceptions": app(
        "requests that end in an exception are lost: after an exception the following lines do",
        (COUNT, ""),
        (HANDLED_STATUS, f"{HANDLED_STATUS}{COUNT}"),
        ("exception.status\n", f"exception.status\n{COUNT}"),
    ),
    "exceptions counted as successes": app("shop_requests_total{status=", ("status = 500", "status = 200")),
    "everything counted as a success": app(
        "shop_requests_total{status=", (COUNT, COUNT.replace("status)", "200)"))
    ),
    "exceptions counted as bad requests": app("are lost", ("status = 500", "status = 400")),
    "exceptions without a number": app("are lost", ("status = 500", 'status = "exception"')),
    "raised answers counted as errors": app(
        "a handler can also respond by raising web.HTTPException, which has the status in",
        ("        status = exception.status\n", ""),
    ),
    "what no route matches is left out": app(
        "only a middleware sees requests that match no route",
        (COUNT, f"        if resource:\n    {COUNT}"),
    ),
    "only successes are counted": app(
        "are lost", (COUNT, f"        if status == 200:\n    {COUNT}")
    ),
    "only errors are counted": app(
        "requests got status 200", (COUNT, f"        if status >= 400:\n    {COUNT}")
    ),
    "client errors are left out": app(
        "requests got status 405", (COUNT, f"        if not 400 <= status < 500:\n    {COUNT}")
    ),
    "classes of statuses": app("are lost", (COUNT, COUNT.replace("status)", 'f"{status // 100}xx")'))),
    "reasons for statuses": app(
        "are lost", (COUNT, COUNT.replace("status)", "web.Response(status=status).reason)"))
    ),
    "everything counted twice": app("count each request once", (COUNT, COUNT * 2)),
    "counted by two": app("count each request once", (".inc()\n", ".inc(2)\n")),
    "counted at the start and at the end": app(
        "count each request once",
        (STARTED, f"{STARTED}    REQUESTS.labels(route, 200).inc()\n"),
    ),
    "counted by its duration": app(
        "requests got status", (".inc()\n", ".inc(perf_counter() - started)\n")
    ),
    "a wrong method counted as not found": app(
        "requests got status 405",
        ("        status = exception.status\n",
         "        status = 404 if exception.status == 405 else exception.status\n"),
    ),
    "counted in one handler only": app(
        "are lost",
        (COUNT, ""),
        ("    if name not in PRICES",
         '    REQUESTS.labels("/items/{name}", 200).inc()\n    if name not in PRICES'),
    ),
}  # fmt: skip

DURATION_MISTAKES = {
    "an average in a gauge": app(
        "shop_request_duration_seconds is a gauge, which has one number",
        (DURATION_BLOCK, SIMPLER.replace("Histogram", "Gauge")),
        (".observe(", ".set("),
    ),
    "a sum of durations": app(
        "shop_request_duration_seconds is a counter, which has one number",
        (DURATION_BLOCK, SIMPLER.replace("Histogram", "Counter")),
        (".observe(", ".inc("),
    ),
    "an average by a summary": app(
        "is a summary, from which only an average can be computed",
        (DURATION_BLOCK, SIMPLER.replace("Histogram", "Summary")),
        ("import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram",
         "import *\nfrom prometheus_client import CONTENT_TYPE_LATEST"),
    ),
    "an average by another name": app(
        "there is shop_request_duration_avg_seconds, from which only an average can be computed",
        (DURATION_BLOCK, SIMPLER.replace("Histogram", "Gauge").replace("duration_", "duration_avg_")),
        (".observe(", ".set("),
    ),
    "a mean by another name": app(
        "from which only an average can be computed",
        (DURATION_BLOCK, SIMPLER.replace("Histogram", "Gauge").replace("duration_", "mean_")),
        (".observe(", ".set("),
    ),
    "no histogram": app(
        "there is no metric shop_request_duration_seconds",
        ('"shop_request_duration_seconds"', '"shop_latency_seconds"'),
    ),
    "a name without its unit": app(
        "there is no metric shop_request_duration_seconds",
        ('"shop_request_duration_seconds"', '"shop_request_duration"'),
    ),
    "milliseconds": app(
        "record seconds, as the name says, not milliseconds",
        ("(perf_counter() - started)", "(1000 * (perf_counter() - started))"),
    ),
    "nanoseconds": app(
        "record seconds, as the name says",
        ("from time import perf_counter", "from time import perf_counter_ns as perf_counter"),
    ),
    "minutes": app(
        "start the clock before you await the handler",
        ("(perf_counter() - started)", "((perf_counter() - started) / 60)"),
    ),
    "the time of day": app("record seconds", ("(perf_counter() - started)", "(perf_counter())")),
    "always zero": app(
        "start the clock before you await the handler",
        (FINALLY, FINALLY.replace("perf_counter() - started", "0.0")),
    ),
    "the clock stopped before the handler": app(
        "start the clock before you await the handler",
        (STARTED, f"{STARTED}    took = perf_counter() - started\n"),
        ("observe(perf_counter() - started)", "observe(took)"),
    ),
    "the clock started after the handler": app(
        "start the clock before you await the handler",
        (OBSERVE, f"    {STARTED}{OBSERVE}"),
    ),
    "the time of the processor": app(
        "start the clock before you await the handler",
        ("from time import perf_counter", "from time import process_time as perf_counter"),
    ),
    "one clock for all requests": app(
        "start the clock before you await the handler",
        (STARTED, "    global started\n    started = perf_counter()\n"),
        ("@web.middleware", "started = 0.0\n\n\n@web.middleware"),
    ),
    "the wrong sign": app(
        "start the clock before you await the handler",
        ("(perf_counter() - started)", "(started - perf_counter())"),
    ),
    "a decorator on the middleware": app(
        "measures how long it takes to make the coroutine",
        (OBSERVE, ""),
        (DURATION_LABEL, '    ["route"],\n    #'),
        ("@web.middleware", "@web.middleware\n@DURATION.labels('/items/{name}').time()"),
    ),
    "a decorator on a handler": app(
        "@time() on `async def get_item` measures how long it takes to make the coroutine",
        (OBSERVE, ""),
        ("async def get_item", "@DURATION.labels('/items/{name}').time()\nasync def get_item"),
    ),
    "a clock around a coroutine that is not awaited": app(
        "start the clock before you await the handler",
        (OBSERVE, ""),
        (TRACKED, "        with DURATION.labels(route).time():\n"
         "            coroutine = handler(request)\n"
         "        with IN_PROGRESS.track_inprogress():\n            response = await coroutine\n"),
    ),
    "durations of failures lost": app(
        "requests failed; observe in `finally`",
        (OBSERVE, ""),
        (RETURN, f"{OBSERVE}{RETURN}"),
    ),
    "durations of exceptions lost": app(
        "requests failed; observe in `finally`",
        (OBSERVE, ""),
        (RETURN, f"{OBSERVE}{RETURN}"),
        ("exception.status\n", f"exception.status\n{OBSERVE}"),
    ),
    "durations of one route": app(
        "requests were sent, but shop_request_duration_seconds_count is",
        (OBSERVE, f'        if route == "/items/{{name}}":\n    {OBSERVE}'),
    ),
    "durations recorded twice": app(
        "requests were sent, but shop_request_duration_seconds_count is",
        (OBSERVE, OBSERVE + OBSERVE.replace("perf_counter() - started", "0")),
    ),
    "buckets too wide": app("so add a bound between them and one above", (BOUNDS, "buckets=(1, 10),")),
    "buckets that end too early": app(
        "so add a bound between them and one above", (BOUNDS, "buckets=(0.01, 0.1),")
    ),
    "buckets of milliseconds": app(
        "so add a bound between them and one above", (BOUNDS, "buckets=(5, 10, 25, 50, 100, 500),")
    ),
    "a single bucket": app("so add a bound between them", (BOUNDS, "buckets=(0.005,),")),
    "buckets for tea only": app(
        "so add a bound between them and one above",
        (BOUNDS, "buckets=(0.001, 0.002, 0.005, 0.01, 0.012),"),
    ),
    "buckets up to half a second": app(
        "so add a bound between them and one above", (BOUNDS, "buckets=(0.01, 0.05, 0.1, 0.5),")
    ),
}  # fmt: skip

GAUGE_MISTAKES = {
    "in progress never": app("but shop_requests_in_progress was 0 at most", (TRACKED, HANDLED)),
    "no gauge": app(
        "there is no metric shop_requests_in_progress",
        ('"shop_requests_in_progress"', '"shop_in_progress"'),
    ),
    "in progress for ever": app(
        "an exception skips the decrement",
        (TRACKED, f"        IN_PROGRESS.inc()\n{HANDLED}        IN_PROGRESS.dec()\n"),
    ),
    "decremented after an answer, raised or not, but not after an exception": app(
        "an exception skips the decrement",
        (TRACKED, f"        IN_PROGRESS.inc()\n{HANDLED}        IN_PROGRESS.dec()\n"),
        ("        status = exception.status\n",
         "        status = exception.status\n        IN_PROGRESS.dec()\n"),
    ),
    "never decremented": app(
        "an exception skips the decrement", (TRACKED, f"        IN_PROGRESS.inc()\n{HANDLED}")
    ),
    "set to zero when a request ends": app(
        ".dec(), which subtracts one, not .set()",
        (TRACKED, f"        IN_PROGRESS.inc()\n{HANDLED}"),
        ("    finally:\n", "    finally:\n        IN_PROGRESS.set(0)\n"),
    ),
    "set to one while a request runs": app(
        "requests were in progress at a time, but shop_requests_in_progress was 1",
        (TRACKED, f"        IN_PROGRESS.set(1)\n{HANDLED}"),
        ("    finally:\n", "    finally:\n        IN_PROGRESS.set(0)\n"),
    ),
    "decremented before the handler": app(
        "increment it before you await the handler, and decrement it afterwards",
        (TRACKED, f"        IN_PROGRESS.inc()\n        IN_PROGRESS.dec()\n{HANDLED}"),
    ),
    "incremented after the handler": app(
        "increment it before you await the handler, and decrement it afterwards",
        (TRACKED, f"{HANDLED}        IN_PROGRESS.inc()\n        IN_PROGRESS.dec()\n"),
    ),
    "incremented twice": app(
        "increment it once for each request",
        (TRACKED, f"        IN_PROGRESS.inc(2)\n{HANDLED}"),
        ("    finally:\n", "    finally:\n        IN_PROGRESS.dec(2)\n"),
    ),
    "only orders are in progress": app(
        "requests were in progress at a time, but shop_requests_in_progress was 0",
        (TRACKED, HANDLED),
        ("    try:\n        order", "    with IN_PROGRESS.track_inprogress():\n"
         "        await asyncio.sleep(0)\n    try:\n        order"),
    ),
    "a decorator that tracks the making of a coroutine": app(
        "@track_inprogress() on `async def get_item` tracks the making of the coroutine",
        (TRACKED, HANDLED),
        ("async def get_item", "@IN_PROGRESS.track_inprogress()\nasync def get_item"),
    ),
    "a tracker around a coroutine that is not awaited": app(
        "increment it before you await the handler",
        (TRACKED, "        with IN_PROGRESS.track_inprogress():\n"
         "            coroutine = handler(request)\n        response = await coroutine\n"),
    ),
    "a counter for a gauge": app(
        "shop_requests_in_progress is a counter: use a Gauge for a number that rises and falls",
        ('Gauge("shop_requests_in_progress"', 'Counter("shop_requests_in_progress"'),
        (TRACKED, f"        IN_PROGRESS.inc()\n{HANDLED}"),
    ),
    "a histogram for a gauge": app(
        "shop_requests_in_progress is a histogram: use a Gauge",
        ('Gauge("shop_requests_in_progress"', 'Histogram("shop_requests_in_progress"'),
        (TRACKED, f"        IN_PROGRESS.observe(1)\n{HANDLED}"),
    ),
    "a summary for a gauge": app(
        "shop_requests_in_progress is a summary: use a Gauge",
        ("import CONTENT_TYPE_LATEST,", "import CONTENT_TYPE_LATEST, Summary,"),
        ('Gauge("shop_requests_in_progress"', 'Summary("shop_requests_in_progress"'),
        (TRACKED, f"        IN_PROGRESS.observe(1)\n{HANDLED}"),
    ),
    "a constant": app(
        "requests were in progress at a time, but shop_requests_in_progress was 1 at most",
        (TRACKED, f"        IN_PROGRESS.set(1)\n{HANDLED}"),
    ),
}  # fmt: skip

PAGE_MISTAKES = {
    "no page": app("GET /metrics gets status 404", ('"/metrics"', '"/metric"')),
    "a page for POST only": app(
        "GET /metrics gets status 405", ('add_get("/metrics"', 'add_post("/metrics"')
    ),
    "a page on a port of its own": app(
        "GET /metrics gets status 404",
        ('    app.router.add_get("/metrics", get_metrics)\n', ""),
        ("import CONTENT_TYPE_LATEST,", "import CONTENT_TYPE_LATEST, start_http_server,"),
        (SERVE, f"start_http_server(9123)\n    {SERVE}"),
    ),
    "a page that fails": page("raise ValueError", "GET /metrics gets status 500"),
    "a page with a password": page(
        "raise web.HTTPUnauthorized(text=request.path)", "GET /metrics gets status 401"
    ),
    "a page that leads to another machine": page(
        "raise web.HTTPFound('http://192.0.2.1/metrics')", "GET /metrics gets status 302"
    ),
    "octet-stream": page("return web.Response(body=generate_latest())", REFUSED),
    "HTML": page(
        'return web.Response(body=generate_latest(), headers={"Content-Type": "text/html"})', REFUSED
    ),
    "JSON as a type": page(
        'return web.Response(body=generate_latest(), headers={"Content-Type": "application/json"})',
        REFUSED,
    ),
    "XML as a type": page(
        'return web.Response(body=generate_latest(), headers={"Content-Type": "text/xml"})', REFUSED
    ),
    "a type without a subtype": page(
        'return web.Response(body=generate_latest(), headers={"Content-Type": "text"})', REFUSED
    ),
    "JSON as content": page(
        'return web.json_response({"shop_requests_total": 1})', REFUSED
    ),
    "a page in a format of its own": page(
        'return web.Response(text="requests: 3 {")', "is not in the Prometheus text format"
    ),
    "a value that is no number": page(
        'return web.Response(text="shop_requests_total many\\n")',
        "is not in the Prometheus text format",
    ),
    "the text format as OpenMetrics": page(
        "return web.Response(body=generate_latest(), headers={\"Content-Type\": "
        '"application/openmetrics-text; version=1.0.0; charset=utf-8"})',
        "is not in the OpenMetrics format",
    ),
    "an empty page": page('return web.Response(text="")', "there is no metric shop_requests_total"),
    "a page of another registry": app(
        "there is no metric shop_requests_total",
        ("import CONTENT_TYPE_LATEST,", "import CONTENT_TYPE_LATEST, CollectorRegistry,"),
        ("body=generate_latest()", "body=generate_latest(CollectorRegistry())"),
    ),
    "a page without an end": page(
        "return web.Response(text='# ' + 'x' * 6_000_000)", "is longer than 4 MB"
    ),
}  # fmt: skip

SHOP_MISTAKES = {
    "an exception made an answer": shop(
        "an exception (POST /orders) now gets status 200; the unchanged shop responds with 500",
        "    finally:", "    except KeyError:\n        return web.Response()\n    finally:",
    ),
    "an exception made a bad request": shop(
        "an exception (POST /orders) now gets status 400",
        "    finally:",
        "    except KeyError:\n        raise web.HTTPBadRequest() from None\n    finally:",
    ),
    "the bug is fixed": shop(
        "an exception (POST /orders) now gets status 404",
        '    return web.json_response({"price"',
        '    if order["item"] not in PRICES:\n        raise web.HTTPNotFound()\n'
        '    return web.json_response({"price"',
    ),
    "an exception swallowed": shop(
        "an exception that you catch must be raised again",
        "    finally:",
        "    except Exception:\n        return web.Response(\n            status=500, "
        'text="500 Internal Server Error"\n        )\n    finally:',
    ),
    "an exception swallowed and printed without its type": shop(
        "an exception that you catch must be raised again",
        "    finally:",
        '    except Exception:\n        print("an error")\n        return web.Response(\n'
        '            status=500, text="500 Internal Server Error"\n        )\n    finally:',
    ),
    "an exception replaced by an answer": shop(
        "an exception that you catch must be raised again",
        "    finally:",
        "    except KeyError:\n        raise web.HTTPInternalServerError() from None\n    finally:",
    ),
    "an exception told to the client": shop(
        "now gets",
        "    finally:",
        "    except KeyError as problem:\n        return web.json_response(\n"
        '            {"error": repr(problem)}, status=500\n        )\n    finally:',
    ),
    "a wrong method is not found": app(
        "a wrong method (DELETE /items/tea) now gets status 404; the unchanged shop responds with 405",
        ('    app.router.add_get("/metrics", get_metrics)\n',
         '    app.router.add_get("/metrics", get_metrics)\n'
         '    app.router.add_route("*", "/{tail:.*}", get_nothing)\n'),
        ("def make_app", "async def get_nothing(request: web.Request) -> web.Response:\n"
         '    raise web.HTTPNotFound(text="404: Not Found")\n\n\ndef make_app'),
    ),
    "a wrong method is fine": shop(
        "a wrong method (DELETE /items/tea) now gets status 200",
        'add_get("/items/{name}"', 'add_route("*", "/items/{name}"',
    ),
    "another price": shop("now gets", '"tea": 4', '"tea": 5'),
    "a price as text": shop("now gets", '"price": PRICES[name]}', '"price": str(PRICES[name])}'),
    "another field": shop("now gets", '{"item": name,', '{"name": name,'),
    "one more field": shop("now gets", '{"item": name,', '{"ok": True, "item": name,'),
    "no JSON": shop(
        "now gets", 'return web.json_response({"item": name, "price": PRICES[name]})',
        "return web.Response(text=name)",
    ),
    "an order is created": shop(
        "an order (POST /orders) now gets status 201",
        'order["number"]})', 'order["number"]}, status=201)',
    ),
    "an order that is not JSON is an error of the server": shop(
        "an order that is not JSON (POST /orders) now gets status 500",
        "    except json.JSONDecodeError:", "    except ZeroDivisionError:",
    ),
    "an unknown item is free": shop(
        "an unknown item",
        '        raise web.HTTPNotFound(text=f"no item {name}\\n")',
        '        return web.json_response({"item": name, "price": 0})',
    ),
    "an unknown item has another text": shop("now gets", 'f"no item {name}\\n"', '"no such item\\n"'),
    "an unknown path leads home": app(
        "an unknown path",
        (EXCEPT, "    except web.HTTPNotFound:\n        if resource is None:\n"
         f'            raise web.HTTPFound("/items/tea") from None\n        raise\n{EXCEPT}'),
    ),
    "the shop waits": shop("were served one after the other", SLEEP, SLEEP.replace("await asyncio.", "__import__('time').")),
    "one request at a time": app(
        "were served one after the other",
        ("IN_PROGRESS = ", "LOCK = asyncio.Lock()\nIN_PROGRESS = "),
        (TRACKED, "        with IN_PROGRESS.track_inprogress():\n            async with LOCK:\n"
         "                response = await handler(request)\n"),
    ),
    "a crash at start": app("app.py ended with exit code 1; its last output:\n", ("PRICES = {", "PRICES = unknown\nPRICES = {")),
    "a syntax error": app("SyntaxError", ("PRICES = {", "PRICES = = {")),
    "a module that is missing": app("ModuleNotFoundError", ("import json\n", "import json\nimport shop_helpers\n")),
    "a metric declared twice": app("Duplicated timeseries", ("@web.middleware", 'AGAIN = Gauge("shop_requests_in_progress", "Again.")\n\n\n@web.middleware')),
    "a program that ends": app("app.py ended with exit code 0", (SERVE, "make_app()")),
    "a crash while serving": app("app.py ended with exit code 3", ("    try:\n        order", "    os._exit(3)\n    try:\n        order")),
    "labels that do not fit": app("Incorrect label count", ("REQUESTS.labels(route, status)", "REQUESTS.labels(route)")),
}  # fmt: skip

PAGE_ONLY = """
import os, threading
from prometheus_client import Counter, start_http_server
Counter("shop_requests", "Requests.", ["route", "status"]).labels("/orders", "200").inc()
start_http_server(int(os.environ["PORT"]))
threading.Event().wait()
"""
LONG = "a time as a label"
CHANGED = "GET /metrics gets status 500"
IMPORTS = ("import os\n", "import os\nimport time\n")
MORE_LABEL_MISTAKES = {
    "the host that is asked for": extra_label("host", "request.host", FROM_HEADER),
    "the host of the URL": extra_label("host", "request.url.host", FROM_HEADER),
    "a language": extra_label("language", 'request.headers.get("Accept-Language", "")', FROM_HEADER),
    "a token": extra_label("user", 'request.headers.get("Authorization", "")', FROM_HEADER),
    "a tenant": extra_label("tenant", 'request.headers.get("X-Tenant", "")', FROM_HEADER),
    "all headers": extra_label("headers", "str(dict(request.headers))", "is from"),
    "a part of a request id": extra_label("id", 'request.headers.get("X-Request-ID", "")[:6]', NEW_VALUES),
    "a hash of a user agent": extra_label("agent", 'hash(request.headers.get("User-Agent", "")) % 100_000', NEW_VALUES),
    "the length of a body": extra_label("length", "request.content_length", NEW_VALUES),
    "a rounded duration": extra_label("took", "round(perf_counter() - started, 6)", NEW_VALUES),
    "the minute of the day": app(LONG, IMPORTS, (LABELS, '["route", "status", "minute"]'),
                                 ("REQUESTS.labels(route, status)", 'REQUESTS.labels(route, status, time.strftime("%H:%M"))')),
    "a date": app(LONG, IMPORTS, (LABELS, '["route", "status", "day"]'),
                  ("REQUESTS.labels(route, status)", 'REQUESTS.labels(route, status, time.strftime("%Y-%m-%d"))')),
    "a month": app(LONG, IMPORTS, (LABELS, '["route", "status", "month"]'),
                   ("REQUESTS.labels(route, status)", 'REQUESTS.labels(route, status, time.strftime("%Y-%m"))')),
    "the first part of the path": app("is from the path", (TEMPLATE, 'request.path.split("/")[1]')),
    "a path with a hole": app("is from the path", ("import os\n", "import os\nimport re\n"), (TEMPLATE, 're.sub("/items/.*", "/items/{name}", request.path)')),
    "a path in capitals": app(NEW_VALUES, (TEMPLATE, "request.path.upper()")),
    "the name of a route that has none": app("expected /items/{name}", (TEMPLATE, "str(request.match_info.route.name)")),
    "the length of the path": app("shop_requests_total", (TEMPLATE, "str(len(request.path))")),
    "the depth of the path": app("expected /items/{name}", (TEMPLATE, 'str(request.path.count("/"))')),
    "the text of an order in the histogram": app(
        "is from the body", (DURATION_LABEL, '    ["route", "text"],\n    #'),
        ("DURATION.labels(route)", "DURATION.labels(route, await request.text())")),
    "an id in an info metric": app(
        FROM_HEADER, ("IN_PROGRESS = ", 'LAST = Gauge("shop_last", "Last.", ["id"])\nIN_PROGRESS = '),
        (STARTED, f'{STARTED}    LAST.labels(request.headers.get("X-Request-ID", "")).set(1)\n')),
}  # fmt: skip

MORE_MISTAKES = {
    "a namespace too much": app("there is no metric shop_requests_total", (LABELS, f'{LABELS}, namespace="my"')),
    "a status with a fraction": app("are lost", (COUNT, COUNT.replace("status)", "float(status))"))),
    "a status in words": app("are lost", (COUNT, COUNT.replace("status)", '"ok" if status < 400 else "error")'))),
    "a counter of pages": app("has counted none of", (COUNT, f'        if request.path == "/metrics":\n    {COUNT}')),
    "redirects and successes are counted": app("are lost", (COUNT, f"        if status < 400:\n    {COUNT}")),
    "errors of the server are left out": app("are lost", (COUNT, f"        if status != 500:\n    {COUNT}")),
    "a counter that goes down": app(CHANGED, (".inc()\n", ".inc(-1)\n")),
    "a counter with dec": app(CHANGED, ("REQUESTS.labels(route, status).inc()", "REQUESTS.labels(route, status).dec()")),
    "a gauge that observes": app(CHANGED, (TRACKED, f"        IN_PROGRESS.observe(1)\n{HANDLED}")),
    "a misspelt label": app(CHANGED, ("REQUESTS.labels(route, status)", "REQUESTS.labels(path=route, status=status)")),
    "durations twice": app("requests were sent, but", (OBSERVE, OBSERVE * 2)),
    "durations doubled": app("do not add to them, or round them up", ("(perf_counter() - started)", "(2 * (perf_counter() - started))")),
    "durations rounded up": app("do not add to them, or round them up", ("import os\n", "import math\nimport os\n"), ("(perf_counter() - started)", "(math.ceil(perf_counter() - started))")),
    "durations rounded down": app("start the clock before you await", ("(perf_counter() - started)", "(int(perf_counter() - started))")),
    "hundredths": app("record seconds", ("(perf_counter() - started)", "(100 * (perf_counter() - started))")),
    "microseconds": app("record seconds", ("(perf_counter() - started)", "(1e6 * (perf_counter() - started))")),
    "durations that add up": app("shop_request_duration_seconds has", ("@web.middleware", "FIRST = perf_counter()\n\n\n@web.middleware"), ("(perf_counter() - started)", "(perf_counter() - FIRST)")),
    "a limit of durations": app("start the clock before you await", ("(perf_counter() - started)", "(min(perf_counter() - started, 0.1))")),
    "durations of successes": app("requests failed; observe in `finally`", (OBSERVE, f"        if status < 400:\n    {OBSERVE}")),
    "a bound that is too near": app("so add a bound between them", (BOUNDS, "buckets=(0.01, 0.6, 0.7),")),
    "buckets of minutes": app("so add a bound between them", (BOUNDS, "buckets=(60, 300, 3600),")),
    "no bucket": app("app.py ended with exit code 1", (BOUNDS, 'buckets=(float("inf"),),')),
    "less than nothing in progress": app("shop_requests_in_progress was", (TRACKED, HANDLED), ("    finally:\n", "    finally:\n        IN_PROGRESS.dec()\n")),
    "successes are no more in progress": app("an exception skips the decrement", (TRACKED, f"        IN_PROGRESS.inc()\n{HANDLED}"), ("    finally:\n", "    finally:\n        if status == 200:\n            IN_PROGRESS.dec()\n")),
    "every task is in progress": app("shop_requests_in_progress is", (TRACKED, f"        IN_PROGRESS.set(len(asyncio.all_tasks()) + 20)\n{HANDLED}"), ("    finally:\n", "    finally:\n        IN_PROGRESS.set(len(asyncio.all_tasks()) + 20)\n")),
    "a gauge in percent": app("shop_requests_in_progress was", (TRACKED, "        IN_PROGRESS.inc(0.01)\n" + HANDLED), ("    finally:\n", "    finally:\n        IN_PROGRESS.dec(0.01)\n")),
    "a type that is not said": page('return web.Response(text="shop_requests_total 3\\n")', "shop_requests_total is a"),
    "compressed, but not said": page("return web.Response(body=__import__('gzip').compress(generate_latest()), content_type='text/plain')", "is not in the Prometheus text format"),
    "no content": page("return web.Response(status=204)", "GET /metrics gets status 204"),
    "a page that waits": page("await asyncio.sleep(600)\n    return web.Response()", "GET /metrics got no response"),
    "a page in a loop": page('raise web.HTTPFound("/metrics")', "GET /metrics gets status 302"),
    "a page of a file": page('return web.FileResponse("metrics.txt")', "GET /metrics gets status 404"),
    "an exception by its type only": shop(
        "its traceback is not in the output", "    finally:",
        '    except KeyError:\n        print("KeyError")\n        return web.Response(status=500, text="500 Internal Server Error")\n    finally:'),
    "no log": app("its traceback is not in the output", ("PRICES = {", '__import__("logging").disable()\nPRICES = {')),
    "fast truffles": shop("ended before other requests and /metrics were answered", SLEEP, "await asyncio.sleep(0.01)"),
    "a loop that never ends": shop("got no response", SLEEP, "while True:\n        pass"),
    "another port": app("does not listen at 127.0.0.1:$PORT", (SERVE, SERVE.replace("PORT", "HTTP_PORT"))),
    "a file that is not there": app("FileNotFoundError", ("PRICES = {", 'open("prices.json")\nPRICES = {')),
    "a question at the start": app("EOFError", ("PRICES = {", 'input("port?")\nPRICES = {')),
    "an indentation": app("IndentationError", ("PRICES = {", "  PRICES = {")),
    "a name of prometheus_client that there is not": app("ImportError", ("import CONTENT_TYPE_LATEST,", "import CONTENT_TYPE_LATEST, Timer,")),
    "a page without the shop": whole("tea (GET /items/tea", PAGE_ONLY),
    "an empty program": whole("app.py ended with exit code 0", ""),
}  # fmt: skip

WRONG = {
    **MORE_LABEL_MISTAKES, **MORE_MISTAKES,
    **LABEL_MISTAKES, **COUNTER_MISTAKES, **DURATION_MISTAKES, **GAUGE_MISTAKES, **PAGE_MISTAKES,
    **SHOP_MISTAKES,
}  # fmt: skip
