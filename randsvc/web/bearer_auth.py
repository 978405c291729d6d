"""Bearer tokens in requests (RFC 6750)."""

import hmac

from aiohttp import hdrs, web

__all__ = ("has_token", "make_unauthorized", "read_bearer_token")


def read_bearer_token(request: web.Request) -> str | None:
    """Give the bearer token of a request, or None; raises 401 for other credentials."""
    credentials = request.headers.get(hdrs.AUTHORIZATION)
    if credentials is None:
        return None
    scheme, _, token = credentials.partition(" ")
    if scheme.lower() != "bearer":
        raise make_unauthorized("expected Authorization: Bearer TOKEN")
    return token.strip()


def has_token(request: web.Request, token: str) -> bool:
    """Whether a request has this very token; raises 401 for other credentials.

    The comparison takes as long for a nearly right token as for any.
    """
    given = read_bearer_token(request)
    # Bytes that are not UTF-8 arrive as surrogates.
    return given is not None and hmac.compare_digest(
        given.encode(errors="surrogateescape"), token.encode()
    )


def make_unauthorized(detail: str) -> web.HTTPUnauthorized:
    """Make a 401 with its reason and the required scheme."""
    challenge = f'Bearer realm="randsvc", error="invalid_token", error_description="{detail}"'
    return web.HTTPUnauthorized(text=detail, headers={hdrs.WWW_AUTHENTICATE: challenge})
