import asyncio
import itertools
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from randsvc.model.features import parse_features
from randsvc.simulation.users import Login, simulate_users
from tests.support.serving import serving


class Services:
    """A service that counts who asks, and an auth service that can be down, both at ``url``."""

    url: str

    def __init__(self) -> None:
        self.asked = self.logins = 0
        self.down = self.refuses = False
        self.lifetime = 60.0
        self.tokens: list[str | None] = []
        self.features: list[dict[str, str]] = []
        self.truths: list[dict[str, object]] = []
        self.app = web.Application()
        self.app.router.add_get("/random", self.random)
        self.app.router.add_post("/login", self.login)
        self.app.router.add_post("/feedback", self.feedback)

    async def random(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.tokens.append(request.headers.get("Authorization"))
        self.features.append(dict(request.query))
        if self.refuses:
            return web.Response(status=401)
        assert request.headers["Simulated-User"]
        told = {"Simulated-Outcome": f"{self.asked / 4}"}
        return web.Response(text=json.dumps({"id": f"answer {self.asked}"}), headers=told)

    async def feedback(self, request: web.Request) -> web.Response:
        self.truths.append(await request.json())
        return web.Response(status=503 if self.down else 200)

    async def login(self, request: web.Request) -> web.Response:
        self.logins += 1
        if self.down:
            return web.Response(status=503)
        assert (await request.json())["password"] == "known"  # noqa: S105
        token = {"token": str(self.logins), "expires_in": self.lifetime}
        return web.Response(text=json.dumps(token))


@pytest.fixture
async def services(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Services]:
    """They are asked 200 times a second by each user."""
    monkeypatch.setattr("randsvc.simulation.users.REQUESTS_PER_SECOND", 200.0)
    monkeypatch.setattr("randsvc.simulation.behaviour.REQUESTS_PER_VISIT", 1e9)
    services = Services()
    async with serving(services.app) as url:
        services.url = str(url)
        yield services


async def let_one_user(services: Services, seconds: float = 0.3) -> None:
    async with simulate_users(1, services.url, Login(services.url, "known")):
        await asyncio.sleep(seconds)


async def test_users_send_requests_until_they_are_stopped(services: Services) -> None:
    async with simulate_users(5, services.url):
        await asyncio.sleep(0.3)
    assert services.asked > 5
    seen = services.asked
    await asyncio.sleep(0.1)
    assert services.asked == seen
    assert services.logins == 0


async def test_users_keep_trying_without_a_service() -> None:
    nobody = "http://127.0.0.1:1"
    async with simulate_users(50, nobody, Login(nobody, "known")):
        await asyncio.sleep(0.2)


async def test_a_user_logs_in_once_and_uses_the_token(services: Services) -> None:
    await let_one_user(services)
    assert services.logins == 1
    assert services.asked > 5
    assert set(services.tokens) == {"Bearer 1"}


async def test_a_user_gets_another_token_before_the_first_expires(services: Services) -> None:
    services.lifetime = 0.1
    await let_one_user(services, 0.5)
    assert 3 <= services.logins <= 7
    assert None not in services.tokens


async def test_a_user_whose_login_fails_continues_and_tries_again_each_time(
    services: Services,
) -> None:
    services.down = True
    await let_one_user(services)
    assert services.asked > 5
    assert set(services.tokens) == {None}
    assert abs(services.logins - services.asked) <= 1


async def test_a_user_whose_token_is_refused_logs_in_again(services: Services) -> None:
    services.refuses = True
    await let_one_user(services)
    assert services.asked > 5
    assert abs(services.logins - services.asked) <= 1


async def test_a_user_logs_out_after_some_requests(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("randsvc.simulation.behaviour.REQUESTS_PER_VISIT", 1)
    await let_one_user(services)
    assert services.logins > 5
    assert None not in services.tokens


async def test_users_send_valid_features(services: Services) -> None:
    await let_one_user(services)
    for given in services.features:
        parse_features({name: [text] for name, text in given.items()})
    assert any(services.features)


@pytest.mark.parametrize("down", [False, True])
async def test_users_report_the_ground_truth_of_a_share_of_the_predictions_later(
    services: Services, monkeypatch: pytest.MonkeyPatch, *, down: bool
) -> None:
    services.down = down
    reported = itertools.cycle([0.02, None])
    monkeypatch.setattr("randsvc.simulation.behaviour.draw_report_delay", lambda: next(reported))
    await let_one_user(services)
    assert len(services.truths) == pytest.approx(services.asked / 2, abs=8)
    for truth in services.truths:
        number = int(str(truth["id"]).removeprefix("answer "))
        assert truth["actual"] == number / 4


async def test_stopped_users_send_no_more_feedback(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("randsvc.simulation.behaviour.draw_report_delay", lambda: 60.0)
    await let_one_user(services)
    assert services.truths == []
