"""What cumulative series counted in each window, exactly.

``rate`` and ``increase`` extrapolate to the ends of a window, so their results are no counts. Here
the last sample before a window is subtracted from the last sample in it, series by series. A series
without a sample in the ``LOOKBACK`` before the first window began there, so all of it counts. A
series that went back began anew, so all that it shows counts; a window in which one did is cut into
smaller ones, and the smallest are gone through sample by sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from randsvc.histograms.windows import Labels, WindowReader, labels_of
from randsvc.prometheus_api import format_duration
from randsvc.times import Span, cut

__all__ = ("LOOKBACK", "ByWindow", "Counters", "Cumulative", "count_increases")

LOOKBACK = 86_400.0
"""Seconds before the first window in which the last sample of a series is looked for."""
PART_COUNT = 24
"""Parts of a window in which a series began anew."""
RAW_SECONDS = 600.0
"""Seconds of samples that are read one by one."""

S = TypeVar("S")
ByWindow = dict[Labels, dict[int, S]]
"""Samples by series and by the index of the window."""


class Cumulative(Protocol[S]):
    """Series of one kind, whose samples only grow unless they begin anew."""

    zero: S

    def before(self, at: float) -> dict[Labels, S]:
        """The last sample of each series in the ``LOOKBACK`` before a Unix time."""

    def last(self, windows: Sequence[Span]) -> ByWindow[S]:
        """The last sample in each window."""

    def first(self, windows: Sequence[Span]) -> ByWindow[S]:
        """The first sample in each window of a series that did not begin anew in it, if known."""

    def restarted(self, windows: Sequence[Span]) -> set[tuple[Labels, int]]:
        """The series that may have begun anew in a window, by its index."""

    def samples(self, window: Span) -> dict[Labels, list[S]]:
        """All samples in a window, in time order."""

    def difference(self, later: S, earlier: S) -> S | None:
        """``later`` less ``earlier``; None if it began anew in between."""

    def total(self, parts: Sequence[S]) -> S:
        """The sum."""

    def quiet(self) -> "Cumulative[S]":
        """The same series, read without telling the progress."""


def count_increases(
    series: Cumulative[S], windows: Sequence[Span], before: Mapping[Labels, S] | None = None
) -> dict[Labels, dict[int, S]]:
    """Count in windows that follow one another; a window without a sample of a series has none.

    ``before`` is the last sample of each series before the first window, if it is known. Raises
    ``PrometheusError``.
    """
    known = dict(series.before(windows[0].start) if before is None else before)
    last, first = series.last(windows), series.first(windows)
    restarted = series.restarted(windows)
    increases: dict[Labels, dict[int, S]] = {labels: {} for labels in last}
    for index, window in enumerate(windows):
        simple: dict[Labels, S] = {}
        anew = False
        for labels, samples in last.items():
            if index not in samples:
                continue
            earlier = known.get(labels, series.zero)
            lowest = first.get(labels, {}).get(index, samples[index])
            grown = series.difference(samples[index], earlier)
            if (labels, index) in restarted or series.difference(lowest, earlier) is None:
                grown = None
            if grown is None:
                anew = True
            else:
                simple[labels] = grown
        detailed = _step_by_step(series, window, known) if anew else {}
        for labels, samples in last.items():
            if index in samples:
                found = simple.get(labels)
                if found is None:
                    found = detailed.get(labels, series.zero)
                increases[labels][index] = found
                known[labels] = samples[index]
    return increases


def _step_by_step(
    series: Cumulative[S], window: Span, before: Mapping[Labels, S]
) -> dict[Labels, S]:
    # Its time has been read once.
    quiet = series.quiet()
    parts = cut(window, max(window.seconds / PART_COUNT, RAW_SECONDS))
    if len(parts) > 1:  # a window that is hardly longer stays whole
        found = count_increases(quiet, parts, before)
        return {labels: quiet.total(list(each.values())) for labels, each in found.items()}
    totals = {}
    for labels, samples in quiet.samples(window).items():
        steps, earlier = [], before.get(labels, quiet.zero)
        for sample in samples:
            grown = quiet.difference(sample, earlier)
            steps.append(sample if grown is None else grown)
            earlier = sample
        totals[labels] = quiet.total(steps)
    return totals


@dataclass(frozen=True)
class Counters(Cumulative[float]):
    """The counters of a selector."""

    reader: WindowReader
    selector: str
    zero: float = 0.0

    def before(self, at: float) -> dict[Labels, float]:
        """The last value of each counter in the ``LOOKBACK`` before a Unix time."""
        promql = f"last_over_time({self.selector}[{format_duration(LOOKBACK)}])"
        found = self.reader.server.query(promql, at)
        return {labels_of(series): series.values[-1][1] for series in found if series.values}

    def last(self, windows: Sequence[Span]) -> ByWindow[float]:
        """The last value in each window."""
        return self._over("last", windows)

    def first(self, windows: Sequence[Span]) -> ByWindow[float]:
        """The least value, which is the first unless the counter began anew."""
        return self._over("min", windows)

    def restarted(self, windows: Sequence[Span]) -> set[tuple[Labels, int]]:
        """The counters that began anew between two samples of a window."""
        resets = self.reader.each(lambda window: f"resets({self.selector}[{window}]) > 0", windows)
        return {(answer.labels, answer.window) for answer in resets}

    def samples(self, window: Span) -> dict[Labels, list[float]]:
        """All values in a window."""
        promql = f"{self.selector}[{format_duration(window.seconds)}]"
        found = self.reader.server.query(promql, window.end)
        return {labels_of(each): [value for _, value in each.values] for each in found}

    def difference(self, later: float, earlier: float) -> float | None:
        """None if the value went back."""
        return later - earlier if later >= earlier else None

    def total(self, parts: Sequence[float]) -> float:
        """The sum."""
        return sum(parts)

    def quiet(self) -> "Counters":
        """The same counters, read without telling the progress."""
        return replace(self, reader=WindowReader(self.reader.server))

    def _over(self, function: str, windows: Sequence[Span]) -> ByWindow[float]:
        found: ByWindow[float] = {}
        for answer in self.reader.each(
            lambda window: f"{function}_over_time({self.selector}[{window}])", windows
        ):
            found.setdefault(answer.labels, {})[answer.window] = answer.value
        return found
