"""What counters counted in each window, exactly.

As docs/recovery.md has it: ``increase`` extrapolates, so its counts are no counts. Here the last
sample of a window is taken, and the last one before it taken off, series by series. A counter that
went back began anew, so all that it shows counts; a window in which one did is cut into smaller
ones, and at last its samples are gone through one by one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from randsvc.prometheus_api import format_duration
from randsvc.review.source import Labels, Source, labels
from randsvc.review.spans import Span, cut

__all__ = ("Counts", "read")

LOOKBACK = 86_400.0
"""Seconds before the first window in which the last sample before it is looked for."""
PARTS = 24
"""Of a window in which a counter began anew."""
FEW = 600.0
"""Seconds of samples that are gone through one by one."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """What each series counted in each window."""

    windows: tuple[Span, ...]
    series: Mapping[Labels, Values]

    def where(self, wanted: Callable[[Mapping[str, str]], bool]) -> Values:
        """The sum over the series whose labels are wanted, by window."""
        chosen = (grown for key, grown in self.series.items() if wanted(dict(key)))
        return sum(chosen, np.zeros(len(self.windows)))

    def only(self, wanted: Callable[[Mapping[str, str]], bool]) -> "Counts":
        """Those of the series whose labels are wanted."""
        kept = {key: grown for key, grown in self.series.items() if wanted(dict(key))}
        return Counts(self.windows, kept)

    def by(self, *names: str) -> dict[tuple[str, ...], Values]:
        """The sums by the values of these labels; empty where a series has none."""
        sums: dict[tuple[str, ...], Values] = {}
        for key, grown in sorted(self.series.items(), key=lambda item: sorted(item[0])):
            group = tuple(dict(key).get(name, "") for name in names)
            sums[group] = sums.get(group, 0) + grown
        return sums


def read(source: Source, selector: str, windows: Sequence[Span]) -> Counts:
    """Count in windows that follow one another; raises ``PrometheusError``.

    A series without a sample in the day before the first window began in the windows: all counts.
    """
    begin = windows[0].start
    found = source.server.query(f"last_over_time({selector}[{format_duration(LOOKBACK)}])", begin)
    before = {labels(series): series.values[-1][1] for series in found if series.values}
    return Counts(tuple(windows), _grown(source, selector, windows, before))


def _grown(
    source: Source, selector: str, windows: Sequence[Span], before: Mapping[Labels, float]
) -> dict[Labels, Values]:
    last = _over(source, "last", selector, windows)
    # Of a counter that did not begin anew in the window, the least is the first.
    first = _over(source, "min", selector, windows)
    resets = {
        (answer.labels, answer.window): answer.value
        for answer in source.each(lambda window: f"resets({selector}[{window}]) > 0", windows)
    }
    grown = {key: np.zeros(len(windows)) for key in last}
    known = dict(before)
    for index, window in enumerate(windows):
        begun_anew = {key for key in last if (key, index) in resets}
        steps = _step_by_step(source, selector, window, known) if begun_anew else {}
        for key, samples in last.items():
            if index not in samples:
                continue
            if key in begun_anew:
                grown[key][index] = steps.get(key, 0.0)
            else:
                earlier = known.get(key, 0.0)
                restarted = first[key][index] < earlier
                grown[key][index] = samples[index] - (0.0 if restarted else earlier)
            known[key] = samples[index]
    return grown


def _step_by_step(
    source: Source, selector: str, window: Span, before: Mapping[Labels, float]
) -> dict[Labels, float]:
    # Its time has been read once.
    quiet = Source(source.server)
    if window.seconds > FEW:
        parts = cut(window, max(window.seconds / PARTS, FEW))
        grown = _grown(quiet, selector, parts, before)
        return {key: float(each.sum()) for key, each in grown.items()}
    found = source.server.query(f"{selector}[{format_duration(window.seconds)}]", window.end)
    return {
        key: sum(_steps(before.get(key, 0.0), [value for _, value in series.values]))
        for key, series in ((labels(each), each) for each in found)
    }


def _steps(earlier: float, samples: Sequence[float]) -> Iterator[float]:
    for sample in samples:
        yield sample - earlier if sample >= earlier else sample
        earlier = sample


def _over(
    source: Source, function: str, selector: str, windows: Sequence[Span]
) -> dict[Labels, dict[int, float]]:
    found: dict[Labels, dict[int, float]] = {}
    for answer in source.each(
        lambda window: f"{function}_over_time({selector}[{window}])", windows
    ):
        found.setdefault(answer.labels, {})[answer.window] = answer.value
    return found
