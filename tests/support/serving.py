"""An application served the way the service serves it, on a free port of the loopback."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from yarl import URL

from randsvc.telemetry import Telemetry


@contextlib.asynccontextmanager
async def serving(
    app: web.Application, telemetry: Telemetry | None = None, **options: Any
) -> AsyncIterator[URL]:
    """The address of ``app``, measured where there is a ``telemetry``."""
    if telemetry:
        telemetry.install(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield URL.build(scheme="http", host=host, port=port)
    finally:
        await runner.cleanup()
