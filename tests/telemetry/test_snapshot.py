from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader

from randsvc.metrics import DELAY, MODEL_DURATION, PREDICTIONS, VALUE, ServiceMetrics
from randsvc.telemetry import Telemetry
from randsvc.telemetry.catalogue import PROCESS_MEMORY_USAGE
from randsvc.telemetry.readers import PullReader
from randsvc.telemetry.snapshot import Exponential, Snapshot
from tests.support.metering import delta_reader


@pytest.fixture
def viewed() -> Iterator[Telemetry]:
    telemetry = Telemetry("randsvc", environ={}, readers=[PullReader()], viewed=True)
    yield telemetry
    telemetry.shutdown()


def view(telemetry: Telemetry) -> Snapshot:
    snapshot = telemetry.view()
    assert snapshot is not None
    return snapshot


def test_a_snapshot_has_each_kind_of_metric_as_plain_values(viewed: Telemetry) -> None:
    metrics = ServiceMetrics(viewed.meter)
    metrics.predictions.add(3, {"randsvc.source": "model"})
    metrics.predictions.add(1, {"randsvc.source": "fallback"})
    for value in (-4.0, 0.0, 1.0, 3.0):
        metrics.delay.record(value)
    metrics.model_duration.record(0.2)
    now = view(viewed)
    assert {a["randsvc.source"]: n for a, n in now.numbers(PREDICTIONS)} == {
        "model": 3,
        "fallback": 1,
    }
    ((_, memory),) = now.numbers(PROCESS_MEMORY_USAGE)
    assert memory > 1e6
    ((_, durations),) = now.histograms(MODEL_DURATION)
    assert (durations.count, durations.sum) == (1, 0.2)
    values = now.histogram(DELAY)
    assert values is not None
    assert (values.count, values.sum, values.zeros) == (4, 0.0, 1)
    assert (sum(values.positive.values()), sum(values.negative.values())) == (2, 1)
    assert now.histogram(VALUE) is None
    assert now.resource["service.name"] == "randsvc"


def test_the_series_of_an_exponential_histogram_are_shown_as_one() -> None:
    points = {
        frozenset({("source", "fine")}): Exponential(3, 1, {8: 2, 9: 1}, {-1: 4}, 8, 5.0),
        frozenset({("source", "coarse")}): Exponential(2, 2, {4: 10}, {}, 12, 7.0),
    }
    found = Snapshot(0.0, {}, {VALUE.name: points}).histogram(VALUE)
    assert found == Exponential(2, 3, {4: 13}, {-1: 4}, 20, 12.0)


def test_every_snapshot_is_cumulative(viewed: Telemetry) -> None:
    for count in (1, 2):
        ServiceMetrics(viewed.meter).delay.record(1.0)
        found = view(viewed).histogram(DELAY)
        assert found
        assert found.count == count


@pytest.mark.parametrize(
    ("reader", "kept"), [(InMemoryMetricReader(), 1), (delta_reader(), 2), (PullReader(), 2)]
)
def test_who_looks_shares_the_state_of_a_reader_only_where_it_is_neither_reset_nor_coarser(
    reader: MetricReader, kept: int
) -> None:
    telemetry = Telemetry(environ={}, readers=[reader], viewed=True)
    assert len(ServiceMetrics(telemetry.meter).delay.series()._aggregates) == kept
    telemetry.shutdown()


def test_nothing_is_kept_for_nobody() -> None:
    telemetry = Telemetry(environ={}, readers=[])
    assert telemetry.view() is None
    assert not ServiceMetrics(telemetry.meter).delay.series()._aggregates
    telemetry.shutdown()


def test_a_disabled_sdk_shows_nothing() -> None:
    environ = {"OTEL_SDK_DISABLED": "true"}
    telemetry = Telemetry(environ=environ, viewed=True)
    assert telemetry.view() is None
    telemetry.shutdown()
