"""Breaks a part of a chain, and repairs it."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Event
from urllib.request import Request, urlopen

import psutil

from benchmarks.chaos.background import run_beside
from benchmarks.chaos.chain import PROGRAMS, Chain
from benchmarks.chaos.disk import fill_disk, slow_disk
from benchmarks.chaos.faults import MACHINE, Fault

__all__ = ("inject",)

SLOW = {"latency": 1200, "jitter": 400}
"""ms."""
TRUNCATED = 100
"""Bytes after which a response ends: within its headers."""
BOTH = ("upstream", "downstream")
FLOOD = 50.0
"""Requests/s with a span each, which fill the queue of the Collector."""


def inject(
    chain: Chain, fault: Fault, before_end: Callable[[], None]
) -> AbstractContextManager[None]:
    """Return a ``with`` block in which a fault is on.

    ``before_end`` is called before the inbox ends, as it forgets what it has received.
    """
    match fault.kind:
        case "kill" | "restart":
            return _end(chain, fault, before_end)
        case "kill worker":
            return _kill_worker(chain, fault.target)
        case "freeze":
            return _freeze(chain, fault.target)
        case "cut":
            return _cut(chain, fault.target)
        case "blackhole":
            return chain.disturb(fault.target, "timeout", {"timeout": 0}, BOTH)
        case "slow":
            return chain.disturb(fault.target, "latency", SLOW, BOTH)
        case "truncate":
            return chain.disturb(fault.target, "limit_data", {"bytes": TRUNCATED}, BOTH[1:])
        case "full queue":
            return _flood(chain.stack.url("otel-collector:4318", "/v1/traces"))
        case "clock ahead":
            return _shift_clock(chain, fault.target)
        case "full disk":
            return _fill_disk(chain)
        case "slow disk":
            return slow_disk(chain.folder)
        case _:
            raise ValueError(f"no such kind of fault: {fault.kind}")


@contextmanager
def _end(chain: Chain, fault: Fault, before_end: Callable[[], None]) -> Iterator[None]:
    programs = PROGRAMS if fault.target == MACHINE else (fault.target,)
    if fault.befalls("inbox"):
        before_end()
    end = chain.stack.kill if fault.kind == "kill" else chain.stack.stop
    with ThreadPoolExecutor(len(programs)) as at_once:
        list(at_once.map(end, programs))
    yield
    for program in programs:
        chain.stack.start(program)


@contextmanager
def _kill_worker(chain: Chain, program: str) -> Iterator[None]:
    main, *children = chain.stack.processes(program)
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    if not workers:
        raise ValueError(f"{program} (process {main.pid}) has no workers")
    workers[0].kill()
    yield


@contextmanager
def _freeze(chain: Chain, program: str) -> Iterator[None]:
    frozen = chain.stack.processes(program)
    for process in frozen:
        process.suspend()
    try:
        yield
    finally:
        for process in frozen:
            with suppress(psutil.NoSuchProcess):
                process.resume()


@contextmanager
def _cut(chain: Chain, link: str) -> Iterator[None]:
    chain.set_enabled(link, False)
    try:
        yield
    finally:
        chain.set_enabled(link, True)


@contextmanager
def _shift_clock(chain: Chain, program: str) -> Iterator[None]:
    chain.shift_clock(program, chain.jump)
    try:
        yield
    finally:
        chain.shift_clock(program, 0)


@contextmanager
def _fill_disk(chain: Chain) -> Iterator[None]:
    """Fill the disk, and repair it as docs/runbooks/RandsvcStorageFailing.md says."""
    with fill_disk(chain.folder):
        yield
    try:
        failed = chain.read_metric("prometheus:9090", "prometheus_tsdb_wal_writes_failed_total")
    except OSError:
        failed = 1.0  # it ends by itself where it has no room for a new file
    if failed:
        chain.stack.stop("prometheus")
        chain.stack.start("prometheus")


@contextmanager
def _flood(url: str) -> Iterator[None]:
    """Send spans to a Collector that cannot deliver them, until its queue is full."""
    now = time.time_ns()
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "flood",
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now),
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()

    def send(ended: Event) -> None:
        while not ended.wait(1 / FLOOD):
            with suppress(OSError):
                urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=5).close()  # noqa: S310

    with run_beside(send):
        yield
