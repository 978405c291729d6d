"""States of the metrics, made by hand."""

from collections.abc import Mapping
from typing import Any

from randsvc.telemetry.catalogue import REQUEST_DURATION
from randsvc.telemetry.snapshot import Explicit, Point, Snapshot


def requests(*durations: float, status: int = 200) -> dict[Any, Point]:
    """The series of one status that answered in these seconds."""
    counts = [0] * (len(REQUEST_DURATION.buckets) + 1)
    for duration in durations:
        counts[sum(duration > bound for bound in REQUEST_DURATION.buckets)] += 1
    series = frozenset({("http.route", "/random"), ("http.response.status_code", status)})
    return {series: Explicit(REQUEST_DURATION.buckets, counts)}


def by(attribute: str, **values: float) -> dict[Any, Point]:
    """The series of a counter or gauge with one attribute."""
    return {frozenset({(attribute, key)}): value for key, value in values.items()}


def at(time: float, points: Mapping[str, Any] | None = None, instance: str = "one") -> Snapshot:
    return Snapshot(time, {"service.instance.id": instance}, points or {})
