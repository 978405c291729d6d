"""What a browser may be led to do to the management port by a page of somebody else.

A page of any site can make its visitor's browser send requests to this machine. Two headers, which
no page can set, tell where they come from.
"""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import hdrs, web

__all__ = ("refuse_cross_origin", "refuse_foreign_host")


def refuse_cross_origin(request: web.Request) -> None:
    """Raise 403 where another origin's page has the browser ask; what is no browser may ask.

    Browsers send ``Sec-Fetch-Site`` where they trust the address, loopback included, and ``Origin``
    with whatever changes something: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise web.HTTPForbidden(text=f"a page of another origin asks: Sec-Fetch-Site: {site}")
        return
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and urlsplit(origin).netloc != request.headers.get(hdrs.HOST):
        raise web.HTTPForbidden(text=f"a page of another origin asks: Origin: {origin}")


def refuse_foreign_host(request: web.Request) -> None:
    """Raise 421 where a port of the loopback is asked by a name that is not of the loopback.

    A site can let its own name point to 127.0.0.1 once its page is loaded (DNS rebinding): to the
    browser this port is then of the page's origin, and only the name in ``Host`` tells.
    """
    host = request.headers.get(hdrs.HOST, "")
    if not _is_loopback(host):
        raise web.HTTPMisdirectedRequest(
            text=f"Host: {host}: expected localhost or an address of the loopback"
        )


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
