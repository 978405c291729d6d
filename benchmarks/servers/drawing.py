"""What every server answers: a value and its id, after a delay, as ``randsvc serve`` has them."""

import os
import random
import secrets
from collections.abc import Callable

from randsvc.distributions import parse, parse_delay
from randsvc.service.answer_ids import AnswerIds

__all__ = ("Answer", "drawing")

Answer = dict[str, float | str]


def drawing() -> Callable[[], tuple[Answer, float]]:
    """Give what draws an answer and its delay in seconds. By RANDSVC_VALUE and RANDSVC_DELAY."""
    rng = random.Random()
    draw_value = parse(os.environ["RANDSVC_VALUE"]).sampler(rng)
    draw_delay = parse_delay(os.environ["RANDSVC_DELAY"]).sampler(rng)
    issue = AnswerIds(secrets.token_urlsafe(), lifetime=3600).issue

    def draw() -> tuple[Answer, float]:
        value = draw_value()
        return {"value": value, "source": "model", "id": issue(value, "model")}, draw_delay()

    return draw
