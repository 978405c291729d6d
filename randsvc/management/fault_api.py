"""``/faults`` on the management port: list, set and clear faults.

GET    /faults         {"on": {NAME: {"duration": SECONDS LEFT, ...its parameters}},
                        "known": {NAME: JSON SCHEMA}}
PUT    /faults/NAME    set one: {"duration": SECONDS, ...its parameters}
DELETE /faults/NAME    clear one
DELETE /faults         clear all
"""

import hmac
import json

from aiohttp import web

from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS, FaultError, Faults
from randsvc.web.bearer_auth import bearer_token, unauthorized
from randsvc.web.cross_origin import refuse_cross_origin, refuse_foreign_host
from randsvc.web.problems import guarded
from randsvc.web.request_body import read_first, read_object

__all__ = ("add_faults",)

BODY_TIMEOUT = 5.0
"""Seconds that the parameters of a fault have to arrive."""


def add_faults(
    router: web.UrlDispatcher, faults: Faults, *, token: str | None, local: bool
) -> None:
    """Add the routes that list, set and clear ``faults``.

    Setting and clearing require ``token`` as a bearer token. Without a token they are allowed if
    the port is ``local`` to the machine. Pages of other origins are always refused.
    """

    def authorize(request: web.Request) -> None:
        refuse_cross_origin(request)
        if token is None:
            if local:
                refuse_foreign_host(request)
            else:
                raise web.HTTPForbidden(
                    text="setting faults on a port beyond loopback requires a token: set "
                    "RANDSVC_MANAGEMENT_TOKEN (RANDSVC_AUTH_MANAGEMENT_TOKEN for auth)"
                )
            return
        given = bearer_token(request)
        if given is None or not hmac.compare_digest(given.encode(), token.encode()):
            raise unauthorized("expected the management token as Authorization: Bearer TOKEN")

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
        authorize(request)
        name = named(request)
        try:
            faults.set(name, await read_object(request))
        except FaultError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        return web.Response(status=204)

    async def delete(request: web.Request) -> web.Response:
        authorize(request)
        faults.clear(named(request) if "name" in request.match_info else None)
        return web.Response(status=204)

    router.add_get("/faults", guarded(show))
    router.add_delete("/faults", guarded(delete))
    router.add_put("/faults/{name}", guarded(read_first(put, BODY_TIMEOUT)))
    router.add_delete("/faults/{name}", guarded(delete))
