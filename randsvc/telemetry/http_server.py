"""The HTTP server's metrics: one observation a request, however it ends and whoever runs it.

``HttpServerMetrics.install(app)`` hooks the one place that every runner passes, the making of the
application's ``web.Server``, and gives its connections a class of their own. aiohttp calls that for
every request, also for one that is malformed, that no route matches, whose response cannot be
written, or whose client leaves. A middleware sees less, and an empty one alone costs 15% of a small
request; an access logger is not called where a response fails after its headers.

- The status is the one that the client was sent; none where it was sent none.
- What fails is logged once, with the attributes of its request and in its span: by aiohttp where
  the handler raised, by the application where it says so in its response, or else here.
- ``error.type`` is set where the service failed: the type of the exception, or the status as text
  where the application made the response itself. A client that left before it was served is
  ``ClientConnectionResetError``, which is no failure of the service.
- The duration ends when the response is written. A WebSocket (101) and a response of an endless
  media type, such as server-sent events, end it with their headers: how long somebody listens is
  no latency. They are counted when they end, as that may be an error, and are active until then.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from types import FunctionType, MethodType
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import InvalidURLError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from .catalogue import CLIENT_LEFT
from .instruments import CARDINALITY_LIMIT, OVERFLOW, Histogram, Series
from .tracing import ServerTracing

__all__ = ("ERROR_TYPE", "IS_LOGGED", "UNMATCHED", "HttpServerMetrics", "describe")

ERROR_TYPE = web.ResponseKey("error_type", str)
"""Where a response made from an exception says which one it was."""
IS_LOGGED = web.ResponseKey("is_logged", bool)
"""Where a response of a failure says that the application has logged it."""
UNMATCHED = "/{unmatched}"
"""The resource of a catch-all for what no route matched: such a request has no ``http.route``."""

OTHER = "_OTHER"
"""Stands for every value that a client can invent, so that it cannot invent series."""
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/#http-request-method
_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
_VERSIONS = {HttpVersion10: "1.0", HttpVersion11: "1.1"}
_WHOLE = frozenset((bytes, bytearray, type(None)))
"""Bodies that are written at once."""
_ENDLESS = frozenset(("text/event-stream", "multipart/x-mixed-replace"))
_WHEN_CLIENTS_LEAVE = (ConnectionError, asyncio.CancelledError)
"""What a handler raises when its client has left; with the client there it is a failure."""

RESERVED_SERIES = 40
"""Series that only failures of known routes get, of all that a histogram may have."""
RESERVED_PER_ROUTE = 4
"""How many of them one route gets: a route whose status a client may choose takes not all."""

CHECK_SECONDS = 1.0
"""Time between looks whether an application is served itself, until it has started."""

_logger = logging.getLogger(__name__)
_handle_request = web.RequestHandler._handle_request

Key = tuple[str, str, str, int, str, str]
"""Method, scheme, route, status (0 for none), error type and protocol version."""


class _Method:
    """The requests of one method: how many are active, and where the usual ones are recorded.

    Usual is a response to HTTP/1.1 that was sent as a whole and without an error.
    """

    __slots__ = ("active", "name", "scheme", "usual")

    def __init__(self, name: str, scheme: str) -> None:
        self.name = name
        self.scheme = scheme
        self.active = 0
        self.usual: dict[web.AbstractRoute, dict[int, Callable[[float], None]]] = {}


class _Methods(dict[str, _Method]):
    """The methods that were seen by their names; those that are not known are one."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    def __missing__(self, name: str) -> _Method:
        if name not in _METHODS:
            name = OTHER
            if other := self.get(name):
                return other
        method = self[name] = _Method(name, self._scheme)
        return method


class HttpServerMetrics:
    """Fills ``http.server.request.duration`` and counts ``http.server.active_requests``.

    ``tracing`` makes spans of the requests that it samples; the trace of such a request is kept as
    an exemplar of its duration.
    """

    def __init__(
        self,
        duration: Histogram,
        *,
        tracing: ServerTracing | None = None,
        with_exemplars: bool = True,
    ) -> None:
        self.tracing = tracing
        self.with_exemplars = with_exemplars
        self._duration = duration
        self._methods = {scheme: _Methods(scheme) for scheme in ("http", "https")}
        self._series: dict[Key, Series] = {}
        self._reserved: dict[Key, Series] = {}

    def install(self, app: web.Application) -> None:
        """Measure each request to ``app`` and its sub-applications, whoever runs it.

        Call it once, before the application is started. Raises ``RuntimeError`` where that is too
        late, where it was done, and for an application that is part of another.
        """
        if isinstance(getattr(app._make_handler, "__self__", None), _Installation):
            raise RuntimeError("telemetry is installed in this application already")
        if app.pre_frozen:
            raise RuntimeError(
                "this application was started, or added to another: install telemetry in the "
                "outermost application, before it is started"
            )
        installation = _Installation(self, app)
        # By __dict__, as aiohttp's debug mode warns of attributes that are set otherwise.
        app.__dict__["_make_handler"] = installation.make_server
        app.on_startup.append(installation.expect_server)

    def active(self) -> dict[tuple[str, str], int]:
        """Requests that are under way, by method and scheme."""
        return {
            (method.name, scheme): method.active
            for scheme, methods in self._methods.items()
            for method in list(methods.values())
        }

    def access_log_class(self) -> type[AbstractAccessLogger]:
        """A logger that writes nothing, for who wants no access log beside the metrics."""
        return NoAccessLog

    def methods(self, scheme: str) -> _Methods:
        """The methods of the requests to one scheme."""
        return self._methods[scheme]

    def find(self, request: web.BaseRequest, method: _Method, status: int, error: str) -> Series:
        """The series of a request that ended so."""
        route, path = _find_route(request), _find_path(request)
        version = _VERSIONS.get(request.version, OTHER)
        key = (method.name, method.scheme, path, status, error, version)
        if series := self._series.get(key):
            return series
        if len(self._series) < CARDINALITY_LIMIT - 1 - RESERVED_SERIES:
            return self._series.setdefault(key, self._duration.series(_attributes(key)))
        if route and path and error not in ("", CLIENT_LEFT):
            # Without what a client can vary on its own.
            name = OTHER if route.method == "*" else method.name
            return self._reserve((name, method.scheme, path, status, error, OTHER))
        return self._duration.series(OVERFLOW)

    def _reserve(self, key: Key) -> Series:
        if series := self._reserved.get(key):
            return series
        of_route = sum(reserved[2] == key[2] for reserved in self._reserved)
        if of_route >= RESERVED_PER_ROUTE or len(self._reserved) >= RESERVED_SERIES:
            return self._duration.series(OVERFLOW)
        return self._reserved.setdefault(key, self._duration.series(_attributes(key)))


class NoAccessLog(AbstractAccessLogger):
    """Writes nothing, but that telemetry is not installed where it is not."""

    _warned = False

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        if not NoAccessLog._warned:
            NoAccessLog._warned = True
            _logger.warning(
                "requests are not measured: the access log class is telemetry's, but the "
                "application is not; call install(app) before it is started"
            )


def describe(request: web.BaseRequest, status: int = 0) -> dict[str, str | int]:
    """The attributes of a request, and of its response, that a log record about it has."""
    attributes: dict[str, str | int] = {
        "http.request.method": request.method,
        "url.path": request.path,
    }
    if path := _find_path(request):
        attributes["http.route"] = path
    if status:
        attributes["http.response.status_code"] = status
    return attributes


class _Server(web.Server):
    """An application's server, whose connections measure."""

    def __init__(self, metrics: HttpServerMetrics, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.metrics = metrics

    def __call__(self) -> web.RequestHandler:
        try:
            return _Connection(self, loop=self._loop, **self._kwargs)
        except TypeError:
            super().__call__()  # warns of handler arguments that are unknown, and leaves them out
            known = {k: v for k, v in self._kwargs.items() if k in ("debug", "access_log_class")}
            return _Connection(self, loop=self._loop, **known)


class _Installation:
    """Makes the server of one application measure."""

    def __init__(self, metrics: HttpServerMetrics, app: web.Application) -> None:
        self._metrics = metrics
        self._app = app
        self._make_server = app._make_handler
        self._is_served = False

    def make_server(self, **options: Any) -> web.Server:
        """Stand in for ``Application._make_handler``, which every runner calls."""
        self._is_served = True
        if options.get("access_log_class") is NoAccessLog:
            options["access_log"] = None  # which costs nothing
        server = self._make_server(**options)
        handle: Any = server.request_handler
        if self._metrics.tracing:
            handle = self._metrics.tracing.around(self._app, handle, _keep_span)
        return _Server(
            self._metrics,
            handle,
            request_factory=_with_default_class(self._app._make_request, _Request),
            handler_cancellation=server.handler_cancellation,
            loop=server._loop,
            **server._kwargs,
        )

    async def expect_server(self, app: web.Application) -> None:
        """Warn where the application turns out to be started as a part of another."""
        loop = asyncio.get_running_loop()

        def check() -> None:
            if self._is_served:
                return
            if app.frozen:  # aiohttp freezes all parts, then makes the server of the outermost
                _logger.warning(
                    "requests are not measured: telemetry is installed in an application that is "
                    "part of another; install it in the outermost one"
                )
            else:
                loop.call_later(CHECK_SECONDS, check)

        loop.call_later(CHECK_SECONDS, check)


def _with_default_class(method: Any, cls: type[web.Request]) -> Any:
    """``Application._make_request`` that makes a ``cls``; a partial costs 1,000 instructions."""
    made = method.__func__
    function = FunctionType(made.__code__, made.__globals__, made.__name__, (cls,))
    function.__kwdefaults__ = made.__kwdefaults__
    return MethodType(function, method.__self__)


def _keep_span(request: web.Request, span: SpanContext) -> None:
    if isinstance(connection := request.protocol, _Connection):
        connection.span = span


class _Request(web.Request):
    """A request that tells its connection which response is sent."""

    _protocol: "_Connection"

    def _prepare_hook(self, response: web.StreamResponse) -> Awaitable[None]:  # type: ignore[override]
        connection = self._protocol
        # What comes after the headers of another response, or after the client, nobody sees.
        if not connection.left and not self._payload_writer.output_size:
            connection.response = response
            # Not isinstance: their abstract classes make that slow.
            if type(response) is not web.Response or type(response._body) not in _WHOLE:
                connection.streams_from = perf_counter()
                if connection.transport is None or connection.transport.is_closing():
                    connection.response = None
        if match_info := self._match_info:
            for app in match_info._apps:
                if app.on_response_prepare:
                    return web.Request._prepare_hook(self, response)
        return connection.nothing


class _Connection(web.RequestHandler):
    """A connection, whose requests come one after the other."""

    __slots__ = (
        *("error", "failed", "left", "methods", "metrics", "nothing", "response", "span"),
        "streams_from",
    )

    def __init__(self, server: _Server, **options: Any) -> None:
        super().__init__(server, **options)
        self.metrics = server.metrics
        self.nothing = self._loop.create_future()
        """Is awaited where there is nothing to wait for: a coroutine costs 1,000 instructions."""
        self.nothing.set_result(None)
        self.left = False
        """Whether the client closed the connection, and not the server."""
        self.response: web.StreamResponse | None = None
        """What the client was sent, of the request under way."""
        self.streams_from = 0.0
        """When its headers were sent (``perf_counter``), where more is to follow; or 0."""
        self.error: type[BaseException | None] | None = None
        """What the handler raised, where that is no HTTP response."""
        self.failed: web.BaseRequest | None = None
        """The request whose failure aiohttp is about to log."""
        self.span: SpanContext | None = None
        """The sampled span of the request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        secure = transport.get_extra_info("sslcontext") is not None
        self.methods = self.metrics.methods("https" if secure else "http")
        make_connection = partial(super().connection_made, transport)
        if self.metrics.tracing:
            self.metrics.tracing.connect(make_connection)
        else:
            make_connection()

    async def start(self) -> None:
        try:
            await super().start()
        except AttributeError as error:
            if error.name != "absolute":
                raise
            # aiohttp 3.14 fails at the URL of a CONNECT without one. It is malformed as others are.
            malformed = _ErrInfo(status=400, exc=InvalidURLError(""), message="no target")
            self._messages.appendleft((malformed, EMPTY_PAYLOAD))
            await super().start()

    def eof_received(self) -> None:
        self.left = True
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None:
            self.left = True
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:  # a malformed request is no failure of the service
            self.error = type(exc or sys.exception())
        self.failed = request
        try:
            return super().handle_error(request, status, exc, message)
        finally:
            self.failed = None

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Let aiohttp log what a handler raised, in the span that has ended meanwhile."""
        with self._in_span():
            super().log_exception(*args, extra=self.failed and describe(self.failed), **kw)

    def _in_span(self) -> contextlib.AbstractContextManager[Any]:
        return use_span(NonRecordingSpan(self.span)) if self.span else contextlib.nullcontext()

    async def _handle_request(
        self,
        request: Any,  # what a BaseRequest hides is all that is used of it
        start_time: float | None,
        request_handler: Callable[..., Any],
    ) -> tuple[web.StreamResponse, bool]:
        method = self.methods[request._method]
        method.active += 1
        started = perf_counter()
        try:
            answered = await _handle_request(self, request, start_time, request_handler)
        except BaseException as exception:
            await self._record(request, method, started, None, exception)
            raise
        finally:
            method.active -= 1
        response, is_cut_off = answered
        if (
            is_cut_off
            or response is not self.response
            or self.streams_from
            or self.span
            or request._version is not HttpVersion11
        ):
            failure = ConnectionResetError() if is_cut_off else None
            await self._record(request, method, started, response, failure)
            return answered
        try:
            observe = method.usual[request._match_info._route][response._status]
        except (KeyError, AttributeError):  # the first of its kind, malformed, or an error
            await self._record(request, method, started, response, None)
        else:
            observe(perf_counter() - started)
            self.response = None
        return answered

    async def _record(
        self,
        request: Any,
        method: _Method,
        started: float,
        returned: web.StreamResponse | None,
        failure: BaseException | None,
    ) -> None:
        """Record a request that is not usual, or not yet known to be.

        ``returned`` is the response that aiohttp took to be sent, ``failure`` what cut it off.
        """
        ended = perf_counter()
        try:
            transport = self.transport
            if isinstance(failure, ConnectionError) and transport and transport.is_closing():
                await asyncio.sleep(0)  # a turn of the loop later it is known who closed it
        finally:
            response, streams_from = self.response, self.streams_from
            status, error = self._outcome(request, returned, failure)
            is_endless = status == 101 or bool(
                response and streams_from and response.content_type in _ENDLESS
            )
            if is_endless:
                ended = streams_from
                if error == CLIENT_LEFT:
                    error = ""  # as any of them is to end
            series = self.metrics.find(request, method, status, error)
            series.observe(ended - started)
            if response and error == str(response.status) and not response.get(IS_LOGGED):
                self._log_failure(request, response.status)
            if self.span and self.metrics.with_exemplars:
                series.offer_exemplar(ended - started, self.span)
            route = _find_route(request)
            if route and not error and not streams_from and request.version == HttpVersion11:
                method.usual.setdefault(route, {})[status] = series.observe
            self.response, self.span, self.streams_from, self.error = None, None, 0.0, None

    def _log_failure(self, request: web.BaseRequest, status: int) -> None:
        attributes = {**describe(request, status), "error.type": str(status)}
        with self._in_span():
            _logger.error(
                "%s %s was answered %d", request.method, request.path, status, extra=attributes
            )

    def _outcome(
        self,
        request: Any,
        returned: web.StreamResponse | None,
        failure: BaseException | None,
    ) -> tuple[int, str]:
        """The status that the client was sent, or 0, and the error type, if any."""
        response = self.response
        is_sent = response is not None and request._payload_writer.output_size > 0
        if isinstance(failure, ConnectionError) and not self.error:  # of writing the response
            if isinstance(response, web.FileResponse):
                self.left = True  # the transport does not see what the system call saw
            elif not (self.left or self.streams_from):
                is_sent = False  # the service closed the connection, and then wrote
        status = response.status if response and is_sent else 0
        raised = self.error or (type(failure) if failure else None)
        if raised and not (self.left and issubclass(raised, _WHEN_CLIENTS_LEAVE)):
            # Also the client of a backend raises what tells here that a client left.
            return status, raised.__qualname__.replace(CLIENT_LEFT, "ConnectionResetError")
        if raised or (self.left and not is_sent):
            return status, CLIENT_LEFT
        if response is None or not is_sent:
            return 0, OTHER
        if response is not returned:  # which came after the headers of the other
            return status, str(returned.status if returned else status)
        if status >= 500:
            return status, response.get(ERROR_TYPE) or str(status)
        return status, ""


def _find_route(request: web.BaseRequest) -> web.AbstractRoute | None:
    """The route that matched; None where none did, or the request was malformed."""
    match_info = getattr(request, "_match_info", None)
    if match_info is None or match_info.http_exception:
        return None
    route: web.AbstractRoute = match_info.route
    return route


def _find_path(request: web.BaseRequest) -> str:
    """The template of the route that matched, or ""."""
    route = _find_route(request)
    resource = route.resource if route else None
    canonical = resource.canonical if resource else ""
    return "" if canonical == UNMATCHED else canonical


def _attributes(key: Key) -> dict[str, str | int]:
    method, scheme, route, status, error, version = key
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "url.scheme": scheme,
        "network.protocol.version": version,
    }
    if route:
        attributes["http.route"] = route
    if status:
        attributes["http.response.status_code"] = status
    if error:
        attributes["error.type"] = error
    return attributes
