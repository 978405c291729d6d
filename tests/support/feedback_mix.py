"""Feedback of every kind, of which it is known what has to become of it."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from aiohttp import ClientSession

from randsvc.service.answer_ids import AnswerIds

SECRET = "f" * 32
LIFETIME = 300.0
CONNECTIONS = 30
PER_CONNECTION = 50
"""Requests on one connection."""
MIX = {"accepted": 5000, "duplicate": 2000, "forged": 1000, "expired": 1000, "malformed": 1000}
"""Ten thousand."""
STATUSES = {200: "accepted", 409: "duplicate", 403: "forged", 410: "expired"} | dict.fromkeys(
    (400, 413, 422), "malformed"
)
ERROR = -2.5
"""Of each that is accepted."""

_VALUE = 50.0
_MALFORMED = (
    b"",
    b"no JSON",
    b"[]",
    b'{"id": 1, "actual": 1}',
    b'{"id": "x"}',
    b'{"id": "x", "actual": NaN}',
    b" " * 20_000,
)


def mixed(seed: int = 1) -> list[bytes]:
    """The bodies of ``MIX`` in no order, as another replica with ``SECRET`` made their ids."""
    ids = AnswerIds(SECRET, lifetime=LIFETIME)
    past = AnswerIds(SECRET, lifetime=LIFETIME, clock=lambda: time.time() - LIFETIME - 1)
    other = AnswerIds("g" * 32, lifetime=LIFETIME)
    rng = random.Random(seed)

    def feedback(given: str) -> bytes:
        return json.dumps({"id": given, "actual": _VALUE - ERROR}).encode()

    def forged() -> Iterator[str]:
        while True:
            yield other.issue(_VALUE, "model")
            good = ids.issue(_VALUE, "model")
            place = rng.randrange(len(good))
            yield good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]
            yield "nonsense"

    good = [
        feedback(ids.issue(_VALUE, rng.choice(("model", "fallback"))))
        for _ in range(MIX["accepted"])
    ]
    bodies = [
        *good,
        # Some twice, some more often.
        *rng.choices(good, k=MIX["duplicate"]),
        *(feedback(given) for given, _ in zip(forged(), range(MIX["forged"]), strict=False)),
        *(feedback(past.issue(_VALUE, "model")) for _ in range(MIX["expired"])),
        *(_MALFORMED[number % len(_MALFORMED)] for number in range(MIX["malformed"])),
    ]
    rng.shuffle(bodies)
    return bodies


async def send(url: str) -> Counter[str]:
    """Post them all over ``CONNECTIONS`` connections at a time; what was answered, by outcome."""
    answered: Counter[str] = Counter()
    left = iter(mixed())

    async def post() -> None:
        # One worker may accept all connections that are opened at once: others follow.
        while bodies := list(islice(left, PER_CONNECTION)):
            async with ClientSession() as session:
                for body in bodies:
                    async with session.post(url, data=body) as response:
                        await response.read()
                    answered[STATUSES.get(response.status, str(response.status))] += 1

    await asyncio.gather(*(post() for _ in range(CONNECTIONS)))
    return answered
