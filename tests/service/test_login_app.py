from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import request
from yarl import URL

from randsvc.faults.faults import AUTH_FAULTS, Faults
from randsvc.service.login_app import make_auth_app
from randsvc.service.tokens import Tokens
from randsvc.settings import AuthSettings
from randsvc.telemetry import Telemetry
from tests.support.breaking import faults_of
from tests.support.reading import Measured, counts
from tests.support.serving import serving

SECRET = "s" * 32
GOOD = b'{"user": "ada", "password": "random"}'


@pytest.fixture
def faults() -> Faults:
    return faults_of(AUTH_FAULTS)


@pytest.fixture
async def login(telemetry: Telemetry, faults: Faults) -> AsyncIterator[URL]:
    settings = AuthSettings(secret=SECRET, lifetime=30)
    async with serving(make_auth_app(settings, telemetry, faults)) as url:
        yield url.joinpath("login")


async def test_who_knows_the_password_gets_a_token(login: URL) -> None:
    async with request("POST", login, data=GOOD) as response:
        assert response.status == 200
        answer = await response.json()
    assert answer["expires_in"] == 30
    assert Tokens(SECRET).verify(answer["token"]) == "ada"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"user": "ada", "password": "guess"}', 401, "wrong password"),
        (b'{"user": "ada", "password": "\\ud800"}', 401, "wrong password"),
        (b'{"user": "ada"}', 422, '{"user": NAME, "password": PASSWORD}'),
        (b'{"user": "", "password": "random"}', 422, "both strings"),
        (b'{"user": 1, "password": "random"}', 422, "both strings"),
        (b"[1]", 400, "the body is [1], expected an object"),
        (b"user=ada", 400, "the body is not JSON"),
        (b"\xff", 400, "the body is not JSON"),
        (b"[" * 9000, 400, "the body is not JSON"),
        (b" " * 10_001, 413, ""),
    ],
)
async def test_a_login_that_cannot_be_is_a_problem(
    login: URL, body: bytes, status: int, said: str
) -> None:
    async with request("POST", login, data=body) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert said in (await response.json())["detail"]
        assert ("WWW-Authenticate" in response.headers) == (status == 401)


async def test_nobody_can_log_in_while_auth_is_down_and_it_is_counted(
    login: URL, faults: Faults, read: Callable[[], Measured]
) -> None:
    faults.set("auth-down", {"duration": 60})
    async with request("POST", login, data=GOOD) as response:
        assert response.status == 503
    faults.clear()
    async with request("POST", login, data=GOOD) as response:
        assert response.status == 200
    measured = read()
    assert counts(
        measured["http.server.request.duration"], "http.route", "http.response.status_code"
    ) == {("/login", 503): 1, ("/login", 200): 1}
    assert measured["http.server.active_requests"]
    assert "randsvc.predictions" not in measured
