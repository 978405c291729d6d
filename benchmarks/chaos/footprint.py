"""What the programs take: memory, descriptors, processes and series."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from randsvc.stack.supervisor import Stack

__all__ = ("Footprint", "list_growth", "measure_footprint")

MEMORY_FACTOR, MEMORY_MARGIN = 1.5, 48
"""How much a program may grow: a factor, and MB. Prometheus keeps what it has scraped in memory."""
DESCRIPTOR_MARGIN = 24
"""Connections come and go: a proxy and a client hold some open."""
SERIES_FACTOR = 1.5
"""New statuses have series of their own for the life of a process."""


@dataclass(frozen=True)
class Footprint:
    """The footprint at one time; ``series`` are those that the Collector serves."""

    memory: Mapping[str, float]
    """MB by program, its workers included."""
    descriptors: Mapping[str, int]
    processes: Mapping[str, int]
    series: int


def measure_footprint(stack: Stack, programs: Iterable[str]) -> Footprint:
    """Measure the programs, and ask Prometheus about the last scrape of the Collector."""
    processes = {name: stack.processes(name) for name in programs}
    return Footprint(
        memory={
            name: sum(one.memory_info().rss for one in found) / 2**20
            for name, found in processes.items()
        },
        descriptors={
            name: sum(one.num_fds() for one in found) for name, found in processes.items()
        },
        processes={name: len(found) for name, found in processes.items()},
        series=int(stack.number('scrape_samples_scraped{job="otel-collector"}') or 0),
    )


def list_growth(before: Footprint, now: Footprint) -> list[str]:
    """Return a line for everything that has not returned to where it was."""
    problems = []
    for name in before.memory:
        memory = MEMORY_FACTOR * before.memory[name] + MEMORY_MARGIN
        if now.memory[name] > memory:
            problems.append(
                f"{name} takes {now.memory[name]:.0f} MB, and took {before.memory[name]:.0f} MB"
            )
        if now.descriptors[name] > before.descriptors[name] + DESCRIPTOR_MARGIN:
            problems.append(
                f"{name} has {now.descriptors[name]} descriptors, and had "
                f"{before.descriptors[name]}"
            )
        if now.processes[name] != before.processes[name]:
            problems.append(
                f"{name} has {now.processes[name]} processes, and had {before.processes[name]}"
            )
    if now.series > SERIES_FACTOR * before.series:
        problems.append(f"the Collector serves {now.series} series, and served {before.series}")
    return problems
