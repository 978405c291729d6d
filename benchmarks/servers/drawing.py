"""What every server answers: a value, after a delay, as ``randsvc serve`` draws them."""

import os
import random
from collections.abc import Callable

from randsvc.distributions import parse, parse_delay

__all__ = ("samplers",)


def samplers() -> tuple[Callable[[], float], Callable[[], float]]:
    """Draw a value; draw a delay in seconds. By RANDSVC_VALUE and RANDSVC_DELAY."""
    rng = random.Random()
    value, delay = parse(os.environ["RANDSVC_VALUE"]), parse_delay(os.environ["RANDSVC_DELAY"])
    return value.sampler(rng), delay.sampler(rng)
