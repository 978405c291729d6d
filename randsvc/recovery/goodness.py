"""Whether a fitted family can have made the sample: Pearson's chi-square on merged bins.

Chi-square and not Kolmogorov-Smirnov, as the sample is binned already and the parameters come from
it: both would need corrections that differ from family to family. Bins are merged until the family
expects at least 5 in each, about equally many. The parameters are fitted again to the merged bins,
for only then is one degree of freedom lost for each (Chernoff and Lehmann 1954,
https://doi.org/10.1214/aoms/1177728726). Ends that are cut are not, as they are told by the
outermost buckets alone; one is taken off for each all the same, so that p is rather too small.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from randsvc.histograms.binned import Bin, Binned, group
from randsvc.recovery.families import Array
from randsvc.recovery.fit import Fit, refit

__all__ = ("Goodness", "compute_goodness")

EXPECTED = 5.0
"""Least number that is expected in a bin: Cochran's rule."""
MOST_BINS = 50


@dataclass(frozen=True)
class Goodness:
    """Chi-square with its degrees of freedom, and how often chance alone makes it larger."""

    chi_square: float
    degrees: int
    p_value: float

    @property
    def text(self) -> str:
        """The p-value for a person: below a ten-thousandth the digits are those of no true tail."""
        return f"= {self.p_value:.2g}" if self.p_value >= 1e-4 else "< 0.0001"


def compute_goodness(binned: Binned, fitted: Fit) -> Goodness | None:
    """Test a fit to a sample; None where there are too few bins or values to test it."""
    cells = binned.covering()
    expected = binned.count * _probability(fitted, cells)
    # As many bins as are usual for so many values (Mann and Wald 1942, half of theirs).
    number = min(MOST_BINS, 2 * binned.count**0.4)
    merged = group(cells, [float(x) for x in expected], max(EXPECTED, binned.count / number))
    degrees = len(merged) - 1 - len(fitted.family.parameters)
    if degrees < 1:
        return None
    again = refit(Binned(tuple(cell for cell in merged if cell.count), binned.sum), fitted)
    expected = np.maximum(binned.count * _probability(again, merged), 1e-12)
    observed = np.array([cell.count for cell in merged])
    chi_square = float(((observed - expected) ** 2 / expected).sum())
    return Goodness(chi_square, degrees, float(special.chdtrc(degrees, chi_square)))


def _probability(fitted: Fit, cells: tuple[Bin, ...]) -> Array:
    lower, upper = (np.array([cell[end] for cell in cells]) for end in (0, 1))
    return fitted.probability(lower, upper)
