"""When something was there: a service that reports, an alert that fires, a fault that is on.

Looked for in bins of time, so that a year is as cheap as a day; where a run of them begins and
ends, its samples are read, so that the ends are those of samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf

from randsvc.histograms.windows import Labels, WindowReader
from randsvc.prometheus_api import format_duration
from randsvc.times import Span, cut

__all__ = ("choose_resolution", "find_resolution", "find_runs")

SHORTEST, LONGEST = 30.0, 600.0
"""Seconds of a bin, as far as the samples are not rarer than that."""
BINS = 300
"""Of a short period, which is to be seen in more detail."""
SAMPLES = 2.5
"""A bin must hold two samples, even where one of them is late."""


def find_resolution(reader: WindowReader, selector: str, span: Span) -> float | None:
    """The seconds of a bin, shorter than which no gap is found; None where there are no samples."""
    # A dozen, of which at least one is without a gap, and each holds many samples.
    pieces = cut(span, span.seconds / 12)
    most = max(
        (
            answer.value / pieces[answer.window].seconds
            for answer in reader.each(
                lambda window: f"max (count_over_time({selector}[{window}]))", pieces
            )
            if answer.value >= 1  # a number of samples
        ),
        default=0.0,
    )
    return ceil(max(choose_resolution(span), SAMPLES / most)) if most else None


def choose_resolution(span: Span) -> float:
    """The seconds of a bin that a span has, however often samples are taken."""
    return min(max(span.seconds / BINS, SHORTEST), LONGEST)


def find_runs(
    reader: WindowReader,
    selector: str,
    span: Span,
    bin_: float,
    *,
    by: tuple[str, ...] = (),
    least: float = -inf,
) -> dict[Labels, list[Span]]:
    """From when to when the samples of a selector were ``least`` or more, by these labels.

    Runs that are less than a bin of ``bin_`` seconds apart are one. One ends with its last sample.
    """

    def promql(window: str) -> str:
        found = f"max by ({', '.join(by)}) (max_over_time({selector}[{window}]))"
        return found if least == -inf else f"{found} >= {least:g}"

    number = ceil(span.seconds / bin_ - 1e-6)
    bins = [Span(span.start + i * bin_, span.start + (i + 1) * bin_) for i in range(number)]
    filled: dict[Labels, list[int]] = {}
    for answer in reader.each(promql, bins):
        filled.setdefault(answer.labels, []).append(answer.window)
    edge = _Edges(reader, selector, bins, by, least, {})
    found: dict[Labels, list[Span]] = {}
    for key, indices in filled.items():
        begins = [b for a, b in pairwise([-2, *indices]) if b - a > 1]
        ends = [a for a, b in pairwise([*indices, number + 1]) if b - a > 1]
        for first, last in zip(begins, ends, strict=True):
            run = Span(edge(key, first, min), min(edge(key, last, max), span.end))
            # The last bin may reach beyond the span.
            if run.start <= run.end:
                found.setdefault(key, []).append(run)
    return found


@dataclass(frozen=True)
class _Edges:
    """The first or last moment at which something was there in a bin."""

    reader: WindowReader
    selector: str
    bins: list[Span]
    by: tuple[str, ...]
    least: float
    read: dict[int, dict[Labels, list[float]]]

    def __call__(self, key: Labels, index: int, which: Callable[[list[float]], float]) -> float:
        if index not in self.read:
            self.read[index] = self._times(self.bins[index])
        # A server may keep other samples than those that it has answered about.
        bin_ = self.bins[index]
        return which(self.read[index].get(key) or [bin_.start, bin_.end])

    def _times(self, bin_: Span) -> dict[Labels, list[float]]:
        found: dict[Labels, list[float]] = {}
        promql = f"{self.selector}[{format_duration(bin_.seconds)}]"
        for series in self.reader.server.query(promql, bin_.end):
            kept = {name: value for name, value in series.labels.items() if name in self.by}
            times = [time for time, value in series.values if value >= self.least]
            found.setdefault(frozenset(kept.items()), []).extend(times)
        return found
