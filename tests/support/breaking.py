"""Faults that tests can set: on a clock that they move, with shares that they decide."""

import random
from collections.abc import Sequence

from randsvc.faults.faults import RANDOM_FAULTS, Fault, Faults


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def faults_of(
    known: Sequence[Fault] = RANDOM_FAULTS, clock: Clock | None = None, seed: int = 1
) -> Faults:
    """Faults that are off; nothing crashes."""
    return Faults(known, crash=lambda: None, rng=random.Random(seed), clock=clock or Clock())
