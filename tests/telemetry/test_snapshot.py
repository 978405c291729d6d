from collections.abc import Iterator

import pytest

from randsvc.telemetry.accumulator import Reading
from randsvc.telemetry.catalogue import (
    DELAY,
    MODEL_DURATION,
    PREDICTIONS,
    PROCESS_MEMORY_USAGE,
    VALUE,
)
from randsvc.telemetry.pipeline import Telemetry
from randsvc.telemetry.readers import InMemoryReader, PullReader
from randsvc.telemetry.snapshot import Snapshot


@pytest.fixture
def viewed() -> Iterator[Telemetry]:
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[PullReader()], viewed=True)
    yield telemetry
    telemetry.shutdown()


def view(telemetry: Telemetry) -> Snapshot:
    snapshot = telemetry.view()
    assert snapshot is not None
    return snapshot


def test_a_snapshot_has_each_kind_of_metric_as_plain_values(viewed: Telemetry) -> None:
    viewed.predictions.update(model=3, fallback=1)
    for value in (-4.0, 0.0, 1.0, 3.0):
        viewed.value.observe(value)
    viewed.model_duration.observe(0.2)
    now = view(viewed)
    assert {a["randsvc.source"]: n for a, n in now.numbers(PREDICTIONS)} == {
        "model": 3,
        "fallback": 1,
    }
    ((_, memory),) = now.numbers(PROCESS_MEMORY_USAGE)
    assert memory > 1e6
    ((_, durations),) = now.explicit(MODEL_DURATION)
    assert (durations.bounds, durations.count) == (MODEL_DURATION.buckets, 1)
    values = now.exponential(VALUE)
    assert values is not None
    assert (values.count, values.sum, values.zeros) == (4, 0.0, 1)
    assert (sum(values.positive.values()), sum(values.negative.values())) == (2, 1)
    assert now.exponential(DELAY) is None
    assert now.resource["service.name"] == "randsvc"


def test_every_snapshot_is_cumulative(viewed: Telemetry) -> None:
    for count in (1, 2):
        viewed.value.observe(1.0)
        found = view(viewed).exponential(VALUE)
        assert found
        assert found.count == count


def test_who_looks_shares_the_state_of_a_reader_that_keeps_the_same() -> None:
    exported = InMemoryReader(Reading())
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[exported], viewed=True)
    assert len(telemetry.value._aggregates) == 1
    telemetry.value.observe(1.0)
    assert view(telemetry).exponential(VALUE)
    telemetry.shutdown()


@pytest.mark.parametrize("reading", [Reading(delta=True), Reading(native=False)])
def test_who_looks_shares_no_state_that_is_reset_or_coarser(reading: Reading) -> None:
    telemetry = Telemetry(
        concurrency_limit=5, environ={}, readers=[InMemoryReader(reading)], viewed=True
    )
    assert len(telemetry.value._aggregates) == 2
    telemetry.shutdown()


def test_nothing_is_kept_for_nobody() -> None:
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[])
    assert telemetry.view() is None
    assert not telemetry.value._aggregates
    telemetry.shutdown()


def test_a_disabled_sdk_shows_nothing() -> None:
    environ = {"OTEL_SDK_DISABLED": "true"}
    telemetry = Telemetry(concurrency_limit=5, environ=environ, viewed=True)
    assert telemetry.view() is None
    telemetry.shutdown()
