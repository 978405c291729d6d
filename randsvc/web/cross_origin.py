"""Refuses requests that a page of another origin sends to the management port.

A page of any site can make its visitor's browser send requests to this machine. Two headers, which
no page can set, contain the origin of a request.
"""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import hdrs, web

__all__ = ("refuse_cross_origin", "refuse_foreign_host")


def refuse_cross_origin(request: web.Request) -> None:
    """Raise 403 for a request that a browser sends for a page of another origin.

    Browsers send ``Sec-Fetch-Site`` to trustworthy addresses, including loopback, and ``Origin``
    with each request that can change something: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise web.HTTPForbidden(text=f"cross-origin request: Sec-Fetch-Site: {site}")
        return
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and urlsplit(origin).netloc != request.headers.get(hdrs.HOST):
        raise web.HTTPForbidden(text=f"cross-origin request: Origin: {origin}")


def refuse_foreign_host(request: web.Request) -> None:
    """Raise 421 for a request to a loopback port whose ``Host`` is not a loopback name.

    A site can point its own name at 127.0.0.1 after its page is loaded (DNS rebinding). The browser
    then takes this port for the page's origin, and only the name in ``Host`` shows the difference.
    """
    host = request.headers.get(hdrs.HOST, "")
    if not _is_loopback(host):
        raise web.HTTPMisdirectedRequest(
            text=f"Host: {host}: expected localhost or a loopback address"
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
