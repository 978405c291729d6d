"""What simulated users are like: the features they send, and the truth they tell later."""

import random

from randsvc.model.features import LARGEST_AMOUNT, SEGMENTS

__all__ = ("SIMULATED_OUTCOME", "SIMULATED_USER", "draw_features", "draw_report_delay")

SIMULATED_USER = "Simulated-User"
"""The header, of any value, by which simulated users ask what will turn out to be true."""
SIMULATED_OUTCOME = "Simulated-Outcome"
"""The header that tells them. It stands for the world: nobody else is told, as it is not known."""

MISSING = 0.02
"""Share of the requests in which a feature is missing, for each."""
REPORTED = 0.3
"""Share of the answers of which the user later reports what turned out to be true."""
REPORT_DELAY = 5.0
"""Mean of the seconds until then, which are exponentially distributed."""


def draw_features() -> dict[str, str]:
    """The query of one request for ``/random``."""
    given = {}
    if random.random() >= MISSING:
        (given["segment"],) = random.choices(list(SEGMENTS), weights=list(SEGMENTS.values()))
    if random.random() >= MISSING:
        # The median customer spends 100, and one in a hundred more than 1,000.
        given["amount"] = f"{min(random.lognormvariate(4.6, 1.0), LARGEST_AMOUNT):.2f}"
    return given


def draw_report_delay() -> float | None:
    """Seconds until the truth about an answer is reported; None where it never is."""
    return random.expovariate(1 / REPORT_DELAY) if random.random() < REPORTED else None
