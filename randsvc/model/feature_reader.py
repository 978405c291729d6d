"""The features of each request: read, counted, and spoilt by faults."""

from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from randsvc.faults.faults import Faults
from randsvc.model.features import (
    FEATURES,
    NONE,
    REASONS,
    SEGMENTS,
    FeatureError,
    Features,
    features,
)
from randsvc.telemetry.pipeline import Telemetry

__all__ = ("input_reader",)


def input_reader(telemetry: Telemetry, faults: Faults) -> Callable[[web.Request], Features]:
    """Give what reads the features of a request; it raises 422 where they cannot be used."""
    inputs, missing, refused = telemetry.inputs, telemetry.inputs_missing, telemetry.inputs_refused
    inputs.update(dict.fromkeys((*SEGMENTS, "missing"), 0))
    missing.update(dict.fromkeys(FEATURES, 0))
    refused.update(dict.fromkeys(REASONS, 0))

    def read(request: web.Request) -> Features:
        given = parsed(request) if request.query_string else NONE
        if faults.on:
            given = spoilt(given)
        inputs[given.segment or "missing"] += 1
        if given.segment is None:
            missing["segment"] += 1
        if given.amount is None:
            missing["amount"] += 1
        return given

    def parsed(request: web.Request) -> Features:
        query = request.query
        try:
            return features({name: query.getall(name) for name in query})
        except FeatureError as error:
            refused[error.reason] += 1
            raise web.HTTPUnprocessableEntity(text=str(error)) from error

    def spoilt(given: Features) -> Features:
        if faults.get("segment-change"):
            given = replace(given, segment="premium")
        if faults.get("feature-missing"):
            given = replace(given, segment=None)
        return given

    return read
