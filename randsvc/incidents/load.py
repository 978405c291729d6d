"""The load of a scenario: requests for ``/random``, at a rate or at a concurrency."""

import asyncio
import contextlib
import ipaddress
import random
import socket
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from randsvc.incidents.scenario import Load, ScenarioError
from randsvc.incidents.stack_api import StackApi
from randsvc.simulation.behaviour import draw_features
from randsvc.telemetry.catalogue import CONCURRENCY_LIMIT

__all__ = ("send_load",)

CLIENT_LIMIT = 200
"""Requests of a load in flight at a time."""
SHED_WAIT = 0.1
"""Seconds that a client waits after its request was shed."""


@contextlib.asynccontextmanager
async def send_load(load: Load, service: str, stack: StackApi) -> AsyncIterator[str]:
    """Send a load to the URL of ``service`` in a ``with`` block; yield a description of the load.

    Raises ``ScenarioError`` for a public address, and if Prometheus has no concurrency limit.
    """
    url = f"{service.rstrip('/')}/random"
    refuse_public_address(url)
    if load.of_limit is not None:
        clients = min(CLIENT_LIMIT, round(load.of_limit * await _query_limit(stack)))
        description = f"{clients} requests in flight at all times"
    else:
        clients = 0
        description = f"{load.requests_per_second:g} requests/s"
    # Not the session of the stack's APIs: polling would wait for a free connection.
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CLIENT_LIMIT)) as session,
        asyncio.TaskGroup() as group,
    ):

        async def send() -> None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url, params=draw_features()) as response:
                    await response.read()
                    if response.status == 503:
                        await asyncio.sleep(SHED_WAIT)

        async def send_back_to_back() -> None:
            while True:
                await send()

        async def send_at_rate(rate: float) -> None:
            while True:
                await asyncio.sleep(random.expovariate(rate))
                in_flight.add(task := group.create_task(send()))
                task.add_done_callback(in_flight.discard)

        in_flight: set[asyncio.Task[None]] = set()
        senders = [group.create_task(send_back_to_back()) for _ in range(clients)]
        if load.requests_per_second is not None:
            senders.append(group.create_task(send_at_rate(load.requests_per_second)))
        try:
            yield description
        finally:
            for task in (*senders, *in_flight):
                task.cancel()


async def _query_limit(stack: StackApi) -> float:
    metric = CONCURRENCY_LIMIT.prometheus_name
    limit = await stack.query_number(f'sum({metric}{{job="randsvc"}})')
    if not limit:
        raise ScenarioError(
            f"--prometheus {stack.addresses.prometheus} has no series {metric} of the job "
            "randsvc, which decides the size of the load"
        )
    return limit


def refuse_public_address(url: str) -> None:
    """Raise ``ScenarioError`` unless a URL is of this machine or of a private network."""
    host = URL(url).host or ""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError as error:
        raise ScenarioError(f"--service {url}: {host!r}: {error.strerror}") from error
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_private:
            raise ScenarioError(
                f"--service {url}: {address[0]} is a public address; a scenario sends load only to "
                "this machine or to a private network"
            )
