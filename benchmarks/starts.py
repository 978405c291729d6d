"""Starts and restarts on a busy machine: ``make starts``.

The native stack is started while other processes use every processor twice, with the time scale
demo, whose waits are the shortest. Then each program is restarted alone, and at last all that
Prometheus watches starts well after Prometheus itself. Each of these is what people do on purpose:
an alert that fires, or a notification, is a false alarm, and the exit code is 1. A part that was
gone for longer than its alert waits is no false alarm, and is listed apart.

Steps of earlier runs are kept in .cache/starts.jsonl, also those of runs side by side.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from benchmarks.chaos.alerts import ON_SPEED
from benchmarks.machine import describe_machine
from randsvc.markdown import write_table
from randsvc.project import ROOT
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

KEPT = ROOT / ".cache/starts.jsonl"
RESULTS = ROOT / "benchmarks/starts-results.md"
SERVICES = (make_randsvc, make_auth, make_blackbox_exporter, make_users)
LATE = parse_duration(DEMO.settling) / 2
"""Seconds by which everything starts after Prometheus."""


SHORT = parse_duration(DEMO.unseen) - 2.0
"""Seconds of an outage in which no alert may fire: the wait of the alerts on what is down, without
a scrape interval, by which an outage seems longer than it is."""
HEADS = ("Step", "Number", "Ready after", "False alarms", "Longer outages", "Alerts on these")


@dataclass(frozen=True)
class Step:
    """A start or a restart: the seconds until the programs were ready, and the alerts.

    An alert may be of the step before, which ended a moment ago: ``outage`` is the longer of both.
    """

    name: str
    ready: float
    outage: float
    alarms: tuple[str, ...]

    @property
    def is_short(self) -> bool:
        """Whether no alert may fire; starts have no outage, as Prometheus comes last."""
        return self.outage <= SHORT


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Start, restart, print the table of all steps that are kept, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.starts", description=__doc__)
    parser.add_argument("--number", type=int, default=1, help="starts of the whole stack")
    parser.add_argument("--load", type=int, default=2, help="busy processes per processor")
    parser.add_argument("--watch", type=float, default=45, help="seconds to watch after each step")
    parser.add_argument("--until", default="24:00", help="begin no start after this time (UTC)")
    parser.add_argument("--fresh", action="store_true", help="forget the steps of earlier runs")
    given = parser.parse_args(arguments)
    console = console or Console(width=150, soft_wrap=True)
    if given.fresh:
        KEPT.unlink(missing_ok=True)
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    try:
        for number in range(given.number):
            if f"{datetime.now(UTC):%H:%M}" >= given.until:
                break
            with use_processors(given.load * (os.cpu_count() or 1)):
                for step in watch_start(given.watch, restart=True):
                    console.print(f"{number + 1}: {step.name}: {step.ready:.1f} s {step.alarms}")
                    with KEPT.open("a") as file:
                        file.write(f"{json.dumps(asdict(step))}\n")
    except (StackError, BuildError) as error:
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; the steps so far are kept")
        return 130
    steps = [Step(**json.loads(line)) for line in KEPT.read_text().splitlines()]
    rows = [
        _sum_up(name, [step for step in steps if step.name == name])
        for name in dict.fromkeys(step.name for step in steps)
    ]
    table = Table(*HEADS)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    RESULTS.write_text(_write_markdown(rows))
    return int(any(step.alarms for step in steps if step.is_short))


def _sum_up(name: str, steps: Sequence[Step]) -> list[str]:
    short = [step for step in steps if step.is_short]
    longer = [step for step in steps if not step.is_short]

    def list_alarms(of: Sequence[Step]) -> str:
        return ", ".join(sorted({alarm for step in of for alarm in step.alarms})) or "none"

    ready = sorted(step.ready for step in steps)
    return [
        name,
        f"{len(steps)}",
        f"{ready[len(ready) // 2]:.1f} s, at most {ready[-1]:.1f} s",
        list_alarms(short),
        f"{len(longer)}",
        list_alarms(longer),
    ]


def _write_markdown(rows: Sequence[Sequence[str]]) -> str:
    parts = [
        "<!-- Written by `make starts`; do not edit. -->",
        "# Starts and restarts",
        f"Measured until {datetime.now(UTC):%Y-%m-%d} on a busy machine with {describe_machine()}, "
        "with the time scale demo. Run it again: `make starts`.",
        "*Ready after* is the median and the maximum. *False alarms* are alerts and notifications "
        f"where no part was gone for longer than {SHORT:g} s. *Longer outages* took longer on the "
        "busy machine, in this step or in the one before; alerts on these are true. Alerts on "
        f"speed ({', '.join(sorted(ON_SPEED))}) are not judged, as the machine is busy on purpose.",
        write_table(HEADS, rows),
    ]
    return "\n\n".join(parts) + "\n"


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
        yield _watch(stack, "start", began, watch, outage=0)
        if not restart:
            return
        before = 0.0
        for name in stack.programs:
            began = time.time()
            stack.stop(name)
            stack.start(name)
            outage = time.time() - began
            yield _watch(stack, f"restart of {name}", began, watch, outage=max(outage, before))
            before = outage
        others = [name for name in stack.programs if name not in ("inbox", "prometheus")]
        for name in reversed(stack.programs):
            if name != "inbox":
                stack.stop(name)
        began = time.time()
        stack.start("prometheus")
        time.sleep(LATE)
        for name in others:
            stack.start(name)
        # Prometheus calls nothing down until it has settled.
        late = time.time() - began - parse_duration(DEMO.settling)
        name = f"start {LATE:.0f} s after Prometheus"
        yield _watch(stack, name, began, watch, outage=max(late, before))


def _watch(stack: Stack, name: str, began: float, seconds: float, *, outage: float) -> Step:
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
    alarms = {alarm for alarm in (*fired, *sent) if alarm.split()[0] not in ON_SPEED}
    return Step(name, round(ready, 1), round(outage, 1), tuple(sorted(alarms)))


if __name__ == "__main__":
    sys.exit(main())
