from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import request, web
from yarl import URL

from randsvc.faults.faults import Faults
from randsvc.management import fault_api
from randsvc.management.app import make_management_app
from randsvc.management.console import Console
from tests.support.breaking import faults_of
from tests.support.serving import serving

ERRORS = {"share": 0.5, "duration": 60}


@pytest.fixture
def faults() -> Faults:
    return faults_of()


@pytest.fixture
async def url(faults: Faults) -> AsyncIterator[URL]:
    async with serving(app_of(faults)) as url:
        yield url


def app_of(faults: Faults, token: str | None = None, *, local: bool = True) -> web.Application:
    async def no_metrics(_: str) -> None:
        return None

    return make_management_app(
        ready=lambda: True,
        metrics=no_metrics,
        faults=faults,
        console=Console(service="randsvc"),
        token=token,
        local=local,
    )


async def ask(method: str, url: URL, path: str, **options: Any) -> tuple[int, Any]:
    """The status, and of a problem what it says."""
    async with request(method, url / path, **options) as response:
        if response.status == 204:
            return 204, None
        body = await response.json()
    return response.status, body.get("detail", body)


async def test_all_faults_are_listed_and_those_that_are_on_with_the_seconds_left(
    url: URL, faults: Faults
) -> None:
    status, body = await ask("GET", url, "faults")
    assert status == 200
    assert body["on"] == {}
    assert body["known"] == {name: fault.schema() for name, fault in faults.known.items()}
    assert await ask("PUT", url, "faults/errors", json=ERRORS) == (204, None)
    assert (await ask("GET", url, "faults"))[1]["on"] == {"errors": ERRORS}


async def test_one_fault_is_turned_off_or_all(url: URL, faults: Faults) -> None:
    for name in ("model-down", "value-frozen", "errors"):
        faults.set(name, ERRORS if name == "errors" else {"duration": 60})
    assert await ask("DELETE", url, "faults/model-down") == (204, None)
    assert set(faults.on) == {"value-frozen", "errors"}
    assert await ask("DELETE", url, "faults") == (204, None)
    assert not faults.on


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("faults/error", "{}", 404, "fault 'error' does not exist, expected one of errors, lat"),
        ("faults/auth-down", "{}", 404, "fault 'auth-down' belongs to the other service"),
        ("faults/errors", "nonsense", 400, "the body is not JSON"),
        ("faults/errors", "[]", 400, "the body is [], expected an object"),
        ("faults/errors", '{"duration": 1, "share": 2}', 422, "errors: share=2, expected a"),
    ],
)
async def test_a_fault_that_cannot_be_set_is_a_problem_and_changes_nothing(
    url: URL, faults: Faults, path: str, body: str, status: int, said: str
) -> None:
    found, detail = await ask("PUT", url, path, data=body)
    assert found == status
    assert detail.startswith(said)
    assert not faults.on


async def test_an_unknown_fault_cannot_be_cleared(url: URL) -> None:
    assert (await ask("DELETE", url, "faults/error"))[0] == 404


async def test_beyond_the_machine_nothing_is_switched_without_a_token(faults: Faults) -> None:
    async with serving(app_of(faults, local=False)) as url:
        for method, path in (("PUT", "faults/errors"), ("DELETE", "faults")):
            status, detail = await ask(method, url, path, json=ERRORS)
            assert status == 403
            assert "RANDSVC_MANAGEMENT_TOKEN" in detail
        assert (await ask("GET", url, "faults"))[0] == 200
    assert not faults.on


@pytest.mark.parametrize("local", [True, False])
async def test_where_there_is_a_token_it_is_wanted(*, local: bool) -> None:
    faults = faults_of()
    async with serving(app_of(faults, "secret", local=local)) as url:
        for wrong in (
            {},
            {"Authorization": "Bearer guess"},
            {"Authorization": "Basic secret"},
            {"Authorization": "Bearer \udcff"},
        ):
            for method, path in (("PUT", "faults/errors"), ("DELETE", "faults")):
                async with request(method, url / path, headers=wrong, json=ERRORS) as response:
                    assert response.status == 401
                    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
        assert not faults.on
        right = {"Authorization": "Bearer secret"}
        assert (await ask("PUT", url, "faults/errors", headers=right, json=ERRORS))[0] == 204
    assert faults.on


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Host": "rebound.example"}, 421),
    ],
)
async def test_a_page_of_another_origin_switches_nothing(
    url: URL, faults: Faults, headers: dict[str, str], status: int
) -> None:
    for method, path in (
        ("PUT", "faults/errors"),
        ("DELETE", "faults"),
        ("DELETE", "faults/errors"),
    ):
        assert (await ask(method, url, path, headers=headers, json=ERRORS))[0] == status
    assert not faults.on


async def test_a_page_of_another_origin_that_knows_the_token_switches_nothing() -> None:
    faults = faults_of()
    async with serving(app_of(faults, "secret", local=False)) as url:
        headers = {"Authorization": "Bearer secret", "Sec-Fetch-Site": "same-site"}
        assert (await ask("PUT", url, "faults/errors", headers=headers, json=ERRORS))[0] == 403
    assert not faults.on


async def test_a_fault_is_logged_once_when_it_is_set_and_once_when_it_is_cleared(
    url: URL, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await ask("PUT", url, "faults/errors", json=ERRORS)
    await ask("DELETE", url, "faults/errors")
    await ask("DELETE", url, "faults")
    assert [r.getMessage() for r in caplog.records if r.name == fault_api.__name__] == [
        f"fault errors set: {ERRORS}",
        "cleared: fault errors",
        "cleared: all faults",
    ]
