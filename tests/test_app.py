import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from aiohttp import ClientSession, request
from yarl import URL

from randsvc.app import make_app
from randsvc.distributions import parse
from randsvc.telemetry.pipeline import Telemetry
from tests.reading import Measured, counts
from tests.serving import serving

LIMIT = 5


def app_of(
    telemetry: Telemetry, *, value: str, delay: str, seed: int = 1
) -> AbstractAsyncContextManager[URL]:
    app = make_app(
        value=parse(value),
        delay=parse(delay),
        rng=random.Random(seed),
        max_concurrency=LIMIT,
        telemetry=telemetry,
    )
    return serving(app, telemetry)


async def get_values(url: URL, number: int) -> list[float]:
    async with ClientSession() as session:
        values = []
        for _ in range(number):
            async with session.get(url.joinpath("random")) as response:
                assert response.status == 200
                assert response.content_type == "application/json"
                values.append((await response.json())["value"])
        return values


async def test_the_value_comes_from_the_value_distribution(telemetry: Telemetry) -> None:
    async with app_of(telemetry, value="uniform(low=3, high=4)", delay="constant(value=0)") as url:
        values = await get_values(url, 20)
    assert all(3 <= value <= 4 for value in values)
    assert len(set(values)) == 20


async def test_a_seed_gives_the_same_values_again(telemetry: Telemetry) -> None:
    sequences = []
    for _ in range(2):
        async with app_of(
            telemetry, value="normal(mean=0, sd=1)", delay="constant(value=0)", seed=7
        ) as url:
            sequences.append(await get_values(url, 5))
    assert sequences[0] == sequences[1]


async def test_the_answer_comes_after_the_delay(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with app_of(telemetry, value="constant(value=1)", delay="constant(value=0.2)") as url:
        await get_values(url, 1)
    measured = read()
    (duration,) = measured["http.server.request.duration"].values()
    assert 0.2 <= duration.sum < 0.4
    (delay,) = measured["randsvc.delay"].values()
    assert delay.sum == pytest.approx(0.2)


async def test_every_answered_value_is_observed(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with app_of(telemetry, value="normal(mean=50, sd=10)", delay="constant(value=0)") as url:
        values = await get_values(url, 30)
    (point,) = read()["randsvc.value"].values()
    assert point.count == 30
    assert point.sum == pytest.approx(sum(values))


async def test_more_requests_than_the_limit_are_shed_with_503_and_counted(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with app_of(telemetry, value="constant(value=1)", delay="constant(value=0.2)") as url:

        async def ask() -> tuple[int, str | None]:
            async with request("GET", url.joinpath("random")) as response:
                return response.status, response.headers.get("Retry-After")

        answers = await asyncio.gather(*(ask() for _ in range(LIMIT + 3)))
        assert sorted(answers, key=str) == [(200, None)] * LIMIT + [(503, "1")] * 3
        # The places are free again.
        assert await ask() == (200, None)
    statuses = counts(
        read()["http.server.request.duration"], "http.response.status_code", "error.type"
    )
    assert statuses == {(200, None): LIMIT + 1, (503, "503"): 3}


async def test_head_is_answered_like_get_without_a_body(telemetry: Telemetry) -> None:
    async with (
        app_of(telemetry, value="constant(value=1)", delay="constant(value=0)") as url,
        request("HEAD", url.joinpath("random")) as response,
    ):
        assert response.status == 200
        assert await response.read() == b""
