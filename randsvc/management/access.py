"""Who may send requests to the management port, as far as a browser is concerned."""

from collections.abc import Collection

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from randsvc.web.cross_origin import refuse_cross_origin, refuse_foreign_host
from randsvc.web.problems import guard

__all__ = ("protect",)

# A page may load its own files only, has no script or style in itself, and no frame around it.
# https://developer.mozilla.org/docs/Web/HTTP/Guides/CSP
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    hdrs.CACHE_CONTROL: "no-store",
}
"""What each response has, unless its handler has set another value."""


def protect(allowed_hosts: Collection[str]) -> Middleware:
    """Refuse requests that other sites' pages send, and those to a name that is not allowed.

    It holds for each path, so that a new route need not remember it.
    """

    @web.middleware
    async def protected(request: web.Request, handler: Handler) -> web.StreamResponse:
        async def check_first(request: web.Request) -> web.StreamResponse:
            refuse_foreign_host(request, allowed_hosts)
            refuse_cross_origin(request)
            return await handler(request)

        response = await guard(check_first)(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return protected
