"""Random histories of a service: what happened, what Prometheus saw of it, and what it must count.

Prometheus takes the samples by OTLP with the times of their scrapes, so that minutes need no
waiting. It makes of them what it makes of a scrape: a zero at the start of each series, and a
staleness marker where a scrape fails.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    ResourceMetrics,
)

__all__ = ("FAST", "LOOKBACK", "SCRAPE", "VALUES", "History", "make_history", "make_requests")

Times = NDArray[np.int64]
"""Unix milliseconds, ascending."""
Kind = Literal["fast", "slow", "failed"]

SCRAPE = 15_000
"""Milliseconds between scrapes, give or take the jitter."""
LOOKBACK = 300_000
"""Milliseconds before a window in which Prometheus looks for the sample to begin with."""
FAST = 0.25
"""Seconds: the bound of the one bucket of the latency, below which a request is fast."""
VALUES = (1.5, 3.0, 6.0, 12.0)
"""The values of the random variable, each in a bucket of its own of a native histogram of scale 0,
which ends at the next power of two."""
SLICE = 300_000
"""Milliseconds of all histories that are written together: the head takes no sample much older than
its newest."""


@dataclass(frozen=True)
class Life:
    """A process from start to end, its requests by kind, and the times at which it was scraped.

    ``values`` has the index of the value of each fast or slow request, in their common order.
    """

    instance: str
    start: int
    end: int
    events: dict[Kind, Times]
    values: NDArray[np.int64]
    scraped: Times
    failed: Times
    """The times of scrapes that failed, also after its end: each ends the series for now."""

    @property
    def served(self) -> Times:
        """The requests that succeeded."""
        return np.sort(np.concatenate([self.events["fast"], self.events["slow"]]))

    def seen(self, events: Times) -> Times:
        """The time of the sample that has each event first, for the events that one has."""
        index = np.searchsorted(self.scraped, events)
        return self.scraped[index[index < len(self.scraped)]]

    def starts(self, events: Times) -> int:
        """The start of the series of these events: when it was last collected while empty."""
        empty = self.scraped[self.scraped < events[0]]
        return int(empty[-1]) if len(empty) else self.start


@dataclass(frozen=True)
class History:
    """The lives of one service under its name, which is the label ``job``."""

    name: str
    lives: Sequence[Life]

    def count(self, kinds: Iterable[Kind], ends: Times, window: int) -> Times:
        """The number of events that samples of each window have first, by the books."""
        seen = np.sort(
            np.concatenate([life.seen(life.events[kind]) for life in self.lives for kind in kinds])
        )
        return _count_between(seen, ends - window, ends)

    def count_values(self, ends: Times, window: int) -> NDArray[np.int64]:
        """The same of the values, by window and value."""
        by_value = []
        for index in range(len(VALUES)):
            seen = [life.seen(life.served[life.values == index]) for life in self.lives]
            by_value.append(_count_between(np.sort(np.concatenate(seen)), ends - window, ends))
        return np.stack(by_value, axis=1)

    def uncounted(self, kinds: Iterable[Kind], ends: Times, window: int) -> Times:
        """The events of windows that begin in a gap longer than the lookback, and come right after.

        The sample after the gap has them, but there is no sample before it to compare with.
        """
        return sum(
            (
                _after_gaps(life, life.events[kind], _series(life, kind), ends - window, ends)
                for life in self.lives
                for kind in kinds
            ),
            np.zeros(len(ends), dtype=np.int64),
        )


def _series(life: Life, kind: Kind) -> Times:
    """The requests of the series that an event of this kind is in."""
    return life.events["failed"] if kind == "failed" else life.served


def _after_gaps(life: Life, events: Times, series: Times, starts: Times, ends: Times) -> Times:
    missing = np.zeros(len(starts), dtype=np.int64)
    if not len(series) or not len(life.seen(series)):
        return missing
    born = life.starts(series)
    samples = np.concatenate([[born], life.scraped[life.scraped >= life.seen(series)[0]]])
    seen = life.seen(events)
    for before, after in pairwise(samples):
        gap = (starts >= before + LOOKBACK) & (starts < after) & (after <= ends)
        missing[gap] += int((seen == after).sum())
    return missing


def _count_between(times: Times, starts: Times, ends: Times) -> Times:
    """The number in each window, which excludes its start and includes its end, as PromQL does."""
    upto_start, upto_end = (np.searchsorted(times, edge, side="right") for edge in (starts, ends))
    return upto_end - upto_start


def make_history(seed: int, begin: int, end: int) -> History:
    """Draw a history between two Unix milliseconds.

    One or two replicas, which may be born late; traffic from one request a minute to five a second;
    restarts that keep the name of the instance or do not, with a burst of errors or without; scrape
    jitter, scrapes that fail, and up to two gaps in which Prometheus itself is down.
    """
    rng = np.random.default_rng(seed)
    gaps = [
        (start, start + int(rng.uniform(20_000, 900_000)))
        for start in rng.integers(begin, end, rng.integers(0, 3))
    ]
    keeps_name = bool(rng.random() < 0.5)
    lives: list[Life] = []
    for replica in range(int(rng.integers(1, 3))):
        latest = (end - begin) // 2 if replica else 60_000
        at = begin + int(rng.integers(-300_000, latest))
        spans = list(_spans(rng, at, end))
        for number, (start, stop) in enumerate(spans):
            instance = f"{replica}" if keeps_name else f"{replica}-{number}"
            following = spans[number + 1][0] if number + 1 < len(spans) else end
            lives.append(_live(rng, instance, (start, stop, following), (begin, end), gaps))
    return History(f"history-{seed}", lives)


def _spans(rng: np.random.Generator, at: int, end: int) -> Iterator[tuple[int, int]]:
    """From when to when there is a process."""
    while at < end - SCRAPE:
        stop = at + int(rng.exponential(1_200_000)) + 1000
        yield at, min(stop, end)
        at = stop + int(rng.uniform(500, 60_000) if rng.random() < 0.9 else 600_000)


def _live(
    rng: np.random.Generator,
    instance: str,
    span: tuple[int, int, int],
    recorded: tuple[int, int],
    gaps: Sequence[tuple[int, int]],
) -> Life:
    (start, stop, following), (begin, end) = span, recorded
    rate = 10 ** rng.uniform(-1.8, 0.7)
    times = start + 1 + rng.integers(0, stop - start, rng.poisson(rate * (stop - start) / 1000))
    share = rng.choice([0.0, 0.002, 0.02, 0.3])
    kinds = rng.choice(3, len(times), p=[(1 - share) * 0.9, (1 - share) * 0.1, share])
    burst = start + 1 + rng.integers(0, 1000, 30 if rng.random() < 0.3 else 0)
    events: dict[Kind, Times] = {
        "fast": np.sort(times[kinds == 0]),
        "slow": np.sort(times[kinds == 1]),
        "failed": np.sort(np.concatenate([times[kinds == 2], burst])),
    }
    served = len(events["fast"]) + len(events["slow"])
    scrapes = np.arange(begin + rng.integers(0, SCRAPE), end, SCRAPE)
    scrapes += rng.integers(-1500, 1500, len(scrapes))
    for gap_start, gap_end in gaps:
        scrapes = scrapes[(scrapes < gap_start) | (scrapes > gap_end)]
    answered = rng.random(len(scrapes)) > 0.03
    alive = (scrapes > start) & (scrapes <= stop)
    first_after = (scrapes > stop) & (scrapes <= min(stop + SCRAPE, following))
    return Life(
        instance,
        start,
        stop,
        events,
        rng.integers(0, len(VALUES), served),
        scrapes[alive & answered],
        scrapes[(alive & ~answered) | first_after],
    )


def make_requests(histories: Sequence[History], begin: int, end: int) -> Iterator[bytes]:
    """Give the OTLP export requests with every sample, in time order."""
    for start in range(begin - SLICE, end + SLICE, SLICE):
        for first in range(0, len(histories), 100):
            request = ExportMetricsServiceRequest(
                resource_metrics=[
                    resource
                    for history in histories[first : first + 100]
                    for life in history.lives
                    if (resource := _make_resource(history.name, life, start, start + SLICE))
                ]
            )
            if request.resource_metrics:
                yield request.SerializeToString()


def _make_resource(name: str, life: Life, start: int, end: int) -> ResourceMetrics | None:
    scraped = life.scraped[(start <= life.scraped) & (life.scraped < end)]
    failed = life.failed[(start <= life.failed) & (life.failed < end)]
    if not len(scraped) and not len(failed):
        return None
    resource = ResourceMetrics()
    for key, value in (("service.name", name), ("service.instance.id", life.instance)):
        resource.resource.attributes.add(key=key).value.string_value = value
    metrics = resource.scope_metrics.add().metrics
    cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    duration = metrics.add(name="http.server.request.duration", unit="s")
    duration.histogram.aggregation_temporality = cumulative
    value = metrics.add(name="randsvc.value", unit="")
    value.exponential_histogram.aggregation_temporality = cumulative
    for time, is_stale in sorted([(t, False) for t in scraped] + [(t, True) for t in failed]):
        for events, error in ((life.served, ""), (life.events["failed"], "500")):
            seen = life.seen(events)
            if len(seen) and seen[0] <= time:
                _add_duration(duration, life, events, error, int(time), is_stale=is_stale)
                if not error:
                    _add_value(value, life, int(time), is_stale=is_stale)
    return resource


def _add_duration(
    metric: Metric, life: Life, events: Times, error: str, time: int, *, is_stale: bool
) -> None:
    point = metric.histogram.data_points.add()
    attributes = {"http.route": "/", "http.response.status_code": error or "200"}
    for key, text in (attributes | ({"error.type": error} if error else {})).items():
        point.attributes.add(key=key).value.string_value = text
    _stamp(point, life.starts(events), time, is_stale=is_stale)
    point.explicit_bounds.append(FAST)
    kinds: dict[Kind, float] = {"failed": 0.1} if error else {"fast": 0.1, "slow": 1.0}
    counts = {kind: int(np.searchsorted(life.events[kind], time, side="right")) for kind in kinds}
    slow = counts.get("slow", 0)
    point.count = sum(counts.values())
    point.sum = sum(seconds * counts[kind] for kind, seconds in kinds.items())
    point.bucket_counts.extend([point.count - slow, slow])


def _add_value(metric: Metric, life: Life, time: int, *, is_stale: bool) -> None:
    point = metric.exponential_histogram.data_points.add()
    _stamp(point, life.starts(life.served), time, is_stale=is_stale)
    drawn = life.values[: np.searchsorted(life.served, time, side="right")]
    counts = np.bincount(drawn, minlength=len(VALUES))
    point.count = len(drawn)
    point.sum = float(counts @ np.array(VALUES))
    # From the first bucket with a value, as senders do. Of three empty ones before it the receiver
    # of Prometheus 3.16 makes an empty span, and then adds two histograms up wrongly.
    point.positive.offset = int(np.flatnonzero(counts)[0])
    point.positive.bucket_counts.extend(counts[point.positive.offset :].tolist())


def _stamp(
    point: HistogramDataPoint | ExponentialHistogramDataPoint,
    start: int,
    time: int,
    *,
    is_stale: bool,
) -> None:
    point.start_time_unix_nano, point.time_unix_nano = start * 10**6, time * 10**6
    if is_stale:
        point.flags = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
