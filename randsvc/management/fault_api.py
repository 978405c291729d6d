"""``/faults`` on the management port: list, set and clear faults.

GET    /faults         {"on": {NAME: {"duration": SECONDS LEFT, ...its parameters}},
                        "known": {NAME: JSON SCHEMA}}
PUT    /faults/NAME    set one: {"duration": SECONDS, ...its parameters}
DELETE /faults/NAME    clear one
DELETE /faults         clear all
"""

import json
import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS, FaultError, Faults
from randsvc.web.bearer_auth import has_token, make_unauthorized
from randsvc.web.request_body import read_first, read_object

__all__ = ("add_faults",)

_logger = logging.getLogger(__name__)

BODY_TIMEOUT = 5.0
"""Seconds that the parameters of a fault have to arrive."""


def add_faults(
    router: web.UrlDispatcher, faults: Faults, *, token: str | None, local: bool
) -> None:
    """Add the routes that list, set and clear ``faults``.

    Setting and clearing require ``token`` as a bearer token. Without a token they are allowed if
    the port is ``local`` to the machine.
    """

    def authorized(handler: Handler) -> Handler:
        """Raise 403 or 401 before ``handler`` reads anything of what is sent."""

        async def authorize(request: web.Request) -> web.StreamResponse:
            if token is None:
                if not local:
                    raise web.HTTPForbidden(
                        text="setting faults on a port beyond loopback requires a token: set "
                        "RANDSVC_MANAGEMENT_TOKEN (RANDSVC_AUTH_MANAGEMENT_TOKEN for auth)"
                    )
            elif not has_token(request, token):
                raise make_unauthorized(
                    "expected the management token as Authorization: Bearer TOKEN"
                )
            return await handler(request)

        return authorize

    def named(request: web.Request) -> str:
        name = request.match_info["name"]
        if name not in faults.known:
            elsewhere = any(name == fault.name for fault in (*AUTH_FAULTS, *RANDOM_FAULTS))
            reason = "belongs to the other service" if elsewhere else "does not exist"
            raise web.HTTPNotFound(
                text=f"fault {name!r} {reason}, expected one of {', '.join(faults.known)}"
            )
        return name

    async def show(request: web.Request) -> web.Response:
        known = {name: fault.schema() for name, fault in faults.known.items()}
        text = json.dumps({"on": faults.active(), "known": known}, indent=2)
        return web.Response(text=text + "\n", content_type="application/json")

    async def put(request: web.Request) -> web.Response:
        name, parameters = named(request), await read_object(request)
        try:
            faults.set(name, parameters)
        except FaultError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        _logger.warning("fault %s set: %s", name, parameters, extra={"randsvc.fault": name})
        return web.Response(status=204)

    async def delete(request: web.Request) -> web.Response:
        name = named(request) if "name" in request.match_info else None
        faults.clear(name)
        _logger.info("cleared: %s", f"fault {name}" if name else "all faults")
        return web.Response(status=204)

    router.add_get("/faults", show)
    router.add_delete("/faults", authorized(delete))
    router.add_put("/faults/{name}", authorized(read_first(put, BODY_TIMEOUT)))
    router.add_delete("/faults/{name}", authorized(delete))
