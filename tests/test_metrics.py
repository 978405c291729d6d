from collections.abc import Callable

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from randsvc import metrics
from randsvc.metrics import METRICS, ServiceMetrics, observe_faults
from randsvc.telemetry import Telemetry, catalogue
from randsvc.telemetry.catalogue import Metric
from tests.support.breaking import faults_of
from tests.support.metering import OF_SDK
from tests.support.reading import Measured

OWN = METRICS[len(catalogue.METRICS) :]


def measure_everything(telemetry: Telemetry) -> None:
    """One measurement of each, so that every metric of the service has a series."""
    for instrument in vars(ServiceMetrics(telemetry.meter)).values():
        record = instrument.bind({"randsvc.source": "model"})
        record(1)
    observe_faults(telemetry.meter, lambda: {"errors": True})


def test_every_declared_metric_is_listed() -> None:
    declared = [value for value in vars(metrics).values() if isinstance(value, Metric)]
    assert set(OWN) == set(declared)


def test_no_two_metrics_have_one_name() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", OWN, ids=lambda metric: metric.name)
def test_a_metric_is_measured_as_it_is_declared(
    telemetry: Telemetry, reader: InMemoryMetricReader, metric: Metric
) -> None:
    measure_everything(telemetry)
    data = reader.get_metrics_data()
    assert data is not None
    (found,) = (
        m
        for scope in data.resource_metrics[0].scope_metrics
        for m in scope.metrics
        if m.name == metric.name
    )
    kind, monotonic = OF_SDK[metric.kind]
    assert type(found.data).__name__ == kind
    assert getattr(found.data, "is_monotonic", None) == monotonic
    assert (found.unit, found.description) == (metric.unit, metric.description)


def test_a_fault_has_a_series_from_its_first_use_on_and_is_0_after_it(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    faults = faults_of()
    observe_faults(telemetry.meter, faults.states)

    def active() -> dict[object, int]:
        points = read().get("randsvc.fault.active", {})
        return {value: point.value for ((_, value),), point in points.items()}

    assert active() == {}
    faults.set("model-down", {"duration": 60})
    assert active() == {"model-down": 1}
    faults.clear()
    assert active() == {"model-down": 0}
