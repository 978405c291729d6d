"""What people were sent, and what was silenced: from the inbox and from Alertmanager."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import aiohttp

from randsvc.incidents.stack_api import Addresses, Notification, Silence, StackApi

__all__ = ("fetch_notifications", "fetch_silences")

TIMEOUT = 10.0
"""Seconds that a program has to respond."""

T = TypeVar("T")


def fetch_notifications(inbox: str, since: float) -> list[Notification] | None:
    """Give what the inbox received since a Unix time, in order; None if it does not respond."""
    return _ask(lambda stack: stack.get_notifications(datetime.fromtimestamp(since, UTC)), inbox)


def fetch_silences(alertmanager: str) -> list[Silence] | None:
    """Give the silences that Alertmanager still knows; None if it does not respond."""
    return _ask(lambda stack: stack.get_silences(), alertmanager)


def _ask(question: Callable[[StackApi], Awaitable[T]], url: str) -> T:
    addresses = Addresses(
        prometheus=url,
        alertmanager=url,
        inbox=url,
        service=url,
        management=url,
        auth_management=url,
    )

    async def ask() -> T:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            return await question(StackApi(session, addresses, timeout=TIMEOUT))

    return asyncio.run(ask())
