"""Reads the features of each request, counts them, and applies the faults of the features."""

from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from randsvc.faults.faults import Faults
from randsvc.metrics import ServiceMetrics, count_by
from randsvc.model.features import (
    FEATURES,
    NO_FEATURES,
    REASONS,
    SEGMENTS,
    FeatureError,
    Features,
    parse_features,
)

__all__ = ("make_feature_reader",)


def make_feature_reader(
    metrics: ServiceMetrics, faults: Faults
) -> Callable[[web.Request], Features]:
    """Return a function that reads the features of a request, and raises 422 if one is invalid."""
    count_input = count_by(metrics.inputs, "randsvc.segment", (*SEGMENTS, "missing"))
    count_missing = count_by(metrics.inputs_missing, "randsvc.feature", FEATURES)
    count_refused = count_by(metrics.inputs_refused, "randsvc.reason", REASONS)

    def read(request: web.Request) -> Features:
        given = parse(request) if request.query_string else NO_FEATURES
        if faults.on:
            given = apply_faults(given)
        count_input[given.segment or "missing"](1)
        if given.segment is None:
            count_missing["segment"](1)
        if given.amount is None:
            count_missing["amount"](1)
        return given

    def parse(request: web.Request) -> Features:
        query = request.query
        try:
            return parse_features({name: query.getall(name) for name in query})
        except FeatureError as error:
            count_refused[error.reason](1)
            raise web.HTTPUnprocessableEntity(text=str(error)) from error

    def apply_faults(given: Features) -> Features:
        if faults.get("segment-change"):
            given = replace(given, segment="premium")
        if faults.get("feature-missing"):
            given = replace(given, segment=None)
        return given

    return read
