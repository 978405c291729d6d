import asyncio
import logging

import pytest
from aiohttp import ClientResponse, request, web

from randsvc.web.problems import add_catch_all, guard, make_problem, meet_expectations
from tests.support.serving import serving


def make_app() -> web.Application:
    async def fails(_: web.Request) -> web.Response:
        raise ZeroDivisionError("secret of the server")

    async def refuses(_: web.Request) -> web.Response:
        raise web.HTTPUnauthorized(text="log in first", headers={"WWW-Authenticate": "Bearer"})

    async def moves(_: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async def answers(_: web.Request) -> web.Response:
        return web.Response(text="fine")

    app = web.Application()
    app.router.add_get("/fails", guard(fails))
    app.router.add_get("/refuses", guard(refuses))
    app.router.add_get("/moves", guard(moves))
    app.router.add_get("/answers", guard(answers))
    app.router.add_delete("/answers", guard(answers))
    add_catch_all(app.router)
    return app


async def ask(path: str, method: str = "GET") -> ClientResponse:
    async with (
        serving(make_app()) as url,
        request(method, url.joinpath(path[1:]), allow_redirects=False) as response,
    ):
        await response.read()
        return response


async def body(response: ClientResponse, status: int, title: str) -> str:
    """The detail of a problem, whose other members are checked."""
    assert response.status == status
    assert response.content_type == "application/problem+json"
    members = await response.json()
    assert members.pop("type") == "about:blank"
    assert (members.pop("status"), members.pop("title")) == (status, title)
    detail = members.pop("detail")
    assert not members
    return str(detail)


async def test_a_response_stays_as_it_is() -> None:
    response = await ask("/answers")
    assert (response.status, await response.text()) == (200, "fine")


async def test_an_unknown_path_is_a_problem_that_names_it() -> None:
    assert "/nothing" in await body(await ask("/nothing"), 404, "Not Found")


async def test_a_method_that_is_not_taken_is_a_problem_with_those_that_are() -> None:
    response = await ask("/answers", "POST")
    detail = await body(response, 405, "Method Not Allowed")
    assert detail == "/answers supports DELETE, GET, HEAD, not POST"
    assert response.headers["Allow"] == "DELETE, GET, HEAD"


async def test_an_http_error_keeps_its_text_and_its_headers() -> None:
    response = await ask("/refuses")
    assert await body(response, 401, "Unauthorized") == "log in first"
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_redirect_is_no_problem() -> None:
    response = await ask("/moves")
    assert (response.status, response.headers["Location"]) == (302, "/elsewhere")


async def test_an_exception_is_logged_and_its_text_kept_from_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    detail = await body(await ask("/fails"), 500, "Internal Server Error")
    assert "secret" not in detail
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert "secret of the server" in str(record.exc_info[1])


def test_a_problem_carries_the_headers_it_is_given() -> None:
    assert make_problem(503, "full", {"Retry-After": "1"}).headers["Retry-After"] == "1"


async def send(request: bytes, app: web.Application | None = None) -> bytes:
    """Send bytes, and give the head of the response."""
    async with serving(app or make_app()) as url:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    return head


TARGETS = (b"GET /nothing", b"GET /no%0Athing", b"GET /no%0Dthing", b"OPTIONS *", b"CONNECT a:1")


@pytest.mark.parametrize("target", TARGETS)
async def test_a_target_that_no_pattern_matches_is_a_problem(target: bytes) -> None:
    head = await send(target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"application/problem+json" in head


@pytest.mark.parametrize("target", [b"GET /answers", b"GET /fails", *TARGETS])
@pytest.mark.parametrize("value", [b"\xff", b"\xed\xa0\x80", b"miracles", b"100-continue, x"])
async def test_an_expectation_that_is_not_met_is_a_problem_whatever_its_bytes(
    target: bytes, value: bytes
) -> None:
    head = await send(b"%s HTTP/1.1\r\nHost: x\r\nExpect: %s\r\n\r\n" % (target, value))
    assert head.startswith(b"HTTP/1.1 417 Expectation Failed\r\n")
    assert b"application/problem+json" in head


async def test_without_a_catch_all_too_no_expectation_fails() -> None:
    app = web.Application()
    meet_expectations(app.router)
    head = await send(b"GET /nothing HTTP/1.1\r\nHost: x\r\nExpect: \xff\r\n\r\n", app)
    assert head.startswith(b"HTTP/1.1 417 Expectation Failed\r\n")


async def test_a_client_that_waits_for_100_is_told_to_continue() -> None:
    async with (
        serving(make_app()) as url,
        request("DELETE", url / "answers", data=b"x", expect100=True) as response,
    ):
        assert (response.status, await response.text()) == (200, "fine")
