"""Load shedding: a limit on the concurrent requests of a handler."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from randsvc.web.problems import problem

__all__ = ("limited",)

RETRY_AFTER = 1
"""Seconds that a client should wait: about twenty times the default median delay."""


def limited(handler: Handler, limit: int) -> Handler:
    """Limit ``handler`` to ``limit`` concurrent requests; further requests get 503 at once.

    Under overload, the served requests keep their speed and the others fail fast, instead of all
    requests waiting: https://sre.google/sre-book/handling-overload/
    """
    in_handler = 0

    async def shedding(request: web.Request) -> web.StreamResponse:
        nonlocal in_handler
        if in_handler >= limit:
            return problem(
                503,
                f"the concurrency limit of {limit} requests is reached",
                {hdrs.RETRY_AFTER: str(RETRY_AFTER)},
            )
        in_handler += 1
        try:
            return await handler(request)
        finally:
            in_handler -= 1

    return shedding
