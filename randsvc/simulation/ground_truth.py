"""The simulated world: what turns out to be true after a prediction was made.

The truth about a prediction comes from outside, late and in part. Here it is made when a simulated
user asks for it with the prediction; they report it late and in part.
"""

import math
import random
from collections.abc import Callable

from randsvc.distributions import Distribution
from randsvc.faults.faults import Faults

__all__ = ("NOISE", "world")

NOISE = 0.2
"""What the best model cannot know: standard deviations of the values that the truth differs by."""


def world(value: Distribution, rng: random.Random, faults: Faults) -> Callable[[float], float]:
    """Give what makes a truth: from what a model in good order would predict, and noise."""
    sd = NOISE * math.sqrt(value.variance)
    noise = rng.gauss

    def truth(predictable: float) -> float:
        shift = faults.get("truth-shift") if faults.on else None
        return predictable + noise(0.0, sd) + (shift["by"] if shift else 0.0)

    return truth
