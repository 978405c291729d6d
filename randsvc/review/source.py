"""Prometheus, asked once for each window of a long time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from randsvc.prometheus_api import Prometheus, duration
from randsvc.review.spans import Span

__all__ = ("Answer", "Labels", "Source", "labels")

Labels = frozenset[tuple[str, str]]


class Answer(NamedTuple):
    """What a query gave at the end of the window of that index."""

    window: int
    labels: Labels
    value: Any
    """A number, or a native histogram as the API writes it."""


@dataclass(frozen=True)
class Source:
    """``read`` is told how many seconds of windows an answer has covered."""

    server: Prometheus
    read: Callable[[float], None] = field(default=lambda _: None)

    def each(self, promql: Callable[[str], str], windows: Sequence[Span]) -> Iterator[Answer]:
        """What a query gives of each window; ``promql`` makes it of the window's length.

        Windows follow one another; those of one length are asked for together, so answers are in
        time order by series, not over all of them.
        """
        first = 0
        for length, group in groupby(windows, key=lambda window: round(window.seconds, 3)):
            same = list(group)
            pieces = self.server.range(promql(duration(length)), same[0].end, same[-1].end, length)
            for found in pieces:
                for series in found:
                    for time, value in _samples(series):
                        index = round((time - same[0].end) / length)
                        yield Answer(first + index, labels(series["metric"]), value)
            self.read(length * len(same))
            first += len(same)


def labels(metric: Mapping[str, str]) -> Labels:
    """The labels of a series, without its name."""
    return frozenset((name, value) for name, value in metric.items() if name != "__name__")


def _samples(series: Mapping[str, Any]) -> Iterator[tuple[float, Any]]:
    for time, value in series.get("values", ()):
        number = float(value)
        # What was divided by nothing is no number, and no statement.
        if number == number:
            yield float(time), number
    for time, histogram in series.get("histograms", ()):
        yield float(time), histogram
