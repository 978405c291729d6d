"""Our instruments against the SDK's own: the same random program through both."""

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import metrics as api
from opentelemetry import trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    InMemoryMetricReader,
)
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from randsvc.project import ROOT
from randsvc.telemetry.instruments import CARDINALITY_LIMIT, Reading
from randsvc.telemetry.provider import MeterProvider
from tests.support.metering import KINDS

EXAMPLES = int(os.environ.get("TEST_ORACLE_EXAMPLES", "50"))
"""Programs to try; 10,000 take some minutes."""

BOUNDS = (0.5, 1, 2, 50)
MERGE_FAILURE = "Incorrect merge scale"
"""What the SDK raises where it has no way to merge exponential buckets."""
SYNCHRONOUS: Mapping[str, Callable[[api.Meter], Any]] = {
    "counter": lambda meter: meter.create_counter("counter", "{thing}", "Counts things.").add,
    "up_down": lambda meter: meter.create_up_down_counter("up_down").add,
    "gauge": lambda meter: meter.create_gauge("gauge", "s").set,
    "histogram": lambda meter: meter.create_histogram("histogram").record,
    "advised": lambda meter: (
        meter.create_histogram("advised", "s", explicit_bucket_boundaries_advisory=BOUNDS).record
    ),
    # Created again, so that it is the one that is there.
    "again": lambda meter: [meter.create_counter("again"), meter.create_counter("again")][1].add,
    # Two of one name, which do not agree.
    "conflict_s": lambda meter: meter.create_counter("conflict", "s").add,
    "conflict_ms": lambda meter: meter.create_counter("conflict", "ms").add,
}
OBSERVABLE = {
    "observable_counter": "create_observable_counter",
    "observable_up_down": "create_observable_up_down_counter",
    "observable_gauge": "create_observable_gauge",
}
READERS = ("cumulative", "delta", "exponential cumulative", "exponential delta")


@dataclass(frozen=True)
class Measure:
    instrument: str
    value: float
    attributes: Any


@dataclass(frozen=True)
class Observe:
    """From here on, the callback of an instrument gives these."""

    instrument: str
    observations: tuple[tuple[float, Any], ...]


@dataclass(frozen=True)
class Collect:
    reader: str


Step = Measure | Observe | Collect

# Sums of these are exact in any order: a batch is sorted before it is summed up.
exact = st.integers(-(2**20), 2**20).map(lambda n: n / 1024)
# Subnormal and negative values are in the table of differences.
sizes = st.floats(0, 1e300, allow_subnormal=False) | st.integers(0, 10**6) | st.booleans()
refused = st.sampled_from([math.nan, math.inf, -math.inf])
leaves = st.sampled_from(["x", "y", "", True, False, 1, 1.5, 200, b"x", None])
attributes = st.none() | st.dictionaries(
    st.sampled_from(["a", "b", "http.route"]),
    leaves | st.lists(leaves, max_size=2) | st.dictionaries(st.just("k"), leaves, max_size=1),
    max_size=3,
)


def values_of(instrument: str) -> st.SearchStrategy[float]:
    """The values to record: those that an instrument refuses are among them."""
    if instrument in ("up_down", "gauge"):
        return exact | refused
    if instrument in ("histogram", "advised"):
        return sizes | refused
    return sizes | exact | refused


measures = st.sampled_from(sorted(SYNCHRONOUS)).flatmap(
    lambda name: st.builds(Measure, st.just(name), values_of(name), attributes)
)
observes = st.builds(
    Observe,
    st.sampled_from(sorted(OBSERVABLE)),
    st.lists(st.tuples(exact | refused, attributes), max_size=3).map(tuple),
)
collects = st.builds(Collect, st.sampled_from(READERS))
programs: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(measures, measures, measures, observes, collects), max_size=40
)


class Side:
    """One implementation: its four readers, and the instruments of two scopes."""

    def __init__(
        self, make_provider: Callable[[list[InMemoryMetricReader]], api.MeterProvider]
    ) -> None:
        delta = dict.fromkeys(KINDS, AggregationTemporality.DELTA)
        exponential: dict[type, Aggregation] = {
            sdk.Histogram: ExponentialBucketHistogramAggregation()
        }
        self.readers = {
            "cumulative": InMemoryMetricReader(),
            "delta": InMemoryMetricReader(delta),
            "exponential cumulative": InMemoryMetricReader(None, exponential),
            "exponential delta": InMemoryMetricReader(delta, exponential),
        }
        self.provider = make_provider(list(self.readers.values()))
        meter = self.provider.get_meter("oracle", "1.0")
        self._record = {name: create(meter) for name, create in SYNCHRONOUS.items()}
        self._observed: dict[str, Iterable[tuple[float, Any]]] = {}
        other = self.provider.get_meter("oracle.other")
        for name, create in OBSERVABLE.items():
            scope = other if name == "observable_gauge" else meter
            getattr(scope, create)(name, [self._callback(name)])

    def _callback(self, name: str) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for value, given_attributes in self._observed.get(name, ()):
                yield Observation(value, given_attributes)

        return observe

    def measure(self, step: Measure) -> None:
        self._record[step.instrument](step.value, step.attributes)

    def observe(self, step: Observe) -> None:
        self._observed[step.instrument] = step.observations

    def collect(self, reader: str) -> dict[str, Any]:
        """Metrics by scope, name and unit, each with its points by attributes."""
        data = self.readers[reader].get_metrics_data()
        return {
            f"{scope.scope.name} {scope.scope.version} {metric.name} {metric.unit}": (
                type(metric.data).__name__,
                metric.description,
                getattr(metric.data, "aggregation_temporality", None),
                getattr(metric.data, "is_monotonic", None),
                {
                    json.dumps(point.attributes, sort_keys=True, default=repr): point
                    for point in metric.data.data_points
                },
            )
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def of_sdk() -> Side:
    return Side(lambda readers: sdk.MeterProvider(readers, Resource({}), shutdown_on_exit=False))


def of_ours() -> Side:
    def make(readers: list[InMemoryMetricReader]) -> MeterProvider:
        provider = MeterProvider([Reading.of(reader) for reader in readers])
        provider.start(Resource({}))
        return provider

    return Side(make)


def assert_same(
    ours: dict[str, Any], theirs: dict[str, Any], recorded: Mapping[str, list[float]]
) -> None:
    """The same metrics, with the same points; ``recorded`` is what exponential ones hold."""
    assert ours.keys() == theirs.keys()
    for name, (*described, points) in ours.items():
        *expected, expected_points = theirs[name]
        assert described == expected, name
        assert points.keys() == expected_points.keys(), name
        for key, point in points.items():
            assert_same_point(point, expected_points[key], recorded.get(name.split()[2], []))


def assert_same_point(ours: Any, theirs: Any, recorded: list[float]) -> None:
    """The same point, but for times and for what rounding explains."""
    assert type(ours) is type(theirs)
    assert dict(ours.attributes or {}) == dict(theirs.attributes or {})
    assert (ours.start_time_unix_nano is None) == (theirs.start_time_unix_nano is None)
    assert (ours.start_time_unix_nano or 0) <= ours.time_unix_nano
    if isinstance(ours, HistogramDataPoint | ExponentialHistogramDataPoint):
        assert ours.count == theirs.count
        assert math.isclose(ours.sum, theirs.sum, rel_tol=1e-9)
        assert (ours.min, ours.max) == (theirs.min, theirs.max)
    else:
        assert math.isclose(ours.value, theirs.value, rel_tol=1e-9)
        assert isinstance(ours.value, int) == isinstance(theirs.value, int)
    if isinstance(ours, HistogramDataPoint):
        assert tuple(ours.bucket_counts) == tuple(theirs.bucket_counts)
        assert tuple(ours.explicit_bounds) == tuple(theirs.explicit_bounds)
    if isinstance(ours, ExponentialHistogramDataPoint):
        assert ours.zero_count == theirs.zero_count
        assert_same_buckets(ours, theirs, recorded)


def assert_same_buckets(
    ours: ExponentialHistogramDataPoint,
    theirs: ExponentialHistogramDataPoint,
    recorded: list[float],
) -> None:
    """The same counts at the coarser scale, but for values within rounding of a bound."""
    if ours.zero_count < ours.count:
        assert ours.scale >= theirs.scale
    scale = min(ours.scale, theirs.scale)
    found, expected = coarsened(ours, scale), coarsened(theirs, scale)
    for index in found.keys() | expected.keys():
        at_a_bound = sum(
            abs(math.ldexp(math.log2(value), scale) - bound) < 1e-5
            for value in recorded
            if value > 0
            for bound in (index, index + 1)
        )
        assert abs(found.get(index, 0) - expected.get(index, 0)) <= at_a_bound


def coarsened(point: ExponentialHistogramDataPoint, scale: int) -> dict[int, int]:
    counts: dict[int, int] = {}
    for i, count in enumerate(point.positive.bucket_counts):
        if count:
            index = (point.positive.offset + i) >> (point.scale - scale)
            counts[index] = counts.get(index, 0) + count
    return counts


def collected_or_failure(side: Side, reader: str) -> dict[str, Any] | str:
    """What is collected, or why that fails."""
    try:
        return side.collect(reader)
    except Exception as error:  # the SDK raises nothing else
        return str(error)


@pytest.fixture(scope="module", autouse=True)
def _without_warnings() -> Iterator[None]:
    """Both sides warn of what they refuse."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=EXAMPLES)
@given(programs)
def test_a_program_gives_the_same_data_points(program: list[Step]) -> None:
    ours, theirs = of_ours(), of_sdk()
    recorded: dict[str, list[float]] = {}
    failed: set[str] = set()
    for step in [*program, *map(Collect, READERS)]:
        match step:
            case Measure():
                ours.measure(step)
                theirs.measure(step)
                if math.isfinite(step.value):
                    recorded.setdefault(step.instrument, []).append(step.value)
            case Observe():
                ours.observe(step)
                theirs.observe(step)
            case Collect(reader) if reader not in failed:
                found, expected = ours.collect(reader), collected_or_failure(theirs, reader)
                if isinstance(expected, dict):
                    assert_same(found, expected, recorded)
                    continue
                # See the table: it needs zeros, and then this reader can never collect again.
                assert (reader, expected) == ("exponential cumulative", MERGE_FAILURE)
                assert 0 in [*recorded.get("histogram", []), *recorded.get("advised", [])]
                failed.add(reader)


@settings(max_examples=max(1, EXAMPLES // 5))
@given(st.lists(measures.filter(lambda step: step.instrument != "gauge"), max_size=60))
def test_threads_lose_nothing_while_others_collect(steps: list[Measure]) -> None:
    """A gauge is left out, as the last of several threads is any of them."""
    ours, theirs = of_ours(), of_sdk()
    done = Event()
    counts: dict[str, float] = {}

    def collect_deltas() -> None:
        for name, (*_, points) in ours.collect("delta").items():
            for key, point in points.items():
                size = point.count if hasattr(point, "count") else point.value
                counts[f"{name} {key}"] = counts.get(f"{name} {key}", 0) + size

    def collect() -> None:
        while not done.is_set():
            collect_deltas()
            ours.collect("exponential cumulative")

    def record(part: int) -> None:
        for step in steps[part::3]:
            ours.measure(step)

    reading = Thread(target=collect)
    writing = [Thread(target=record, args=(part,)) for part in range(3)]
    for thread in (reading, *writing):
        thread.start()
    for step in steps:
        theirs.measure(step)
    for thread in writing:
        thread.join()
    done.set()
    reading.join()
    collect_deltas()
    recorded: dict[str, list[float]] = {}
    for step in steps:
        if math.isfinite(step.value):
            recorded.setdefault(step.instrument, []).append(step.value)
    for reader in ("cumulative", "exponential cumulative"):
        assert_same(ours.collect(reader), theirs.collect(reader), recorded)
    expected = {
        f"{name} {key}": point.count if hasattr(point, "count") else point.value
        for name, (*_, points) in theirs.collect("delta").items()
        for key, point in points.items()
    }
    assert counts == pytest.approx(expected, rel=1e-9)


# ---------------------------------------------------------------------------------- differences


def points(side: Side, reader: str = "cumulative") -> list[Any]:
    return [p for *_, points in side.collect(reader).values() for p in points.values()]


def negative(side: Side) -> object:
    side.measure(Measure("histogram", -1, None))
    return [point.count for point in points(side)]


def no_number(side: Side) -> object:
    try:
        side.measure(Measure("counter", "1", None))  # type: ignore[arg-type]
    except TypeError:
        return "raises"
    return [point.value for point in points(side)]


def other_number(side: Side) -> object:
    side.measure(Measure("counter", Decimal("1.5"), None))  # type: ignore[arg-type]
    return [type(point.value).__name__ for point in points(side)]


def large_integer(side: Side) -> object:
    side.measure(Measure("counter", 2**63, None))
    return [type(point.value).__name__ for point in points(side)]


def huge_sum(side: Side) -> object:
    for _ in range(2):
        side.measure(Measure("histogram", 1e308, None))
    return [point.sum for point in points(side)]


def observation_no_number(side: Side) -> object:
    observed = (("1", {"a": "x"}), (2, {"a": "y"}))
    side.observe(Observe("observable_gauge", observed))  # type: ignore[arg-type]
    return [point.value for point in points(side)]


def many_series(side: Side) -> object:
    for number in range(CARDINALITY_LIMIT + 50):
        side.measure(Measure("counter", 1, {"user": number}))
    return len(points(side))


def empty_collection(side: Side) -> object:
    side.measure(Measure("counter", 1, None))
    (first,) = points(side, "delta")
    assert points(side, "delta") == []
    side.measure(Measure("counter", 1, None))
    (second,) = points(side, "delta")
    return second.start_time_unix_nano == first.time_unix_nano


def scale_of_a_delta(side: Side) -> object:
    for value in (1e-9, 1e9):
        side.measure(Measure("histogram", value, None))
    points(side, "exponential delta")
    side.measure(Measure("histogram", 1, None))
    return [point.scale for point in points(side, "exponential delta")]


def scale_of_zeros(side: Side) -> object:
    side.measure(Measure("histogram", 0, None))
    return [point.scale for point in points(side, "exponential delta")]


def zeros_first(side: Side) -> object:
    side.measure(Measure("histogram", 0, None))
    points(side, "exponential cumulative")
    side.measure(Measure("histogram", 1e-100, None))
    found = collected_or_failure(side, "exponential cumulative")
    return found if isinstance(found, str) else "collects"


def subnormal(side: Side) -> object:
    for value in (5e-324, 2.0**-1022):
        side.measure(Measure("histogram", value, None))
    (point,) = points(side, "exponential delta")
    return len([count for count in point.positive.bucket_counts if count])


def attribute_not_a_number(side: Side) -> object:
    for _ in range(2):
        side.measure(Measure("counter", 1, {"a": float("nan")}))
    data = side.readers["cumulative"].get_metrics_data()
    assert data
    return len(data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points)


def unencodable_attribute(side: Side) -> object:
    side.measure(Measure("counter", 1, {"file": "caf\udce9", "size": 2**64}))
    (point,) = points(side)
    return dict(point.attributes)


def exemplar_again(side: Side) -> object:
    if isinstance(side.provider, MeterProvider):
        side.provider.shared.traced = True
    span = SpanContext(1, 9, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with trace.use_span(NonRecordingSpan(span)):
        side.measure(Measure("histogram", 1, None))
    points(side)
    return [len(point.exemplars) for point in points(side)]


def meter_without_a_name(side: Side) -> object:
    side.provider.get_meter("").create_counter("nameless").add(1)
    return len(points(side))


def bounds_that_fall(side: Side) -> object:
    try:
        meter = side.provider.get_meter("oracle", "1.0")
        meter.create_histogram("falls", explicit_bucket_boundaries_advisory=[2, 1]).record(1)
    except ValueError:
        return "raises"
    return len(points(side))


def advice_of_another(side: Side) -> object:
    meter = side.provider.get_meter(api.__name__, "1.0")
    histogram: Any = meter.create_histogram("bound")
    return hasattr(histogram, "bind")


@dataclass(frozen=True)
class Difference:
    """What is different, why, what shows it, and what it shows for the SDK and for us."""

    what: str
    why: str
    show: Callable[[Side], object]
    of_sdk: object
    of_ours: object


DIFFERENCES = (
    Difference(
        "A histogram records negative values; the SDK drops them.",
        "An error has a sign, and its distribution is worth a histogram.",
        *(negative, [], [1]),
    ),
    Difference(
        "`add` and `record` never raise: what is no number is counted in "
        "`telemetry.measurements.refused`.",
        "A fault in a measurement must not become a fault of the request.",
        *(no_number, "raises", []),
    ),
    Difference(
        "Numbers of other types (`Decimal`, numpy) become `float`.",
        "OTLP has integers and floats only, so that the SDK cannot export them.",
        *(other_number, ["Decimal"], ["float"]),
    ),
    Difference(
        "A sum of integers beyond 64 bits becomes `float`.",
        "OTLP has 64 bits: one larger integer makes every export of the SDK fail.",
        *(large_integer, ["int"], ["float"]),
    ),
    Difference(
        "A sum that leaves the range of a float stays at its end; the SDK's is infinite.",
        "Infinity would be every later sum.",
        *(huge_sum, [math.inf], [sys.float_info.max]),
    ),
    Difference(
        "An observation that is no number is counted as refused; the SDK leaves out those after "
        "it.",
        "A fault in one series must not become a gap in the others.",
        *(observation_no_number, [], [2]),
    ),
    Difference(
        f"A metric has at most {CARDINALITY_LIMIT} series; the overflow series counts the rest.",
        "The specification asks for a limit. Without one, a client that invents values fills the "
        "memory.",
        *(many_series, CARDINALITY_LIMIT + 50, CARDINALITY_LIMIT),
    ),
    Difference(
        "A collection that finds nothing new does not move the start of the next delta.",
        "The intervals of the deltas of a series then join without gaps.",
        *(empty_collection, False, True),
    ),
    Difference(
        "An exponential delta begins at the finest scale; the SDK keeps the scale of the one "
        "before.",
        "The resolution depends on the values of an interval, not on earlier ones.",
        *(scale_of_a_delta, [1], [20]),
    ),
    Difference(
        "An exponential histogram that holds zeros only has the finest scale; the SDK's has 0.",
        "A later value would lower the resolution of a reader that merges them.",
        *(scale_of_zeros, [0], [20]),
    ),
    Difference(
        "An exponential histogram may begin with zeros; where the SDK has exported zeros only, a "
        "small value makes every later collection fail.",
        "The SDK gives zeros the scale 0, and cannot merge a far bucket into it.",
        *(zeros_first, MERGE_FAILURE, "collects"),
    ),
    Difference(
        "Subnormal values have exponential buckets of their own; the SDK counts them with the "
        "smallest normal value.",
        "Both are allowed; the exact index costs nothing here.",
        *(subnormal, 1, 2),
    ),
    Difference(
        "An attribute that is NaN is one series; the SDK makes one for each measurement.",
        "NaN is not equal to itself, so that the SDK's series grow without end.",
        *(attribute_not_a_number, 2, 1),
    ),
    Difference(
        "Text in attributes, names and descriptions is valid UTF-8, with `?` for what is not; an "
        "integer beyond 64 bits becomes text.",
        "OTLP has no other text and no larger integer: the SDK leaves out such an attribute, or "
        "loses the whole export.",
        unencodable_attribute,
        {"file": "caf\udce9", "size": 2**64},
        {"file": "caf?", "size": str(2**64)},
    ),
    Difference(
        "A cumulative point keeps the latest exemplar of each bucket; the SDK's has it once.",
        "A Collector that is scraped shows what the last push had, and the scrape may come later.",
        *(exemplar_again, [0], [1]),
    ),
    Difference(
        "A meter without a name works; the SDK's records nothing.",
        "The specification asks for a meter that works.",
        *(meter_without_a_name, 0, 1),
    ),
    Difference(
        "Bucket boundaries that do not ascend are replaced by the default ones, with a warning.",
        "The SDK raises at the first measurement, in the request.",
        *(bounds_that_fall, "raises", 1),
    ),
    Difference(
        "An instrument can `bind(attributes)`.",
        "The function that it returns records at a fraction of the cost. It takes no exemplars.",
        *(advice_of_another, False, True),
    ),
)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.what)
def test_a_difference_that_is_listed_is_one(difference: Difference) -> None:
    assert difference.show(of_sdk()) == difference.of_sdk
    assert difference.show(of_ours()) == difference.of_ours


def test_the_documentation_lists_every_difference() -> None:
    page = (ROOT / "docs/telemetry.md").read_text()
    rows = [f"| {difference.what} | {difference.why} |" for difference in DIFFERENCES]
    assert [line for line in page.splitlines() if line in rows] == rows


@pytest.mark.parametrize("stated", [{"views": []}, {"metric_readers": []}])
def test_an_option_of_the_sdks_provider_alone_is_refused(stated: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        MeterProvider(**stated)
