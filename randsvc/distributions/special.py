"""The special functions of the cdfs, in plain Python.

The error is about 1e-11 for shapes up to 1000, the largest that the families allow.
"""

import itertools
import math
from collections.abc import Iterable, Iterator

__all__ = ("normal_cdf", "regularised_beta", "regularised_gamma")

_EPSILON = 2.0**-53
_TINY = 1e-300


def normal_cdf(z: float) -> float:
    """P(Z <= z) of the standard normal, exact in the left tail too (https://dlmf.nist.gov/7.17)."""
    return math.erfc(-z / math.sqrt(2)) / 2


def regularised_gamma(a: float, x: float) -> float:
    """P(a, x), the lower incomplete gamma function over Gamma(a), for a > 0 and x >= 0.

    Up to a + 1 by its series (https://dlmf.nist.gov/8.11.E4), beyond by the continued fraction of
    1 - P (Abramowitz & Stegun 6.5.31, contracted to its even part).
    """
    if x <= 0:
        return 0.0
    if math.isinf(x):
        return 1.0
    factor = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        return factor * _rising_series(a, x)
    steps = ((-n * (n - a) if n else 1.0, x + 2 * n + 1 - a) for n in itertools.count())
    return 1 - factor * _continued_fraction(steps)


def regularised_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), the incomplete beta function over B(a, b), for a, b > 0 and 0 <= x <= 1.

    By its continued fraction (https://dlmf.nist.gov/8.17.E22), on the side of the mean where that
    converges fast (https://dlmf.nist.gov/8.17.E4).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - regularised_beta(b, a, 1 - x)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    factor = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / a
    return factor * _continued_fraction(_beta_steps(a, b, x))


def _rising_series(a: float, x: float) -> float:
    """The sum over n of x^n / (a (a+1) ... (a+n))."""
    total = term = 1 / a
    while term > total * _EPSILON:
        a += 1
        term *= x / a
        total += term
    return total


def _beta_steps(a: float, b: float, x: float) -> Iterator[tuple[float, float]]:
    """The partial numerators and denominators of https://dlmf.nist.gov/8.17.E23."""
    yield 1.0, 1.0
    for m in itertools.count():
        yield -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0
        yield (m + 1) * (b - m - 1) * x / ((a + 2 * m + 1) * (a + 2 * m + 2)), 1.0


def _continued_fraction(steps: Iterable[tuple[float, float]]) -> float:
    """The value of n1/(d1 + n2/(d2 + ...)) for endless steps (n, d).

    Lentz's method as Thompson and Barnett modified it (https://dlmf.nist.gov/3.10#iii): the value
    is a product of ratios, so it can stop when one ratio is 1.
    """
    value, upper, lower = _TINY, _TINY, 0.0
    for numerator, denominator in steps:
        lower = 1 / ((denominator + numerator * lower) or _TINY)
        upper = (denominator + numerator / upper) or _TINY
        value *= upper * lower
        if abs(upper * lower - 1) < 4 * _EPSILON:
            break
    return value
