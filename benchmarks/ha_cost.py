"""Measure what the highly available layout costs: ``python -m benchmarks.ha_cost``.

Simulated users send 30 and then 300 requests/s to the layout of `make stack-ha`. Meanwhile the CPU
time and the memory of each program are read from the system, the series from Prometheus, and the
bytes of a sample from a block that Prometheus writes. docs/beyond-one-machine.md computes from
these what more replicas and more months need.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.arguments import parse_positive
from benchmarks.chaos_ha.chain import change_layout
from benchmarks.machine import describe_machine
from randsvc.markdown import write_table
from randsvc.project import ROOT
from randsvc.prometheus_api import Prometheus
from randsvc.stack.addresses import AddressBook
from randsvc.stack.build import BuildError
from randsvc.stack.highly_available import find_book, make_replicas, see_balancer
from randsvc.stack.programs import Program, StackError, make_users
from randsvc.stack.supervisor import Stack, run_programs

RESULTS = ROOT / "benchmarks/ha-cost-results.md"
RATES = (30, 300)
"""Requests/s: a simulated user sends one."""
WARM_UP = 30.0
"""Seconds of load before a measurement."""


@dataclass(frozen=True)
class Cost:
    """The cost at one rate. CPU is in seconds a second, memory in MB, each by program."""

    rate: float
    """Responses/s that Prometheus counted."""
    cpu: Mapping[str, float]
    memory: Mapping[str, float]
    series: int
    """In the head of one Prometheus."""
    from_services: int
    """Series that the Collectors show, of all instances."""
    samples: float
    """Samples/s that one Prometheus appends."""
    bytes_per_sample: float
    """In a block of Prometheus."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.ha_cost", description=__doc__)
    parser.add_argument("--seconds", type=parse_positive, default=60.0, help="for each rate")
    given = parser.parse_args(arguments)
    console = Console(width=120)
    try:
        costs = [_measure(rate, given.seconds, console) for rate in RATES]
    except (BuildError, StackError) as error:
        console.print(str(error), markup=False)
        return 1
    RESULTS.write_text(write_markdown(costs, given.seconds))
    console.print(RESULTS.read_text(), markup=False)
    console.print(f"written to {RESULTS.relative_to(ROOT)}")
    return 0


def _measure(rate: int, seconds: float, console: Console) -> Cost:
    layout = change_layout(flags={"prometheus": ["--web.enable-admin-api"]})
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="ha-cost-")))
        book: AddressBook = find_book(layout, free_ports=True)
        programs: list[Program] = make_replicas(book, folder, layout=layout)
        programs.append(make_users(see_balancer(book), number=rate))
        stack = cleanup.enter_context(run_programs(programs, book, folder))
        _wait(WARM_UP, f"{rate} requests/s, warming up", console)
        before = {name: _read_cpu(stack, name) for name in stack.running}
        began = time.monotonic()
        _wait(seconds, f"{rate} requests/s", console)
        took = time.monotonic() - began
        cpu = {name: (_read_cpu(stack, name) - at) / took for name, at in before.items()}
        memory = {
            name: sum(one.memory_info().rss for one in stack.processes(name)) / 2**20
            for name in before
        }
        stack.check()
        return Cost(
            rate=_ask(
                stack,
                "sum(rate(http_server_request_duration_seconds_count"
                f'{{job="randsvc"}}[{seconds:.0f}s]))',
            ),
            cpu=cpu,
            memory=memory,
            series=int(_ask(stack, 'prometheus_tsdb_head_series{job="prometheus"}')),
            from_services=int(_ask(stack, 'sum(scrape_samples_scraped{job="otel-collector"})')),
            samples=_ask(
                stack,
                "sum(rate(prometheus_tsdb_head_samples_appended_total"
                f'{{job="prometheus"}}[{seconds:.0f}s]))',
            ),
            bytes_per_sample=_write_block(stack, folder),
        )


def _wait(seconds: float, what: str, console: Console) -> None:
    for _ in track(range(int(seconds)), what, console=console, transient=True):
        time.sleep(1)


def _ask(stack: Stack, promql: str) -> float:
    (found,) = Prometheus(stack.url("prometheus-0:9090")).query(promql)
    return found.values[-1][1]


def _read_cpu(stack: Stack, name: str) -> float:
    times = [process.cpu_times() for process in stack.processes(name)]
    return float(sum(one.user + one.system for one in times))


def _write_block(stack: Stack, folder: Path) -> float:
    """Let Prometheus write its head as a block, and return the bytes of each sample in it.

    https://prometheus.io/docs/prometheus/latest/querying/api/#snapshot
    """
    url = stack.url("prometheus-0:9090", "/api/v1/admin/tsdb/snapshot")
    request = urllib.request.Request(url, method="POST")  # noqa: S310 - on loopback
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        name = json.loads(answer.read())["data"]["name"]
    blocks = list((folder / "prometheus-0/snapshots" / name).iterdir())
    size = sum(file.stat().st_size for block in blocks for file in block.rglob("*"))
    samples = sum(
        json.loads((block / "meta.json").read_text())["stats"]["numSamples"] for block in blocks
    )
    return float(size / samples)


def write_markdown(costs: Sequence[Cost], seconds: float) -> str:
    """Return the results as a document; replicas of a part share a row, with the mean of one."""
    parts: dict[str, list[str]] = {}
    for name in costs[0].cpu:
        parts.setdefault(re.sub(r"-\d$", "", name), []).append(name)
    heads = ["part", "replicas"]
    for cost in costs:
        heads += [f"CPU at {cost.rate:.0f}/s", f"MB at {cost.rate:.0f}/s"]
    rows = []
    for part, names in sorted(parts.items()):
        row = [part, str(len(names))]
        for cost in costs:
            row.append(f"{_mean(cost.cpu, names):.3f}")
            row.append(f"{_mean(cost.memory, names):.0f}")
        rows.append(row)
    total = ["all", str(sum(map(len, parts.values())))]
    for cost in costs:
        total += [f"{sum(cost.cpu.values()):.2f}", f"{sum(cost.memory.values()):.0f}"]
    rows.append(total)
    rates = ["", *(f"{cost.rate:.0f} requests/s" for cost in costs)]
    numbers = [
        ["series of one Prometheus", *(f"{cost.series:,}" for cost in costs)],
        [
            "of them from the services, both Collectors",
            *(f"{one.from_services:,}" for one in costs),
        ],
        ["samples/s of one Prometheus", *(f"{cost.samples:,.0f}" for cost in costs)],
        ["bytes of a sample in a block", *(f"{cost.bytes_per_sample:.2f}" for cost in costs)],
    ]
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    page = [
        "<!-- Written by `make bench-ha`; do not edit. -->",
        "# What the highly available layout costs",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} for {seconds:.0f} s at each rate, after "
        f"{WARM_UP:.0f} s of load, on {describe_machine()}. The load "
        f"averages of the machine at the end were {load}: CPU time is that of the programs alone, "
        "but a machine that is busy with others makes each of them a little dearer.",
        "Measure again: `make bench-ha`. [docs/beyond-one-machine.md]"
        "(../docs/beyond-one-machine.md#what-it-costs) computes from these numbers.",
        "*CPU* is in seconds a second, the mean of one replica, *MB* its resident memory. The "
        "scrape interval is 2 s, and the rules are those of the time scale `demo`.",
        write_table(heads, rows, right=range(1, len(heads))),
        write_table(rates, numbers, right=range(1, len(rates))),
    ]
    return "\n\n".join(page) + "\n"


def _mean(of: Mapping[str, float], names: Sequence[str]) -> float:
    return sum(of[name] for name in names) / len(names)


if __name__ == "__main__":
    sys.exit(main())
