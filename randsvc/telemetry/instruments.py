"""Instruments of the SDK, made from the catalogue and read only when somebody collects."""

from collections.abc import Callable, Iterable, Mapping

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


def observe_each(meter: Meter, metric: Metric, counts: Callable[[], Mapping[str, int]]) -> None:
    """Observe a metric with one attribute: ``counts`` gives its value for each of the attribute's.

    The event loop may count on meanwhile: the mapping is copied in one operation.
    """
    (attribute,) = metric.attributes
    observe(
        meter,
        metric,
        lambda _: [
            Observation(int(value), {attribute: key}) for key, value in dict(counts()).items()
        ],
    )
