"""A month of production, twice: ``python -m benchmarks.month``.

The healthy month must raise no alert. The same month with every incident must raise the alert of
each incident exactly once, and otherwise only alerts that the incident allows. If not, the exit
code is 1, with a line for each deviation.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.arguments import parse_positive
from benchmarks.month.incidents import INCIDENTS, Incident
from benchmarks.month.replay import Part, Raised, Replayed, ReplayError, replay, rules, split_rules
from benchmarks.month.simulated_month import DAY, SCRAPE, Array, Series, SimulatedMonth
from randsvc.project import ROOT
from randsvc.stack.build import BuildError
from randsvc.stack.promtool import find_promtool

KEPT = ROOT / ".cache/month"
PIECE = 2 * DAY
"""Seconds that one run of promtool replays, for parts with windows shorter than days."""


@dataclass(frozen=True)
class Outcome:
    """The result of a month: the raised alerts in time order, and the number of evaluations."""

    raised: tuple[Raised, ...]
    evaluations: int


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Run both months, print the tables, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.month", description=__doc__)
    parser.add_argument("--days", type=_parse_days, default=30.0, help="length of the month")
    parser.add_argument("--traffic", type=parse_positive, default=10.0, help="mean, requests/s")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random numbers")
    parser.add_argument("--alert", default="", help="only alerts with this text in their name")
    parser.add_argument("--fresh", action="store_true", help="ignore the results of earlier runs")
    given = parser.parse_args(arguments)
    console = console or Console(width=150, soft_wrap=True)
    try:
        find_promtool()
        return _run_both(given, console)
    except (BuildError, ReplayError) as error:
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; the next run continues where this one stopped")
        return 130


def _parse_days(text: str) -> float:
    value = parse_positive(text)
    if value > 60:
        raise argparse.ArgumentTypeError(f"{text}: expected at most 60 days")
    return value


def _run_both(given: argparse.Namespace, console: Console) -> int:
    chosen = [part for part in split_rules(rules()) if given.alert in part.name]
    incidents = [
        incident
        for incident in INCIDENTS
        if incident.ends + max((part.before for part in chosen), default=0) / 10 <= given.days * DAY
        and any(expects(part, incident) for part in chosen)
    ]
    months = {
        "healthy": SimulatedMonth(given.days, (), given.traffic, given.seed),
        "with incidents": SimulatedMonth(given.days, incidents, given.traffic, given.seed),
    }
    outcomes = {
        name: run(
            name,
            month,
            chosen,
            console,
            kept=None if given.fresh else KEPT,
            reference=None if name == "healthy" else months["healthy"],
        )
        for name, month in months.items()
    }
    healthy, broken = outcomes.values()
    console.print(_draw_table(incidents, broken))
    deviations = list_deviations(incidents, broken)
    failed = {deviation.split(":")[0] for deviation in deviations}
    problems = [*list_false_alarms(healthy), *deviations]
    for problem in problems:
        console.print(problem, markup=False)
    console.print(
        f"{given.days:g} healthy days: {len(healthy.raised)} alerts raised in "
        f"{healthy.evaluations:,} evaluations of alerts. The same days with {len(incidents)} "
        f"incidents: {len(incidents) - len(failed)} alerts as expected, in {broken.evaluations:,} "
        "evaluations around the incidents."
    )
    return 1 if problems else 0


def expects(part: Part, incident: Incident) -> bool:
    """Whether a part has the expected alert of an incident."""
    return any(
        rule.get("alert") == incident.alert and rule["labels"]["level"] == incident.level
        for rule in part.rules
    )


def run(
    name: str,
    month: SimulatedMonth,
    chosen: Sequence[Part],
    console: Console,
    *,
    kept: Path | None = None,
    reference: SimulatedMonth | None = None,
) -> Outcome:
    """Replay the parts of a month, in parallel.

    With a ``reference`` month, replay a part only where its series differ from the reference, and
    until the difference has no more influence: elsewhere both months are the same, draw by draw.
    """
    series = list(month.series())
    last = month.steps * float(SCRAPE)
    others = {str(one): one for one in reference.series()} if reference else {}
    jobs = []
    for part in chosen:
        read = [one for one in series if part.reads(one)]
        times = find_differences(read, others, month.steps) if reference else [(0.0, last)]
        jobs += [(part, read, begin, end) for begin, end in find_spans(part, times, last)]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        Progress(*columns, console=console) as progress,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        task = progress.add_task(f"{name}: {month.steps * SCRAPE / DAY:g} days", total=len(jobs))

        def one(job: tuple[Part, Sequence[Series], float, float]) -> tuple[Part, Replayed]:
            part, read, begin, end = job
            done = replay(part, read, begin, end, kept)
            progress.advance(task)
            return part, done

        found = list(pool.map(one, jobs))
    raised = sorted((one for _, done in found for one in done.raised), key=lambda one: one.at)
    evaluations = sum(
        done.evaluations * sum("alert" in rule for rule in part.rules) for part, done in found
    )
    return Outcome(tuple(raised), evaluations)


def find_differences(
    read: Sequence[Series], others: Mapping[str, Series], steps: int
) -> list[tuple[float, float]]:
    """Return the spans, in seconds, in which any series differs from another month."""
    differs = np.zeros(steps + 1, dtype=bool)
    nothing = Series("", {}, 0, np.full(steps, np.nan))
    for one in read:
        ours, theirs = (_read_changes(each, steps) for each in (one, others.get(str(one), nothing)))
        differs[:steps] |= ours != theirs
    edges = np.flatnonzero(np.diff(differs.astype(int), prepend=0)) * float(SCRAPE)
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _read_changes(series: Series, steps: int) -> Array:
    """Return the increase of a counter, or the value of a gauge or -1, at each scrape."""
    there = ~np.isnan(series.values)
    whole = np.full(steps, -1.0)
    part = slice(series.begin, series.begin + len(series.values))
    if not series.name.endswith(("_total", "_count", "_bucket")):
        whole[part] = np.where(there, series.values, -1)
        return whole
    counted = np.maximum.accumulate(np.where(there, np.arange(len(there)), -1))
    held = np.where(counted >= 0, series.values[counted], 0)
    whole[:] = 0
    # A restart or a gap is no increase.
    whole[part] = np.maximum(np.diff(held, prepend=0), 0)
    return whole


def find_spans(
    part: Part, times: Sequence[tuple[float, float]], last: float
) -> list[tuple[float, float]]:
    """Return the spans of a month to replay for a part, short enough to occupy all processors."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted(times):
        until = min(end + part.before, last)
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((begin, until))
    if part.before > PIECE / 2:
        return found
    return [
        (at, min(at + PIECE, end))
        for begin, end in found
        for at in (begin + i * PIECE for i in range(int((end - begin) // PIECE) + 1))
        if at < end
    ]


def list_false_alarms(outcome: Outcome) -> list[str]:
    """Return a line for each alert of a healthy month."""
    return [f"healthy: {_describe(one)} was raised" for one in outcome.raised]


def list_deviations(incidents: Sequence[Incident], outcome: Outcome) -> list[str]:
    """Return a line for each incident without exactly one alert, and for each forbidden alert."""
    problems = []
    of = _group_by_incident(incidents, outcome)
    for incident in incidents:
        times = sum(one.kind == incident.expected for one in of[incident.name])
        if times != 1:
            problems.append(f"{incident.name}: {' '.join(incident.expected)} raised {times} times")
        problems += [
            f"{incident.name}: {_describe(one)} was raised too"
            for one in of[incident.name]
            if one.kind != incident.expected and one.kind.alert not in incident.may_fire
        ]
    problems += [f"no incident: {_describe(one)} was raised" for one in of[""]]
    return problems


def _group_by_incident(incidents: Sequence[Incident], outcome: Outcome) -> dict[str, list[Raised]]:
    """Group alerts by the latest incident that began before them; '' is before all incidents."""
    found: dict[str, list[Raised]] = {"": [], **{incident.name: [] for incident in incidents}}
    for one in outcome.raised:
        begun = [incident.name for incident in incidents if incident.begins <= one.at]
        found[begun[-1] if begun else ""].append(one)
    return found


def _describe(raised: Raised) -> str:
    day, seconds = divmod(raised.at, DAY)
    clock = f"{int(seconds // 3600):02}:{int(seconds // 60) % 60:02}"
    return f"{' '.join(raised.kind)} on day {day:.0f} at {clock}"


def _draw_table(incidents: Sequence[Incident], outcome: Outcome) -> Table:
    table = Table(
        *("Incident", "Lasts", "Level", "Alert", "Raised", "After", "Cleared after", "Other alerts")
    )
    of = _group_by_incident(incidents, outcome)
    for incident in incidents:
        own = [one for one in of[incident.name] if one.kind == incident.expected]
        others = [
            f"{one.kind.alert.removeprefix('Randsvc')} {one.kind.level}"
            for one in of[incident.name]
            if one.kind != incident.expected
        ]
        table.add_row(
            incident.name,
            incident.lasts,
            incident.level,
            incident.alert.removeprefix("Randsvc"),
            str(len(own)),
            _format_duration(own[0].at - incident.begins) if own else "-",
            _format_duration(own[-1].until - incident.ends) if own else "-",
            ", ".join(dict.fromkeys(others)),
        )
    return table


def _format_duration(seconds: float) -> str:
    if seconds == float("inf"):
        return "-"
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    hours, minutes = divmod(seconds / 60, 60)
    return f"{sign}{hours:.0f}h{minutes:02.0f}m" if hours else f"{sign}{minutes:.1f} min"


if __name__ == "__main__":
    sys.exit(main())
