"""The fuzzer: a short run keeps every promise, and each promise can be broken."""

import asyncio
import contextlib
import io
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.fuzz import __main__ as fuzz
from benchmarks.fuzz import exchanges, ports
from benchmarks.fuzz.documents import check_documents
from benchmarks.fuzz.exchanges import Sender
from benchmarks.fuzz.grammar import IDS, PASSWORD
from benchmarks.fuzz.parsers import PARSERS, SECRET, Check, Parser, fuzz_parser, hold
from benchmarks.growth import judge_growth
from benchmarks.promises import Promise, conclude
from benchmarks.services import PORTS, Reading
from randsvc.stack.supervisor import Stack
from tests.support.prometheus_stub import answering

REQUESTS = 600
EXAMPLES = 30
SEED = 1
PORT = {name: bytes((number,)) for number, name in enumerate(PORTS)}
"""The first byte of an input, by port."""


@pytest.mark.process
@pytest.mark.timeout(300)
def test_no_noise_breaks_a_promise_of_the_ports() -> None:
    promises, statuses, sent = ports.fuzz_ports(REQUESTS, SEED, math.inf, lambda what, done: None)
    assert 0.9 * REQUESTS < sent <= REQUESTS  # libFuzzer also gives inputs without a byte
    broken = [promise for promise in promises if not promise.kept]
    assert not broken, broken
    assert {port for port, _ in statuses} == set(PORTS)
    assert {200, 400, 404, 405, 422} <= {status for _, status in statuses}


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_no_noise_breaks_a_parser(parser: Parser) -> None:
    promise = fuzz_parser(parser, EXAMPLES, SEED)
    assert promise.kept, promise.details


@pytest.mark.parametrize("kept", [True, False])
def test_the_exit_code_says_whether_all_was_kept(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise = Promise("something", "1", "0", kept)
    monkeypatch.setattr(
        fuzz, "fuzz_ports", lambda *_: ([promise], Counter({("auth", 400): 1}), 100)
    )
    monkeypatch.setattr(fuzz, "PARSERS", ())
    said = io.StringIO()
    code = fuzz.main(["--requests", "100", "--no-results"], Console(file=said, width=150))
    assert code == (0 if kept else 1)
    assert "Responses by status: 400 1." in said.getvalue()


def test_a_seed_gives_the_inputs_again() -> None:
    def inputs(seed: int) -> bytes:
        command = [sys.executable, "-m", "benchmarks.fuzz.mutations", "300", str(seed)]
        return subprocess.run(command, capture_output=True, check=True).stdout

    first, again, other = inputs(1), inputs(1), inputs(2)
    # The ids of responses hold the time.
    assert len(first) == len(again)
    assert first != other


@contextlib.asynccontextmanager
async def listening(answer: bytes, *, closes: bool = True) -> AsyncIterator[Sender]:
    """A sender to a server that gives this answer on every port."""

    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        if not closes:
            await ended.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield Sender(dict.fromkeys(PORTS, f"{host}:{port}"))
        ended.set()
        await asyncio.sleep(0.01)


TOKEN = b'HTTP/1.1 200 OK\r\n\r\n{"token": "e30.e30.x", "expires_in": 60}'


@pytest.mark.parametrize(
    ("port", "answer", "broken"),
    [
        ("randsvc", b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "failures"),
        ("auth management", b"HTTP/1.0 503 Service Unavailable\r\n\r\n", "failures"),
        ("randsvc management", b"HTTP/1.1 204 No Content\r\n\r\n", "intruders"),
        ("auth", TOKEN, "intruders"),
        ("auth", b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
    ],
)
async def test_a_response_that_must_not_be_is_kept_with_its_input(
    port: str, answer: bytes, broken: str | None
) -> None:
    async with listening(answer) as sender:
        await sender.send(PORT[port] + b"GET / HTTP/1.1\r\n\r\n")
    for kind in ("failures", "intruders", "hangs"):
        assert len(getattr(sender, kind)) == (kind == broken)
    assert sender.statuses.total() == 1


async def test_a_token_for_the_password_is_no_intruder() -> None:
    async with listening(TOKEN) as sender:
        await sender.send(PORT["auth"] + PASSWORD.encode())
    assert sender.intruders == []


async def test_a_connection_that_stays_open_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "PATIENCE", 0.2)
    async with listening(b"", closes=False) as sender:
        await sender.send(PORT["randsvc"] + b"GET / HTTP/1.1\r\n\r\n")
    assert len(sender.hangs) == 1


def test_a_service_that_differs_from_its_document_is_named() -> None:
    with answering(lambda _: (418, "")) as url:
        sent, broken = check_documents({"randsvc": url, "auth": url}, 1, SEED)
    assert sent
    assert any("GET /random" in line for line in broken)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("raises what it should not", lambda _: 1 / 0),
        ("says nothing", lambda _: hold(ValueError(""), 0)),
        ("says several lines", lambda _: hold(ValueError("a\nb"), 0)),
        ("says too much", lambda _: hold(ValueError("a" * 5000), 10)),
        ("repeats a secret", lambda _: hold(ValueError(SECRET), 0)),
    ],
)
def test_a_parser_that_breaks_its_promise_is_found(text: str, check: Check) -> None:
    parser = Parser(text, st.text(), lambda: contextlib.nullcontext(check))
    promise = fuzz_parser(parser, 10, SEED)
    assert not promise.kept
    assert promise.details
    sound = replace(parser, ready=lambda: contextlib.nullcontext(lambda given: None))
    assert fuzz_parser(sound, 10, SEED).kept


STILL = Reading(memory=60 * 2**20, descriptors=20, series=300, log_lines=1)


@pytest.mark.parametrize(
    ("grows", "broken"),
    [
        ({}, None),
        ({"memory": 2**20}, "memory"),
        ({"descriptors": 1}, "descriptors"),
        ({"series": 10}, "Series"),
        ({"log_lines": 1}, "Log"),
    ],
)
def test_growth_is_found(grows: dict[str, int], broken: str | None) -> None:
    given = grows.items()
    readings = [
        (float(i), replace(STILL, **{name: getattr(STILL, name) + i * by for name, by in given}))
        for i in range(30)
    ]
    promises = judge_growth("randsvc", readings, series=400, lines=20)
    assert [promise.text for promise in promises if not promise.kept] == [
        promise.text for promise in promises if broken and broken in promise.text
    ]


class BrokenStack:
    """What is left of services after a run in which everything went wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("randsvc", "auth"):
            (folder / f"{name}.log").write_text(
                '{"message": "sound"}\n{"exception.type": "KeyError"}\nTraceback\n'
            )

    def get(self, address: str, path: str) -> bytes:
        if path == "/faults":
            return json.dumps({"on": {"errors": {}}}).encode()
        return (
            b'randsvc_feedback_total{randsvc_outcome="accepted"} 21\n'
            b'randsvc_fault_active{randsvc_fault="errors"} 1\n'
        )


def test_each_promise_about_the_ports_can_be_broken(tmp_path: Path) -> None:
    sender = Sender({}, sent=1, failures=["500"], hangs=["x"], intruders=["x"])
    stack = cast("Stack", BrokenStack(tmp_path))
    promises = ports.judge(stack, sender, 1, ["GET /random"])
    assert not any(promise.kept for promise in promises)
    said = {promise.text: promise.measured for promise in promises}
    assert said["Log lines that are a traceback, or no event"] == "4"
    assert said["Faults set or tokens given without the token or the password"] == "5"
    assert said["Accepted feedback"] == f"{IDS + 1}"


@pytest.mark.parametrize("kept", [True, False])
def test_a_broken_promise_is_the_exit_code_and_in_the_results(kept: bool, tmp_path: Path) -> None:
    file = tmp_path / "results.md"
    promise = Promise("a|b", "1", "0", kept, ["the input"])
    said = Console(file=io.StringIO(), width=80)
    code = conclude(said, "Title", ("Seed 1.",), [promise], command="make it", results=file)
    assert code == (0 if kept else 1)
    text = file.read_text()
    assert f"| a\\|b | 1 | 0 | {'kept' if kept else 'BROKEN'} |" in text
    assert "make it" in text
    assert "Seed 1." in text
