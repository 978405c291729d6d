"""Load shedding: a limit on the requests that are in a handler at once."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from randsvc.web.problems import problem

__all__ = ("limited",)

RETRY_AFTER = 1
"""Seconds that a client is asked to wait: some twenty times the default median delay."""


def limited(handler: Handler, limit: int) -> Handler:
    """Answer 503 at once where ``limit`` requests are in ``handler`` already.

    Under overload the requests that are served stay as fast as ever and the others know soon,
    instead of all of them waiting: https://sre.google/sre-book/handling-overload/
    """
    in_handler = 0

    async def shedding(request: web.Request) -> web.StreamResponse:
        nonlocal in_handler
        if in_handler >= limit:
            return problem(
                503,
                f"{limit} requests are being served, which is the limit",
                {hdrs.RETRY_AFTER: str(RETRY_AFTER)},
            )
        in_handler += 1
        try:
            return await handler(request)
        finally:
            in_handler -= 1

    return shedding
