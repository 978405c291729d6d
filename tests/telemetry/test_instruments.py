import logging
import sys
from collections.abc import Generator, Iterator
from decimal import Decimal
from threading import Event, Thread
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    InMemoryMetricReader,
)
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    SumAggregation,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from randsvc.telemetry.catalogue import REQUEST_DURATION
from randsvc.telemetry.instruments import CARDINALITY_LIMIT, OVERFLOW, PENDING_LIMIT
from randsvc.telemetry.provider import Meter, MeterProvider
from randsvc.telemetry.readers import PullReader
from tests.support.metering import delta_reader, meter_of, provider_of
from tests.support.reading import measured

SAMPLED = TraceFlags(TraceFlags.SAMPLED)

HUGE, ENDLESS = 10**400, 10**5000
"""An integer that is no float, and one with more digits than Python shows."""


def show(value: Any) -> str:
    """The id of a case."""
    return {HUGE: "huge", ENDLESS: "endless"}.get(value) or repr(value)


class Read:
    """A meter with a reader of each temporality, and what they read."""

    def __init__(self) -> None:
        self.cumulative, self.delta = InMemoryMetricReader(), delta_reader()
        self.provider = provider_of(self.cumulative, self.delta)
        self.meter: Meter = self.provider.get_meter("tested")

    def points(self, name: str = "m", *, delta: bool = False) -> list[Any]:
        data = (self.delta if delta else self.cumulative).get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def point(self, name: str = "m", *, delta: bool = False) -> Any:
        (point,) = self.points(name, delta=delta)
        return point

    def values(self, *, delta: bool = False) -> list[float]:
        return [point.value for point in self.points(delta=delta)]

    def counts(self, *, delta: bool = False) -> list[int]:
        return [point.count for point in self.points(delta=delta)]


@pytest.fixture
def read() -> Read:
    return Read()


@pytest.fixture
def switching_all_the_time() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_nothing_recorded_gives_no_metric(read: Read) -> None:
    read.meter.create_histogram("m").bind({"http.route": "/"})
    assert read.points() == []


def test_cumulative_counts_grow_and_delta_counts_start_again(read: Read) -> None:
    histogram = read.meter.create_histogram("m")
    histogram.record(0.1)
    assert (read.counts(), read.counts(delta=True)) == ([1], [1])
    histogram.record(0.1)
    histogram.record(0.1)
    assert (read.counts(), read.counts(delta=True)) == ([3], [2])
    assert (read.counts(), read.counts(delta=True)) == ([3], [])


def test_a_counter_begins_with_its_first_addition_of_nothing(read: Read) -> None:
    counter = read.meter.create_counter("m")
    counter.add(0, {"a": "x"})
    assert read.values() == [0]
    counter.add(2, {"a": "x"})
    assert read.values() == [2]


def test_an_up_down_counter_goes_down(read: Read) -> None:
    counter = read.meter.create_up_down_counter("m")
    counter.add(2)
    counter.add(-3.5)
    assert read.values() == [-1.5]


def test_a_gauge_has_its_last_value_and_as_a_delta_only_a_new_one() -> None:
    kept = InMemoryMetricReader()
    new = InMemoryMetricReader({sdk._Gauge: AggregationTemporality.DELTA})
    gauge = meter_of(kept, new).create_gauge("m")
    gauge.set(1)
    gauge.set(2)

    def value(reader: InMemoryMetricReader) -> list[float]:
        data = reader.get_metrics_data()
        return [point.value for point in measured(data)["m"].values()] if data else []

    assert (value(kept), value(new)) == ([2], [2])
    assert (value(kept), value(new)) == ([2], [])


def test_an_empty_collection_does_not_move_the_start_of_a_delta(read: Read) -> None:
    histogram = read.meter.create_histogram("m")
    histogram.record(0.1)
    first = read.point(delta=True)
    assert read.points(delta=True) == []
    histogram.record(0.1)
    assert read.point(delta=True).start_time_unix_nano == first.time_unix_nano


def test_a_series_begins_when_it_was_last_collected_without_a_value() -> None:
    reader = InMemoryMetricReader()
    meter = meter_of(reader)
    bound = meter.create_counter("m").bind({})
    meter.create_counter("other").add(1)

    def read() -> dict[str, Any]:
        data = reader.get_metrics_data()
        assert data
        return {name: point for name, each in measured(data).items() for point in each.values()}

    before = read()
    assert set(before) == {"other"}
    bound(1)
    assert read()["m"].start_time_unix_nano == before["other"].time_unix_nano


def test_attributes_in_another_order_are_the_same_series(read: Read) -> None:
    counter = read.meter.create_counter("m")
    counter.add(1, {"a": "x", "b": "y"})
    counter.add(1, {"b": "y", "a": "x"})
    counter.bind({"b": "y", "a": "x"})(1)
    assert read.values() == [3]


def test_true_and_1_and_1_0_are_attributes_of_their_own(read: Read) -> None:
    counter = read.meter.create_counter("m")
    for _ in range(2):
        counter.add(1, {"a": True})
        counter.add(1, {"a": 1})
        counter.add(1, {"a": 1.0})
        counter.add(1, {"a": "1"})
    assert read.values() == [2, 2, 2, 2]


def test_an_attribute_may_be_a_list(read: Read) -> None:
    counter = read.meter.create_counter("m")
    counter.add(1, {"a": ["x", "y"]})
    counter.add(1, {"a": ["x", "y"]})
    assert read.values() == [2]
    assert read.point().attributes == {"a": ("x", "y")}


def test_no_attributes_and_empty_attributes_are_one_series(read: Read) -> None:
    counter = read.meter.create_counter("m")
    counter.add(1)
    counter.add(1, {})
    counter.add(1, None)
    assert read.values() == [3]


def test_attributes_that_are_none_are_left_out_with_a_warning(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    read.meter.create_counter("m").add(1, ["a"])  # type: ignore[arg-type]
    assert read.values() == [1]
    assert "expected a mapping" in caplog.text


def test_attribute_sets_beyond_the_limit_share_the_overflow_series(read: Read) -> None:
    counter = read.meter.create_counter("m")
    for number in range(2 * CARDINALITY_LIMIT):
        counter.add(1, {"http.route": f"/{number}"})
    values = {tuple(point.attributes.items()): point.value for point in read.points()}
    assert len(values) == CARDINALITY_LIMIT
    assert values[tuple(OVERFLOW.items())] == CARDINALITY_LIMIT + 1


def test_the_cache_of_attributes_stays_small_whatever_clients_invent(read: Read) -> None:
    counter = read.meter.create_counter("m")
    for number in range(20 * CARDINALITY_LIMIT):
        counter.add(1, {"http.route": f"/{number}"})
    assert len(counter._known) <= 4 * CARDINALITY_LIMIT
    assert sum(read.values()) == 20 * CARDINALITY_LIMIT


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), HUGE, ENDLESS], ids=show
)
def test_a_value_that_is_not_finite_is_counted_apart_and_poisons_nothing(
    read: Read, caplog: pytest.LogCaptureFixture, value: float
) -> None:
    counter = read.meter.create_counter("c")
    histogram = read.meter.create_histogram("m")
    for number in (1, value, 2, value):
        counter.add(number)
        histogram.record(number)
    assert read.point("c").value == 3
    assert (read.point().count, read.point().sum, read.point().max) == (2, 3, 2)
    refused = {("c", "not_finite"): 2, ("m", "not_finite"): 2}
    assert read.provider.shared.refused == refused
    assert len(caplog.records) == 2


@pytest.mark.parametrize("large", [1e308, 10**308], ids=["float", "integer"])
@pytest.mark.parametrize("kind", ["up_down_counter", "histogram"])
def test_a_sum_beyond_the_floats_stays_at_the_largest(read: Read, kind: str, large: float) -> None:
    instrument = getattr(read.meter, f"create_{kind}")("m")
    record = instrument.record if kind == "histogram" else instrument.add

    def total() -> float:
        read.provider.fold()
        return float(getattr(read.point(), "sum" if kind == "histogram" else "value"))

    for _ in range(3):
        record(large)
    assert total() == sys.float_info.max
    record(0.5)
    assert total() == sys.float_info.max
    record(-large)
    assert total() == sys.float_info.max - 1e308


def test_the_largest_numbers_cancel_exactly_whatever_their_order(read: Read) -> None:
    counter = read.meter.create_up_down_counter("m")
    for value in (1e308, 1e308, 1e308, -1e308, -1e308, -1e308, 7):
        counter.add(value)
    assert read.values() == [7]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), HUGE, ENDLESS, "1", None], ids=show)
@pytest.mark.parametrize("kind", ["counter", "up_down_counter", "gauge"])
def test_an_observation_that_is_no_number_is_counted_apart_and_loses_no_other(
    read: Read, caplog: pytest.LogCaptureFixture, kind: str, value: Any
) -> None:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(value, {"a": "x"})
        yield Observation(1, {"a": "y"})

    getattr(read.meter, f"create_observable_{kind}")("m", [observe])
    read.meter.create_counter("other").add(1)
    assert (read.values(), read.point("other").value) == ([1], 1)
    (refused,) = read.provider.shared.refused.items()
    assert refused[0][0] == "m"
    assert "m does not count" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_generator_observes_as_it_does_with_the_sdk(read: Read) -> None:
    def observe() -> Generator[list[Observation], CallbackOptions, None]:
        yield []
        for number in (1, float("inf"), 3):
            yield [Observation(number)]

    read.meter.create_observable_gauge("m", [observe()])
    assert [read.values() for _ in range(4)] == [[1], [], [3], []]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), HUGE, "1", None], ids=show)
def test_no_value_fails_its_caller_where_the_trace_is_kept(read: Read, value: Any) -> None:
    read.provider.shared.traced = True
    sampled = NonRecordingSpan(SpanContext(1, 9, is_remote=False, trace_flags=SAMPLED))
    with trace.use_span(sampled):
        for instrument in (read.meter.create_histogram("m"), read.meter.create_counter("c")):
            instrument._record(value)
            instrument._record(1)
    assert [exemplar.value for exemplar in read.point().exemplars] == [1]


@pytest.mark.parametrize("value", ["1", None, object(), [1], 1j])
def test_a_value_that_is_no_number_is_counted_apart_and_stops_nothing(
    read: Read, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    gauge = read.meter.create_gauge("m")
    gauge.set(1)
    gauge.set(value)
    assert read.values() == [1]
    assert read.provider.shared.refused == {("m", "not_a_number"): 1}
    assert "m does not count" in caplog.text


def test_a_counter_refuses_to_go_down(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    counter = read.meter.create_counter("m")
    for value in (2, -1, -1, 3):
        counter.add(value)
    assert read.values() == [5]
    assert read.provider.shared.refused == {("m", "negative"): 2}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_numbers_of_other_types_become_ours(read: Read) -> None:
    counter = read.meter.create_counter("m")
    counter.add(Decimal("1.5"))  # type: ignore[arg-type]
    counter.add(1)
    (value,) = read.values()
    assert (value, type(value)) == (2.5, float)


def test_a_sum_of_integers_is_one_until_it_is_too_large_for_otlp(read: Read) -> None:
    counter = read.meter.create_counter("m")
    counter.add(2**62)
    assert read.values() == [2**62]
    counter.add(2**62)
    (value,) = read.values()
    assert (value, type(value)) == (2**63, float)


def test_a_histogram_counts_negative_values(read: Read) -> None:
    read.meter.create_histogram("m", explicit_bucket_boundaries_advisory=[-1, 1]).record(-2)
    assert read.point().bucket_counts == (1, 0, 0)


@pytest.mark.parametrize("bounds", [[1, 1], [2, 1], [1, float("inf")], ["a"], [None]])
def test_bounds_that_are_none_are_replaced_with_a_warning(
    read: Read, caplog: pytest.LogCaptureFixture, bounds: list[float]
) -> None:
    read.meter.create_histogram("m", explicit_bucket_boundaries_advisory=bounds).record(1)
    assert len(read.point().explicit_bounds) == 15
    assert caplog.text


def test_a_histogram_is_exponential_where_it_asks_and_the_reader_has_no_preference() -> None:
    free, text = InMemoryMetricReader(), PullReader()
    exponential = InMemoryMetricReader(
        preferred_aggregation={sdk.Histogram: ExponentialBucketHistogramAggregation(max_size=4)}
    )
    meter = meter_of(free, text, exponential)
    meter.create_histogram("asks", exponential=True).record(1)
    meter.create_histogram("does_not").record(1)
    kinds = {
        name: [
            type(next(iter(measured(reader.get_metrics_data())[name].values())))
            for reader in (free, text, exponential)
        ]
        for name in ("asks", "does_not")
    }
    ours, explicit = ExponentialHistogramDataPoint, HistogramDataPoint
    assert kinds == {"asks": [ours, explicit, ours], "does_not": [explicit, explicit, ours]}


def test_a_reader_may_prefer_bounds_of_its_own_or_no_histograms_at_all() -> None:
    own = InMemoryMetricReader(
        preferred_aggregation={sdk.Histogram: ExplicitBucketHistogramAggregation([1, 2])}
    )
    none = InMemoryMetricReader(preferred_aggregation={sdk.Histogram: DropAggregation()})
    meter_of(own, none).create_histogram("m").record(1)
    (point,) = measured(own.get_metrics_data())["m"].values()
    assert point.explicit_bounds == (1, 2)
    assert none.get_metrics_data() is None


def test_an_aggregation_that_is_not_supported_is_refused_in_words() -> None:
    reader = InMemoryMetricReader(preferred_aggregation={sdk.Histogram: SumAggregation()})
    with pytest.raises(ValueError, match="m: the aggregation SumAggregation is not supported"):
        meter_of(reader).create_histogram("m")


def test_readers_that_keep_the_same_share_it() -> None:
    meter = meter_of(InMemoryMetricReader(), InMemoryMetricReader(), delta_reader(), PullReader())
    assert len(meter.create_histogram("explicit").series()._aggregates) == 2
    assert len(meter.create_histogram("exponential", exponential=True).series()._aggregates) == 3


def test_memory_does_not_grow_where_nobody_reads() -> None:
    histogram = MeterProvider().get_meter("tested").create_histogram("m")
    record = histogram.bind()
    for _ in range(3 * PENDING_LIMIT):
        record(0.1)
        histogram.record(0.1)
    assert len(histogram.series()._pending) < PENDING_LIMIT


def test_folding_changes_nothing_that_is_read(read: Read) -> None:
    histogram = read.meter.create_histogram("m")
    histogram.record(0.1)
    read.provider.fold()
    histogram.record(0.2)
    assert read.counts() == [2]


def test_the_exemplar_of_a_bucket_is_its_latest_trace_and_a_delta_has_it_once(read: Read) -> None:
    series = read.meter.create_histogram(**REQUEST_DURATION.arguments).series()
    for number, value in ((1, 0.1), (2, 0.1), (3, 5.0)):
        series.observe(value)
        series.offer_exemplar(value, SpanContext(number, 9, is_remote=False))
    for delta in (False, True):
        point = read.point(REQUEST_DURATION.name, delta=delta)
        assert [(e.trace_id, e.value) for e in point.exemplars] == [(2, 0.1), (3, 5.0)]
    series.observe(0.1)
    assert len(read.point(REQUEST_DURATION.name).exemplars) == 2
    assert read.point(REQUEST_DURATION.name, delta=True).exemplars == []


def test_a_value_in_a_sampled_span_has_its_trace_as_exemplar(read: Read) -> None:
    read.provider.shared.traced = True
    counter = read.meter.create_counter("m")
    sampled = NonRecordingSpan(SpanContext(1, 9, is_remote=False, trace_flags=SAMPLED))
    other = NonRecordingSpan(SpanContext(2, 9, is_remote=False))
    counter.add(1, {"a": "x"}, set_span_in_context(sampled))
    counter.add(1, {"a": "x"}, set_span_in_context(other))
    with trace.use_span(sampled):
        counter.add(5, {"a": "y"})
    assert [[(e.trace_id, e.value) for e in p.exemplars] for p in read.points()] == [
        [(1, 1)],
        [(1, 5)],
    ]


@pytest.mark.usefixtures("switching_all_the_time")
def test_no_measurement_is_lost_or_doubled_while_several_threads_collect(read: Read) -> None:
    histogram = read.meter.create_histogram("m")
    record = histogram.bind()
    done = Event()
    deltas: list[int] = []

    def collect_deltas() -> None:
        while not done.is_set():
            deltas.extend(read.counts(delta=True))

    def fold_and_collect() -> None:
        while not done.is_set():
            read.provider.fold()
            read.counts()

    def record_half() -> None:
        for _ in range(50_000):
            record(0.1)
            histogram.record(0.1)

    readers = [Thread(target=collect_deltas), Thread(target=fold_and_collect)]
    writers = [Thread(target=record_half), Thread(target=record_half)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert read.counts() == [200_000]
    assert sum(deltas) + sum(read.counts(delta=True)) == 200_000
