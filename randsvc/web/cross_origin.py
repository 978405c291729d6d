"""Requests that a browser is led to send by a page of somebody else.

A page of any site can make its visitor's browser send requests to this machine, and to the network
that it is in. Headers that no page can set tell where such requests come from.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import hdrs, web

__all__ = ("refuse_cross_origin", "refuse_foreign_host")


def refuse_cross_origin(request: web.Request) -> None:
    """Raise 403 where a page of another origin sends the request.

    A program that is not a browser may ask, and a link to a page of this port may be followed.
    Browsers send ``Sec-Fetch-*`` where they trust the address, loopback included, and ``Origin``
    with whatever changes something: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in ("same-origin", "none") and not _follows_link(request):
            raise web.HTTPForbidden(
                text=f"a page of another origin asks: Sec-Fetch-Site: {_printable(site)}"
            )
        return
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and _netloc(origin) != request.headers.get(hdrs.HOST):
        raise web.HTTPForbidden(text=f"a page of another origin asks: Origin: {_printable(origin)}")


def refuse_foreign_host(request: web.Request, allowed: Collection[str] = ()) -> None:
    """Raise 421 where ``Host`` is not an IP address, a name of loopback, or ``allowed``.

    A site can let its own name point to an address of this network once its page is loaded (DNS
    rebinding). To the browser this port is then of the page's origin, and only the name in ``Host``
    tells. An address in ``Host`` is safe: a page that comes from it is this port's own.
    """
    host = request.headers.get(hdrs.HOST, "")
    name = _name(host)
    if not (name and (_is_address(name) or _is_loopback(name) or name in allowed)):
        raise web.HTTPMisdirectedRequest(
            text=f"Host: {_printable(host)}: expected localhost, an IP address, or a name in "
            "RANDSVC_MANAGEMENT_ALLOWED_HOSTS (RANDSVC_AUTH_MANAGEMENT_ALLOWED_HOSTS for auth)"
        )


def _follows_link(request: web.Request) -> bool:
    """Whether the response becomes a page of its own, which the other origin cannot read."""
    return (
        request.method in (hdrs.METH_GET, hdrs.METH_HEAD)
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    )


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _name(host: str) -> str | None:
    """The name or address in a ``Host``, in lower case; None where there is none."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _printable(text: str) -> str:
    """A header in ASCII: bytes of it that are not UTF-8 could not be sent back."""
    return text.encode("ascii", "backslashreplace").decode()
