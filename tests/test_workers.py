import os
import signal
import time
from collections.abc import Iterator
from urllib.request import urlopen

import psutil
import pytest

from tests.service import Service, running_service


def workers_of(service: Service) -> list[psutil.Process]:
    """The worker processes, without multiprocessing's resource tracker."""
    return [
        child
        for child in psutil.Process(service.process.pid).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=15)
    assert not alive


@pytest.fixture
def two_workers() -> Iterator[Service]:
    with running_service("--workers", "2", OTEL_METRICS_EXPORTER="none") as service:
        service.wait_until_ready()
        yield service


def test_workers_share_the_port_and_stop_together(two_workers: Service) -> None:
    workers = workers_of(two_workers)
    assert len(workers) == 2
    for _ in range(20):
        with urlopen(f"{two_workers.public}/random") as response:
            assert response.status == 200
    assert two_workers.stop() == 0
    wait_until_gone(workers)


def test_a_worker_that_dies_is_replaced(two_workers: Service) -> None:
    victim = workers_of(two_workers)[0]
    victim.kill()
    died = two_workers.event("worker")
    assert "another takes its place" in str(died["message"])
    two_workers.wait_until_ready()
    deadline = time.monotonic() + 10
    while len(workers_of(two_workers)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert victim.pid not in {worker.pid for worker in workers_of(two_workers)}
    assert two_workers.stop() == 0


def test_workers_do_not_outlive_a_killed_supervisor(two_workers: Service) -> None:
    workers = workers_of(two_workers)
    os.kill(two_workers.process.pid, signal.SIGKILL)
    wait_until_gone(workers)


def test_the_supervisor_says_that_metrics_are_pushed(two_workers: Service) -> None:
    with urlopen(f"{two_workers.management}/metrics") as response:
        assert b"OTEL_METRICS_EXPORTER" in response.read()
