"""Saturation of the process: event-loop lag, CPU, memory, open files."""

import asyncio
import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from time import perf_counter

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from .catalogue import PROCESS_CPU_TIME, PROCESS_MEMORY_USAGE, PROCESS_OPEN_FILES

__all__ = ("observe_process", "watch_event_loop")

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

    meter.create_observable_counter(callbacks=[cpu], **PROCESS_CPU_TIME.arguments)
    meter.create_observable_up_down_counter(callbacks=[memory], **PROCESS_MEMORY_USAGE.arguments)
    meter.create_observable_up_down_counter(callbacks=[open_files], **PROCESS_OPEN_FILES.arguments)


@lru_cache(maxsize=1)
def _process(pid: int) -> psutil.Process:
    # By its id, as a process that was forked would be given its parent's otherwise.
    return psutil.Process(pid)


async def watch_event_loop(record: Callable[[float], None], each_tick: Callable[[], None]) -> None:
    """Record for ever how many seconds late a timer runs, and call ``each_tick`` after each."""
    while True:
        due = perf_counter() + TICK
        await asyncio.sleep(TICK)
        record(max(0.0, perf_counter() - due))
        each_tick()
