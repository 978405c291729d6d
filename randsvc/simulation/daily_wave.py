"""The daily wave of traffic: quiet nights and busy days, over a period of any length."""

import math

__all__ = ["compute_rate"]


def compute_rate(seconds: float, *, mean: float, amplitude: float, period: float) -> float:
    """Return the request rate at a time, in the unit of ``mean``, usually requests/s.

    ``mean - amplitude * cos(2 * pi * seconds / period)``: a day starts at its trough, reaches its
    peak after half a ``period``, and repeats. ``seconds`` and ``period`` are in seconds; any clock
    may give ``seconds``. An ``amplitude`` of 0 is steady traffic.

    Raises ValueError if a rate could be negative, or if the period is not positive.
    """
    if not 0 <= amplitude <= mean < math.inf:
        raise ValueError(f"amplitude={amplitude:g}: expected a number from 0 to the mean, {mean:g}")
    if not 0 < period < math.inf:
        raise ValueError(f"period={period:g}: expected a positive number of seconds")
    return mean - amplitude * math.cos(math.tau * seconds / period)
