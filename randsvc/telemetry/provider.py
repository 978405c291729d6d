"""A ``MeterProvider`` of the OpenTelemetry API whose synchronous instruments record locally.

Names are checked, and conflicts between instruments logged, by the SDK's meters; observable
instruments, readers and exporters are the SDK's too. What both kinds measured is put together when
a reader collects.
"""

import logging
import math
import os
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from threading import Lock
from time import time_ns
from typing import Any, TypeVar, cast

from opentelemetry import metrics as api
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import Metric as MetricData
from opentelemetry.sdk.metrics.export import (
    MetricReader,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import Attributes

from .instruments import (
    Counter,
    Gauge,
    Histogram,
    Reading,
    Shared,
    UpDownCounter,
    read_number,
)
from .otlp import fit, fit_observations, fit_scope

__all__ = ("Meter", "MeterProvider")

_logger = logging.getLogger(__name__)

_COUNTED_ALREADY = "opentelemetry.instrumentation.aiohttp_server"
"""Contrib's instrumentation, whose metrics would count every request a second time."""

SynchronousInstrument = Counter | UpDownCounter | Gauge | Histogram
SdkCollect = Callable[..., MetricsData | None]
_I = TypeVar("_I", Counter, UpDownCounter, Gauge, Histogram)


@dataclass(frozen=True)
class _Observable:
    """An observable instrument, to be made of the SDK's provider once there is one."""

    scope: InstrumentationScope
    create: str
    arguments: tuple[Any, ...]


class MeterProvider(api.MeterProvider):
    """Makes meters; what their instruments measure goes to the reader of each of ``readings``.

    The readers are made by ``start``, as their threads and connections would not survive a fork.
    Until then, measurements are kept. After a fork, a provider that had been started forgets what
    it measured, as the parent exports that, and can be started anew.
    """

    def __init__(self, readings: Sequence[Reading] = (), *, traced: bool = False) -> None:
        """``traced`` keeps the traces of sampled requests as exemplars."""
        self.shared = Shared(tuple(readings), traced)
        # It reads nothing: the meters check and remember the names of instruments.
        self._registry = sdk.MeterProvider((), Resource.get_empty(), shutdown_on_exit=False)
        self._meters: dict[InstrumentationScope, Meter] = {}
        self._observables: list[_Observable] = []
        self._exporting: sdk.MeterProvider | None = None
        self._readers: list[MetricReader] = []
        self._resource = Resource.get_empty()
        self._collected: dict[Reading, int] = {}
        self._lock = Lock()
        if hasattr(os, "register_at_fork"):
            after_fork = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(
                after_in_child=lambda: method() if (method := after_fork()) else None
            )

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> "Meter":
        """The meter of an instrumentation scope."""
        if name == _COUNTED_ALREADY:
            return api.NoOpMeter(name, version, schema_url)  # type: ignore[return-value]
        scope = fit_scope(InstrumentationScope(name, version, schema_url, attributes))
        registry = self._registry.get_meter(
            scope.name, scope.version, scope.schema_url, scope.attributes
        )
        with self._lock:
            return self._meters.setdefault(scope, Meter(self, scope, registry))

    def start(self, resource: Resource) -> None:
        """Make the readers, and hand them what is measured in the name of ``resource``."""
        with self._lock:
            if self._exporting:
                return
            self._resource = resource
            self._readers = [reading.make() for reading in self.shared.readings]
            exporting = sdk.MeterProvider(self._readers, resource, shutdown_on_exit=False)
            for observable in self._observables:
                self._export(exporting, observable)
            for reader, reading in zip(self._readers, self.shared.readings, strict=True):
                of_sdk = reader._collect
                reader._set_collect_callback(partial(self._collect, reading, of_sdk))  # type: ignore[arg-type]
            self._exporting = exporting

    def reader(self, reading: Reading) -> MetricReader | None:
        """The reader of ``reading``; None where it was not started."""
        for reader, its in zip(self._readers, self.shared.readings, strict=False):
            if its is reading:
                return reader
        return None

    def fold(self) -> None:
        """Fold what was recorded, so that memory stays small; it waits for nobody."""
        for meter in list(self._meters.values()):
            for instrument in meter.instruments():
                instrument.fold()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Hand over what was measured; raises what the SDK raises where a reader fails."""
        return self._exporting is None or self._exporting.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Hand over what was measured, and stop the readers; ``start`` makes new ones.

        Raises what the SDK raises where a reader is late.
        """
        with self._lock:
            exporting, self._exporting, self._readers = self._exporting, None, []
        if exporting:
            exporting.shutdown(timeout_millis)

    def observe(self, scope: InstrumentationScope, create: str, *arguments: Any) -> None:
        """Make an observable instrument of the SDK, by the method that is named ``create``."""
        observable = _Observable(scope, create, arguments)
        with self._lock:
            self._observables.append(observable)
            if self._exporting:
                self._export(self._exporting, observable)

    def _export(self, exporting: sdk.MeterProvider, observable: _Observable) -> None:
        scope = observable.scope
        meter = exporting.get_meter(scope.name, scope.version, scope.schema_url, scope.attributes)
        getattr(meter, observable.create)(*observable.arguments)

    def _collect(
        self, reading: Reading, of_sdk: SdkCollect, reader: MetricReader, timeout_millis: float
    ) -> MetricsData | None:
        """What one reader gets: the SDK's data with that of our instruments added.

        Times never go back, whatever the clock does: a Collector drops a point that is older than
        the one before, so that a clock that was ahead for a moment would stop the series.
        """
        observed = of_sdk(reader, timeout_millis=timeout_millis)
        since = self._collected.get(reading, 0)
        now = self._collected[reading] = max(time_ns(), since + 1)
        scopes = {
            scope.scope: _advance(fit_observations(scope), since, now)
            for resource in (observed.resource_metrics if observed else ())
            for scope in resource.scope_metrics
        }
        for meter in list(self._meters.values()):
            if metrics := list(meter.collect(reading, since, now)):
                scope = scopes.get(meter.scope) or ScopeMetrics(
                    meter.scope, [], meter.scope.schema_url or ""
                )
                scopes[meter.scope] = replace(scope, metrics=[*scope.metrics, *metrics])
        if not scopes:
            return None
        resource = self._resource
        return MetricsData([ResourceMetrics(resource, list(scopes.values()), resource.schema_url)])

    def _after_fork(self) -> None:
        # A thread of the parent may have held them.
        self._lock, self.shared.lock = Lock(), Lock()
        if self._exporting is None:
            return
        for reader in self._readers:
            reader._set_collect_callback(None)
        self._exporting, self._readers = None, []
        self._collected.clear()
        self.shared.refused.clear()
        for meter in self._meters.values():
            for instrument in meter.instruments():
                instrument.forget()


def _advance(scope: ScopeMetrics, since: int, now: int) -> ScopeMetrics:
    """Give the data points that are not later than ``since`` the time ``now``."""

    def advance(point: Any) -> Any:
        if point.time_unix_nano > since:
            return point
        if point.start_time_unix_nano is None:
            return replace(point, time_unix_nano=now)
        start = min(point.start_time_unix_nano, now)
        return replace(point, time_unix_nano=now, start_time_unix_nano=start)

    def advance_all(data: Any) -> Any:
        return replace(data, data_points=[advance(point) for point in data.data_points])

    metrics = [replace(metric, data=advance_all(metric.data)) for metric in scope.metrics]
    return replace(scope, metrics=metrics)


class Meter(api.Meter):
    """Makes instruments, as the API says.

    One thing more: an instrument's ``bind(attributes)`` gives a function that records for them.
    """

    def __init__(
        self, provider: MeterProvider, scope: InstrumentationScope, registry: api.Meter
    ) -> None:
        super().__init__(scope.name, scope.version, scope.schema_url)
        self.scope = scope
        self._provider = provider
        self._registry = registry
        self._instruments: dict[api.Instrument, SynchronousInstrument] = {}

    def instruments(self) -> list[SynchronousInstrument]:
        """The synchronous instruments."""
        return list(self._instruments.values())

    def collect(self, reading: Reading, since: int, now: int) -> Iterator[MetricData]:
        """What the synchronous instruments measured; the times are in Unix nanoseconds."""
        for instrument in self.instruments():
            if metric := instrument.collect(reading, since, now):
                yield metric

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        """Make a counter, or give the one that is there."""
        registered = self._registry.create_counter(name, unit, description)
        return self._local(Counter, registered, name, unit, description)

    def create_up_down_counter(
        self, name: str, unit: str = "", description: str = ""
    ) -> UpDownCounter:
        """Make an up-down counter, or give the one that is there."""
        registered = self._registry.create_up_down_counter(name, unit, description)
        return self._local(UpDownCounter, registered, name, unit, description)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Gauge:
        """Make a gauge, or give the one that is there."""
        registered = self._registry.create_gauge(name, unit, description)
        return self._local(Gauge, registered, name, unit, description)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
        exponential: bool = False,
    ) -> Histogram:
        """Make a histogram, or give the one that is there.

        ``exponential`` is not of the API: it asks for exponential buckets wherever the reader has
        no preference, as a view does with the SDK.
        """
        bounds = explicit_bucket_boundaries_advisory
        registered = self._registry.create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=bounds
        )
        if bounds is not None and not _is_ascending(bounds):
            _logger.warning("%s: bucket boundaries %.100r are not ascending numbers", name, bounds)
            bounds = None
        return self._local(
            Histogram, registered, name, unit, description, bounds=bounds, exponential=exponential
        )

    def create_observable_counter(
        self,
        name: str,
        callbacks: Sequence[api.CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableCounter:
        """Make a counter that ``callbacks`` observe at each collection."""
        registered = self._registry.create_observable_counter(name, None, unit, description)
        self._observe("create_observable_counter", name, callbacks, unit, description)
        return registered

    def create_observable_up_down_counter(
        self,
        name: str,
        callbacks: Sequence[api.CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableUpDownCounter:
        """Make an up-down counter that ``callbacks`` observe at each collection."""
        registered = self._registry.create_observable_up_down_counter(name, None, unit, description)
        self._observe("create_observable_up_down_counter", name, callbacks, unit, description)
        return registered

    def create_observable_gauge(
        self,
        name: str,
        callbacks: Sequence[api.CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableGauge:
        """Make a gauge that ``callbacks`` observe at each collection."""
        registered = self._registry.create_observable_gauge(name, None, unit, description)
        self._observe("create_observable_gauge", name, callbacks, unit, description)
        return registered

    def _observe(
        self,
        create: str,
        name: str,
        callbacks: Sequence[api.CallbackT] | None,
        unit: str,
        description: str,
    ) -> None:
        checked = [_check(self._provider.shared, name, callback) for callback in callbacks or ()]
        self._provider.observe(self.scope, create, name, checked, unit, fit(description))

    def _local(
        self,
        of: type[_I],
        registered: api.Instrument,
        name: str,
        unit: str,
        description: str,
        **advice: Any,
    ) -> _I:
        with self._provider.shared.lock:
            # The SDK gives one object for what is created twice; its names are in small letters.
            instrument = self._instruments.get(registered)
            if instrument is None:
                instrument = self._instruments[registered] = of(
                    getattr(registered, "name", name),
                    unit,
                    fit(description),
                    self._provider.shared,
                    **advice,
                )
            return cast("_I", instrument)


def _check(
    shared: Shared, name: str, callback: api.CallbackT
) -> Callable[[api.CallbackOptions], Iterable[api.Observation]]:
    """A callback without the observations that no metric can take, which are counted.

    After one of them, the SDK would leave out the others of the callback, and log why each time.
    """
    if isinstance(callback, Generator):
        next(callback)  # as the SDK does: each value that is sent gives the next observations
        callback = callback.send

    def observe(options: api.CallbackOptions) -> Iterable[api.Observation]:
        with suppress(StopIteration):
            for observation in callback(options):
                value, refusal = read_number(observation.value)
                if refusal is None:
                    yield api.Observation(value, observation.attributes, observation.context)
                else:
                    shared.refuse(name, observation.value, refusal)

    return observe


def _is_ascending(bounds: Sequence[float]) -> bool:
    try:
        finite = all(map(math.isfinite, bounds))
        return finite and all(low < high for low, high in pairwise(bounds))
    except TypeError:
        return False
