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
from randsvc.telemetry.snapshot import Exponential, Snapshot


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
        viewed.delay.observe(value)
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
    values = now.exponential(DELAY)
    assert values is not None
    assert (values.count, values.sum, values.zeros) == (4, 0.0, 1)
    assert (sum(values.positive.values()), sum(values.negative.values())) == (2, 1)
    assert now.exponential(VALUE) is None
    assert now.resource["service.name"] == "randsvc"


def test_the_series_of_an_exponential_histogram_are_shown_as_one() -> None:
    points = {
        frozenset({("source", "fine")}): Exponential(3, 1, {8: 2, 9: 1}, {-1: 4}, 8, 5.0),
        frozenset({("source", "coarse")}): Exponential(2, 2, {4: 10}, {}, 12, 7.0),
    }
    found = Snapshot(0.0, {}, {VALUE.name: points}).exponential(VALUE)
    assert found == Exponential(2, 3, {4: 13}, {-1: 4}, 20, 12.0)


def test_every_snapshot_is_cumulative(viewed: Telemetry) -> None:
    for count in (1, 2):
        viewed.delay.observe(1.0)
        found = view(viewed).exponential(DELAY)
        assert found
        assert found.count == count


def test_who_looks_shares_the_state_of_a_reader_that_keeps_the_same() -> None:
    exported = InMemoryReader(Reading())
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[exported], viewed=True)
    assert len(telemetry.delay._aggregates) == 1
    telemetry.delay.observe(1.0)
    assert view(telemetry).exponential(DELAY)
    telemetry.shutdown()


@pytest.mark.parametrize("reading", [Reading(delta=True), Reading(native=False)])
def test_who_looks_shares_no_state_that_is_reset_or_coarser(reading: Reading) -> None:
    telemetry = Telemetry(
        concurrency_limit=5, environ={}, readers=[InMemoryReader(reading)], viewed=True
    )
    assert len(telemetry.delay._aggregates) == 2
    telemetry.shutdown()


def test_nothing_is_kept_for_nobody() -> None:
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[])
    assert telemetry.view() is None
    assert not telemetry.delay._aggregates
    telemetry.shutdown()


def test_a_disabled_sdk_shows_nothing() -> None:
    environ = {"OTEL_SDK_DISABLED": "true"}
    telemetry = Telemetry(concurrency_limit=5, environ=environ, viewed=True)
    assert telemetry.view() is None
    telemetry.shutdown()
