"""Prometheus, asked once for each window of a long time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from randsvc.prometheus_api import NativeHistogram, Prometheus, Series, format_duration
from randsvc.review.spans import Span

__all__ = ("Answer", "Labels", "Source", "labels")

Labels = frozenset[tuple[str, str]]


class Answer(NamedTuple):
    """What a query gave at the end of the window of that index."""

    window: int
    labels: Labels
    value: float


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
        for series, index in self._series(promql, windows):
            for time, value in series.values:
                yield Answer(index(time), labels(series), value)

    def each_histogram(
        self, promql: Callable[[str], str], windows: Sequence[Span]
    ) -> Iterator[tuple[int, NativeHistogram]]:
        """As ``each``, of a query that gives native histograms: by the index of the window."""
        for series, index in self._series(promql, windows):
            for time, histogram in series.histograms:
                yield index(time), histogram

    def _series(
        self, promql: Callable[[str], str], windows: Sequence[Span]
    ) -> Iterator[tuple[Series, Callable[[float], int]]]:
        first = 0
        for length, group in groupby(windows, key=lambda window: round(window.seconds, 3)):
            same = list(group)
            begin, end = same[0].end, same[-1].end

            def index(
                time: float, begin: float = begin, length: float = length, first: int = first
            ) -> int:
                return first + round((time - begin) / length)

            for found in self.server.range(promql(format_duration(length)), begin, end, length):
                for series in found:
                    yield series, index
            self.read(length * len(same))
            first += len(same)


def labels(series: Series) -> Labels:
    """The labels of a series, without its name."""
    return frozenset((name, value) for name, value in series.labels.items() if name != "__name__")
