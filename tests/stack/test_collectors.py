"""Two Collectors behind a balancer: each instance counts once, whichever of them has its series."""

import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from randsvc.prometheus_api import Prometheus
from randsvc.stack.highly_available import find_book, make_replicas
from randsvc.stack.supervisor import Stack, run_programs, wait_until

pytestmark = pytest.mark.native

WITHOUT = ("receive", "store", "compact", "query", "sidecar", "alertmanager", "blackbox", "thanos")
NEEDED = ("otel-collector-0", "otel-collector-1", "balancer", "randsvc-0", "prometheus-0")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Stack]:
    """One service, both Collectors, and one Prometheus."""
    folder = tmp_path_factory.mktemp("collectors")
    book = find_book(free_ports=True)
    made = {one.name: one for one in make_replicas(book, folder, without=WITHOUT)}
    with run_programs([made[name] for name in NEEDED], book, folder) as running:
        yield running
        running.kill("prometheus-0")  # or it would wait for its receivers, which do not run


class Sender:
    """Sends requests to the service, and knows their number."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.url("randsvc-0:8080", "/random")
        self._prometheus = Prometheus(stack.url("prometheus-0:9090"))
        self._began = time.time()
        self.sent = 0

    def send(self, number: int = 20) -> None:
        for _ in range(number):
            urllib.request.urlopen(self._url).close()
            self.sent += 1

    def count(self) -> float:
        """The requests that Prometheus has counted, as rules count them."""
        seconds = int(time.time() - self._began) + 60
        found = self._prometheus.query(
            'sum(increase(http_server_request_duration_seconds_count{job="randsvc",'
            f'http_route="/random"}}[{seconds}s] anchored))'
        )
        return found[0].values[-1][1] if found else 0

    def expect_exact(self) -> None:
        wait_until(lambda: self.count() == self.sent, within=60)


def find_owner(stack: Stack) -> str:
    """The Collector that takes the exports now: the one whose samples advance."""

    def read_times() -> dict[str, str]:
        times = {}
        for name in ("otel-collector-0", "otel-collector-1"):
            page = stack.get(f"{name}:8889", "/metrics").decode()
            times[name] = max(
                (
                    line.rpartition(" ")[2]
                    for line in page.splitlines()
                    if line.startswith("asyncio_event_loop_lag_seconds_count")
                ),
                default="",
            )
        return times

    before = read_times()

    def find_changed() -> list[str]:
        return [name for name, at in read_times().items() if at != before[name]]

    return wait_until(find_changed, within=60)[0]


def freeze(processes: list[psutil.Process]) -> Callable[[], None]:
    for process in processes:
        process.suspend()

    def resume() -> None:
        for process in processes:
            process.resume()

    return resume


def test_a_collector_that_hangs_and_one_that_dies_leave_every_count_exact(stack: Stack) -> None:
    sender = Sender(stack)
    sender.send()
    sender.expect_exact()
    first = find_owner(stack)
    (other,) = {"otel-collector-0", "otel-collector-1"} - {first}
    resume = freeze(stack.processes(first))
    try:
        sender.send()
        sender.expect_exact()
        assert 'job="randsvc"' in stack.get(f"{other}:8889", "/metrics").decode()
    finally:
        resume()
    # Both show the series now, one of them with values of before. If samples had the time of the
    # scrape, each change between the two would count as a restart of the service.
    sender.send()
    wait_until(lambda: find_owner(stack) == first, within=60)
    sender.expect_exact()
    stack.kill(first)
    sender.send()
    sender.expect_exact()
    stack.start(first)
    sender.send()
    wait_until(lambda: find_owner(stack) == first, within=60)
    sender.expect_exact()
    # Nothing is counted later either.
    time.sleep(6)
    assert sender.count() == sender.sent
