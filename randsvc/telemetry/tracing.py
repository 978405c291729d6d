"""Server spans by contrib's instrumentation, off until ``OTEL_TRACES_EXPORTER`` says otherwise."""

import os
import sys
import warnings
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar, copy_context
from random import getrandbits

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import trace
from opentelemetry.context import attach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_server import (
    AioHttpServerInstrumentor,
    create_aiohttp_middleware,
    getter,
)
from opentelemetry.propagate import extract, get_global_textmap
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import INVALID_SPAN, SpanContext, SpanKind, set_span_in_context

from .environment import get_otlp_endpoint, get_otlp_protocol, get_value, list_names
from .otlp import fit
from .outage import AnnouncedSpanExporter

__all__ = (
    "ServerTracing",
    "export_spans",
    "make_sampler",
    "make_tracer_provider",
)

_STATIC_SAMPLERS: Mapping[str, Sampler] = {
    "always_on": ALWAYS_ON,
    "always_off": ALWAYS_OFF,
    "parentbased_always_on": ParentBased(ALWAYS_ON),
    "parentbased_always_off": ParentBased(ALWAYS_OFF),
}

KeepSpan = Callable[[web.Request, SpanContext], None]


def make_tracer_provider(environ: Mapping[str, str], resource: Resource) -> TracerProvider | None:
    """The provider of spans, which nobody exports yet; None where no exporter is asked for."""
    if not list_names(environ, "OTEL_TRACES_EXPORTER"):
        return None
    return TracerProvider(
        make_sampler(environ), resource, shutdown_on_exit=False, id_generator=_ids
    )


def export_spans(provider: TracerProvider, environ: Mapping[str, str]) -> None:
    """Begin to export the spans of ``provider``, in a thread for each exporter asked for."""
    known: dict[str, Callable[[], SpanExporter]] = {
        "otlp": lambda: AnnouncedSpanExporter(
            _make_otlp_exporter(environ), get_otlp_endpoint(environ, "TRACES")
        ),
        "console": lambda: ConsoleSpanExporter(out=sys.stdout),
    }
    for name in list_names(environ, "OTEL_TRACES_EXPORTER"):
        provider.add_span_processor(BatchSpanProcessor(known[name]()))


def make_sampler(environ: Mapping[str, str]) -> Sampler:
    """The sampler that ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG`` name.

    Where the first is unset, the ratio of the second (1 where that is unset too) decides for each
    request, also for one whose client says that its trace is sampled: clients are not to be trusted
    with what tracing costs. Spans inside a request follow the request. With a name set, all is as
    the specification says, and ``parentbased_traceidratio`` does follow the client.
    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
    """
    name = get_value(environ, "OTEL_TRACES_SAMPLER")
    if name in _STATIC_SAMPLERS:
        return _STATIC_SAMPLERS[name]
    by_ratio = TraceIdRatioBased(float(get_value(environ, "OTEL_TRACES_SAMPLER_ARG")))
    if name == "traceidratio":
        return by_ratio
    if name == "parentbased_traceidratio":
        return ParentBased(by_ratio)
    return ParentBased(by_ratio, remote_parent_sampled=by_ratio, remote_parent_not_sampled=by_ratio)


class ServerTracing:
    """Makes a span of each request that is sampled, with contrib's middleware.

    The sampler is asked before anything is done for a span: that middleware doubles what a small
    request costs, whether its span is sampled or not.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._sampler = provider.sampler
        self._root_bound = _find_root_bound(provider.sampler)
        self._middleware = _make_contrib_middleware(provider)

    def connect(self, make_connection: Callable[[], None]) -> None:
        """Let the requests of a new connection begin in a span that is not sampled.

        In a context of the connection: one for each request costs 10,000 instructions.
        """
        context = copy_context()
        context.run(attach, set_span_in_context(_NOT_SAMPLED))
        context.run(make_connection)

    def around(
        self, app: web.Application, handle: Handler, keep: KeepSpan
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """What handles the requests of ``app``, in a span; ``keep`` gets each that is sampled."""
        fields = tuple(get_global_textmap().fields)
        root_bound = self._root_bound

        def handle_request(request: web.Request) -> Awaitable[web.StreamResponse]:
            headers = request.headers
            parent = None
            for field in fields:
                if field in headers:
                    parent = extract(request, getter=getter)
                    break
            trace_id = trace.get_current_span(parent).get_span_context().trace_id if parent else 0
            if trace_id:
                result = self._sampler.should_sample(parent, trace_id, "", SpanKind.SERVER)
                is_sampled = result.decision is Decision.RECORD_AND_SAMPLE
            else:
                low = getrandbits(64)  # what samplers look at; the rest is for sampled ones
                is_sampled = low < root_bound
                if is_sampled:
                    _next_trace_id.set(getrandbits(64) << 64 | low)
            if is_sampled:
                return handle_sampled(request)
            _not_sampled.set([_make_not_sampled(trace_id)] if trace_id else [])
            return handle(request)

        async def handle_in_span(request: web.Request) -> web.StreamResponse:
            span = trace.get_current_span().get_span_context()
            if span.trace_flags.sampled:
                keep(request, span)
            return await handle(request)

        async def handle_sampled(request: web.Request) -> web.StreamResponse:
            attach(set_span_in_context(INVALID_SPAN))  # so that the span is the server's
            # The span is named after the route, which the application itself resolves too late.
            request._match_info = await app.router.resolve(request)
            return await self._middleware(
                _make_presentable(request), lambda _: handle_in_span(request)
            )

        return handle_request


class _Ids(RandomIdGenerator):
    """Gives the trace id for which the sampler has decided already, once."""

    def generate_trace_id(self) -> int:
        trace_id = _next_trace_id.get()
        if trace_id:
            _next_trace_id.set(0)
        return trace_id or super().generate_trace_id()


class _NotSampled(trace.NonRecordingSpan):
    """The parent of what is done in requests that are not sampled, so that none of it is."""

    def __init__(self) -> None:
        pass

    def get_span_context(self) -> SpanContext:
        """The request's own context, made when somebody asks: a client, or a span inside."""
        made = _not_sampled.get()
        if made is None:
            return trace.INVALID_SPAN_CONTEXT
        if not made:
            made.append(_make_not_sampled(_ids.generate_trace_id()))
        return made[0]


_next_trace_id: ContextVar[int] = ContextVar("next_trace_id", default=0)
_not_sampled: ContextVar[list[SpanContext] | None] = ContextVar("not_sampled", default=None)
"""The context of the request under way, if it is not sampled; empty until somebody needs it."""
_NOT_SAMPLED = _NotSampled()
_ids = _Ids()


def _make_not_sampled(trace_id: int) -> SpanContext:
    return SpanContext(trace_id, _ids.generate_span_id(), is_remote=False)


def _find_root_bound(sampler: Sampler) -> int:
    """Traces without a parent are sampled whose id is below it, in the bits that samplers use."""
    if isinstance(sampler, ParentBased):
        sampler = sampler._root
    if isinstance(sampler, TraceIdRatioBased):
        return sampler.bound
    return TraceIdRatioBased.TRACE_ID_LIMIT + 1 if sampler is ALWAYS_ON else 0


def _make_presentable(request: web.Request) -> web.Request:
    """The request, or a copy of it that can be made into attributes of a span.

    Contrib reads the URL, which a malformed ``Host`` has none of; and text that is not UTF-8 would
    make the export fail for all spans that are exported together.
    """
    headers = request.headers
    try:
        "".join(headers.values()).encode()
        request.path_qs.encode()
        host = request.url.host or ""
        host.encode()
    except UnicodeEncodeError:
        pass
    except ValueError:
        return request.clone(host="invalid")
    else:
        return request
    cleaned = [(name, fit(value)) for name, value in headers.items()]
    return request.clone(headers=cleaned, rel_url=fit(request.path_qs), host="invalid")


def _make_contrib_middleware(provider: TracerProvider) -> Middleware:
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


def _make_otlp_exporter(environ: Mapping[str, str]) -> SpanExporter:
    if get_otlp_protocol(environ, "TRACES") == "http/protobuf":
        return OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
        OTLPSpanExporter as GrpcExporter,
    )

    return GrpcExporter()
