"""States of the metrics, made by hand."""

from collections.abc import Mapping
from typing import Any

from randsvc.telemetry.catalogue import REQUEST_DURATION
from randsvc.telemetry.snapshot import Explicit, Point, Snapshot


def requests(*durations: float, status: int = 200, error: str = "") -> dict[Any, Point]:
    """The series of one status, and of one error type, with responses after these seconds."""
    counts = [0] * (len(REQUEST_DURATION.buckets) + 1)
    for duration in durations:
        counts[sum(duration > bound for bound in REQUEST_DURATION.buckets)] += 1
    attributes = {"http.route": "/random", "http.response.status_code": status}
    if error or status >= 500:
        attributes["error.type"] = error or str(status)
    return {frozenset(attributes.items()): Explicit(REQUEST_DURATION.buckets, counts)}


def by(attribute: str, **values: float) -> dict[Any, Point]:
    """The series of a counter or gauge with one attribute."""
    return {frozenset({(attribute, key)}): value for key, value in values.items()}


def at(time: float, points: Mapping[str, Any] | None = None, instance: str = "one") -> Snapshot:
    return Snapshot(time, {"service.instance.id": instance}, points or {})
