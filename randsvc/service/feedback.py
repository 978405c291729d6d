"""``POST /feedback``: measures responses against the ground truth that users report."""

import json
import logging
import math
from typing import Literal, get_args

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from randsvc.distributions import Distribution
from randsvc.faults.faults import Faults
from randsvc.metrics import SOURCES, ServiceMetrics, count_by, record_by
from randsvc.service.answer_ids import AnswerIds, ExpiredError, ForgedError
from randsvc.service.feedback_store import CAPACITY, FeedbackStore, StoreError
from randsvc.web.load_shedding import RETRY_AFTER, limit_concurrency
from randsvc.web.problems import make_problem
from randsvc.web.request_body import read_first, read_object

__all__ = ("ACTUAL_LIMIT", "OUTCOMES", "FeedbackHandler", "Outcome", "error_unit")

_logger = logging.getLogger(__name__)

Outcome = Literal["accepted", "duplicate", "forged", "expired", "malformed", "unavailable"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

ACTUAL_LIMIT = 1e12
"""Largest true value that is accepted, and its negative the smallest."""

ERROR_LIMIT = 100.0
"""Largest error that is recorded, in units; a larger one is recorded as this.

A histogram has 160 buckets for each sign, so its resolution depends on the ratio of the largest to
the smallest error, and halves for good where one does not fit. Feedback is anonymous: two reports
of 1e12, or two that repeat the answer to 15 digits, would coarsen it for the life of the process.
An error is therefore recorded within ``ERROR_LIMIT`` and not closer to 0 than ``ERROR_RESOLUTION``,
a ratio that leaves 8 buckets to a power of two. It is not refused, as nobody would see then that
the world has changed.
"""
ERROR_RESOLUTION = 0.001
"""Smallest error that is recorded, in units; a smaller one is recorded as 0."""

_OUTCOME = web.ResponseKey("randsvc.outcome", str)


def error_unit(value: Distribution) -> float:
    """Return what errors are measured by: the standard deviation of the values, which is > 0.

    Where the values do not vary it is their size, or 1.
    """
    sd = math.sqrt(value.variance)
    return sd if 0 < sd < math.inf else abs(value.mean) or 1.0


class FeedbackHandler:
    """``POST /feedback``: compares an answer with its true value, once.

    Each request has one outcome; ``unavailable`` is also one that is shed or that failed here.
    Errors are recorded in steps and bounds of ``unit``, in the unit of the values.
    """

    def __init__(
        self,
        ids: AnswerIds,
        store: FeedbackStore,
        metrics: ServiceMetrics,
        faults: Faults,
        *,
        unit: float,
    ) -> None:
        self._ids = ids
        self._store = store
        self._faults = faults
        self._error_limit = ERROR_LIMIT * unit
        self._error_resolution = ERROR_RESOLUTION * unit
        self._count_outcome = count_by(metrics.feedback, "randsvc.outcome", OUTCOMES)
        self._record_error = record_by(metrics.feedback_error, "randsvc.source", SOURCES)
        self._record_absolute_error = record_by(
            metrics.feedback_absolute_error, "randsvc.source", SOURCES
        )
        self._record_delay = metrics.feedback_delay.series().observe
        self._record_stored = metrics.feedback_stored.set
        self._record_stored(store.number)
        metrics.feedback_stored_limit.set(CAPACITY)
        self._store_failed = False

    def limit(self, concurrency: int, body_timeout: float) -> Handler:
        """Return the handler, which serves ``concurrency`` requests at once.

        A body has ``body_timeout`` seconds to arrive.
        """
        take = read_first(limit_concurrency(self._take, concurrency), body_timeout)

        async def count(request: web.Request) -> web.StreamResponse:
            outcome = "unavailable"
            try:
                response = await take(request)
                outcome = response.get(_OUTCOME, outcome)
                return response
            except web.HTTPException:
                outcome = "malformed"
                raise
            finally:
                self._count_outcome[outcome](1)

        return count

    async def _take(self, request: web.Request) -> web.Response:
        if self._faults.on and self._faults.get("feedback-down"):
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
                f"true value, from {-ACTUAL_LIMIT:g} to {ACTUAL_LIMIT:g}",
            )
        return await self._accept_once(given, actual)

    async def _accept_once(self, given: str, actual: float) -> web.Response:
        try:
            answer = self._ids.read(given)
            known = await self._store.add(answer)
            self._record_stored(self._store.number)
        except ForgedError as error:
            return _refused("forged", 403, str(error))
        except ExpiredError as error:
            return _refused("expired", 410, str(error))
        except StoreError as error:
            if not self._store_failed:
                _logger.error("feedback is refused, because its store fails: %s", error)
            self._store_failed = True
            return _refused("unavailable", 503, f"the feedback store fails: {error}")
        self._store_failed = False
        if known == "again":
            return _refused("duplicate", 409, "feedback for this id was accepted before")
        if known == "forgotten":
            return _refused("expired", 410, "feedback is accepted only for later responses")
        difference = answer.value - actual
        recorded = self._bound(difference)
        self._record_error[answer.source](recorded)
        self._record_absolute_error[answer.source](abs(recorded))
        self._record_delay(max(0.0, answer.age))
        body = {"outcome": "accepted", "source": answer.source, "error": difference}
        accepted = web.Response(text=json.dumps(body), content_type="application/json")
        accepted[_OUTCOME] = "accepted"
        return accepted

    def _bound(self, error: float) -> float:
        if abs(error) < self._error_resolution:
            return 0.0
        return max(-self._error_limit, min(error, self._error_limit))


def _refused(outcome: Outcome, status: int, detail: str) -> web.Response:
    headers: dict[str, str] = {hdrs.RETRY_AFTER: str(RETRY_AFTER)} if status == 503 else {}
    response = make_problem(status, detail, headers)
    response[_OUTCOME] = outcome
    return response


def _number(given: object) -> float | None:
    """A finite number within bounds; None for all else, True and False among it."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    # Compared before it is converted: an integer may be too large for a float.
    if not -ACTUAL_LIMIT <= given <= ACTUAL_LIMIT:
        return None
    return float(given)
