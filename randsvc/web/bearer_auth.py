"""Bearer tokens in requests (RFC 6750)."""

from aiohttp import hdrs, web

__all__ = ("bearer_token", "unauthorized")


def bearer_token(request: web.Request) -> str | None:
    """The token of a request, None where it has none; raises 401 for other credentials."""
    credentials = request.headers.get(hdrs.AUTHORIZATION)
    if credentials is None:
        return None
    scheme, _, token = credentials.partition(" ")
    if scheme.lower() != "bearer":
        raise unauthorized("expected Authorization: Bearer TOKEN")
    return token.strip()


def unauthorized(detail: str) -> web.HTTPUnauthorized:
    """A 401 that says why, and what is wanted."""
    challenge = f'Bearer realm="randsvc", error="invalid_token", error_description="{detail}"'
    return web.HTTPUnauthorized(text=detail, headers={hdrs.WWW_AUTHENTICATE: challenge})
