"""Starts and restarts on a busy machine: ``make starts``.

The native stack is started while other processes use every processor twice, with the time scale
demo, whose waits are the shortest. Then each program is restarted alone, and at last all that
Prometheus watches starts well after Prometheus itself. Each of these is what people do on purpose:
an alert that fires, or a notification, is a false alarm, and the exit code is 1.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from randsvc.rules.time_scale import DEMO
from randsvc.stack.build import BuildError
from randsvc.stack.programs import (
    StackError,
    make_auth,
    make_blackbox_exporter,
    make_randsvc,
    make_users,
)
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack
from randsvc.times import parse_duration, parse_time

__all__ = ("Step", "main", "use_processors", "watch_start")

SERVICES = (make_randsvc, make_auth, make_blackbox_exporter, make_users)
LATE = parse_duration(DEMO.settling) / 2
"""Seconds by which everything starts after Prometheus."""


@dataclass(frozen=True)
class Step:
    """A start or a restart: the seconds until the programs were ready, and the false alarms."""

    name: str
    ready: float
    alarms: tuple[str, ...]


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Start, restart, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.starts", description=__doc__)
    parser.add_argument("--number", type=int, default=1, help="starts of the whole stack")
    parser.add_argument("--load", type=int, default=2, help="busy processes per processor")
    parser.add_argument("--watch", type=float, default=45, help="seconds to watch after each step")
    parser.add_argument("--only-start", action="store_true", help="restart nothing")
    given = parser.parse_args(arguments)
    console = console or Console(width=120, soft_wrap=True)
    table = Table("Step", "Number", "Ready after", "False alarms")
    steps: list[Step] = []
    try:
        for number in range(given.number):
            with use_processors(given.load * (os.cpu_count() or 1)):
                for step in watch_start(given.watch, restart=not given.only_start):
                    console.print(f"{number + 1}: {step.name}: {step.ready:.1f} s {step.alarms}")
                    steps.append(step)
    except (StackError, BuildError) as error:
        console.print(str(error), markup=False)
        return 1
    for name in dict.fromkeys(step.name for step in steps):
        some = [step for step in steps if step.name == name]
        slowest = max(step.ready for step in some)
        alarms = [alarm for step in some for alarm in step.alarms]
        table.add_row(name, str(len(some)), f"up to {slowest:.1f} s", ", ".join(alarms) or "none")
    console.print(table)
    return int(any(step.alarms for step in steps))


@contextmanager
def use_processors(number: int) -> Iterator[None]:
    """Keep a number of processes busy inside."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def watch_start(watch: float, *, restart: bool) -> Iterator[Step]:
    """Start a stack and watch it; with ``restart`` each program alone, and Prometheus first."""
    began = time.time()
    with run_stack(services=SERVICES, free_ports=True) as stack:
        yield _watch(stack, "start", began, watch)
        if not restart:
            return
        for name in stack.programs:
            began = time.time()
            stack.stop(name)
            stack.start(name)
            yield _watch(stack, f"restart of {name}", began, watch)
        others = [name for name in stack.programs if name not in ("inbox", "prometheus")]
        for name in reversed(stack.programs):
            if name != "inbox":
                stack.stop(name)
        began = time.time()
        stack.start("prometheus")
        time.sleep(LATE)
        for name in others:
            stack.start(name)
        yield _watch(stack, f"start {LATE:.0f} s after Prometheus", began, watch)


def _watch(stack: Stack, name: str, began: float, seconds: float) -> Step:
    ready = time.time() - began
    time.sleep(seconds)
    stack.check()
    since = f"{time.time() - began:.0f}s"
    firing = f'max_over_time(ALERTS{{alertstate="firing",level!="none"}}[{since}])'
    labels = [one.labels for one in stack.query(f"group by (alertname, service) ({firing})")]
    sent = [
        f"{alert['name']} to {each['receiver']}"
        for each in json.loads(stack.get("inbox:9095", "/notifications"))
        for alert in each["alerts"]
        if each["receiver"] != "watchdog" and parse_time(each["at"], now=0) >= began
    ]
    fired = [f"{of['alertname']} of {of['service']}" for of in labels]
    return Step(name, ready, tuple(sorted({*fired, *sent})))


if __name__ == "__main__":
    sys.exit(main())
