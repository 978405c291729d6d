"""``randsvc users``: simulated users of a service, as a process of their own."""

from typing import Annotated

import uvloop
from cyclopts import App, Parameter

from randsvc.credentials import PASSWORD
from randsvc.service.shutdown import Shutdown
from randsvc.simulation.users import Login, simulate_users

__all__ = ("users_app",)

GRACE = 2.0
"""Seconds that the end may take."""

users_app = App(name="users", help_format="plaintext", config=())


@users_app.default
def run(
    *,
    number: Annotated[
        int, Parameter(help="Number of users; each sends about one request per second.")
    ] = 15,
    service: Annotated[str, Parameter(help="URL of the service.")] = "http://127.0.0.1:8080",
    auth: Annotated[
        str, Parameter(help="URL of the authorization service, where users log in.")
    ] = "http://127.0.0.1:8081",
) -> None:
    """Send requests as simulated users do, until SIGTERM or Ctrl-C."""
    uvloop.run(_simulate(number, service, Login(auth, PASSWORD)))


async def _simulate(number: int, service: str, login: Login) -> None:
    shutdown = Shutdown(GRACE)
    shutdown.follow_signals()
    async with simulate_users(number, service, login):
        await shutdown.wait()
