"""Load shedding: a limit on the concurrent requests of a handler."""

import logging
from time import monotonic

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from randsvc.telemetry.http_server import IS_LOGGED, describe
from randsvc.web.problems import make_problem

__all__ = ("limit_concurrency",)

_logger = logging.getLogger(__name__)

RETRY_AFTER = 1
"""Seconds that a client should wait: about twenty times the default median delay."""

QUIET = 10.0
"""Seconds without a refusal, after which the next one is logged as the beginning of another
overload."""


def limit_concurrency(handler: Handler, limit: int) -> Handler:
    """Limit ``handler`` to ``limit`` concurrent requests; further requests get 503 at once.

    Under overload, the served requests keep their speed and the others fail fast, instead of all
    requests waiting: https://sre.google/sre-book/handling-overload/
    """
    in_handler = 0
    refused_at = -QUIET

    async def shed_above_limit(request: web.Request) -> web.StreamResponse:
        nonlocal in_handler, refused_at
        if in_handler >= limit:
            refused_at, refused_before = monotonic(), refused_at
            if refused_at - refused_before >= QUIET:
                _logger.warning(
                    "shedding load: the concurrency limit of %d requests is reached",
                    limit,
                    extra={**describe(request, 503), "error.type": "503"},
                )
            response = make_problem(
                503,
                f"the concurrency limit of {limit} requests is reached",
                {hdrs.RETRY_AFTER: str(RETRY_AFTER)},
            )
            response[IS_LOGGED] = True
            return response
        in_handler += 1
        try:
            return await handler(request)
        finally:
            in_handler -= 1

    return shed_above_limit
