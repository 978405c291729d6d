"""The fallback: a decision tree of business rules that responds if the model cannot.

Its rules are simple, deterministic and fast. They use only what is known of a request when it
arrives, and the mean and the standard deviation of the values.

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
from randsvc.model.features import NO_FEATURES, Features

__all__ = ("Known", "predict_by_rules")

LARGE_AMOUNT = 1000.0


@dataclass(frozen=True, kw_only=True)
class Known:
    """The facts about a request when it arrives. ``hour`` is that of the day in UTC, 0 to 23."""

    hour: int
    logged_in: bool
    features: Features = NO_FEATURES


def predict_by_rules(known: Known, value: Distribution) -> float:
    """Return the prediction of the rules, in the unit of ``value`` and within its support."""
    low, high = value.support
    return min(
        max(value.mean + _count_sds_above_mean(known) * math.sqrt(value.variance), low), high
    )


def _count_sds_above_mean(known: Known) -> float:
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
