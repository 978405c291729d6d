"""Server spans by contrib's instrumentation, off until ``OTEL_TRACES_EXPORTER`` says otherwise."""

import os
import sys
import warnings
from collections.abc import Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_server import (
    AioHttpServerInstrumentor,
    create_aiohttp_middleware,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import SpanContext

from .environment import choices, otlp_endpoint, otlp_protocol
from .outage import AnnouncedSpanExporter

__all__ = ("ServerTracing", "tracer_provider_from_environment")

KeepSpan = Callable[[web.Request, SpanContext], None]


def tracer_provider_from_environment(
    environ: Mapping[str, str], resource: Resource
) -> TracerProvider | None:
    """The provider with the exporters that are asked for; None where there are none.

    The sampler is the one that ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG`` name.
    """
    known: dict[str, Callable[[], SpanExporter]] = {
        "otlp": lambda: AnnouncedSpanExporter(
            _otlp_exporter(environ), otlp_endpoint(environ, "TRACES")
        ),
        "console": lambda: ConsoleSpanExporter(out=sys.stdout),
    }
    names = choices(environ, "OTEL_TRACES_EXPORTER", "none", known)
    if not names:
        return None
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in names:
        provider.add_span_processor(BatchSpanProcessor(known[name]()))
    return provider


class ServerTracing:
    """Makes a span of each request, with contrib's middleware."""

    def __init__(self, provider: TracerProvider) -> None:
        self._middleware = _contrib_middleware(provider)

    def around(self, app: web.Application, handle: Handler, keep: KeepSpan) -> Handler:
        """What handles the requests of ``app``, in a span; ``keep`` gets each that is sampled."""

        async def handle_in_span(request: web.Request) -> web.StreamResponse:
            span = trace.get_current_span().get_span_context()
            if span.trace_flags.sampled:
                keep(request, span)
            return await handle(request)

        async def handle_traced(request: web.Request) -> web.StreamResponse:
            # The span is named after the route, which the application itself resolves too late.
            request._match_info = await app.router.resolve(request)
            return await self._middleware(request, handle_in_span)

        return handle_traced


def _contrib_middleware(provider: TracerProvider) -> Middleware:
    # Without it the instrumentation uses the names of 2023.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    # Instrumenting fills in the module's globals, and it replaces web.Application: that is undone.
    instrumentor = AioHttpServerInstrumentor()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Inheritance class", DeprecationWarning)
        instrumentor.instrument(tracer_provider=provider)
    instrumentor.uninstrument()
    middleware: Middleware = create_aiohttp_middleware(tracer_provider=provider)
    return middleware


def _otlp_exporter(environ: Mapping[str, str]) -> SpanExporter:
    if otlp_protocol(environ, "TRACES") == "http/protobuf":
        return OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
        OTLPSpanExporter as GrpcExporter,
    )

    return GrpcExporter()
