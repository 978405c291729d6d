"""One worker's telemetry, from the instruments to the exporters."""

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from threading import Thread
from time import monotonic

from aiohttp import web
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import DropAggregation, View
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from randsvc import __version__
from randsvc.telemetry.accumulator import Histogram, Reading, Series
from randsvc.telemetry.catalogue import (
    ACTIVE_REQUESTS,
    BASELINE_EDGE,
    BASELINE_QUANTILE,
    BASELINE_SHARE,
    BASELINE_STATISTIC,
    CONCURRENCY_LIMIT,
    DELAY,
    EVENT_LOOP_LAG,
    FAULT_ACTIVE,
    FEEDBACK,
    FEEDBACK_ABSOLUTE_ERROR,
    FEEDBACK_DELAY,
    FEEDBACK_ERROR,
    INPUTS,
    INPUTS_MISSING,
    INPUTS_REFUSED,
    MODEL_DURATION,
    MODEL_ERRORS,
    PREDICTIONS,
    REQUEST_DURATION,
    SOURCES,
    VALUE,
)
from randsvc.telemetry.environment import disabled
from randsvc.telemetry.http_server import HttpServerMetrics
from randsvc.telemetry.instruments import SCOPE, observe, observe_each
from randsvc.telemetry.readers import InMemoryReader, PullReader, Reader, readers_from_environment
from randsvc.telemetry.runtime import observe_process, watch_event_loop
from randsvc.telemetry.snapshot import Snapshot, snapshot
from randsvc.telemetry.tracing import ServerTracing, tracer_provider_from_environment

__all__ = ("Telemetry",)

_logger = logging.getLogger(__name__)

_INSTANCE_ID = "service.instance.id"
_CONTRIB = "opentelemetry.instrumentation.aiohttp_server"


class Telemetry:
    """All that one worker measures. Make it in the worker, never before a fork.

    ``server`` measures HTTP. ``delay``, ``model_duration``, ``feedback_delay`` and ``lag`` are
    series to ``observe`` into; ``value``, ``feedback_error`` and ``feedback_absolute_error`` are
    such series by source. Counted in place, on the event loop only: ``predictions`` by source,
    ``model_errors`` by type, ``inputs`` by segment, ``inputs_missing`` by feature,
    ``inputs_refused`` by reason, ``feedback`` by outcome. ``baseline_edges`` and its like are what
    outputs and inputs are compared with, by distribution and by bin, quantile or statistic.
    ``faults`` gives the state of each fault that ever was on. What is never observed is not
    exported either: another application leaves alone what it has none of.

    ``service`` and ``version`` are its name and release where ``OTEL_SERVICE_NAME`` and
    ``OTEL_RESOURCE_ATTRIBUTES`` have no others, ``worker`` is the index where there are more, and
    ``concurrency_limit`` the number of requests above which load is shed, if it is.
    """

    def __init__(
        self,
        *,
        concurrency_limit: int | None = None,
        service: str = "randsvc",
        version: str = __version__,
        worker: int | None = None,
        faults: Callable[[], Mapping[str, bool]] = dict,
        environ: Mapping[str, str] = os.environ,
        readers: Sequence[Reader] | None = None,
        viewed: bool = False,
    ) -> None:
        """With ``viewed`` there is a reader more, for ``view``.

        Raises ``ConfigurationError`` where an ``OTEL_*`` variable cannot be followed.
        """
        enabled = not disabled(environ)
        described = resource(service, worker, version)
        self._tracers = tracer_provider_from_environment(environ, described) if enabled else None
        if readers is None:
            readers = readers_from_environment(environ) if enabled else []
        self._view = InMemoryReader(_native(readers)) if viewed and enabled else None
        if self._view:
            readers = [*readers, self._view]
        self._readers = readers

        readings = [reader.reading for reader in readers]
        self._histograms = [
            duration := Histogram(REQUEST_DURATION, readings),
            value := Histogram(VALUE, readings),
            delay := Histogram(DELAY, readings),
            model_duration := Histogram(MODEL_DURATION, readings),
            feedback_error := Histogram(FEEDBACK_ERROR, readings),
            feedback_absolute_error := Histogram(FEEDBACK_ABSOLUTE_ERROR, readings),
            feedback_delay := Histogram(FEEDBACK_DELAY, readings),
            lag := Histogram(EVENT_LOOP_LAG, readings),
        ]
        tracing = ServerTracing(self._tracers) if self._tracers else None
        self.server = HttpServerMetrics(duration, tracing=tracing)
        self.value = _by_source(value)
        self.delay = delay.series()
        self.model_duration = model_duration.series()
        self.feedback_error = _by_source(feedback_error)
        self.feedback_absolute_error = _by_source(feedback_absolute_error)
        self.feedback_delay = feedback_delay.series()
        self.lag = lag.series()
        self.predictions: dict[str, int] = {}
        self.model_errors: dict[str, int] = {}
        self.inputs: dict[str, int] = {}
        self.inputs_missing: dict[str, int] = {}
        self.inputs_refused: dict[str, int] = {}
        self.feedback: dict[str, int] = {}
        self.faults = faults
        self.baseline_edges: dict[tuple[str, str], float] = {}
        self.baseline_shares: dict[tuple[str, str], float] = {}
        self.baseline_quantiles: dict[tuple[str, str], float] = {}
        self.baseline_statistics: dict[tuple[str, str], float] = {}

        self._meters = MeterProvider(
            readers,
            described,
            shutdown_on_exit=False,
            # Contrib makes the spans; its metrics would count every request a second time.
            views=[View(meter_name=_CONTRIB, aggregation=DropAggregation())],
        )
        meter = self._meters.get_meter(SCOPE, __version__)
        observe(
            meter,
            ACTIVE_REQUESTS,
            lambda _: [
                Observation(count, {"http.request.method": method, "url.scheme": scheme})
                for (method, scheme), count in self.server.active().items()
            ],
        )
        if concurrency_limit is not None:
            observe(meter, CONCURRENCY_LIMIT, lambda _: [Observation(concurrency_limit)])
        observe_each(meter, PREDICTIONS, lambda: self.predictions)
        observe_each(meter, MODEL_ERRORS, lambda: self.model_errors)
        observe_each(meter, INPUTS, lambda: self.inputs)
        observe_each(meter, INPUTS_MISSING, lambda: self.inputs_missing)
        observe_each(meter, INPUTS_REFUSED, lambda: self.inputs_refused)
        observe_each(meter, FEEDBACK, lambda: self.feedback)
        observe_each(meter, BASELINE_EDGE, lambda: self.baseline_edges)
        observe_each(meter, BASELINE_SHARE, lambda: self.baseline_shares)
        observe_each(meter, BASELINE_QUANTILE, lambda: self.baseline_quantiles)
        observe_each(meter, BASELINE_STATISTIC, lambda: self.baseline_statistics)
        observe_each(meter, FAULT_ACTIVE, lambda: self.faults())
        observe_process(meter)
        for reader in readers:
            reader.histograms = self._histograms

    def install(self, app: web.Application) -> None:
        """Measure each request to ``app``, whoever runs it; nothing where nobody reads."""
        if self._readers or self._tracers:
            self.server.install(app)

    @contextlib.asynccontextmanager
    async def running(self, seconds: Callable[[], float] = lambda: 5.0) -> AsyncIterator[None]:
        """Watch the event loop inside, and hand over what was measured at the end.

        ``seconds`` gives the time that the last export may take, when it begins.
        """
        watch = asyncio.create_task(watch_event_loop(self.lag.observe, self._fold))
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            await asyncio.to_thread(self.shutdown, seconds())

    async def render(self) -> bytes | None:
        """The metrics in the Prometheus text format; None where pulling is not configured."""
        for reader in self._readers:
            if isinstance(reader, PullReader):
                return await asyncio.to_thread(reader.render)
        return None

    def view(self) -> Snapshot | None:
        """The metrics as plain values; a matter of ms, so not for the event loop.

        None where nobody was meant to look, or nothing is measured.
        """
        data = self._view.get_metrics_data() if self._view else None
        return snapshot(data) if data else None

    def shutdown(self, seconds: float = 5.0) -> None:
        """Export what was measured, metrics before traces, and stop; it blocks that long at most.

        Where nobody takes it in that time it is lost, which the log says.
        """
        deadline = monotonic() + seconds
        parts: dict[str, Callable[[], None]] = {"metrics": self._meters.shutdown}
        if self._tracers:
            parts["traces"] = self._tracers.shutdown
        for name, export in parts.items():
            # A daemon, as the SDK joins its threads for up to 30 s, and some exporters never end.
            thread = Thread(target=_quietly, args=(export,), name=f"last-{name}", daemon=True)
            thread.start()
            thread.join(max(0.0, deadline - monotonic()))
            if thread.is_alive():
                _logger.warning("the last %s were not delivered within %.1f s", name, seconds)

    def _fold(self) -> None:
        for histogram in self._histograms:
            histogram.fold()


def _quietly(export: Callable[[], None]) -> None:
    """Export; the SDK raises where a reader is late, which ``shutdown`` says by itself."""
    try:
        export()
    except Exception as error:
        _logger.debug("the last export failed: %s", error)


def _by_source(histogram: Histogram) -> dict[str, Series]:
    return {source: histogram.series({"randsvc.source": source}) for source in SOURCES}


def _native(readers: Sequence[Reader]) -> Reading | None:
    """The cumulative reading with exponential buckets that a reader has already, or None.

    Who shares it costs the requests nothing: no histogram is kept a second time.
    """
    for reader in readers:
        if reader.reading.native and not reader.reading.delta:
            return reader.reading
    return None


def resource(service: str, worker: int | None, version: str = __version__) -> Resource:
    """Our attributes where ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME`` have no other.

    Workers that were given one ``service.instance.id`` together get one each.
    """
    given = OTELResourceDetector().detect().attributes
    instance = str(given.get(_INSTANCE_ID) or uuid.uuid4())
    if worker is not None and _INSTANCE_ID in given:
        instance = f"{instance}-{worker}"
    own = {
        "service.name": given.get("service.name", service),
        "service.version": given.get("service.version", version),
        _INSTANCE_ID: instance,
    }
    return Resource.create(own)
