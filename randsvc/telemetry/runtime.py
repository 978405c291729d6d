"""Saturation of the process: event-loop lag, CPU, memory, open files."""

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from randsvc.telemetry.catalogue import PROCESS_CPU_TIME, PROCESS_MEMORY_USAGE, PROCESS_OPEN_FILES
from randsvc.telemetry.instruments import observe

__all__ = ("observe_process", "watch_event_loop")

TICK = 0.1
"""Seconds between two looks at the event loop: short enough that few observations wait to be
folded, long enough to cost nothing."""


def observe_process(meter: Meter) -> None:
    """Observe the process that calls, at each collection."""
    process = psutil.Process()

    def cpu(_: CallbackOptions) -> Iterable[Observation]:
        times = process.cpu_times()
        yield Observation(times.user, {"cpu.mode": "user"})
        yield Observation(times.system, {"cpu.mode": "system"})

    observe(meter, PROCESS_CPU_TIME, cpu)
    observe(meter, PROCESS_MEMORY_USAGE, lambda _: [Observation(process.memory_info().rss)])
    observe(meter, PROCESS_OPEN_FILES, lambda _: [Observation(process.num_fds())])


async def watch_event_loop(record: Callable[[float], None], each_tick: Callable[[], None]) -> None:
    """Record for ever how many seconds late a timer runs, and call ``each_tick`` after each."""
    while True:
        due = perf_counter() + TICK
        await asyncio.sleep(TICK)
        record(max(0.0, perf_counter() - due))
        each_tick()
