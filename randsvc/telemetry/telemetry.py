"""The telemetry of one service, from the instruments to the exporters."""

import asyncio
import contextlib
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import cache
from threading import Thread
from time import monotonic
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from .catalogue import (
    ACTIVE_REQUESTS,
    CONCURRENCY_LIMIT,
    DROPPED_LOGS,
    EVENT_LOOP_LAG,
    REFUSED_MEASUREMENTS,
    REQUEST_DURATION,
)
from .environment import (
    get_value,
    is_disabled,
    list_names,
    list_notices,
    make_job_name,
    read_configuration,
    sdk_environment,
)
from .exposition import TEXT, negotiate
from .http_server import HttpServerMetrics
from .instruments import Reading
from .log_export import LogExport
from .log_records import get_drops
from .otlp import fit
from .provider import Meter, MeterProvider
from .readers import PullReader, make_readings
from .runtime import observe_process, watch_event_loop
from .snapshot import Snapshot, take_snapshot
from .tracing import ServerTracing, export_spans, make_tracer_provider

__all__ = ("Telemetry",)

_logger = logging.getLogger(__name__)

SCOPE = "aiohttp.telemetry"
"""The instrumentation scope of what is measured in every service."""

_INSTANCE_ID = "service.instance.id"
_INSTALLED = web.AppKey("telemetry", object)


class Telemetry:
    """Measures an aiohttp application, and exports what it measures.

    ``meter`` makes the application's own instruments, by the OpenTelemetry API; ``meter_provider``
    is that API's too. What is never measured is not exported either.

    It may be made when a module is imported, and before a fork: threads, connections and the
    identity of the instance begin with the application.
    """

    def __init__(
        self,
        service: str = "",
        version: str = "",
        *,
        concurrency_limit: int | None = None,
        worker: int | None = None,
        environ: Mapping[str, str] = os.environ,
        readers: Sequence[MetricReader] | None = None,
        viewed: bool = False,
    ) -> None:
        """Read the ``OTEL_*`` variables; ``ConfigurationError`` where one cannot be followed.

        ``service`` and ``version`` are its name and release where ``OTEL_SERVICE_NAME`` and
        ``OTEL_RESOURCE_ATTRIBUTES`` have no others, ``worker`` is the index where there are more,
        and ``concurrency_limit`` the number of requests above which load is shed, if it is. With
        ``viewed`` there is a reader more, for ``view``. ``readers`` replaces those that the
        variables name; they read at once, and until ``shutdown``.
        """
        for line in list_notices(environ):
            _warn_once(line)
        self._environ = read_configuration(environ)
        enabled = not is_disabled(environ)
        self._service, self._version, self._worker = service, version, worker
        self._pid = os.getpid()
        self._given = readers is not None
        if readers is not None:
            readings = [Reading.of(reader) for reader in readers]
        else:
            readings = make_readings(self._environ) if enabled else []
        self._readings = readings
        self._view = Reading(_make_view_reader(), _make_view_reader) if viewed and enabled else None
        if self._view:
            readings = [*readings, self._view]
        self._running = 0
        self._exports_spans = False
        with sdk_environment(self._environ):
            self._resource = make_resource(service, version, worker=worker)
            self._tracers = make_tracer_provider(self._environ, self._resource) if enabled else None
            tracing = ServerTracing(self._tracers) if self._tracers else None
            exports_logs = enabled and bool(list_names(self._environ, "OTEL_LOGS_EXPORTER"))
            self._logs = LogExport(self._environ) if exports_logs else None
            with_exemplars = (
                get_value(self._environ, "OTEL_METRICS_EXEMPLAR_FILTER") != "always_off"
            )
            self._provider = MeterProvider(readings, traced=bool(self._tracers) and with_exemplars)

        meter = self._provider.get_meter(SCOPE)
        duration = meter.create_histogram(**REQUEST_DURATION.arguments)
        self._lag = meter.create_histogram(**EVENT_LOOP_LAG.arguments)
        self.server = HttpServerMetrics(duration, tracing=tracing, with_exemplars=with_exemplars)
        self._observe(meter, concurrency_limit)
        observe_process(meter)
        if self._given:
            self.start()

    @property
    def meter_provider(self) -> MeterProvider:
        """The meter provider: what an instrumentation library is given."""
        return self._provider

    @property
    def meter(self) -> Meter:
        """The meter of the application's own instruments, in a scope of its name."""
        return self._provider.get_meter(self._service or "application", self._version or None)

    @property
    def job(self) -> str:
        """The label ``job`` that the Collector gives to what is pushed; "" if nothing is."""
        pushed = "otlp" in list_names(self._environ, "OTEL_METRICS_EXPORTER")
        return (
            make_job_name(self._resource.attributes)
            if pushed and not is_disabled(self._environ)
            else ""
        )

    @property
    def access_log_class(self) -> type[AbstractAccessLogger]:
        """The class to run the application with, where ``run_app`` does not."""
        return self.server.access_log_class()

    def install(self, app: web.Application, metrics_path: str | None = None) -> None:
        """Measure an application, from its start to its end.

        ``metrics_path`` adds a route at which Prometheus can pull the metrics, where
        ``OTEL_METRICS_EXPORTER`` names ``prometheus``.
        """
        if _INSTALLED in app:
            raise RuntimeError("telemetry is installed in this application already")
        if self._provider.shared.readings or self._tracers:  # nobody reads where there are none
            self.server.install(app)
        app[_INSTALLED] = self
        app.cleanup_ctx.append(self._while_it_runs)
        if metrics_path is not None:
            app.router.add_get(metrics_path, self._get_metrics)

    def run_app(self, app: web.Application, **options: Any) -> None:
        """``web.run_app`` with the application measured; it takes the same ``options``."""
        if _INSTALLED not in app:
            self.install(app)
        web.run_app(app, access_log_class=self.access_log_class, **options)

    def set_global(self) -> None:
        """Let libraries that others have instrumented export through this telemetry."""
        metrics.set_meter_provider(self._provider)
        if self._tracers:
            trace.set_tracer_provider(self._tracers)

    @contextlib.asynccontextmanager
    async def running(self, seconds: Callable[[], float] = lambda: 5.0) -> AsyncIterator[None]:
        """Watch the event loop inside, and hand over what was measured at the end.

        ``install`` does this for an application. ``seconds`` gives the time that the last export
        may take, when it begins.
        """
        self.start()
        self._running += 1
        try:
            # Several applications have one event loop.
            async with self._watching() if self._running == 1 else contextlib.nullcontext():
                yield
        finally:
            self._running -= 1
            if not self._running and not self._given:
                await asyncio.to_thread(self.shutdown, seconds())

    def start(self) -> None:
        """Begin to export, where nothing did yet; ``running`` does this too."""
        with sdk_environment(self._environ):
            pid = os.getpid()
            if self._pid != pid:
                self._pid, self._running = pid, 0
                self._resource = make_resource(
                    self._service, self._version, self._worker, forked=True
                )
                if self._tracers:
                    # The SDK has made an identity after the fork, which metrics do not have.
                    self._tracers._update_resource(self._resource)
            self._provider.start(self._resource)
            if self._tracers and not self._exports_spans:
                self._exports_spans = True
                export_spans(self._tracers, self._environ)
            if self._logs:
                self._logs.start(self._resource)

    async def render(self, content_type: str = TEXT) -> bytes | None:
        """The metrics in a format of Prometheus; None where pulling is not configured."""
        return await asyncio.to_thread(self.render_at_once, content_type)

    def render_at_once(self, content_type: str = TEXT) -> bytes | None:
        """Render as ``render`` does, in this thread; a matter of ms, so not for the event loop."""
        for reading in self._readings:
            reader = self._provider.reader(reading)
            if isinstance(reader, PullReader):
                return reader.render(content_type)
        return None

    def view(self) -> Snapshot | None:
        """The metrics as plain values; a matter of ms, so not for the event loop.

        None where nobody was meant to look, or nothing is measured.
        """
        reader = self._provider.reader(self._view) if self._view else None
        if not isinstance(reader, InMemoryMetricReader):
            return None
        data = reader.get_metrics_data()
        return take_snapshot(data) if data else None

    def shutdown(self, seconds: float = 5.0) -> None:
        """Export what is left, metrics first and logs last, and stop; it blocks that long at most.

        Where nobody takes it in that time it is lost, which the log says.
        """
        deadline = monotonic() + seconds
        parts: dict[str, Callable[[], None]] = {"metrics": self._provider.shutdown}
        if self._tracers:
            parts["traces"] = self._tracers.shutdown
        if self._logs:
            parts["logs"] = self._logs.shutdown
        for name, export in parts.items():
            # A daemon, as the SDK joins its threads for up to 30 s, and some exporters never end.
            thread = Thread(target=_run_quietly, args=(export,), name=f"last-{name}", daemon=True)
            thread.start()
            thread.join(max(0.0, deadline - monotonic()))
            if thread.is_alive():
                _logger.warning("the last %s were not delivered within %.1f s", name, seconds)

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        lag = self._lag.series()
        watch = asyncio.create_task(watch_event_loop(lag.observe, self._provider.fold))
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _while_it_runs(self, app: web.Application) -> AsyncIterator[None]:
        async with self.running():
            yield

    async def _get_metrics(self, request: web.Request) -> web.Response:
        content_type = negotiate(request.headers.get("Accept", ""))
        rendered = await self.render(content_type)
        if rendered is None:
            raise web.HTTPNotFound(
                text="metrics are not pulled here: OTEL_METRICS_EXPORTER does not name prometheus\n"
            )
        return web.Response(body=rendered, headers={"Content-Type": content_type})

    def _observe(self, meter: Meter, concurrency_limit: int | None) -> None:
        """Observe at each collection what nobody records."""

        def active(_: CallbackOptions) -> Iterable[Observation]:
            for (method, scheme), count in self.server.active().items():
                yield Observation(count, {"http.request.method": method, "url.scheme": scheme})

        def limit(_: CallbackOptions) -> Iterable[Observation]:
            if concurrency_limit is not None:
                yield Observation(concurrency_limit)

        def refused(_: CallbackOptions) -> Iterable[Observation]:
            for (name, refusal), count in list(self._provider.shared.refused.items()):
                yield Observation(count, {"otel.metric.name": name, "error.type": refusal})

        def dropped_logs(_: CallbackOptions) -> Iterable[Observation]:
            for reason, count in get_drops().items():
                yield Observation(count, {"error.type": reason})

        meter.create_observable_up_down_counter(callbacks=[active], **ACTIVE_REQUESTS.arguments)
        meter.create_observable_gauge(callbacks=[limit], **CONCURRENCY_LIMIT.arguments)
        meter.create_observable_counter(callbacks=[refused], **REFUSED_MEASUREMENTS.arguments)
        meter.create_observable_counter(callbacks=[dropped_logs], **DROPPED_LOGS.arguments)


def _make_view_reader() -> InMemoryMetricReader:
    # Explicit buckets would give a person who looks a p99 of 0.24 s where it is 0.16 s.
    exponential = ExponentialBucketHistogramAggregation()
    return InMemoryMetricReader(preferred_aggregation={Histogram: exponential})


@cache
def _warn_once(line: str) -> None:
    """Log a line; there may be several of ``Telemetry`` in one process."""
    _logger.warning(line)


def _run_quietly(export: Callable[[], None]) -> None:
    """Export; the SDK raises where a reader is late, which ``shutdown`` says by itself."""
    try:
        export()
    except Exception as error:
        _logger.debug("the last export failed: %s", error)


def make_resource(
    service: str, version: str, worker: int | None = None, *, forked: bool = False
) -> Resource:
    """Our attributes where ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME`` have no other.

    Processes that were given one ``service.instance.id`` together get one each: by the index of the
    ``worker``, or by the process id where they were ``forked``. Without one, a process gets a name
    that a person can read in a legend, and that is still unique: host, worker, a random part.
    """
    given = OTELResourceDetector().detect().attributes
    instance = str(given.get(_INSTANCE_ID) or "")
    if instance and worker is not None:
        instance = f"{instance}-{worker}"
    elif instance and forked:
        instance = f"{instance}-{os.getpid()}"
    own = {
        "service.name": str(given.get("service.name") or "").strip() or service,
        "service.version": given.get("service.version") or version,
        _INSTANCE_ID: instance or _make_instance_id(worker),
    }
    made = Resource.create({name: value for name, value in own.items() if value})
    return Resource(fit(made.attributes), made.schema_url)


def _make_instance_id(worker: int | None) -> str:
    """Give such as ``web-0-3f9a4c21``; two of 1,000 starts are alike with probability 1e-4."""
    parts = (
        socket.gethostname(),
        *(() if worker is None else (str(worker),)),
        uuid.uuid4().hex[:8],
    )
    return "-".join(parts)
