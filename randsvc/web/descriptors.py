"""File descriptors: each connection takes one, and the last ones are not for the public port.

Without a free descriptor no connection can be accepted, no file opened and nothing exported. So a
flood of connections to the public port must not take the last ones: the management port, the last
export and the feedback store need them.
"""

import asyncio
import logging
import resource
import time

from aiohttp import web

__all__ = ("keep_reserve", "raise_limit")

RESERVE = 64
"""Descriptors that the public port leaves free; half of all where the limit is below 128."""
MOST = 65_536
"""The limit is raised no further: some programs close every descriptor up to it."""
WARNING = 60.0
"""Seconds between two warnings."""

_logger = logging.getLogger(__name__)


def raise_limit() -> None:
    """Allow this process and its children as many descriptors as the system does, to ``MOST``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep_reserve(server: web.Server) -> None:
    """Have ``server`` close a new connection at once where it takes a descriptor of the reserve.

    A new descriptor has the lowest free number, so its number tells how many are in use. The client
    is not answered, as an answer without a request would be missing from the metrics.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = limit - min(RESERVE, limit // 2)
    accept = server.connection_made
    warned = -WARNING

    def connection_made(handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        nonlocal warned
        accept(handler, transport)
        if transport.get_extra_info("socket").fileno() < allowed:
            return
        transport.abort()
        if time.monotonic() - warned >= WARNING:
            warned = time.monotonic()
            _logger.warning(
                "new connections to the public port are closed: %d of %d file descriptors are in "
                "use, and the rest is kept for the management port and exports",
                allowed,
                limit,
            )

    server.connection_made = connection_made  # type: ignore[method-assign]
