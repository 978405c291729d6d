"""Quantiles of what was counted in buckets."""

from dataclasses import dataclass

import numpy as np

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
    """Of counts by upper bound, cumulative, as histogram_quantile has it."""
    if not rising[-1]:
        return Quantile(None, np.nan, np.nan)
    rank = q * rising[-1]
    at = int(np.searchsorted(rising, rank))
    low, below = (float(bounds[at - 1]), rising[at - 1]) if at else (0.0, 0.0)
    high = float(bounds[at])
    if not np.isfinite(high):
        return Quantile(None, low, high)
    return Quantile(float(low + (high - low) * (rank - below) / (rising[at] - below)), low, high)


def longer(a: Quantile, b: Quantile) -> str:
    """By how much a quantile has changed."""
    return NONE if a.value is None or b.value is None else change(a.value, b.value)


def buckets(counts: Counts) -> tuple[Values, Values]:
    """Upper bounds, and cumulative counts by bound and window."""
    found = sorted((float(le), grown) for (le,), grown in counts.by("le").items())
    bounds = np.array([bound for bound, _ in found])
    return bounds, np.array([grown for _, grown in found])
