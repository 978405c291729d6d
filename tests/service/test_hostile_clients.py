"""Clients that hold connections without using them."""

import contextlib
import socket
import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.support.service import Service, running_service

pytestmark = pytest.mark.process

TIMEOUT = 1.0
CLOSING = 1.0
"""Seconds that a response is waited for to arrive before its connection is closed."""
BUSY = 3.0
"""Seconds that this machine may add, as it runs other tests at the same time."""
GOOD = b'{"user": "ada", "password": "random"}'


@pytest.fixture(scope="module")
def auth() -> Iterator[Service]:
    with running_service(
        command="auth",
        RANDSVC_AUTH_SECRET="s" * 32,
        RANDSVC_AUTH_MAX_CONCURRENCY="10",
        RANDSVC_AUTH_CLIENT_TIMEOUT=str(TIMEOUT),
    ) as service:
        yield service


@pytest.fixture(scope="module")
def randsvc() -> Iterator[Service]:
    with running_service(
        RANDSVC_MAX_CONCURRENCY="10", RANDSVC_CLIENT_TIMEOUT=str(TIMEOUT)
    ) as service:
        yield service


def connect(url: str, first: bytes) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(first)
    return connection


def read_to_the_end(connection: socket.socket) -> bytes:
    """What comes until the service closes the connection."""
    text = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(1000):
            text += more
    return text


REQUEST = b"POST /login HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("port", ["public", "management"])
@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (b"", b""),
        (REQUEST, b""),
        (REQUEST + b"Content-Length: 50\r\n\r\n{", b"HTTP/1.1 4"),
        (b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 "),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 "),
    ],
    ids=["silent", "unfinished headers", "unfinished body", "body that nobody reads", "idle"],
)
def test_a_connection_that_is_not_used_is_closed(
    auth: Service, port: str, first: bytes, answer: bytes
) -> None:
    began = time.monotonic()
    with connect(getattr(auth, port), first) as connection:
        assert read_to_the_end(connection)[: len(answer)] == answer
    assert time.monotonic() - began < TIMEOUT + CLOSING + BUSY


@pytest.mark.parametrize(
    ("name", "port", "request_line", "good", "status"),
    [
        ("auth", "public", "POST /login", GOOD, 200),
        ("randsvc", "public", "POST /feedback", b"{}", 422),
        ("randsvc", "management", "PUT /faults/errors", b'{"duration": 1, "share": 0}', 204),
    ],
    ids=lambda value: value.split()[1] if isinstance(value, str) and " " in value else "",
)
def test_a_hundred_unfinished_bodies_keep_nobody_out(
    request: pytest.FixtureRequest,
    name: str,
    port: str,
    request_line: str,
    good: bytes,
    status: int,
) -> None:
    url = getattr(request.getfixturevalue(name), port)
    method, path = request_line.split()
    head = f"{request_line} HTTP/1.1\r\nHost: localhost\r\n".encode()
    unfinished = head + b"Content-Length: 50\r\n\r\n{"
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(url, unfinished)) for _ in range(100)]
        assert get_status(Request(url + path, good, method=method)) == status
        for connection in slow:
            assert read_to_the_end(connection).startswith(b"HTTP/1.1 408 ")


def get_status(request: Request) -> int:
    try:
        with urlopen(request) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize("number", [300, 1500])
def test_a_flood_of_connections_leaves_descriptors_for_the_management_port(number: int) -> None:
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(running_service(descriptors="160"))
        flood = []
        for _ in range(number):
            with contextlib.suppress(OSError):
                flood.append(stack.enter_context(connect(service.public, b"")))
        event = service.event("new connections to the public port are closed")
        assert "96 of 160 file descriptors are in use" in str(event["message"])
        for path in ("readyz", "metrics", "faults"):
            with urlopen(f"{service.management}/{path}", timeout=10) as response:
                assert response.status == 200
        for connection in flood:
            connection.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urlopen(f"{service.public}/random") as response:
                assert response.status == 200
                break
        else:
            pytest.fail("the public port does not answer after the flood")
        assert service.stop() == 0
