"""The two services, from their settings to their end."""

import contextlib
import logging
import os
import secrets
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial

from yarl import URL

from randsvc.errors import ConfigurationError
from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS
from randsvc.metrics import DELAY, VALUE
from randsvc.service.login_app import make_auth_app
from randsvc.service.random_app import make_app
from randsvc.service.serving import serve_in_process
from randsvc.service.shutdown import Shutdown
from randsvc.service.tokens import SECRET_BYTES
from randsvc.service.workers import supervise
from randsvc.settings import AuthSettings, ServerSettings, Settings
from randsvc.simulation.users import Login, simulate_users

__all__ = ("serve_auth", "serve_random")

_logger = logging.getLogger(__name__)


async def serve_random(settings: Settings, auth: AuthSettings | None = None) -> None:
    """Serve /random with its simulated users until a signal, and ``auth`` in the same process."""
    if auth:
        if name := os.environ.get("OTEL_SERVICE_NAME"):
            raise ConfigurationError(
                f"OTEL_SERVICE_NAME={name} with RANDSVC_WITH_AUTH: two services would have one "
                "name; run randsvc auth by itself"
            )
        secret = settings.auth_secret or auth.secret or secrets.token_urlsafe(SECRET_BYTES)
        asked: ServerSettings = auth if auth.prometheus_url else settings
        auth = replace(
            auth,
            secret=secret,
            prometheus_url=asked.prometheus_url,
            prometheus_token=asked.prometheus_token,
            prometheus_headers=asked.prometheus_headers,
            prometheus_ca_file=asked.prometheus_ca_file,
            prometheus_cert_file=asked.prometheus_cert_file,
            prometheus_key_file=asked.prometheus_key_file,
            links={**_console("service", settings), **(auth.links or settings.links)},
        )
        settings = replace(
            settings, auth_secret=secret, links={**_console("login", auth), **settings.links}
        )
    shutdown = Shutdown(max(settings.grace, auth.grace if auth else 0.0))
    shutdown.follow_signals()
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(_random(settings, shutdown))
        login_url = settings.auth_url
        if auth:
            login_url = await stack.enter_async_context(_auth(auth, shutdown))
        login = Login(login_url, settings.auth_password) if login_url else None
        await stack.enter_async_context(simulate_users(settings.users, service, login))
        await _wait_for_end(shutdown)
    _logger.info("stopped")


async def serve_auth(settings: AuthSettings) -> None:
    """Serve /login until SIGTERM, SIGINT or SIGHUP."""
    shutdown = Shutdown(settings.grace)
    shutdown.follow_signals()
    async with _auth(settings, shutdown):
        await _wait_for_end(shutdown)
    _logger.info("stopped")


def _console(name: str, settings: ServerSettings) -> Mapping[str, str]:
    """A link to the console of a service, where its address is known beforehand."""
    if not settings.management_port:
        return {}
    host = {"127.0.0.1": "localhost"}.get(settings.management_host, settings.management_host)
    url = URL.build(scheme="http", host=host, port=settings.management_port)
    return {f"Console of the {name}": str(url)}


def _random(settings: Settings, shutdown: Shutdown) -> AbstractAsyncContextManager[str]:
    if settings.workers > 1:
        return supervise(settings, shutdown)
    return serve_in_process(
        settings,
        partial(make_app, settings),
        RANDOM_FAULTS,
        shutdown,
        true_distributions={VALUE: settings.value, DELAY: settings.delay},
        value=str(settings.value),
        delay=str(settings.delay),
    )


def _auth(settings: AuthSettings, shutdown: Shutdown) -> AbstractAsyncContextManager[str]:
    return serve_in_process(
        settings, partial(make_auth_app, settings), AUTH_FAULTS, shutdown, true_distributions={}
    )


async def _wait_for_end(shutdown: Shutdown) -> None:
    await shutdown.wait()
    _logger.info("stopping: finishing the requests in flight within %g s", shutdown.grace)
