"""Queries that are evaluated once for each window of a long time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import NamedTuple

from randsvc.prometheus_api import Prometheus, Series, format_duration
from randsvc.times import Span

__all__ = ("Answer", "Labels", "WindowReader", "labels_of")

Labels = frozenset[tuple[str, str]]


class Answer(NamedTuple):
    """The value of a series at the end of the window of that index."""

    window: int
    labels: Labels
    value: float


@dataclass(frozen=True)
class WindowReader:
    """``read`` is called with the seconds of windows that have been read, for a progress bar."""

    server: Prometheus
    read: Callable[[float], None] = field(default=lambda _: None)

    def each(self, promql: Callable[[str], str], windows: Sequence[Span]) -> Iterator[Answer]:
        """Give the numbers of a query by window; ``promql`` makes it from the window's length.

        Windows follow one another; those of one length are asked for together, so answers are in
        time order by series, not over all of them.
        """
        for series, index in self.each_series(promql, windows):
            for time, value in series.values:
                yield Answer(index(time), labels_of(series), value)

    def each_series(
        self, promql: Callable[[str], str], windows: Sequence[Span]
    ) -> Iterator[tuple[Series, Callable[[float], int]]]:
        """Like ``each``, whole series, each with the function from a time to a window's index."""
        first = 0
        for length, group in groupby(windows, key=lambda window: round(window.seconds, 3)):
            same = list(group)
            begin, end = same[0].end, same[-1].end

            index = partial(_index, first, len(same), begin, length)
            query = promql(format_duration(length))
            if len(same) == 1:
                pieces: Iterable[list[Series]] = [self.server.query(query, end)]
            else:
                pieces = self.server.range(query, begin, end, length)
            for found in pieces:
                for series in found:
                    yield series, index
            self.read(length * len(same))
            first += len(same)


def _index(first: int, count: int, begin: float, length: float, time: float) -> int:
    """The index of the window that ends at a time, whatever time a server gives."""
    return first + min(max(round((time - begin) / length), 0), count - 1)


def labels_of(series: Series) -> Labels:
    """The labels of a series, without its name."""
    return frozenset((name, value) for name, value in series.labels.items() if name != "__name__")
