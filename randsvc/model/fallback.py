"""The decision tree of business rules that answers where the model cannot.

Known to everybody, the same every time, and never late: it uses nothing but what is known of a
request when it arrives, and of the distribution that the model draws from.

    is the segment known?
    ├── premium: is the amount known, and 1000 or more?
    │            ├── yes: one standard deviation above the mean
    │            └── no:  half a standard deviation above the mean
    ├── regular: the mean
    ├── new:     half a standard deviation below the mean
    └── no: is the user logged in?
        ├── yes: is it a working hour, 8:00 to 18:00 UTC?
        │        ├── yes: half a standard deviation above the mean
        │        └── no:  the mean
        └── no:  is it night, 22:00 to 6:00 UTC?
                 ├── yes: half a standard deviation below the mean
                 └── no:  the mean
"""

import math
from dataclasses import dataclass

from randsvc.distributions import Distribution
from randsvc.model.features import NONE, Features

__all__ = ("Known", "fallback")

LARGE_AMOUNT = 1000.0


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a request when it arrives. ``hour`` is of the day in UTC, from 0 to 23."""

    hour: int
    logged_in: bool
    features: Features = NONE


def fallback(known: Known, value: Distribution) -> float:
    """The answer of the rules, in the unit of ``value`` and never out of its range."""
    low, high = value.support
    return min(max(value.mean + _sds_above_mean(known) * math.sqrt(value.variance), low), high)


def _sds_above_mean(known: Known) -> float:
    match known.features.segment:
        case "premium":
            return 1.0 if (known.features.amount or 0.0) >= LARGE_AMOUNT else 0.5
        case "regular":
            return 0.0
        case "new":
            return -0.5
    if known.logged_in:
        return 0.5 if 8 <= known.hour < 18 else 0.0
    return -0.5 if known.hour >= 22 or known.hour < 6 else 0.0
