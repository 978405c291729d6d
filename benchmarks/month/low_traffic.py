"""Ten years of low traffic: ``python -m benchmarks.month.low_traffic``.

At one request a minute, or one in ten minutes, one failure is a high error rate. This benchmark
draws healthy requests for ten years, and evaluates the alerts on error budgets of the time scale
production on them as Prometheus does: counts from scrape to scrape, windows, evaluations every 30 s
and waits are those of the rules. promtool would take hours for it. An alert of a healthy service is
a false alarm: the exit code is 1.

The table shows the pages, also with other conditions on the number of bad events, and for a service
that only just meets its objective.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.month.simulated_month import DAY, SCRAPE, make_healthy_conditions
from randsvc.rules.slo import CHANCE
from randsvc.rules.time_scale import PRODUCTION, SEVERITY, Level
from randsvc.times import parse_duration

__all__ = ("CONDITIONS", "Traffic", "find_alerts", "main")

Counts = NDArray[np.int64]
Condition = Callable[[Counts, NDArray[np.float64], float], NDArray[np.bool_]]
"""Whether bad events count, by their number in the long window, the burn rate, and the factor."""

YEAR = 365 * DAY
EVERY = round(parse_duration(PRODUCTION.interval)) // SCRAPE
"""Scrapes between evaluations."""
HEALTHY = "healthy"
GAPS = (60, 600)
"""Mean seconds between requests."""


def is_significant(bad: Counts, burn: NDArray[np.float64], factor: float) -> NDArray[np.bool_]:
    """The condition of the rules: see randsvc/rules/slo.py."""
    ratio = burn / (CHANCE * factor)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = bad * (np.log(ratio) - 1 + 1 / ratio)
    # As the rule has it, with one digit.
    return np.asarray(found >= round(-log(PRODUCTION.significance), 1))


CONDITIONS: dict[str, Condition] = {
    "no condition": lambda bad, burn, factor: np.ones(len(bad), dtype=bool),
    "ten bad events": lambda bad, burn, factor: bad >= 10,
    "significance": is_significant,
}


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Independent requests, ``gap`` seconds apart on average, a ``share`` of which is bad."""

    gap: float
    budget: float
    share: float
    seed: int = 1

    def draw(self, year: int) -> tuple[Counts, Counts]:
        """Draw a year's requests and bad requests: their running counts at each scrape.

        Each year begins without a history.
        """
        seed = [self.seed, year, round(self.gap), round(self.share * 1e9)]
        rng = np.random.default_rng(seed)
        requests = rng.poisson(SCRAPE / self.gap, size=YEAR // SCRAPE)
        bad = rng.binomial(requests, self.share)
        return tuple(np.concatenate(([0], np.cumsum(each))) for each in (requests, bad))  # type: ignore[return-value]


def find_alerts(
    requests: Counts, bad: Counts, budget: float, level: Level, condition: Condition
) -> list[range]:
    """Give each time that the alert of a level fires, from running counts at each scrape.

    A range has the times of its evaluations, in seconds.
    """
    burns = [burn for burn in PRODUCTION.burns if burn.level == level]
    holds = np.zeros(len(requests[::EVERY]), dtype=bool)
    for burn in burns:
        rates = []
        for window in (burn.long, burn.short):
            counted, failed = (_count_in(each, window) for each in (requests, bad))
            rates.append(failed / np.maximum(counted, 1) / budget)
            if window == burn.long:
                enough = condition(failed, rates[0], burn.factor)
        holds |= (rates[0] > burn.factor) & (rates[1] > burn.factor) & enough
    interval = EVERY * SCRAPE
    wait = ceil(parse_duration(burns[0].wait) / interval) if burns[0].wait else 0
    hold = ceil(parse_duration(PRODUCTION.hold) / interval)
    return [
        range(fires.start * interval, fires.stop * interval, interval)
        for fires in _fire(holds, wait, hold)
    ]


def _count_in(running: Counts, window: str) -> Counts:
    """Give the increase over a window at each evaluation; anchored, so from scrape to scrape."""
    scrapes = round(parse_duration(window)) // SCRAPE
    at = np.arange(0, len(running), EVERY)
    return running[at] - running[np.maximum(at - scrapes, 0)]


def _fire(holds: NDArray[np.bool_], wait: int, hold: int) -> Iterator[range]:
    """Yield the evaluations at which an alert fires, given those at which its condition holds.

    It fires after ``wait`` further evaluations, and for ``hold`` evaluations after it last held.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], holds, [False])).astype(np.int8)))
    fires = range(0)
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if fires and begin <= fires.stop:
            # It still fires, so that it need not wait.
            fires = range(fires.start, end + hold)
        elif end - begin > wait:
            if fires:
                yield fires
            fires = range(begin + wait, end + hold)
    if fires:
        yield fires


def _list_traffic(shares: dict[float, dict[str, float]]) -> Iterator[tuple[str, Traffic]]:
    for budget, of in shares.items():
        for name, share in of.items():
            for gap in GAPS:
                yield name, Traffic(gap=gap, budget=budget, share=share)


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Draw, count, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.month.low_traffic", description=__doc__)
    parser.add_argument("--years", type=int, default=10)
    years: int = parser.parse_args(arguments).years
    console = console or Console(width=150, soft_wrap=True)
    healthy = make_healthy_conditions(1, 1, 1)
    shares = {
        0.005: {HEALTHY: float(healthy["failing"][0]), "objective just met": 0.005},
        0.02: {HEALTHY: float(healthy["slow"][0]), "objective just met": 0.02},
    }
    table = Table(
        "Objective", "Requests", "Bad", "Service", *(f"Pages, {name}" for name in CONDITIONS)
    )
    false_alarms = 0
    for name, traffic in track(list(_list_traffic(shares)), "low traffic", console=console):
        pages = dict.fromkeys(CONDITIONS, 0)
        for year in range(years):
            drawn = traffic.draw(year)
            for rule, condition in CONDITIONS.items():
                pages[rule] += len(find_alerts(*drawn, traffic.budget, "critical", condition))
            if name == HEALTHY:
                false_alarms += sum(
                    len(find_alerts(*drawn, traffic.budget, level, is_significant))
                    for level in SEVERITY
                )
        table.add_row(
            f"{100 * (1 - traffic.budget):g}%",
            f"one in {traffic.gap / 60:g} min",
            f"{100 * traffic.share:g}%",
            name,
            *(f"{number:,}" for number in pages.values()),
        )
    console.print(table)
    console.print(
        f"{years} years of healthy requests at each rate: {false_alarms} false alarms of any level."
    )
    return int(false_alarms > 0)


if __name__ == "__main__":
    sys.exit(main())
