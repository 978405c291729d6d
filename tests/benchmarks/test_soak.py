"""The soak: a short run keeps its promises, and each promise can be broken."""

import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks.services import Reading
from benchmarks.soak import __main__ as soak
from benchmarks.soak.__main__ import Observed, judge
from benchmarks.soak.good_clients import GoodClients
from benchmarks.soak.hostile_clients import HOSTILE_CLIENTS
from tests.support.service import running_service

P99 = "p99 of good clients with hostile clients, over p99 without"


@pytest.mark.timeout(300)
def test_a_short_run_keeps_every_promise_that_no_busy_machine_breaks() -> None:
    observed, clients = soak.run(seconds=6, phase=1, console=Console(file=io.StringIO()))
    promises = judge(observed, clients)
    broken = [promise for promise in promises if not promise.kept and promise.text != P99]
    assert not broken, broken
    assert observed.opened.keys() == HOSTILE_CLIENTS.keys()
    assert clients.responses.keys() == {"login", "random", "feedback"}


STILL = Reading(memory=60 * 2**20, descriptors=20, series=300, log_lines=1)
CLIENTS = GoodClients("", "")
CLIENTS.responses["feedback"] = 10


def healthy() -> Observed:
    return Observed(
        quiet=[0.01] * 10,
        hostile=[0.015] * 10,
        readings={"randsvc": [(float(i), STILL) for i in range(10)]},
        store=[10**6],
        counted=10,
        seconds=60,
    )


def test_a_healthy_run_keeps_every_promise() -> None:
    assert all(promise.kept for promise in judge(healthy(), CLIENTS))


@pytest.mark.parametrize(
    ("worse", "broken"),
    [
        ({"hostile": [0.03] * 10}, P99),
        ({"store": [10**6, 10**8]}, "Size of the feedback store"),
        ({"counted": 11}, "Feedback is counted exactly once"),
        ({"tracebacks": ["Traceback"]}, "Log lines that are a traceback, or no event"),
        (
            {"readings": {"auth": [(float(i), replace(STILL, series=700)) for i in range(10)]}},
            "Series of auth",
        ),
    ],
)
def test_each_promise_can_be_broken(worse: dict[str, object], broken: str) -> None:
    observed = replace(healthy(), **worse)  # type: ignore[arg-type]
    assert [each.text for each in judge(observed, CLIENTS) if not each.kept] == [broken]


def test_a_request_of_a_good_client_that_fails_breaks_a_promise() -> None:
    clients = replace(CLIENTS, failed=["random got 503"])
    (broken,) = (each for each in judge(healthy(), clients) if not each.kept)
    assert broken.text == "Requests of good clients that failed"
    assert broken.details == ["random got 503"]


@pytest.mark.process
def test_hostile_clients_are_there_when_told_and_gone_when_told() -> None:
    with running_service() as service:
        command = [sys.executable, "-m", "benchmarks.soak.hostile_clients"]
        with subprocess.Popen(
            [*command, service.public.removeprefix("http://")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as hostile:
            assert hostile.stdin
            assert hostile.stdout
            for word in ("on", "off", "on"):
                hostile.stdin.write(f"{word}\n")
                hostile.stdin.flush()
                assert hostile.stdout.readline().strip() == word
            hostile.stdin.close()
            opened = json.loads(hostile.stdout.readline())
        assert hostile.returncode == 0
        assert opened.keys() <= HOSTILE_CLIENTS.keys()
        assert service.stop() == 0
