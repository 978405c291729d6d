"""The golden signals, computed from two states of the metrics as Prometheus does from two scrapes.

https://sre.google/sre-book/monitoring-distributed-systems/#xref_monitoring_golden-signals
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from randsvc.histograms.binned import Bin, estimate_quantile
from randsvc.management.console.density import list_buckets, subtract
from randsvc.metrics import FAULT_ACTIVE, MODEL_ERRORS, PREDICTIONS
from randsvc.telemetry.catalogue import (
    ACTIVE_REQUESTS,
    CLIENT_LEFT,
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    REQUEST_DURATION,
    Metric,
)
from randsvc.telemetry.snapshot import Exponential, Snapshot

__all__ = ("Sample", "compute_quantile", "compute_sample", "compute_totals")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The golden signals at ``time`` (Unix s), over a window that ends then; None is unknown.

    ``p50``, ``p95``, ``p99`` and ``lag`` are in seconds. ``traffic``, ``model`` and ``fallback``
    are per second. ``errors`` is a share of the requests, ``cpu`` is in cores, ``memory`` in bytes,
    and ``faults`` is the number of active faults.
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


def compute_sample(before: Snapshot, now: Snapshot) -> Sample:
    """Return the golden signals between two states of the metrics."""
    seconds = max(now.time - before.time, 1e-3)
    durations = _subtract(before, now, REQUEST_DURATION)
    requests = durations.count
    failed = _count_errors(now) - _count_errors(before)
    predictions = _count_by_attribute(now, PREDICTIONS)
    earlier = _count_by_attribute(before, PREDICTIONS)
    per_second = {
        name: (predictions[name] - earlier.get(name, 0)) / seconds for name in predictions
    }
    return Sample(
        time=now.time,
        traffic=requests / seconds,
        p50=compute_quantile(0.5, durations),
        p95=compute_quantile(0.95, durations),
        p99=compute_quantile(0.99, durations),
        errors=failed / requests if requests else None,
        active=_sum_values(now, ACTIVE_REQUESTS),
        limit=_sum_values(now, CONCURRENCY_LIMIT),
        lag=compute_quantile(0.99, _subtract(before, now, EVENT_LOOP_LAG)),
        cpu=(_sum_values(now, PROCESS_CPU_TIME) - _sum_values(before, PROCESS_CPU_TIME)) / seconds,
        memory=_sum_values(now, PROCESS_MEMORY_USAGE),
        model=per_second.get("model", 0.0),
        fallback=per_second.get("fallback", 0.0),
        faults=_sum_values(now, FAULT_ACTIVE),
    )


def compute_totals(now: Snapshot) -> dict[str, Any]:
    """Return the counts since the process started, as JSON; ``/metrics`` has the same numbers."""
    return {
        "requests": sum(found.count for _, found in now.histograms(REQUEST_DURATION)),
        "errors": _count_errors(now),
        "active": _sum_values(now, ACTIVE_REQUESTS),
        "predictions": _count_by_attribute(now, PREDICTIONS),
        "model_errors": _count_by_attribute(now, MODEL_ERRORS),
    }


def compute_quantile(share: float, histogram: Exponential) -> float | None:
    """Return the value that ``share`` of the observations do not exceed; None if there are none.

    Interpolates linearly within a bucket, whose width is a few percent of its bounds.
    """
    bins = (Bin(*bucket) for bucket in list_buckets(histogram))
    found = estimate_quantile(bins, share)
    return found and found.value


def _subtract(before: Snapshot, now: Snapshot, metric: Metric) -> Exponential:
    histogram = now.histogram(metric)
    return subtract(histogram, before.histogram(metric)) if histogram else Exponential(scale=0)


def _count_errors(now: Snapshot) -> int:
    """Count the requests in which the service failed, as the rules do."""
    return sum(
        histogram.count
        for attributes, histogram in now.histograms(REQUEST_DURATION)
        if attributes.get("error.type", CLIENT_LEFT) != CLIENT_LEFT
    )


def _sum_values(now: Snapshot, metric: Metric) -> float:
    return sum(value for _, value in now.numbers(metric))


def _count_by_attribute(now: Snapshot, metric: Metric) -> Mapping[str, int]:
    (name,) = metric.attributes
    return {attributes[name]: int(value) for attributes, value in now.numbers(metric)}
