import sys
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
)
from opentelemetry.sdk.metrics.export import (
    Histogram as ExplicitHistogram,
)
from opentelemetry.trace import SpanContext

from randsvc.telemetry.accumulator import CARDINALITY_LIMIT, OVERFLOW, Histogram, Reading
from randsvc.telemetry.catalogue import DELAY, REQUEST_DURATION

CUMULATIVE, DELTA, TEXT = Reading(), Reading(delta=True), Reading(native=False)


def points(histogram: Histogram, reading: Reading = CUMULATIVE) -> list[Any]:
    metric = histogram.collect(reading)
    return list(metric.data.data_points) if metric else []


def collect(histogram: Histogram, reading: Reading = CUMULATIVE) -> list[int]:
    return [point.count for point in points(histogram, reading)]


@pytest.fixture
def switching_all_the_time() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_nothing_observed_gives_no_metric() -> None:
    histogram = Histogram(REQUEST_DURATION, [CUMULATIVE])
    histogram.series({"http.route": "/"})
    assert histogram.collect(CUMULATIVE) is None


def test_cumulative_counts_grow_and_delta_counts_start_again() -> None:
    histogram = Histogram(REQUEST_DURATION, [CUMULATIVE, DELTA])
    series = histogram.series()
    series.observe(0.1)
    assert (collect(histogram), collect(histogram, DELTA)) == ([1], [1])
    series.observe(0.1)
    series.observe(0.1)
    assert (collect(histogram), collect(histogram, DELTA)) == ([3], [2])
    assert (collect(histogram), collect(histogram, DELTA)) == ([3], [])


def test_the_interval_of_a_delta_begins_where_the_last_one_ended() -> None:
    histogram = Histogram(REQUEST_DURATION, [CUMULATIVE, DELTA])
    series = histogram.series()
    series.observe(0.1)
    (first,) = points(histogram, DELTA)
    series.observe(0.1)
    (second,) = points(histogram, DELTA)
    assert second.start_time_unix_nano == first.time_unix_nano


def test_a_reader_gets_the_buckets_it_can_carry() -> None:
    histogram = Histogram(DELAY, [CUMULATIVE, TEXT])
    histogram.series().observe(0.1)
    native, text = histogram.collect(CUMULATIVE), histogram.collect(TEXT)
    assert native is not None
    assert text is not None
    assert isinstance(native.data, ExponentialHistogram)
    assert isinstance(text.data, ExplicitHistogram)
    assert text.data.data_points[0].explicit_bounds == DELAY.buckets


def test_attribute_sets_beyond_the_limit_share_the_overflow_series() -> None:
    histogram = Histogram(REQUEST_DURATION, [CUMULATIVE])
    for number in range(2 * CARDINALITY_LIMIT):
        histogram.series({"http.route": f"/{number}"}).observe(0.1)
    counts = {tuple(point.attributes.items()): point.count for point in points(histogram)}
    assert len(counts) == CARDINALITY_LIMIT
    assert counts[tuple(OVERFLOW.items())] == CARDINALITY_LIMIT + 1


def test_folding_changes_nothing_that_is_read() -> None:
    histogram = Histogram(REQUEST_DURATION, [CUMULATIVE])
    histogram.series().observe(0.1)
    histogram.fold()
    histogram.series().observe(0.2)
    assert collect(histogram) == [2]


def test_the_exemplar_of_a_bucket_is_its_latest_trace() -> None:
    histogram = Histogram(REQUEST_DURATION, [CUMULATIVE])
    series = histogram.series()
    for trace, value in ((1, 0.1), (2, 0.1), (3, 5.0)):
        series.observe(value)
        series.offer_exemplar(value, SpanContext(trace, 9, is_remote=False))
    (point,) = points(histogram)
    assert [(e.trace_id, e.value) for e in point.exemplars] == [(2, 0.1), (3, 5.0)]


@pytest.mark.usefixtures("switching_all_the_time")
def test_no_observation_is_lost_or_doubled_while_several_threads_collect() -> None:
    histogram = Histogram(REQUEST_DURATION, [CUMULATIVE, DELTA])
    series = histogram.series()
    done = Event()
    deltas: list[int] = []

    def collect_deltas() -> None:
        while not done.is_set():
            deltas.extend(collect(histogram, DELTA))

    def fold_and_collect() -> None:
        while not done.is_set():
            histogram.fold()
            collect(histogram)

    threads = [Thread(target=collect_deltas), Thread(target=fold_and_collect)]
    for thread in threads:
        thread.start()
    for _ in range(200_000):
        series.observe(0.1)
    done.set()
    for thread in threads:
        thread.join()
    assert collect(histogram) == [200_000]
    assert sum(deltas) + sum(collect(histogram, DELTA)) == 200_000
