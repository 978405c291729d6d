"""Saturation of the process: event-loop lag, CPU, memory, open files."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from .catalogue import (
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_LIMIT,
    PROCESS_MEMORY_USAGE,
    PROCESS_OPEN_FILES,
    PROCESS_OPEN_FILES_LIMIT,
)

__all__ = ("find_memory_limit", "observe_process", "watch_event_loop")

_logger = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two looks at the event loop: short enough that few observations wait to be
folded, long enough to cost nothing."""


def observe_process(meter: Meter) -> None:
    """Observe the process that collects, at each collection."""

    def cpu(_: CallbackOptions) -> Iterable[Observation]:
        times = _process(os.getpid()).cpu_times()
        yield Observation(times.user, {"cpu.mode": "user"})
        yield Observation(times.system, {"cpu.mode": "system"})

    def memory(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(_process(os.getpid()).memory_info().rss)

    def open_files(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(_process(os.getpid()).num_fds())

    def memory_limit(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(find_memory_limit())

    def open_files_limit(_: CallbackOptions) -> Iterable[Observation]:
        soft, _hard = _process(os.getpid()).rlimit(psutil.RLIMIT_NOFILE)
        yield Observation(soft)

    meter.create_observable_counter(callbacks=[cpu], **PROCESS_CPU_TIME.arguments)
    meter.create_observable_up_down_counter(callbacks=[memory], **PROCESS_MEMORY_USAGE.arguments)
    meter.create_observable_up_down_counter(callbacks=[open_files], **PROCESS_OPEN_FILES.arguments)
    meter.create_observable_gauge(callbacks=[memory_limit], **PROCESS_MEMORY_LIMIT.arguments)
    if hasattr(psutil, "RLIMIT_NOFILE"):
        meter.create_observable_gauge(
            callbacks=[open_files_limit], **PROCESS_OPEN_FILES_LIMIT.arguments
        )


def find_memory_limit(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process can use: those of its cgroups, or all.

    Below ``root`` are ``proc`` and ``sys``. Workers in one container share its limit.
    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    found = [psutil.virtual_memory().total]
    try:
        cgroup = (root / "proc/self/cgroup").read_text().strip().rpartition("::")[2]
    except OSError:
        cgroup = "/"
    top = root / "sys/fs/cgroup"
    below = top / cgroup.lstrip("/")
    for folder in (below, *below.parents):
        if not folder.is_relative_to(top):
            break
        try:
            text = (folder / "memory.max").read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            found.append(int(text))
    return min(found)


@lru_cache(maxsize=1)
def _process(pid: int) -> psutil.Process:
    # By its id, as a process that was forked would be given its parent's otherwise.
    return psutil.Process(pid)


async def watch_event_loop(record: Callable[[float], None], each_tick: Callable[[], None]) -> None:
    """Record for ever how many seconds late a timer runs, and call ``each_tick`` after each.

    What ``each_tick`` raises is logged, once until it succeeds again, and ends nothing.
    """
    failed = False
    while True:
        due = perf_counter() + TICK
        await asyncio.sleep(TICK)
        record(max(0.0, perf_counter() - due))
        try:
            each_tick()
        except Exception:
            if not failed:
                _logger.exception("what was measured is not folded")
            failed = True
        else:
            failed = False
