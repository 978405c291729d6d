"""The management application: console, metrics, health, faults, and the runbooks of alerts."""

from collections.abc import Awaitable, Callable, Collection

from aiohttp import web

from randsvc.faults.faults import Faults
from randsvc.management.access import protect
from randsvc.management.console import Console, add_console
from randsvc.management.fault_api import add_faults
from randsvc.telemetry.exposition import TEXT, negotiate
from randsvc.web.problems import add_catch_all, make_problem
from randsvc.web.runbooks import add_runbooks

__all__ = ("make_management_app",)

_NOT_PULLED = (
    "# No metrics: OTEL_METRICS_EXPORTER does not contain prometheus.\n"
    "# Prometheus still uses this page for `up`.\n"
)


def make_management_app(
    *,
    ready: Callable[[], bool],
    metrics: Callable[[str], Awaitable[bytes | None]],
    faults: Faults,
    console: Console,
    token: str | None = None,
    local: bool = True,
    allowed_hosts: Collection[str] = (),
) -> web.Application:
    """Make the application for orchestrators, Prometheus and operators.

    ``ready`` tells whether the service accepts requests. ``metrics`` renders a content type,
    or gives None if the metrics are only pushed. Setting ``faults`` requires ``token``; without a
    token it requires that the port is ``local`` to the machine. ``console`` is the page at ``/``.
    Requests to another name than localhost, an IP address or one of ``allowed_hosts`` are refused.
    """

    async def get_metrics(request: web.Request) -> web.Response:
        content_type = negotiate(request.headers.get("Accept", ""))
        rendered = await metrics(content_type)
        if rendered is None:
            content_type, rendered = TEXT, _NOT_PULLED.encode()
        return web.Response(body=rendered, headers={"Content-Type": content_type})

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        if ready():
            return web.Response(text="ok\n")
        return make_problem(503, "starting or stopping")

    app = web.Application(middlewares=[protect(allowed_hosts)])
    app.router.add_get("/metrics", get_metrics)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    add_faults(app.router, faults, token=token, local=local)
    add_console(app, console, faults, token=token is not None, local=local)
    add_runbooks(app.router)
    add_catch_all(app.router)
    return app
