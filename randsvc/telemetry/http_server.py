"""The HTTP server's metrics, taken without a middleware.

An empty aiohttp middleware alone costs 15% of a small request. The duration, the status and the
error are seen by aiohttp's access logger instead, which is called for every response, 404, 405 and
malformed requests included. What is in a handler now is counted around the handlers, at
registration.
"""

import asyncio
import sys
from time import perf_counter

from aiohttp import HttpVersion, web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import trace
from opentelemetry.trace import SpanContext

from randsvc.telemetry.accumulator import Histogram, Series

__all__ = ("ERROR_TYPE", "UNMATCHED", "HttpServerMetrics")

ERROR_TYPE = web.ResponseKey("randsvc.error_type", str)
"""Where a response made from an exception says which one it was."""
UNMATCHED = "/{unmatched}"
"""The resource of a catch-all for what no route matched: such a request has no ``http.route``."""

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/#http-request-method
_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)

_Key = tuple[str, str, web.AbstractResource | None, int, str, HttpVersion]


class _Gauge:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class _Recorder(AbstractAccessLogger):
    """One connection's access logger; requests on a connection come one after the other."""

    started = 0.0
    """When the handler was entered (``perf_counter``); 0 where none was.

    aiohttp's own time is of no use: uvloop's clock stands still while a callback runs and counts
    whole milliseconds, so a handler that blocks the loop would seem to take no time.
    """
    span: SpanContext | None = None
    scheme = ""


class HttpServerMetrics:
    """Fills ``http.server.request.duration`` and counts ``http.server.active_requests``.

    ``traced`` keeps the trace of a sampled request as an exemplar of its duration.
    """

    def __init__(self, duration: Histogram, *, traced: bool = False) -> None:
        self._active: dict[tuple[str, str], _Gauge] = {}
        self._duration = duration
        self._traced = traced
        self._series: dict[_Key, Series] = {}
        self._recorders = self._recorder_class()

    def active(self) -> dict[tuple[str, str], int]:
        """Requests in a handler now, by method and scheme."""
        return {key: gauge.value for key, gauge in list(self._active.items())}

    def around(self, handler: Handler) -> Handler:
        """Time a handler's requests, count them while they are in it, record cancelled ones.

        Every other outcome is recorded by the access logger, which aiohttp calls later, but not on
        cancellation. Run the application with ``access_log_class``, or nothing is.
        """
        active, traced, recorders = self._active, self._traced, self._recorders

        async def measured(request: web.Request) -> web.StreamResponse:
            recorder = request.protocol.access_logger
            if type(recorder) is not recorders:  # isinstance of an abstract class is slow
                return await handler(request)
            if traced:
                span = trace.get_current_span().get_span_context()
                recorder.span = span if span.trace_flags.sampled else None
            key = request.method, recorder.scheme or self._scheme(recorder, request)
            gauge = active.get(key) or active.setdefault(key, _Gauge())
            gauge.value += 1
            recorder.started = perf_counter()
            try:
                return await handler(request)
            except asyncio.CancelledError:
                series = self._find(request, recorder.scheme, 0, "CancelledError")
                series.observe(perf_counter() - recorder.started)
                raise
            finally:
                gauge.value -= 1

        return measured

    def middleware(self) -> Middleware:
        """Go ``around`` every handler of an application, however it was registered.

        That is one line instead of one a handler, and dearer by what any middleware costs.
        """

        @web.middleware
        async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self.around(handler)(request)

        return measured

    def access_log_class(self) -> type[AbstractAccessLogger]:
        """The class to run the server with: ``AppRunner(app, access_log_class=...)``.

        aiohttp makes one object of it for each connection, and calls it while the exception that
        made the response, or cut it off, is being handled.
        """
        return self._recorders

    def _recorder_class(self) -> type[_Recorder]:
        find, traced = self._find, self._traced

        class Recorder(_Recorder):
            def log(
                self, request: web.BaseRequest, response: web.StreamResponse, time: float
            ) -> None:
                status = response.status
                error = ""
                if exception := sys.exception():
                    if isinstance(exception, ConnectionError):
                        status, error = 0, type(exception).__qualname__
                    elif not isinstance(exception, web.HTTPException):
                        error = type(exception).__qualname__
                if status >= 500 and not error:
                    error = response.get(ERROR_TYPE) or str(status)
                if self.started:
                    time = perf_counter() - self.started
                    self.started = 0.0
                scheme = self.scheme or HttpServerMetrics._scheme(self, request)
                series = find(request, scheme, status, error)
                series.observe(time)
                if traced and self.span:
                    series.offer_exemplar(time, self.span)
                    self.span = None

        return Recorder

    @staticmethod
    def _scheme(recorder: _Recorder, request: web.BaseRequest) -> str:
        recorder.scheme = request.scheme
        return recorder.scheme

    def _find(self, request: web.BaseRequest, scheme: str, status: int, error: str) -> Series:
        try:
            resource = request.match_info.route.resource  # type: ignore[attr-defined]
        except (AssertionError, AttributeError):
            resource = None  # what could not be parsed was never routed
        key = (request.method, scheme, resource, status, error, request.version)
        return self._series.get(key) or self._add(key)

    def _add(self, key: _Key) -> Series:
        method, scheme, resource, status, error, version = key
        if method not in _METHODS:  # a client can invent any number of them
            method = "_OTHER"
            key = (method, *key[1:])
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "url.scheme": scheme,
            "network.protocol.version": f"{version.major}.{version.minor}",
        }
        if resource and resource.canonical != UNMATCHED:
            attributes["http.route"] = resource.canonical
        if status:
            attributes["http.response.status_code"] = status
        if error:
            attributes["error.type"] = error
        return self._series.setdefault(key, self._duration.series(attributes))
