"""The login service: ``POST /login`` returns a token for a user name and the password.

It has no accounts: a user with the password can choose any name. Its tokens guard only random
numbers. It exists so that logging in can be slow, fail, and be monitored.
"""

import hmac
import json

from aiohttp import web

from randsvc.faults.faults import Faults
from randsvc.service.openapi import AUTH, PATH, document_handler
from randsvc.service.tokens import Tokens
from randsvc.settings import AuthSettings
from randsvc.telemetry import Telemetry
from randsvc.web.bearer_auth import make_unauthorized
from randsvc.web.load_shedding import limit_concurrency
from randsvc.web.problems import add_catch_all, guard, make_problem
from randsvc.web.request_body import read_first, read_object

__all__ = ("make_auth_app",)

BODY_LIMIT = 10_000
"""Bytes; a name and a password take 50."""


def make_auth_app(settings: AuthSettings, telemetry: Telemetry, faults: Faults) -> web.Application:
    """The public application, measured by ``telemetry`` and broken by ``faults``."""
    tokens = Tokens(settings.secret, lifetime=settings.lifetime)
    password = settings.password.encode()

    async def login(request: web.Request) -> web.Response:
        if faults.on and faults.get("auth-down"):
            return make_problem(503, "login is unavailable: the fault auth-down is active")
        body = await read_object(request)
        user, given = body.get("user"), body.get("password")
        if not (isinstance(user, str) and user and isinstance(given, str)):
            raise web.HTTPUnprocessableEntity(
                text='expected {"user": NAME, "password": PASSWORD}, both strings'
            )
        if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), password):
            raise make_unauthorized("wrong password")
        answer = {"token": tokens.issue(user), "expires_in": settings.lifetime}
        return web.Response(text=json.dumps(answer), content_type="application/json")

    app = web.Application(client_max_size=BODY_LIMIT)
    let_in = limit_concurrency(login, settings.max_concurrency)
    app.router.add_post("/login", guard(read_first(let_in, settings.client_timeout)))
    app.router.add_get(PATH, guard(document_handler(AUTH)))
    add_catch_all(app.router)
    telemetry.install(app)
    return app
