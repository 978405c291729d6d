"""Every request is counted once: ways to run a server x kinds of route x ways to end.

A test is one request. After it exactly one more is counted, with its method, route, status and
error type, and none is active. There is one server for each way to run.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from randsvc.project import ROOT
from randsvc.stack.addresses import find_unused_ports
from randsvc.stack.supervisor import wait_until
from tests.support.request_matrix import BODY_LIMIT, CANCELLING_WAYS, LARGE, WAYS, command

LEFT = "ClientConnectionResetError"
WITHIN = 10.0
"""Seconds in which what a test waits for happens; a busy machine is no defect."""

START_WITHIN = 60.0
"""Seconds in which a server starts."""

Outcome = tuple[str, str | None, int | None, str | None]
"""Method, route, status and error type."""


class Server:
    """The application of the matrix in a process of its own, run in one of the ways."""

    def __init__(self, way: str, folder: Path) -> None:
        self.way = way
        self.port, self._control_port = find_unused_ports(2)
        self._final = folder / "final.json"
        (folder / "small").write_bytes(b"xx")
        (folder / "large").write_bytes(b"x" * LARGE)
        environment = {
            "MATRIX_PORT": str(self.port),
            "MATRIX_CONTROL_PORT": str(self._control_port),
            "MATRIX_FINAL": str(self._final),
            "MATRIX_FOLDER": str(folder),
        }
        self._process = subprocess.Popen(
            command(way, self.port),
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        try:
            wait_until(self._listens, within=START_WITHIN)
        except BaseException:
            self.kill()
            raise

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise ChildProcessError(f"{self.way} has ended by itself: {self._process.returncode}")
        return listens(self.port) and listens(self._control_port)

    def connect(self) -> socket.socket:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
        connection.settimeout(WITHIN)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def state(self) -> "State":
        with urlopen(f"http://127.0.0.1:{self._control_port}/") as response:
            return State.of(response.read())

    def stop(self) -> "State":
        """End it as a supervisor does, and give what it had counted in the end."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(3 * WITHIN)
        return State.of(self._final.read_bytes())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class State:
    """``entered`` requests have reached a handler, ``active`` ones are under way."""

    entered: int
    active: int
    counted: Counter[Outcome]

    @staticmethod
    def of(text: bytes) -> "State":
        state = json.loads(text)
        counted = Counter({tuple(outcome): count for *outcome, count in state["counted"]})
        return State(state["entered"], state["active"], counted)


# ------------------------------------------------------------------------------- what a client does

Act = Callable[[Server, bytes], None]


def read(server: Server, request: bytes) -> None:
    """Read the response until the server closes the connection."""
    with server.connect() as connection:
        connection.sendall(request)
        read_all(connection)


def read_slowly(server: Server, request: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(request)
        time.sleep(0.1)
        read_all(connection)


def leave(server: Server, request: bytes) -> None:
    """Close the connection once the handler was entered."""
    entered = server.state().entered
    with server.connect() as connection:
        connection.sendall(request)
        wait_until(lambda: server.state().entered > entered, within=WITHIN, every=0.002)


def leave_midway(server: Server, request: bytes) -> None:
    """Close the connection once the response has begun."""
    with server.connect() as connection:
        connection.sendall(request)
        connection.recv(1000)


def read_all(connection: socket.socket) -> None:
    try:
        while connection.recv(1_000_000):
            pass
    except ConnectionResetError:
        pass


# --------------------------------------------------------------------------------------- the matrix


@dataclass(frozen=True)
class Cell:
    """A request to a kind of route, how it ends, and how it is to be counted."""

    kind: str
    end: str
    request: bytes
    outcome: Outcome
    act: Act = read
    times: int = 1

    def __str__(self) -> str:
        return f"{self.kind}: {self.end}"


ROUTES = {
    "plain": "/plain/{end}",
    "view": "/view/{end}",
    "part of another application": "/part/{end}",
    "regular expression": "/regex/{end}",
    "any method": "/any/{end}",
    "file": "/file/{end}",
    "stream": "/stream/{end}",
    "events": "/events/{end}",
    "WebSocket": "/socket/{end}",
}
STREAMING = ("stream", "events", "WebSocket")
"""Their handlers send the headers themselves; of the others the server sends all."""
ENDLESS = ("events", "WebSocket")

BEFORE_HEADERS: dict[str, tuple[int | None, str | None]] = {
    "redirects": (302, None),
    "refuses": (403, None),
    "breaks": (502, "502"),
    "raises": (500, "ZeroDivisionError"),
    "cannot reach its backend": (500, "ConnectionRefusedError"),
    "overruns": (504, "TimeoutError"),
    "returns nothing": (500, "500"),
    "cancels itself": (None, "CancelledError"),
    "hangs up": (None, "ConnectionResetError"),
    "cannot be prepared": (None, "RuntimeError"),
}
AFTER_HEADERS = {
    "raises after its headers": "ZeroDivisionError",
    "refuses after its headers": "403",
    "cancels itself after its headers": "CancelledError",
}


def request_of(
    target: str, method: str = "GET", *, headers: str = "Connection: close\r\n", body: bytes = b""
) -> bytes:
    if body:
        headers += f"Content-Length: {len(body)}\r\n"
    if target.startswith("/socket/"):
        headers = headers.replace("close", "upgrade, close") + (
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        )
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + body


def routed_cells() -> Iterator[Cell]:
    for kind, route in ROUTES.items():
        ok = 101 if kind == "WebSocket" else 200

        def cell(
            end: str,
            status: int | None,
            error: str | None = None,
            act: Act = read,
            method: str = "GET",
            body: bytes = b"",
            kind: str = kind,
            route: str = route,
        ) -> Cell:
            request = request_of(route.format(end=end.replace(" ", "-")), method, body=body)
            return Cell(kind, end, request, (method, route, status, error), act)

        yield cell("answers", ok)
        for end, (status, error) in BEFORE_HEADERS.items():
            if (kind, end) == ("view", "returns nothing"):
                error = "AssertionError"  # web.View looks for itself
            yield cell(end, status, error)
        yield cell("reads too much", 413, method="POST", body=b"x" * (BODY_LIMIT + 1))
        yield cell("is left", None, LEFT, leave)
        # The service can still answer while the headers are not on their way.
        yield cell("cannot write its headers", 500 if kind in STREAMING else None, "ValueError")
        yield cell("is left midway", ok, None if kind in ENDLESS else LEFT, leave_midway)
        if kind != "WebSocket":
            yield cell("is read slowly", 200, act=read_slowly)
        if kind in STREAMING:
            for end, error in AFTER_HEADERS.items():
                yield cell(end, ok, error)


def other_cells() -> Iterator[Cell]:
    static = "/static"
    for end, target, status, error, act in (
        ("answers", "/static/small", 200, None, read),
        ("is missing", "/static/none", 404, None, read),
        ("is read slowly", "/static/large", 200, None, read_slowly),
        ("is left midway", "/static/large", 200, LEFT, leave_midway),
    ):
        yield Cell("static", end, request_of(target), ("GET", static, status, error), act)
    unrouted: dict[str, tuple[bytes, Outcome]] = {
        "no path": (request_of("/nowhere"), ("GET", None, 404, None)),
        "no method": (request_of("/plain/answers", "PUT"), ("PUT", None, 405, None)),
        "no HTTP": (b"no such thing\r\n\r\n", ("_OTHER", None, 400, None)),
        "no such version": (b"GET / HTTP/7.3\r\n\r\n", ("_OTHER", None, 400, None)),
        "headers too large": (
            request_of("/plain/answers", headers=f"X: {'x' * 9000}\r\n"),
            ("_OTHER", None, 400, None),
        ),
    }
    for end, (request, outcome) in unrouted.items():
        yield Cell("unrouted", end, request, outcome)
    answers = "/plain/answers"
    ok: Outcome = ("GET", "/plain/{end}", 200, None)
    close = "Connection: close\r\n"
    yield Cell("plain", "HEAD", request_of(answers, "HEAD"), ("HEAD", *ok[1:]))
    yield Cell(
        "any method",
        "invented",
        request_of("/any/answers", "LINK"),
        ("_OTHER", "/any/{end}", 200, None),
    )
    for host in ("a:b", "::1", "\xff"):
        request = request_of(answers).replace(b"Host: x", b"Host: " + host.encode("latin-1"))
        yield Cell("plain", f"Host {host!a}", request, ok)
    expecting = {"100-continue": 200, "the impossible": 417}
    for expectation, status in expecting.items():
        request = request_of(answers, headers=f"{close}Expect: {expectation}\r\n")
        yield Cell("plain", f"expects {expectation}", request, (*ok[:2], status, None))
    old = request_of(answers).replace(b"HTTP/1.1", b"HTTP/1.0")
    yield Cell("plain", "HTTP/1.0", old, ok)
    pipelined = 2 * request_of(answers, headers="") + request_of(answers)
    yield Cell("plain", "pipelined", pipelined, ok, times=3)


CELLS = [*routed_cells(), *other_cells()]


@pytest.fixture(
    scope="module",
    params=[
        # `make quick` tries one of the ways.
        pytest.param(way, marks=() if way == "AppRunner" else pytest.mark.process)
        for way in WAYS
    ],
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    server = Server(request.param, tmp_path_factory.mktemp("matrix"))
    yield server
    server.kill()


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_request_is_counted_once_as_it_ended(server: Server, cell: Cell) -> None:
    before = server.state()
    cell.act(server, cell.request)

    def settled() -> State | None:
        state = server.state()
        is_counted = state.counted.total() >= before.counted.total() + cell.times
        return state if is_counted and state.active == 0 else None

    after = wait_until(settled, within=WITHIN, every=0.002)
    assert after
    method, route, status, error = cell.outcome
    if (cell.kind, cell.end) == ("file", "hangs up") and server.way in CANCELLING_WAYS:
        error = "CancelledError"  # while a thread opens the file
    assert after.counted - before.counted == {(method, route, status, error): cell.times}


def test_a_request_that_the_stopping_server_cancels_is_counted_once(server: Server) -> None:
    before = server.state()
    expected: Counter[Outcome] = Counter()
    connections = []
    for kind, route in ROUTES.items():
        for end in ("never ends", "never ends after its headers"):
            is_answered = end == "never ends after its headers"
            if is_answered and kind not in STREAMING:
                continue
            connections.append(connection := server.connect())
            connection.sendall(request_of(route.format(end=end.replace(" ", "-"))))
            status = (101 if kind == "WebSocket" else 200) if is_answered else None
            expected["GET", route, status, "CancelledError"] += 1
    wait_until(lambda: server.state().active == len(connections), within=WITHIN)
    after = server.stop()
    for connection in connections:
        connection.close()
    assert after.counted - before.counted == expected
    assert after.active == 0


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
