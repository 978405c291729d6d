"""Quantiles of what was counted in buckets."""

from dataclasses import dataclass

import numpy as np

from randsvc.histograms.binned import Bin, estimate_quantile
from randsvc.review.counts import Counts, Values
from randsvc.review.section import NONE
from randsvc.review.words import change, seconds

__all__ = ("Quantile", "buckets", "longer", "quantile")


@dataclass(frozen=True)
class Quantile:
    """Between ``low`` and ``high``; ``value`` is interpolated, None where that is not possible."""

    value: float | None
    low: float
    high: float

    @property
    def told(self) -> str:
        """What a person reads."""
        known = self.value is not None or not np.isfinite(self.low)
        return seconds(self.value) if known else f"over {self.low:g} s"

    @property
    def at_most(self) -> str:
        """The same in a sentence."""
        return self.told if self.value is None else f"{self.told} or less"


def quantile(q: float, bounds: Values, rising: Values) -> Quantile:
    """Of cumulative counts by upper bound."""
    counts = np.diff(rising, prepend=0.0)
    bins = map(Bin, [0.0, *map(float, bounds[:-1])], map(float, bounds), map(float, counts))
    found = estimate_quantile((bin_ for bin_ in bins if bin_.count > 0), q)
    if found is None:
        return Quantile(None, np.nan, np.nan)
    return Quantile(found.value, found.bin.lower, found.bin.upper)


def longer(a: Quantile, b: Quantile) -> str:
    """By how much a quantile has changed."""
    return NONE if a.value is None or b.value is None else change(a.value, b.value)


def buckets(counts: Counts) -> tuple[Values, Values]:
    """Upper bounds, and cumulative counts by bound and window."""
    found = sorted((float(le), grown) for (le,), grown in counts.by("le").items())
    bounds = np.array([bound for bound, _ in found])
    return bounds, np.array([grown for _, grown in found])
