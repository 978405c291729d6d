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
from randsvc.model.baselines import baselines, export
from randsvc.model.fallback import Known, fallback
from randsvc.model.feature_reader import input_reader
from randsvc.model.features import SCHEMA
from randsvc.model.model import Model
from randsvc.service.answer_ids import AnswerIds
from randsvc.service.feedback import feedback_handler
from randsvc.service.feedback_store import FeedbackStore
from randsvc.service.openapi import PATH, SERVICE, document_handler
from randsvc.service.tokens import TokenError, Tokens
from randsvc.settings import Settings
from randsvc.simulation.behaviour import SIMULATED_OUTCOME, SIMULATED_USER
from randsvc.simulation.ground_truth import make_outcome_sampler
from randsvc.telemetry import Telemetry
from randsvc.web.bearer_auth import bearer_token, unauthorized
from randsvc.web.load_shedding import limited
from randsvc.web.problems import add_catch_all, guarded, problem

__all__ = ("make_app",)

LARGEST_BODY = 10_000
"""Bytes; a feedback takes 100."""

_logger = logging.getLogger(__name__)


def make_app(
    settings: Settings, telemetry: Telemetry, faults: Faults, worker: int | None = None
) -> web.Application:
    """The application of one worker, measured by ``telemetry`` and broken by ``faults``."""
    rng = random.Random(None if settings.seed is None else f"{settings.seed}/{worker or 0}")
    draw_predictable = settings.value.sampler(rng)
    predict = Model(faults).predict
    # Randomness of its own, so that what it draws moves no value of a seed.
    draw_outcome = make_outcome_sampler(settings.value, random.Random(), faults)
    draw_delay = settings.delay.sampler(rng)
    budget = settings.model_budget
    tokens = Tokens(settings.auth_secret) if settings.auth_secret else None
    metrics = ServiceMetrics(telemetry.meter)
    record_value = record_by(metrics.value, "randsvc.source", SOURCES)
    record_delay = metrics.delay.bind()
    record_model_duration = metrics.model_duration.bind()
    count_prediction = count_by(metrics.predictions, "randsvc.source", SOURCES)
    model_errors: set[str] = set()
    read_input = input_reader(metrics, faults)
    ids = AnswerIds(
        settings.feedback_secret or secrets.token_urlsafe(), lifetime=settings.feedback_lifetime
    )

    async def get_random(request: web.Request) -> web.Response:
        logged_in = hdrs.AUTHORIZATION in request.headers and check_token(request)
        given = read_input(request)
        if faults.on and (failure := await suffer()):
            return failure
        # Drawn before the first wait, so that a seed gives the same sequence however requests
        # interleave.
        predictable, seconds = draw_predictable(), draw_delay()
        started = perf_counter()
        try:
            prediction = predict(predictable)
            # A timer costs more than the whole prediction: only one that takes time gets one.
            if not isinstance(prediction, float):
                prediction = await asyncio.wait_for(prediction, budget)
            value, source = prediction, "model"
        except Exception as error:
            count_model_error(error)
            known = Known(hour=time.gmtime().tm_hour, logged_in=logged_in, features=given)
            value, source = fallback(known, settings.value), "fallback"
        record_model_duration(perf_counter() - started)
        if faults.on and (shift := faults.get("delay-shift")):
            seconds = max(0.0, seconds + shift["by"])
        record_delay(seconds)
        await asyncio.sleep(seconds)
        record_value[source](value)
        count_prediction[source](1)
        body = json.dumps({"value": value, "source": source, "id": ids.issue(value, source)})
        told = None
        if SIMULATED_USER in request.headers:
            told = {SIMULATED_OUTCOME: repr(draw_outcome(predictable))}
        return web.Response(text=body, content_type="application/json", headers=told)

    def check_token(request: web.Request) -> bool:
        """Whether the request has a token; raises 401 where it shows nothing."""
        token = bearer_token(request)
        if token is None:
            return False
        if tokens is None:
            raise unauthorized("no token is valid here: RANDSVC_AUTH_SECRET is not set")
        try:
            tokens.user(token)
        except TokenError as error:
            raise unauthorized(str(error)) from error
        return True

    async def get_features(request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(SCHEMA), content_type="application/schema+json")

    async def suffer() -> web.Response | None:
        """What the faults that are on do to a request before it is served, or instead."""
        if block := faults.get("block"):
            time.sleep(block["seconds"])  # noqa: ASYNC251 - that is the fault
        if latency := faults.get("latency"):
            await asyncio.sleep(latency["seconds"])
        if faults.get("errors"):
            return problem(500, "the fault errors is on")
        return None

    def count_model_error(error: Exception) -> None:
        kind = "timeout" if isinstance(error, TimeoutError) else type(error).__qualname__
        if kind not in model_errors:
            _logger.warning("the model failed, the first time with %s", kind, exc_info=error)
            model_errors.add(kind)
        metrics.model_errors.add(1, {"error.type": kind})

    export(baselines(settings), metrics)
    store = FeedbackStore(
        settings.feedback_store, lifetime=settings.feedback_lifetime, since=time.time()
    )
    limit = settings.max_concurrency
    take_feedback = feedback_handler(
        ids, store, metrics, faults, limit=limit, body_timeout=settings.client_timeout
    )

    async def close(app: web.Application) -> None:
        await asyncio.to_thread(store.close)  # it may wait for the file

    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_get("/random", guarded(limited(get_random, limit)))
    app.router.add_get("/features", guarded(get_features))
    app.router.add_post("/feedback", guarded(take_feedback))
    app.router.add_get(PATH, guarded(document_handler(SERVICE)))
    app.on_cleanup.append(close)
    add_catch_all(app.router)
    telemetry.install(app)
    return app
