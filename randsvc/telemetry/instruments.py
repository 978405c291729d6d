"""Instruments of the SDK, made from the catalogue and read only when somebody collects."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from randsvc.telemetry.catalogue import Metric

__all__ = ("SCOPE", "observe", "observe_each")

SCOPE = "randsvc"
"""The instrumentation scope of all our metrics."""

Callback = Callable[[CallbackOptions], Iterable[Observation]]


def observe(meter: Meter, metric: Metric, callback: Callback) -> None:
    """Let ``callback`` give the values of a counter, an up-down counter or a gauge."""
    create = {
        "counter": meter.create_observable_counter,
        "updowncounter": meter.create_observable_up_down_counter,
        "gauge": meter.create_observable_gauge,
    }[metric.kind]
    create(metric.name, [callback], metric.unit, metric.description)


def observe_each(
    meter: Meter, metric: Metric, values: Callable[[], Mapping[Any, float | bool]]
) -> None:
    """Observe a metric by its attributes: ``values`` gives a value for each set of theirs.

    The key is the attribute's value, or where the metric has several the tuple of theirs. The event
    loop may count on meanwhile: the mapping is copied in one operation.
    """
    names = metric.attributes
    several = len(names) > 1

    def observations(_: CallbackOptions) -> Iterable[Observation]:
        for key, value in dict(values()).items():
            yield Observation(+value, dict(zip(names, key if several else (key,), strict=True)))

    observe(meter, metric, observations)
