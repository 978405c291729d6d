"""What counters counted in each window, as arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from randsvc.histograms.increases import Counters, count_increases
from randsvc.histograms.windows import Labels, WindowReader
from randsvc.times import Span

__all__ = ("Counts", "Values", "read")

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


def read(reader: WindowReader, selector: str, windows: Sequence[Span]) -> Counts:
    """Count exactly in windows that follow one another; raises ``PrometheusError``."""
    found = count_increases(Counters(reader, selector), windows)
    series = {labels: np.zeros(len(windows)) for labels in found}
    for labels, increases in found.items():
        for index, increase in increases.items():
            series[labels][index] = increase
    return Counts(tuple(windows), series)
