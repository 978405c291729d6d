"""Errors as problem details for HTTP APIs (RFC 9457)."""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler

from randsvc.telemetry.http_server import ERROR_TYPE, UNMATCHED, describe

__all__ = ("add_catch_all", "guard", "make_problem", "meet_expectations")

_logger = logging.getLogger(__name__)


def make_problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """Make a problem of the type ``about:blank``: its status alone defines it (RFC 9457)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return web.Response(
        status=status,
        text=json.dumps({**body, "detail": detail}),
        content_type="application/problem+json",
        headers=headers,
    )


def guard(handler: Handler) -> Handler:
    """Turn exceptions of a handler into problems; other than HTTP errors become 500, logged."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            headers = {
                name: value
                for name, value in error.headers.items()
                if name not in (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH)
            }
            response = make_problem(error.status, error.text or error.reason, headers)
            if error.status == HTTPStatus.REQUEST_TIMEOUT:
                response.force_close()  # the rest of the body may still come
            return response
        except Exception as error:
            _logger.exception(
                "unhandled exception in %s %s",
                request.method,
                request.path,
                extra=describe(request, 500),
            )
            response = make_problem(500, "the service failed; its log has the reason")
            response[ERROR_TYPE] = type(error).__qualname__
            return response

    return answered


def add_catch_all(router: web.UrlDispatcher) -> None:
    """Answer all other requests, whatever their target: 404, or 405 with the methods.

    Call it last. Routes answer ``Expect`` as ``meet_expectations`` says.
    """

    async def unmatched(request: web.Request) -> web.Response:
        if names := request.match_info["allowed"]:
            detail = f"{request.path} supports {names}, not {request.method}"
            return make_problem(405, detail, {hdrs.ALLOW: names})
        return make_problem(404, f"nothing exists at {request.path}")

    # Not in the router: a pattern matches no path with a line feed, no `*`, and not the authority
    # of CONNECT.
    route = web.PlainResource(UNMATCHED).add_route(hdrs.METH_ANY, unmatched, expect_handler=_expect)

    def match(found: web.UrlMappingMatchInfo) -> web.UrlMappingMatchInfo:
        error = found.http_exception
        allowed = error.allowed_methods if isinstance(error, web.HTTPMethodNotAllowed) else ()
        return web.UrlMappingMatchInfo({"allowed": ", ".join(sorted(allowed))}, route)

    _meet_expectations(router, match)


def meet_expectations(router: web.UrlDispatcher) -> None:
    """Answer ``Expect`` with 100 or a problem 417, also where no route matches. Call it last.

    aiohttp repeats the header in its response, and fails with 500 where the header is not text.
    """

    def meet(found: web.UrlMappingMatchInfo) -> web.UrlMappingMatchInfo:
        found.route._expect_handler = _expect
        return found

    _meet_expectations(router, meet)


def _meet_expectations(
    router: web.UrlDispatcher,
    replace: Callable[[web.UrlMappingMatchInfo], web.UrlMappingMatchInfo],
) -> None:
    """Let each route use ``_expect``, and ``replace`` what the router gives without a route."""
    resolve = router.resolve

    async def resolve_all(request: web.Request) -> web.UrlMappingMatchInfo:
        found = await resolve(request)
        return found if found.http_exception is None else replace(found)

    router.resolve = resolve_all  # type: ignore[method-assign]
    for route in router.routes():
        route._expect_handler = _expect  # the parameter of each add_route


async def _expect(request: web.Request) -> web.Response | None:
    expected = request.headers[hdrs.EXPECT]
    if request.version != HttpVersion11:
        return None
    if expected.lower() != "100-continue":
        return make_problem(417, f"Expect: {expected!a}: expected 100-continue")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # no part of the response
    return None
