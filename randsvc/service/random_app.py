"""The public application: ``GET /random``, ``GET /features``, ``POST /feedback``."""

import asyncio
import json
import logging
import random
import secrets
import time
from time import perf_counter

from aiohttp import hdrs, web

from randsvc.faults.faults import Faults
from randsvc.metrics import SOURCES, ServiceMetrics, count_by, record_by
from randsvc.model.baselines import export_baselines, load_baselines
from randsvc.model.fallback import Known, predict_by_rules
from randsvc.model.feature_reader import make_feature_reader
from randsvc.model.features import SCHEMA, Features
from randsvc.model.model import Model
from randsvc.service.answer_ids import AnswerIds
from randsvc.service.feedback import FeedbackHandler, error_unit
from randsvc.service.feedback_store import FeedbackStore
from randsvc.service.openapi import PATH, SERVICE, document_handler
from randsvc.service.tokens import TokenError, Tokens
from randsvc.settings import Settings
from randsvc.simulation.behaviour import SIMULATED_OUTCOME, SIMULATED_USER
from randsvc.simulation.ground_truth import make_outcome_sampler
from randsvc.telemetry import Telemetry
from randsvc.web.bearer_auth import make_unauthorized, read_bearer_token
from randsvc.web.load_shedding import limit_concurrency
from randsvc.web.problems import add_catch_all, guard, make_problem

__all__ = ("make_app",)

BODY_LIMIT = 10_000
"""Bytes; a feedback takes 100."""

_logger = logging.getLogger(__name__)


def make_app(
    settings: Settings, telemetry: Telemetry, faults: Faults, worker: int | None = None
) -> web.Application:
    """Make the application of one worker, measured by ``telemetry`` and broken by ``faults``."""
    metrics = ServiceMetrics(telemetry.meter)
    export_baselines(load_baselines(settings, is_pulled=not telemetry.job), metrics)
    ids = AnswerIds(
        settings.feedback_secret or secrets.token_urlsafe(), lifetime=settings.feedback_lifetime
    )
    store = FeedbackStore(
        settings.feedback_store, lifetime=settings.feedback_lifetime, since=time.time()
    )
    random_handler = RandomHandler(settings, metrics, faults, ids, worker)
    feedback = FeedbackHandler(ids, store, metrics, faults, unit=error_unit(settings.value))
    take_feedback = feedback.limit(settings.max_concurrency, settings.client_timeout)

    async def close_store(app: web.Application) -> None:
        await asyncio.to_thread(store.close)  # it may wait for the file

    app = web.Application(client_max_size=BODY_LIMIT)
    get_random = limit_concurrency(random_handler.get, settings.max_concurrency)
    app.router.add_get("/random", guard(get_random))
    app.router.add_get("/features", guard(get_features))
    app.router.add_post("/feedback", guard(take_feedback))
    app.router.add_get(PATH, guard(document_handler(SERVICE)))
    app.on_cleanup.append(close_store)
    add_catch_all(app.router)
    telemetry.install(app)
    return app


async def get_features(request: web.Request) -> web.Response:
    """Return the JSON schema of the features of ``/random``."""
    return web.Response(text=json.dumps(SCHEMA), content_type="application/schema+json")


class RandomHandler:
    """``GET /random``: a prediction of the model or its fallback, after a random delay.

    What a request needs is looked up here, once.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: ServiceMetrics,
        faults: Faults,
        ids: AnswerIds,
        worker: int | None,
    ) -> None:
        rng = random.Random(None if settings.seed is None else f"{settings.seed}/{worker or 0}")
        self._faults = faults
        self._distribution = settings.value
        self._draw_predictable = settings.value.sampler(rng)
        self._draw_delay = settings.delay.sampler(rng)
        # Randomness of its own, so that what it draws moves no value of a seed.
        self._draw_outcome = make_outcome_sampler(settings.value, random.Random(), faults)
        self._predict = Model(faults).predict
        self._model_budget = settings.model_budget
        self._tokens = Tokens(settings.auth_secret) if settings.auth_secret else None
        self._issue_id = ids.issue
        self._read_features = make_feature_reader(metrics, faults)
        self._record_value = record_by(metrics.value, "randsvc.source", SOURCES)
        self._count_prediction = count_by(metrics.predictions, "randsvc.source", SOURCES)
        self._record_delay = metrics.delay.series().observe
        self._record_model_duration = metrics.model_duration.series().observe
        self._count_model_error = metrics.model_errors.add
        self._model_errors: set[str] = set()

    async def get(self, request: web.Request) -> web.Response:
        """Respond with a value, its source, and an id to give feedback with.

        Raises 401 for a token that is not valid, 422 for features that cannot be used.
        """
        faults = self._faults
        logged_in = hdrs.AUTHORIZATION in request.headers and self._has_valid_token(request)
        features = self._read_features(request)
        if faults.on and (failure := await self._suffer_faults()):
            return failure
        # Drawn before the first wait, so that a seed gives the same sequence however requests
        # interleave.
        predictable, delay = self._draw_predictable(), self._draw_delay()
        value, source = await self._predict_or_fall_back(predictable, features, logged_in=logged_in)
        if faults.on and (shift := faults.get("delay-shift")):
            delay = max(0.0, delay + shift["by"])
        self._record_delay(delay)
        await asyncio.sleep(delay)
        self._record_value[source](value)
        self._count_prediction[source](1)
        body = {"value": value, "source": source, "id": self._issue_id(value, source)}
        headers = None
        if SIMULATED_USER in request.headers:
            headers = {SIMULATED_OUTCOME: repr(self._draw_outcome(predictable))}
        return web.Response(text=json.dumps(body), content_type="application/json", headers=headers)

    async def _predict_or_fall_back(
        self, predictable: float, features: Features, *, logged_in: bool
    ) -> tuple[float, str]:
        """Return a value and its source: the fallback where the model fails or is too slow."""
        started = perf_counter()
        try:
            prediction = self._predict(predictable)
            # A timer costs more than the whole prediction: only one that takes time gets one.
            if not isinstance(prediction, float):
                prediction = await asyncio.wait_for(prediction, self._model_budget)
            return prediction, "model"
        except Exception as error:
            self._note_model_error(error)
            known = Known(hour=time.gmtime().tm_hour, logged_in=logged_in, features=features)
            return predict_by_rules(known, self._distribution), "fallback"
        finally:
            self._record_model_duration(perf_counter() - started)

    def _has_valid_token(self, request: web.Request) -> bool:
        """Whether the request has a token; raises 401 for one that is not valid."""
        token = read_bearer_token(request)
        if token is None:
            return False
        if self._tokens is None:
            raise make_unauthorized("no token is valid here: RANDSVC_AUTH_SECRET is not set")
        try:
            self._tokens.verify(token)
        except TokenError as error:
            raise make_unauthorized(str(error)) from error
        return True

    async def _suffer_faults(self) -> web.Response | None:
        """Apply the faults that affect a request before it is served, or instead."""
        faults = self._faults
        if block := faults.get("block"):
            time.sleep(block["seconds"])  # noqa: ASYNC251 - that is the fault
        if latency := faults.get("latency"):
            await asyncio.sleep(latency["seconds"])
        if faults.get("errors"):
            return make_problem(500, "the fault errors is on")
        return None

    def _note_model_error(self, error: Exception) -> None:
        kind = "timeout" if isinstance(error, TimeoutError) else type(error).__qualname__
        if kind not in self._model_errors:
            _logger.warning("the model failed, the first time with %s", kind, exc_info=error)
            self._model_errors.add(kind)
        self._count_model_error(1, {"error.type": kind})
