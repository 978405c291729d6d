"""FastAPI with OpenTelemetry's contrib instrumentation, pushing as contrib on aiohttp does."""

from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from benchmarks.servers import fastapi_bare
from benchmarks.servers.contrib import push

if __name__ == "__main__":
    push()
    app = fastapi_bare.make_app()
    FastAPIInstrumentor.instrument_app(app)
    fastapi_bare.serve(app)
