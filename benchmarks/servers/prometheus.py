"""aiohttp with a counter and a histogram of prometheus_client in a middleware."""

from time import perf_counter

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

from benchmarks.servers import bare

LABELS = ("method", "route", "status")
REQUESTS = Counter("http_requests", "HTTP requests.", LABELS)
DURATION = Histogram("http_request_duration_seconds", "Duration of HTTP requests.", LABELS)


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count a request and observe its duration."""
    start = perf_counter()
    status = 500
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        resource = request.match_info.route.resource
        labels = request.method, resource.canonical if resource else "", str(status)
        REQUESTS.labels(*labels).inc()
        DURATION.labels(*labels).observe(perf_counter() - start)


async def get_metrics(request: web.Request) -> web.Response:
    """What was measured, in the text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


if __name__ == "__main__":
    app = bare.make_app(measured)
    app.router.add_get("/metrics", get_metrics)
    bare.serve(app)
