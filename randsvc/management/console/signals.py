"""The golden signals, computed from two states of the metrics as Prometheus does from two scrapes.

https://sre.google/sre-book/monitoring-distributed-systems/#xref_monitoring_golden-signals
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from randsvc.histograms.binned import Bin, estimate_quantile
from randsvc.metrics import FAULT_ACTIVE, MODEL_ERRORS, PREDICTIONS
from randsvc.telemetry.catalogue import (
    ACTIVE_REQUESTS,
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    REQUEST_DURATION,
    Metric,
)
from randsvc.telemetry.snapshot import Explicit, Snapshot

__all__ = ("Sample", "quantile", "sample", "totals")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The golden signals at ``time`` (Unix s), over some seconds before; None is not known.

    Durations in seconds, ``traffic``, ``model`` and ``fallback`` per second, ``errors`` a share of
    the requests, ``cpu`` in cores, ``memory`` in bytes; ``faults`` are on.
    """

    time: float
    traffic: float
    p50: float | None
    p95: float | None
    p99: float | None
    errors: float | None
    active: float
    limit: float
    lag: float | None
    cpu: float
    memory: float
    model: float
    fallback: float
    faults: float


def sample(before: Snapshot, now: Snapshot) -> Sample:
    """What happened between two states."""
    seconds = max(now.time - before.time, 1e-3)
    durations = _new(before, now, REQUEST_DURATION)
    requests = sum(durations.counts)
    failed = _errors(now) - _errors(before)
    predictions = _by_attribute(now, PREDICTIONS)
    earlier = _by_attribute(before, PREDICTIONS)
    per_second = {
        name: (predictions[name] - earlier.get(name, 0)) / seconds for name in predictions
    }
    return Sample(
        time=now.time,
        traffic=requests / seconds,
        p50=quantile(0.5, durations),
        p95=quantile(0.95, durations),
        p99=quantile(0.99, durations),
        errors=failed / requests if requests else None,
        active=_sum(now, ACTIVE_REQUESTS),
        limit=_sum(now, CONCURRENCY_LIMIT),
        lag=quantile(0.99, _new(before, now, EVENT_LOOP_LAG)),
        cpu=(_sum(now, PROCESS_CPU_TIME) - _sum(before, PROCESS_CPU_TIME)) / seconds,
        memory=_sum(now, PROCESS_MEMORY_USAGE),
        model=per_second.get("model", 0.0),
        fallback=per_second.get("fallback", 0.0),
        faults=_sum(now, FAULT_ACTIVE),
    )


def totals(now: Snapshot) -> dict[str, Any]:
    """What was counted since the process began: the numbers that ``/metrics`` has as well."""
    return {
        "requests": sum(_all(now, REQUEST_DURATION).counts),
        "errors": _errors(now),
        "active": _sum(now, ACTIVE_REQUESTS),
        "predictions": _by_attribute(now, PREDICTIONS),
        "model_errors": _by_attribute(now, MODEL_ERRORS),
    }


def quantile(share: float, histogram: Explicit) -> float | None:
    """The value that ``share`` of the observations are at or below; None without observations.

    Linear within a bucket, and the lower bound of the last one, as ``histogram_quantile`` of
    Prometheus.
    """
    bounds = pairwise((0.0, *histogram.bounds, math.inf))
    bins = (Bin(*ends, count) for ends, count in zip(bounds, histogram.counts, strict=True))
    found = estimate_quantile(bins, share)
    if found is None:
        return None
    return found.bin.lower if found.value is None else found.value


def _new(before: Snapshot, now: Snapshot, metric: Metric) -> Explicit:
    return Explicit(
        metric.buckets,
        [a - b for a, b in zip(_all(now, metric).counts, _all(before, metric).counts, strict=True)],
    )


def _all(now: Snapshot, metric: Metric) -> Explicit:
    """All series of a histogram as one."""
    counts = [0] * (len(metric.buckets) + 1)
    for _, point in now.explicit(metric):
        counts = [a + b for a, b in zip(counts, point.counts, strict=True)]
    return Explicit(metric.buckets, counts)


def _errors(now: Snapshot) -> int:
    """Answers that say the server failed."""
    return sum(
        sum(point.counts)
        for attributes, point in now.explicit(REQUEST_DURATION)
        if attributes.get("http.response.status_code", 0) >= 500
    )


def _sum(now: Snapshot, metric: Metric) -> float:
    return sum(value for _, value in now.numbers(metric))


def _by_attribute(now: Snapshot, metric: Metric) -> Mapping[str, int]:
    (name,) = metric.attributes
    return {attributes[name]: int(value) for attributes, value in now.numbers(metric)}
