import asyncio
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
from aiohttp import request, web
from opentelemetry.sdk.trace import TracerProvider

from randsvc import logs
from tests.support.serving import serving


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_event_is_one_line_of_json_with_its_extra_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure()
    logging.getLogger("some.module").info("two\nlines: %d", 3, extra={"port": 80})
    (event,) = events(capsys)
    assert str(event.pop("time")).endswith("+00:00")
    assert event == {
        "level": "INFO",
        "logger": "some.module",
        "message": "two\nlines: 3",
        "port": 80,
    }


def test_an_exception_is_a_field_of_its_event(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger(__name__).exception("failed")
    (event,) = events(capsys)
    assert event["exception.type"] == event["error.type"] == "ZeroDivisionError"
    assert event["exception.message"] == "division by zero"
    assert str(event["exception.stacktrace"]).startswith("Traceback")
    assert "exc_info" not in event


def test_an_event_in_a_span_has_its_ids(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer(__name__)
    with tracer.start_as_current_span("work") as span:
        logging.getLogger(__name__).warning("inside")
    logging.getLogger(__name__).warning("outside")
    inside, outside = events(capsys)
    context = span.get_span_context()
    assert inside["trace_id"] == f"{context.trace_id:032x}"
    assert inside["span_id"] == f"{context.span_id:016x}"
    assert "trace_id" not in outside


def test_the_level_silences_what_is_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("ERROR")
    logging.getLogger(__name__).warning("quiet")
    assert events(capsys) == []


def test_a_warning_of_python_is_an_event_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (event,) = events(capsys)
    assert event["logger"] == "py.warnings"


async def test_requests_that_are_not_http_leave_no_trace_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure()
    async with serving(web.Application(), access_log=None) as url:
        for head in (b"\x16\x03\x01", b"GET / HTTP/9\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n"):
            reader, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(head + b"\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
            writer.close()
    assert events(capsys) == []


async def test_a_body_that_cannot_be_decoded_leaves_no_trace_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure()
    async with serving(web.Application(), access_log=None) as url:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: deflate\r\nContent-Length: 9\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
        writer.write(b"123456789")
        writer.close()
        await asyncio.sleep(0.1)
    assert events(capsys) == []


async def test_a_request_that_fails_in_aiohttp_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure()

    async def fail(request: web.Request) -> web.Response:
        raise ZeroDivisionError

    app = web.Application()
    app.router.add_get("/", fail)
    async with serving(app, access_log=None) as url, request("GET", url) as response:
        assert response.status == 500
    (event,) = events(capsys)
    assert event["logger"] == "aiohttp.server"
