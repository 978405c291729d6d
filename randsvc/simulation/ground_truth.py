"""The simulated ground truth: the outcomes that predictions are compared with.

In reality the ground truth comes from outside, late and for a part of the predictions. Here the
service draws it with the prediction for a simulated user, who reports it late and in part.
"""

import math
import random
from collections.abc import Callable

from randsvc.distributions import Distribution
from randsvc.faults.faults import Faults

__all__ = ("NOISE", "make_outcome_sampler")

NOISE = 0.2
"""The unpredictable part of an outcome: its standard deviation, in those of the values."""


def make_outcome_sampler(
    value: Distribution, rng: random.Random, faults: Faults
) -> Callable[[float], float]:
    """Return a function that draws the outcome for the prediction of a healthy model."""
    sd = NOISE * math.sqrt(value.variance)
    noise = rng.gauss

    def draw_outcome(prediction: float) -> float:
        shift = faults.get("outcome-shift") if faults.on else None
        return prediction + noise(0.0, sd) + (shift["by"] if shift else 0.0)

    return draw_outcome
