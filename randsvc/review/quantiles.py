"""Quantiles of what was counted in buckets."""

from dataclasses import dataclass

import numpy as np

from randsvc.histograms.binned import Bin, estimate_quantile
from randsvc.review.counts import Counts, Values
from randsvc.review.formatting import format_change, format_seconds
from randsvc.review.section import NOT_AVAILABLE

__all__ = ("Quantile", "compare_quantiles", "find_quantile", "sum_buckets")


@dataclass(frozen=True)
class Quantile:
    """Between ``low`` and ``high``; ``value`` is interpolated, None where that is not possible."""

    value: float | None
    low: float
    high: float

    @property
    def text(self) -> str:
        """The quantile for a person."""
        known = self.value is not None or not np.isfinite(self.low)
        return format_seconds(self.value) if known else f"over {self.low:g} s"

    @property
    def at_most(self) -> str:
        """The quantile as a limit, in a sentence."""
        return self.text if self.value is None else f"{self.text} or less"


def find_quantile(q: float, bounds: Values, rising: Values) -> Quantile:
    """Of cumulative counts by upper bound."""
    counts = np.diff(rising, prepend=0.0)
    bins = map(Bin, [0.0, *map(float, bounds[:-1])], map(float, bounds), map(float, counts))
    found = estimate_quantile((bin_ for bin_ in bins if bin_.count > 0), q)
    if found is None:
        return Quantile(None, np.nan, np.nan)
    return Quantile(found.value, found.bin.lower, found.bin.upper)


def compare_quantiles(a: Quantile, b: Quantile) -> str:
    """The relative change of a quantile."""
    return NOT_AVAILABLE if a.value is None or b.value is None else format_change(a.value, b.value)


def sum_buckets(counts: Counts) -> tuple[Values, Values]:
    """Upper bounds, and cumulative counts by bound and window."""
    found = sorted((float(le), grown) for (le,), grown in counts.by("le").items())
    bounds = np.array([bound for bound, _ in found])
    return bounds, np.array([grown for _, grown in found])
