"""An application of somebody else, for tests of the tools: nothing in it is of randsvc.

Its requests are measured by the OpenTelemetry SDK and contrib's middleware, its clips by
prometheus_client; both are pulled as classic histograms. Run it with its port as argument.
"""

import asyncio
import os
import sys

os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"

from aiohttp import web
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest

CLIP_SECONDS = Histogram(
    "clip_length_seconds", "Length of clips.", ["codec"], buckets=[*range(5, 100, 5)]
)


async def clip(request: web.Request) -> web.Response:
    """Answer with a clip; ids that begin with ``bad`` fail, ``slow`` ones take longer."""
    name = request.match_info["id"]
    CLIP_SECONDS.labels("av1").observe(float(request.query.get("length", 30)))
    if name.startswith("slow"):
        await asyncio.sleep(0.06)
    return web.Response(status=500 if name.startswith("bad") else 200)


async def index(request: web.Request) -> web.Response:
    """Answer another route."""
    return web.Response()


async def exposition(request: web.Request) -> web.Response:
    """Give all metrics."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def main() -> None:
    """Serve the application."""
    metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
    AioHttpServerInstrumentor().instrument()
    app = web.Application()
    app.router.add_get("/clips/{id}", clip)
    app.router.add_get("/", index)
    app.router.add_get("/metrics", exposition)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
