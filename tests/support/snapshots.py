"""States of the metrics, made by hand."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from randsvc.telemetry.aggregate import find_bucket_index
from randsvc.telemetry.snapshot import Exponential, Point, Snapshot

SCALE = 5


def histogram(*values: float) -> Exponential:
    """A histogram of positive values, in buckets that are 2% wide."""
    counts = Counter(find_bucket_index(value, SCALE) for value in values)
    return Exponential(SCALE, positive=counts, count=len(values), sum=sum(values))


def requests(*durations: float, status: int = 200, error: str = "") -> dict[Any, Point]:
    """The series of one status, and of one error type, with responses after these seconds."""
    attributes = {"http.route": "/random", "http.response.status_code": status}
    if error or status >= 500:
        attributes["error.type"] = error or str(status)
    return {frozenset(attributes.items()): histogram(*durations)}


def by(attribute: str, **values: float) -> dict[Any, Point]:
    """The series of a counter or gauge with one attribute."""
    return {frozenset({(attribute, key)}): value for key, value in values.items()}


def at(time: float, points: Mapping[str, Any] | None = None, instance: str = "one") -> Snapshot:
    return Snapshot(time, {"service.instance.id": instance}, points or {})
