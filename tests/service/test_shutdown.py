"""How a service ends: in one deadline, whoever is slow."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.request import urlopen

import pytest

from randsvc.service.shutdown import EXIT
from tests.support.otlp import Behaviour, otlp_receiver
from tests.support.service import Service, running_service

pytestmark = pytest.mark.process

GRACE = 2.0
BUSY = 5.0
"""Seconds that this machine may add, as it runs other tests at the same time."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What is going on when the signal comes."""

    collector: Behaviour
    traces: bool = False
    slow_request: bool = False
    workers: int = 1

    def __str__(self) -> str:
        with_ = [name for name in ("traces", "slow_request") if getattr(self, name)]
        return " ".join([f"collector {self.collector}", f"workers {self.workers}", *with_])


BEHAVIOURS: tuple[Behaviour, ...] = ("up", "refusing", "hanging")
ENDINGS = [
    *(Ending(collector=c, traces=t) for c in BEHAVIOURS for t in (False, True)),
    *(Ending(collector=c, slow_request=True) for c in BEHAVIOURS),
    *(Ending(collector=c, slow_request=True, traces=True, workers=2) for c in BEHAVIOURS),
]


@contextlib.contextmanager
def service_of(ending: Ending, endpoint: str) -> Iterator[Service]:
    delay = 60 if ending.slow_request else 0
    with running_service(
        f"--delay=constant(value={delay})",
        RANDSVC_GRACE=str(GRACE),
        RANDSVC_WORKERS=str(ending.workers),
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_TRACES_EXPORTER="otlp" if ending.traces else "none",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
    ) as service:
        service.wait_until_ready()
        yield service


@contextlib.contextmanager
def request_in_progress(service: Service) -> Iterator[socket.socket]:
    """A request to /random that the service has begun to serve."""
    host, port = service.public.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"GET /random HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        time.sleep(0.5)
        yield connection


@pytest.mark.parametrize("ending", ENDINGS, ids=str)
def test_sigterm_ends_it_within_the_grace_and_hands_over_the_last_numbers(ending: Ending) -> None:
    with (
        otlp_receiver(ending.collector) as receiver,
        service_of(ending, receiver.url) as service,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(10):
            with urlopen(f"{service.public}/features") as response:
                assert response.status == 200
        if ending.slow_request:
            stack.enter_context(request_in_progress(service))
        began = time.monotonic()
        service.process.terminate()
        assert service.process.wait(20) == 0
        assert time.monotonic() - began < GRACE + EXIT + BUSY
        if ending.collector == "up":
            assert receiver.requests == 10 + ending.slow_request
            assert ("/v1/traces" in receiver.paths) == ending.traces
        logged = [event for event in service.drain() if "exception.type" in event]
        assert logged == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_ctrl_c_and_a_closed_terminal_end_it_as_sigterm_does(number: signal.Signals) -> None:
    ending = Ending(collector="up")
    with otlp_receiver("up") as receiver, service_of(ending, receiver.url) as service:
        with urlopen(f"{service.public}/random"):
            pass
        service.process.send_signal(number)
        assert service.process.wait(20) == 0
        assert receiver.requests == 1


def test_a_closed_terminal_does_not_end_what_runs_under_nohup() -> None:
    with subprocess.Popen(
        ["nohup", sys.executable, "-m", "randsvc", "serve", "--port=0", "--management-port=0"],
        env={**os.environ, "OTEL_METRICS_EXPORTER": "none"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        service = Service(process)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        with urlopen(f"{service.public}/random") as response:
            assert response.status == 200
        assert service.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_it_at_once(workers: int) -> None:
    with running_service(
        "--delay=constant(value=60)",
        RANDSVC_GRACE="60",
        RANDSVC_WORKERS=str(workers),
        OTEL_METRICS_EXPORTER="none",
    ) as service:
        service.wait_until_ready()
        with request_in_progress(service) as connection:
            service.process.terminate()
            service.event("stopping")
            service.process.terminate()
            assert service.process.wait(20) == 0
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""  # whoever served it is gone


def test_two_services_in_one_process_end_in_one_deadline() -> None:
    grace = 6.0  # twice as long is more than a busy machine adds
    with running_service(
        "--delay=constant(value=60)",
        "--with-auth",
        RANDSVC_GRACE=str(grace),
        RANDSVC_AUTH_GRACE=str(grace),
        RANDSVC_AUTH_PORT="0",
        RANDSVC_AUTH_MANAGEMENT_PORT="0",
    ) as service:
        service.wait_until_ready()
        with request_in_progress(service):
            began = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - began < GRACE + EXIT + BUSY
