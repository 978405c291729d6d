"""The simulated users of the service as a program of their own, so that they can be sent away.

``python -m randsvc.stack.users`` runs until SIGTERM or Ctrl-C.
"""

import argparse
import asyncio

import uvloop

from randsvc.service.serving import termination
from randsvc.settings import PASSWORD
from randsvc.simulation.users import Login, simulated_users


def main() -> None:
    """Log in, ask, and come again."""
    parser = argparse.ArgumentParser(prog="users", description="Simulated users of the service.")
    parser.add_argument("--number", type=int, default=15, help="each asks every second or so")
    parser.add_argument("--service", default="http://127.0.0.1:8080", help="URL of the service")
    parser.add_argument("--auth", default="http://127.0.0.1:8081", help="URL they log in at")
    given = parser.parse_args()
    uvloop.run(_use(given.number, given.service, Login(given.auth, PASSWORD)))


async def _use(number: int, service: str, login: Login) -> None:
    stop: asyncio.Event = termination()
    async with simulated_users(number, service, login):
        await stop.wait()


if __name__ == "__main__":
    main()
