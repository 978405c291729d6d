"""``POST /feedback``: measures responses against the ground truth that users report."""

import json
import logging
from typing import Literal, get_args

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from randsvc.faults.faults import Faults
from randsvc.metrics import SOURCES, ServiceMetrics, count_by, record_by
from randsvc.service.answer_ids import AnswerIds, ExpiredError, ForgedError
from randsvc.service.feedback_store import FeedbackStore, StoreError
from randsvc.web.load_shedding import RETRY_AFTER, limited
from randsvc.web.problems import problem
from randsvc.web.request_body import read_first, read_object

__all__ = ("OUTCOMES", "Outcome", "feedback_handler")

_logger = logging.getLogger(__name__)

Outcome = Literal["accepted", "duplicate", "forged", "expired", "malformed", "unavailable"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

LARGEST_ACTUAL = 1e12
"""To both sides of 0: one absurd number would be all that is left of the sum of the errors."""

_OUTCOME = web.ResponseKey("randsvc.outcome", str)


def feedback_handler(
    ids: AnswerIds,
    store: FeedbackStore,
    metrics: ServiceMetrics,
    faults: Faults,
    *,
    limit: int,
    body_timeout: float,
) -> Handler:
    """Give the handler, which lets ``limit`` requests in at once.

    A body has ``body_timeout`` seconds to arrive.

    Each request has one outcome; ``unavailable`` is also one that is shed or that failed here.
    """
    count_outcome = count_by(metrics.feedback, "randsvc.outcome", OUTCOMES)
    record_error = record_by(metrics.feedback_error, "randsvc.source", SOURCES)
    record_absolute_error = record_by(metrics.feedback_absolute_error, "randsvc.source", SOURCES)
    record_delay = metrics.feedback_delay.bind()
    store_failed = False

    async def judge(request: web.Request) -> web.Response:
        if faults.on and faults.get("feedback-down"):
            return _refused(
                "unavailable", 503, "feedback is refused: the fault feedback-down is on"
            )
        try:
            body = await read_object(request)
        except web.HTTPException as error:
            return _refused("malformed", error.status, error.text or error.reason)
        given, actual = body.get("id"), _number(body.get("actual"))
        if not isinstance(given, str) or actual is None:
            return _refused(
                "malformed",
                422,
                'expected {"id": ID, "actual": NUMBER}: the id of a response as a string, and the '
                f"true value, from {-LARGEST_ACTUAL:g} to {LARGEST_ACTUAL:g}",
            )
        return await compare(given, actual)

    async def compare(given: str, actual: float) -> web.Response:
        nonlocal store_failed
        try:
            answer = ids.answer(given)
            known = await store.add(answer)
        except ForgedError as error:
            return _refused("forged", 403, str(error))
        except ExpiredError as error:
            return _refused("expired", 410, str(error))
        except StoreError as error:
            if not store_failed:
                _logger.error("feedback is refused, because its store fails: %s", error)
            store_failed = True
            return _refused("unavailable", 503, f"the feedback store fails: {error}")
        store_failed = False
        if known == "again":
            return _refused("duplicate", 409, "feedback for this id was accepted before")
        if known == "forgotten":
            return _refused("expired", 410, "feedback is accepted only for later responses")
        difference = answer.value - actual
        record_error[answer.source](difference)
        record_absolute_error[answer.source](abs(difference))
        record_delay(max(0.0, answer.age))
        accepted = web.Response(
            text=json.dumps({"outcome": "accepted", "source": answer.source, "error": difference}),
            content_type="application/json",
        )
        accepted[_OUTCOME] = "accepted"
        return accepted

    let_in = read_first(limited(judge, limit), body_timeout)

    async def take(request: web.Request) -> web.StreamResponse:
        outcome = "unavailable"
        try:
            response = await let_in(request)
            outcome = response.get(_OUTCOME, outcome)
            return response
        except web.HTTPException:
            outcome = "malformed"
            raise
        finally:
            count_outcome[outcome](1)

    return take


def _refused(outcome: Outcome, status: int, detail: str) -> web.Response:
    headers: dict[str, str] = {hdrs.RETRY_AFTER: str(RETRY_AFTER)} if status == 503 else {}
    response = problem(status, detail, headers)
    response[_OUTCOME] = outcome
    return response


def _number(given: object) -> float | None:
    """A finite number within bounds; None for all else, True and False among it."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    # Compared before it is converted: an integer may be too large for a float.
    if not -LARGEST_ACTUAL <= given <= LARGEST_ACTUAL:
        return None
    return float(given)
