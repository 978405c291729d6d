"""The price of one measurement: our instruments, the SDK's and prometheus_client's, side by side.

Ours are folded after each batch, as the service does ten times a second, so that what they put off
is in the price.
"""

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import prometheus_client
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource

from benchmarks.report import Row, Section
from benchmarks.summary import Spread, compute_ratios, rotate
from randsvc.telemetry.catalogue import REQUEST_DURATION
from randsvc.telemetry.instruments import Reading
from randsvc.telemetry.provider import MeterProvider

__all__ = ("CANDIDATES", "Candidate", "measure", "steps")

ATTRIBUTES = {
    "http.request.method": "GET",
    "http.route": "/random",
    "http.response.status_code": 200,
}
LABELS = {name.replace(".", "_"): str(value) for name, value in ATTRIBUTES.items()}
BATCH = 1000
"""Measurements between two folds: a tenth of a second at 10,000 a second."""
PART = 0.1
"""Of the seconds of a round: this benchmark runs in one process, and needs less."""
TARGET = 0.1


@dataclass(frozen=True)
class Recorder:
    """What records a value, what is to do after a batch, and what gives the sum of the values."""

    record: Callable[[float], object]
    read: Callable[[], float]
    fold: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Candidate:
    """One way to measure."""

    kind: str
    name: str
    make: Callable[[], Recorder]
    at_most: float | None = None


def steps(rounds: int, _: int) -> int:
    """How many times ``measure`` says what comes next."""
    return rounds


async def measure(rounds: int, seconds: int, step: Callable[[str], None]) -> Section:
    """Measure in interleaved rounds; ``step`` is told what comes next."""
    made = {candidate: candidate.make() for candidate in CANDIDATES}
    taken: dict[Candidate, list[float]] = {candidate: [] for candidate in CANDIDATES}
    for turn in range(rounds):
        step("recording")
        for candidate in rotate(CANDIDATES, turn):
            taken[candidate].append(_measure_nanoseconds(made[candidate], seconds * PART))
    of_sdk = {each.kind: taken[each] for each in CANDIDATES if each.name == SDK}
    return Section(
        title="The price of one measurement",
        method=(
            "CPU time of a measurement with three attributes, folding included. Bound is a "
            "recorder that was made for its attributes before. The ratio is to the SDK's "
            f"instrument of the kind. {rounds} rounds of {seconds * PART:g} s."
        ),
        quantity="CPU per measurement (ns)",
        rows=[
            Row(
                f"{each.kind}, {each.name}",
                Spread.of(taken[each]),
                Spread.of(compute_ratios(taken[each], of_sdk[each.kind])),
                each.at_most,
            )
            for each in CANDIDATES
        ],
    )


def _measure_nanoseconds(recorder: Recorder, seconds: float) -> float:
    rng, record = random.Random(1), recorder.record
    values = [rng.lognormvariate(-3, 0.5) for _ in range(BATCH)]
    started, batches = time.process_time(), 0
    while (taken := time.process_time() - started) < seconds or not batches:
        for value in values:
            record(value)
        recorder.fold()
        batches += 1
    return taken / (batches * BATCH) * 1e9


def _make_instrument(meter: Any, kind: str) -> Any:
    if kind == "counter":
        return meter.create_counter("measured")
    bounds = REQUEST_DURATION.buckets
    return meter.create_histogram("measured", explicit_bucket_boundaries_advisory=bounds)


def _make_reader(kind: str) -> InMemoryMetricReader:
    exponential = ExponentialBucketHistogramAggregation()
    return InMemoryMetricReader(
        preferred_aggregation={sdk.Histogram: exponential} if kind == EXPONENTIAL else None
    )


def _sum(reader: InMemoryMetricReader) -> float:
    data = reader.get_metrics_data()
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points if data else ()
    return float(point.value if isinstance(point, NumberDataPoint) else point.sum)


def _of_sdk(kind: str) -> Recorder:
    reader = _make_reader(kind)
    provider = sdk.MeterProvider([reader], Resource({}), shutdown_on_exit=False)
    instrument = _make_instrument(provider.get_meter("bench"), kind)
    record = instrument.add if kind == "counter" else instrument.record
    return Recorder(lambda value: record(value, ATTRIBUTES), lambda: _sum(reader))


def _of_ours(kind: str, *, bound: bool) -> Recorder:
    reader = _make_reader(kind)
    provider = MeterProvider([Reading.of(reader)])
    provider.start(Resource({}))
    instrument = _make_instrument(provider.get_meter("bench"), kind)
    read = lambda: _sum(reader)  # noqa: E731
    if bound:
        return Recorder(instrument.bind(ATTRIBUTES), read, provider.fold)
    record = instrument.add if kind == "counter" else instrument.record
    return Recorder(lambda value: record(value, ATTRIBUTES), read, provider.fold)


def _of_prometheus(kind: str, *, bound: bool) -> Recorder:
    registry, names = prometheus_client.CollectorRegistry(), tuple(LABELS)
    made: Any
    if kind == "counter":
        made = prometheus_client.Counter("measured", "", names, registry=registry)
        method, sample = "inc", "measured_total"
    else:
        buckets = REQUEST_DURATION.buckets
        made = prometheus_client.Histogram(
            "measured", "", names, buckets=buckets, registry=registry
        )
        method, sample = "observe", "measured_sum"
    read = lambda: registry.get_sample_value(sample, LABELS) or 0.0  # noqa: E731
    if bound:
        return Recorder(getattr(made.labels(**LABELS), method), read)
    if kind == "counter":
        return Recorder(lambda value: made.labels(**LABELS).inc(value), read)
    return Recorder(lambda value: made.labels(**LABELS).observe(value), read)


SDK = "OpenTelemetry SDK"
EXPONENTIAL = "exponential histogram"
KINDS = ("counter", "explicit histogram", EXPONENTIAL)


def _list_candidates(kind: str) -> list[Candidate]:
    found = [
        Candidate(kind, SDK, lambda: _of_sdk(kind)),
        Candidate(kind, "randsvc.telemetry", lambda: _of_ours(kind, bound=False), TARGET),
        Candidate(kind, "randsvc.telemetry, bound", lambda: _of_ours(kind, bound=True), TARGET),
    ]
    if kind != EXPONENTIAL:  # prometheus_client has none
        found += [
            Candidate(kind, "prometheus_client", lambda: _of_prometheus(kind, bound=False)),
            Candidate(kind, "prometheus_client, bound", lambda: _of_prometheus(kind, bound=True)),
        ]
    return found


CANDIDATES = tuple(itertools.chain.from_iterable(map(_list_candidates, KINDS)))
