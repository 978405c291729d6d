"""A Prometheus in memory that knows the few queries which a review asks, for tests of its parts.

What PromQL makes of them is tested with the real one, in tests/stack/test_review.py.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from randsvc.prometheus_api import Prometheus, Series

__all__ = ("Recorded", "Samples")

Samples = Sequence[tuple[float, float]]

_QUERY = re.compile(
    r"(?:max(?: by \((?P<by>[^)]*)\))? \()?"
    r"(?:(?P<function>\w+)\()?(?P<selector>\w+)\[(?P<window>\d+)ms\]\)?"
    r"\)?(?: (?P<sign>>|>=) (?P<least>\S+))?"
)


def _resets(values: Sequence[float]) -> float:
    return sum(b < a for a, b in pairwise(values))


_FUNCTIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "last_over_time": lambda values: values[-1],
    "min_over_time": min,
    "max_over_time": max,
    "count_over_time": len,
    "resets": _resets,
}


@dataclass(frozen=True)
class Recorded(Prometheus):
    """``series``: the labels (with ``__name__``) and samples of each."""

    url: str = "http://recorded"
    series: Sequence[tuple[Mapping[str, str], Samples]] = ()

    def query(self, promql: str, at: float | None = None) -> list[Series]:
        """As of the real one."""
        assert at is not None
        found = _QUERY.fullmatch(promql)
        assert found, promql
        begin = at - int(found["window"]) / 1000
        windows = [
            (labels, [(t, v) for t, v in samples if begin + 1e-4 < t <= at + 1e-4])
            for labels, samples in self.series
            if labels["__name__"] == found["selector"]
        ]
        filled = [(labels, samples) for labels, samples in windows if samples]
        if found["function"] is None:
            return [Series(labels, samples) for labels, samples in filled]
        values = [
            (labels, _FUNCTIONS[found["function"]]([v for _, v in samples]))
            for labels, samples in filled
        ]
        if promql.startswith("max"):
            kept = re.findall(r"\w+", found["by"] or "")
            groups: dict[tuple[tuple[str, str], ...], float] = {}
            for labels, value in values:
                key = tuple((name, labels[name]) for name in kept if name in labels)
                groups[key] = max(value, groups.get(key, value))
            values = [(dict(key), value) for key, value in groups.items()]
        least = float(found["least"] or "-inf")
        return [
            Series(labels, [(at, value)])
            for labels, value in values
            if (value > least if found["sign"] == ">" else value >= least)
        ]

    def has_alerting_rules(self) -> bool:
        """It evaluates no rules."""
        return False

    def range(self, promql: str, start: float, end: float, step: float) -> Iterator[list[Series]]:
        """As of the real one, a moment at a time."""
        for number in range(round((end - start) / step) + 1):
            yield self.query(promql, start + number * step)
