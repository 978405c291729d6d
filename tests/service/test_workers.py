import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from tests.support.command_line import refuse
from tests.support.otlp import otlp_receiver
from tests.support.service import Service, running_service

pytestmark = pytest.mark.process


def workers_of(service: Service) -> list[psutil.Process]:
    """The worker processes, without multiprocessing's resource tracker."""
    return [
        child
        for child in psutil.Process(service.process.pid).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive


def set_fault(service: Service, name: str, **parameters: float) -> None:
    body = json.dumps(parameters).encode()
    url = f"{service.management}/faults/{name}"
    with urlopen(Request(url, body, method="PUT")) as response:
        assert response.status == 204


def sources(service: Service, requests: int = 30) -> set[str]:
    """What answered new connections, which the workers share."""
    answered = set()
    for _ in range(requests):
        with urlopen(f"{service.public}/random") as response:
            answered.add(json.load(response)["source"])
    return answered


@pytest.fixture
def two_workers() -> Iterator[Service]:
    quick = ("--delay", "constant(value=0.001)")
    with running_service("--workers", "2", *quick, OTEL_METRICS_EXPORTER="none") as service:
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


def scrape(service: Service, series: str) -> dict[str, float]:
    """The sum of the series that begin so, by worker."""
    with urlopen(f"{service.management}/metrics") as response:
        lines = response.read().decode().split("\n")
    found: dict[str, float] = {}
    for line in lines:
        if line.startswith(series):
            worker = line.split('worker="')[1].split('"')[0]
            found[worker] = found.get(worker, 0) + float(line.rsplit(" ", 1)[1])
    return found


def test_one_scrape_has_the_numbers_of_all_workers() -> None:
    quick = ("--workers", "2", "--delay", "constant(value=0.001)")
    with running_service(*quick, OTEL_METRICS_EXPORTER="prometheus") as service:
        service.wait_until_ready()
        sources(service, requests=100)
        served = scrape(service, "http_server_request_duration_seconds_count{")
        assert served.keys() <= {"0", "1"}
        assert sum(served.values()) == 100
        assert scrape(service, "target_info{") == {"0": 1, "1": 1}

        # A worker whose event loop hangs answers, one that is stopped is left out.
        set_fault(service, "block", seconds=2, duration=10)
        with suppress(OSError):
            urlopen(f"{service.public}/random", timeout=0.2)
        assert scrape(service, "target_info{") == {"0": 1, "1": 1}
        stopped = workers_of(service)[0]
        stopped.suspend()
        assert len(scrape(service, "target_info{")) == 1
        stopped.resume()
        assert scrape(service, "target_info{") == {"0": 1, "1": 1}
        assert service.stop() == 0


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


def test_a_replacement_that_cannot_start_is_tried_again_while_the_others_serve(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "feedback"
    folder.mkdir()
    with running_service(
        "--workers=2",
        "--delay=constant(value=0)",
        OTEL_METRICS_EXPORTER="none",
        RANDSVC_FEEDBACK_STORE=str(folder / "store"),
    ) as service:
        service.wait_until_ready()
        folder.rename(tmp_path / "moved")
        workers_of(service)[0].kill()
        for wait in ("0.5 s", "1 s"):
            event = service.event("worker 0 could not start")
            assert "unable to open database file; another takes its place" in str(event["message"])
            assert str(event["message"]).endswith(wait)
            assert sources(service) == {"model"}
        (tmp_path / "moved").rename(folder)
        service.wait_until_ready()
        assert len(workers_of(service)) == 2
        assert service.stop() == 0


def test_workers_do_not_outlive_a_killed_supervisor(two_workers: Service) -> None:
    workers = workers_of(two_workers)
    os.kill(two_workers.process.pid, signal.SIGKILL)
    wait_until_gone(workers)


def test_the_supervisor_says_that_metrics_are_pushed(two_workers: Service) -> None:
    with urlopen(f"{two_workers.management}/metrics") as response:
        assert b"OTEL_METRICS_EXPORTER" in response.read()


def test_a_fault_is_felt_in_every_worker_until_it_is_cleared(two_workers: Service) -> None:
    assert sources(two_workers) == {"model"}
    set_fault(two_workers, "model-down", duration=60)
    time.sleep(0.1)
    assert sources(two_workers) == {"fallback"}
    with urlopen(Request(f"{two_workers.management}/faults", method="DELETE")):
        time.sleep(0.1)
    assert sources(two_workers) == {"model"}


def test_a_crash_hits_one_worker_and_its_successor_knows_the_faults(two_workers: Service) -> None:
    set_fault(two_workers, "model-down", duration=60)
    before = {worker.pid for worker in workers_of(two_workers)}
    set_fault(two_workers, "crash")
    died = two_workers.event("worker")
    assert "died with exit code 1; another takes its place" in str(died["message"])
    two_workers.wait_until_ready()
    after = {worker.pid for worker in workers_of(two_workers)}
    assert len(after) == 2
    assert len(before & after) == 1
    assert sources(two_workers) == {"fallback"}


def answers(service: Service, number: int) -> list[str]:
    """Ids of answers, by whichever workers took the connections."""
    given = []
    for _ in range(number):
        with urlopen(f"{service.public}/random") as response:
            given.append(json.load(response)["id"])
    return given


def send_truth(service: Service, given: str) -> int:
    body = json.dumps({"id": given, "actual": 50}).encode()
    try:
        with urlopen(Request(f"{service.public}/feedback", body)) as response:
            return int(response.status)
    except HTTPError as error:
        with error:
            return error.code


def test_workers_take_feedback_about_each_others_answers_once(two_workers: Service) -> None:
    given = answers(two_workers, 30)
    assert [send_truth(two_workers, each) for each in given] == [200] * 30
    assert [send_truth(two_workers, each) for each in given] == [409] * 30


def test_replicas_with_one_secret_and_one_store_are_as_one(tmp_path: Path) -> None:
    shared = {
        "RANDSVC_FEEDBACK_SECRET": "f" * 32,
        "RANDSVC_FEEDBACK_STORE": str(tmp_path / "store"),
    }
    with running_service(**shared) as one, running_service(**shared) as other:
        given = answers(one, 5)
        assert [send_truth(other, each) for each in given] == [200] * 5
        assert [send_truth(one, each) for each in given] == [409] * 5


def test_a_store_that_cannot_be_is_named_by_every_kind_of_start(tmp_path: Path) -> None:
    store = tmp_path / "missing" / "store"
    for workers in ("1", "2"):
        line = refuse(
            *("serve", "--host", "127.0.0.1", "--port", "0", "--management-port", "0"),
            *("--workers", workers, "--feedback-store", store),
            environ={"OTEL_METRICS_EXPORTER": "none"},
            apart=True,
        )
        assert line == f"randsvc: RANDSVC_FEEDBACK_STORE={store}: unable to open database file"


def test_the_supervisor_exports_that_a_worker_was_replaced_and_no_metrics() -> None:
    with (
        otlp_receiver("up") as receiver,
        running_service(
            "--workers",
            "2",
            OTEL_METRICS_EXPORTER="none",
            OTEL_LOGS_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_BLRP_SCHEDULE_DELAY="100",
        ) as service,
    ):
        service.wait_until_ready()
        workers_of(service)[0].kill()
        service.event("worker")
        assert service.stop() == 0
        messages = [record.body.string_value for _, _, record in receiver.logs]
        assert len([m for m in messages if "another takes its place" in m]) == 1
        assert set(receiver.paths) == {"/v1/logs"}
