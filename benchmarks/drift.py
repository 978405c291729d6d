"""Time to detect a drift, and false alarms without one: ``python -m benchmarks.drift``.

The benchmark draws values and counts them in the buckets of a native histogram, as between two
scrapes, and adds up the evidence as the rules of ``randsvc.rules.cusum`` do;
``tests/rules/test_cusum.py`` lets promtool evaluate the rules on such counts, which must give the
same numbers.

The time to detect starts with the change and ends with the evaluation at which the alert fires. It
includes what a scrape and the interval of evaluations add: the change begins at any time between
two evaluations, and an evaluation sees a scrape that is at least ``SETTLED`` and at most one scrape
interval more old. All sums are 0 when the change begins, which is the worst that they can be.

The limit is Lorden's: no test, of raw values either, is faster on average than ln(mean values
between false alarms) / KL, here with one false alarm in 1 / ``ALPHA`` evaluations and the
Kullback-Leibler divergence of the changed from the healthy values.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scipy import stats

from randsvc import metrics
from randsvc.markdown import write_table
from randsvc.model.baselines import BaselineNumbers, load_baselines
from randsvc.rules.cusum import (
    LIMIT,
    SETTLED,
    SIZES,
    SURE,
    Distribution,
    compute_weights,
    make_changes,
    make_reshapings,
)
from randsvc.rules.drift import ALPHA, MIX, compute_d1_floor
from randsvc.rules.feedback import CHANCE
from randsvc.rules.ml_alerts import EFFECTS, FOUND_AT, MIX_MOVED
from randsvc.rules.time_scale import DEMO, PRODUCTION, TimeScale
from randsvc.settings import Settings
from randsvc.simulation.behaviour import REPORTED_SHARE
from randsvc.simulation.daily_wave import compute_rate
from randsvc.simulation.ground_truth import NOISE
from randsvc.times import parse_duration

RESULTS = Path(__file__).with_name("drift-results.md")
Array = NDArray[np.float64]
Held = NDArray[np.bool_]
Progressed = Callable[[int], None]

SCHEMA = 4
"""Of the native histograms: 16 buckets an octave, the coarsest that the default value gets."""
DEFAULT_RATE = 15
"""Requests/s of the simulated users, .env."""
RATES = (1, 5, 15, 30)
REPETITIONS = 2000
MONTH = 30 * 86_400
ERROR = NOISE * math.sqrt(Settings().value.variance)
"""Standard deviation of the healthy model's errors."""
CHUNK = 50_000
"""Evaluations or scrapes that are simulated at once."""
MEAN, SD = 50.0, 10.0


@dataclass(frozen=True)
class Rhythm:
    """A time scale, and how often is scraped then; in seconds."""

    scale: TimeScale
    scrape: int

    @property
    def evaluation(self) -> int:
        """The interval of evaluations."""
        return round(parse_duration(self.scale.ml_interval))

    @property
    def windows(self) -> tuple[int, int]:
        """The windows of samples in scrapes."""
        windows = map(parse_duration, self.scale.samples)
        short, long = (round(window) // self.scrape for window in windows)
        return short, long


RHYTHMS = (Rhythm(PRODUCTION, 15), Rhythm(DEMO, 2))


@dataclass(frozen=True)
class Judge:
    """Weighs counts in buckets, whose ``bounds`` ascend, as the rules do; a change is a column.

    Within a bucket Prometheus interpolates by the logarithm, or linearly if it ``is_pulled``.
    """

    described: BaselineNumbers
    bounds: Array
    is_pulled: bool = False
    weights: Array = field(init=False)

    def __post_init__(self) -> None:
        """Work out what a value in each bucket says, which Prometheus spreads over the bins."""
        edges = np.sort([*self.described.quantiles.values(), *self.described.tails.values()])
        ends, edges = (
            (self.bounds, edges) if self.is_pulled else (np.log2(self.bounds), np.log2(edges))
        )
        inside = (edges[None, :] - ends[:-1, None]) / np.diff(ends)[:, None]
        below = np.clip(inside, 0.0, 1.0)
        none = np.zeros((len(below), 1))
        bins = np.diff(np.hstack([none, below, none + 1]), axis=1)
        by_bin = np.array(list(compute_weights().values())).T
        healthy = np.array([*_compute_shares(stats.norm.cdf, stats.norm.ppf(_LEVELS))])
        deviation = np.sqrt(healthy @ by_bin**2 - (healthy @ by_bin) ** 2)
        sure = SURE * deviation / math.sqrt(self.described.statistics["count"])
        object.__setattr__(self, "weights", bins @ by_bin - sure)

    def share(self, cdf: Callable[[Array], Array]) -> Array:
        """The shares of a distribution by bucket; what lies beyond is in the outermost."""
        below = cdf(self.bounds)
        return np.diff([0.0, *below[1:-1], 1.0])


def _compute_shares(cdf: Callable[[Array], Array], edges: Array) -> Array:
    return np.diff([0.0, *cdf(edges), 1.0])


def bounds(low: float, high: float) -> Array:
    """The bounds of native buckets from low to high."""
    first, last = np.floor(np.log2(low) * 2**SCHEMA), np.ceil(np.log2(high) * 2**SCHEMA)
    return np.array(2 ** (np.arange(first, last + 1) / 2**SCHEMA))


DESCRIBED = load_baselines(Settings())
_LEVELS = np.sort(np.array([*DESCRIBED["value"].quantiles, *DESCRIBED["value"].tails], dtype=float))
VALUE = Judge(DESCRIBED["value"], bounds(4, 140))
DELAY = Judge(DESCRIBED["delay"], bounds(0.004, 0.7))
_PULLED = {
    name: Judge(described, np.array(metric.buckets, dtype=float), is_pulled=True)
    for name, metric in (("value", metrics.VALUE), ("delay", metrics.DELAY))
    for described in [load_baselines(Settings(), is_pulled=True)[name]]
}
_NORMAL, _LOGNORMAL = stats.norm(MEAN, SD).cdf, stats.lognorm(0.5, scale=0.05).cdf
HEALTHY: Mapping[str, tuple[Judge, Callable[[Array], Array]]] = {
    "value": (VALUE, _NORMAL),
    "delay": (DELAY, _LOGNORMAL),
    "value, pulled": (_PULLED["value"], _NORMAL),
    "delay, pulled": (_PULLED["delay"], _LOGNORMAL),
}


def of_values(cdf: Distribution) -> Callable[[Array], Array]:
    """The distribution of the value whose standard form is given."""
    return lambda x: np.array([cdf(float(z)) for z in (x - MEAN) / SD])


def compute_divergence(cdf: Distribution) -> float:
    """The Kullback-Leibler divergence from the standard normal distribution, in nats a value."""
    edges = np.arange(-9, 13, 1e-3)
    after, before = np.diff([cdf(float(z)) for z in edges]), np.diff(stats.norm.cdf(edges))
    there = (after > 1e-15) & (before > 0)
    return float((after[there] * np.log(after[there] / before[there])).sum())


@dataclass(frozen=True)
class Detection:
    """How long it took to detect a change at a rate, in seconds, over all repetitions."""

    rhythm: Rhythm
    rate: int
    change: str
    size: float | None
    limit: float
    times: Array

    @property
    def mean(self) -> float:
        """The mean, infinite where the change was not always found."""
        return float(self.times.mean())

    @property
    def error(self) -> float:
        """Half of the mean's 95% interval."""
        return float(1.96 * self.times.std() / math.sqrt(len(self.times)))

    @property
    def target(self) -> float:
        """The time to keep to."""
        return 1.5 * self.limit + 2 * self.rhythm.evaluation

    @property
    def is_met(self) -> bool:
        """Whether all of the interval is within the target."""
        return self.mean + self.error <= self.target

    @property
    def is_missed(self) -> bool:
        """Whether none of the interval is."""
        return not self.mean - self.error <= self.target


def detect(
    rhythm: Rhythm, rate: int, change: str, size: float | None, cdf: Distribution, repetitions: int
) -> Detection:
    """Let a change begin again and again."""
    rng = np.random.default_rng([rhythm.scrape, rate, round(100 * (size or 0)), len(change)])
    before, after = VALUE.share(stats.norm(MEAN, SD).cdf), VALUE.share(of_values(cdf))
    interval = rhythm.evaluation
    first = rng.uniform(0, interval, repetitions)
    age = parse_duration(SETTLED) + rng.uniform(0, rhythm.scrape, repetitions)
    times = np.full(repetitions, np.inf)
    sums = np.zeros((repetitions, VALUE.weights.shape[1]))
    left = np.arange(repetitions)
    between = interval / ALPHA * rate
    limit = math.log(between) / compute_divergence(cdf) / rate
    for look in range(round(20 * limit / interval) + 20):
        at = first[left] + look * interval
        changed = np.clip(at - age[left], 0, interval)
        counts = rng.multinomial(rng.poisson(rate * changed), after)
        counts += rng.multinomial(rng.poisson(rate * (interval - changed)), before)
        sums[left] = np.maximum(sums[left] + counts @ VALUE.weights, 0)
        found = (sums[left] > LIMIT).any(axis=1)
        times[left[found]] = at[found]
        left = left[~found]
        if not len(left):
            break
    return Detection(rhythm, rate, change, size, limit, times)


def list_changes() -> Iterator[tuple[str, float | None, Distribution]]:
    """Every change that is measured, with its size where it has one."""
    for size in SIZES:
        for name, cdf in make_changes(size).items():
            yield name, size, cdf
    for name, cdf in make_reshapings().items():
        yield name, None, cdf


@dataclass
class Quiet:
    """What was found where nothing was wrong."""

    name: str
    looks: int = 0
    significant: int = 0
    alerts: int = 0
    highest: float = 0.0
    _held: int = 0

    def note(self, significant: Held, holds: Held, needed: int) -> None:
        """Note some looks, in order; an alert is a condition that holds for as many looks."""
        self.looks += len(holds)
        self.significant += int(significant.sum())
        for hold in holds:
            self._held = self._held + 1 if hold else 0
            self.alerts += self._held == needed


def draw_month(rhythm: Rhythm, length: int, progressed: Progressed) -> list[Quiet]:
    """Let nothing be wrong for so many seconds, at the default traffic in its daily wave."""
    found = [
        _sum_up(rhythm, length, name, judge, judge.share(cdf), progressed)
        for name, (judge, cdf) in HEALTHY.items()
    ]
    return [*found, *_simulate_window(rhythm, length, progressed)]


def _simulate_wave(rhythm: Rhythm, start: int, number: int, interval: int) -> Array:
    """The mean number of requests in each interval."""
    day = parse_duration(rhythm.scale.day)
    return np.array(
        [
            interval
            * compute_rate(
                (start + i) * interval, mean=DEFAULT_RATE, amplitude=DEFAULT_RATE / 2, period=day
            )
            for i in range(number)
        ]
    )


def _sum_up(
    rhythm: Rhythm, length: int, name: str, judge: Judge, shares: Array, progressed: Progressed
) -> Quiet:
    """Add up the evidence of healthy values, which is what chance makes of it."""
    rng = np.random.default_rng([rhythm.scrape, length, len(name), 1])
    quiet = Quiet(name)
    total = length // rhythm.evaluation
    sums = np.zeros(judge.weights.shape[1])
    for start in range(0, total, CHUNK):
        number = min(CHUNK, total - start)
        values = rng.poisson(_simulate_wave(rhythm, start, number, rhythm.evaluation))
        gains = rng.multinomial(values, shares) @ judge.weights
        # A sum that is kept above 0 is the sum less its lowest so far.
        ends = sums + np.cumsum(gains, axis=0)
        evidence = ends - np.minimum(np.minimum.accumulate(ends, axis=0), 0)
        sums = evidence[-1]
        highest = evidence.max(axis=1)
        quiet.highest = max(quiet.highest, float(highest.max()))
        quiet.note(highest > LIMIT, highest > LIMIT, 1)
        progressed(number)
    return quiet


def sum_windows(counts: Array, window: int) -> Array:
    """What a window of so many steps holds at the end of each step, from sample to sample."""
    cumulated = np.vstack([np.zeros(counts.shape[1]), np.cumsum(counts, axis=0)])
    return np.array(cumulated[window:] - cumulated[:-window])


def _simulate_window(rhythm: Rhythm, length: int, progressed: Progressed) -> list[Quiet]:
    """Compare windows, as the alerts on the segments and the bias do."""
    rng = np.random.default_rng([rhythm.scrape, length])
    long = rhythm.windows[1]
    every = rhythm.evaluation // rhythm.scrape
    needed = round(parse_duration(rhythm.scale.drift_wait)) // rhythm.evaluation + 1
    found = {name: Quiet(name) for name in (MIX, "bias")}
    total = length // rhythm.scrape
    tails: dict[str, Array] = {}
    for start in range(0, total, CHUNK):
        number = min(CHUNK, total - start)
        per_step = rng.poisson(_simulate_wave(rhythm, start, number, rhythm.scrape))

        def samples(name: str, counts: Array) -> Iterator[Array]:
            """Those of both windows at each look of the chunk."""
            counts = np.vstack([tails[name], counts]) if name in tails else counts
            tails[name] = counts[-long:]
            looks = len(counts) - np.arange(number - long if start == 0 else number)[::-1]  # noqa: B023
            looks = looks[::every]
            for window in rhythm.windows:
                yield sum_windows(counts, window)[looks - window]

        mix = np.array(list(DESCRIBED[MIX].shares.values()))
        counts = rng.multinomial(per_step, mix).astype(float)
        short = next(samples(MIX, counts))
        n = short.sum(axis=1)
        d1 = np.abs(short / n[:, None] - mix).sum(axis=1)
        significant = d1 > compute_d1_floor(n, 1e9, len(mix))
        found[MIX].note(significant, significant & (d1 > MIX_MOVED), needed)
        labels = rng.poisson(REPORTED_SHARE * per_step)
        sums = rng.normal(0, ERROR, number) * np.sqrt(labels)
        squares = ERROR**2 * np.where(labels > 0, rng.chisquare(np.maximum(labels, 1)), 0.0)
        conditions = []
        for sample in samples("bias", np.stack([labels, sums, squares], axis=1)):
            n = np.maximum(sample[:, 0], 1)
            bias = np.abs(sample[:, 1] / n)
            deviation = np.sqrt(np.maximum(sample[:, 2] / n - bias**2, 0))
            enough = n >= rhythm.scale.min_labels
            real = enough & (bias > CHANCE * deviation / np.sqrt(n))
            conditions.append((real, real & (bias > FOUND_AT * EFFECTS["minor"] * SD)))
        (one, fires), (other, too) = conditions
        found["bias"].note(one | other, fires | too, needed)
        progressed(number)
    return list(found.values())


def main() -> int:
    """Run, print the tables, write them; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions, nothing is written")
    quick = parser.parse_args().quick
    repetitions, length = (40, MONTH // 30) if quick else (REPETITIONS, MONTH)
    console = Console(width=170)
    cases = [
        (rhythm, rate, *change) for rhythm in RHYTHMS for rate in RATES for change in list_changes()
    ]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(cases))
        detections = []
        for case in cases:
            rhythm, rate, change, _, _ = case
            progress.update(task, description=f"{rhythm.scale.name}, {rate}/s, {change}")
            detections.append(detect(*case, repetitions))
            progress.advance(task)
        quiet = {}
        for rhythm in RHYTHMS:
            name = rhythm.scale.name
            steps = len(HEALTHY) * (length // rhythm.evaluation) + length // rhythm.scrape
            task = progress.add_task(f"a month, {name}", total=steps)
            quiet[name] = draw_month(rhythm, length, partial(progress.advance, task))
    tables = report(detections, quiet)
    for table in tables:
        console.print(table)
    missed = [d for d in detections if d.is_missed]
    for d in missed:
        console.print(
            f"missed: {d.rhythm.scale.name}, {d.rate}/s, {d.change} {d.size or ''}: "
            f"{d.mean:.1f} s ± {d.error:.1f} s, target {d.target:.1f} s"
        )
    if not quick:
        RESULTS.write_text(write_markdown(tables, detections), encoding="utf-8")
        console.print(f"written to {RESULTS.parent.name}/{RESULTS.name}")
    too_many = [q for found in quiet.values() for q in found if q.alerts > 1]
    return int(bool(missed or too_many))


def report(detections: Sequence[Detection], quiet: Mapping[str, Sequence[Quiet]]) -> list[Table]:
    """The tables of what came of it."""
    tables = []
    for rhythm in RHYTHMS:
        of_rhythm = [d for d in detections if d.rhythm == rhythm]
        tables.append(
            _tabulate_detections(rhythm, [d for d in of_rhythm if d.size], "change by size")
        )
        tables.append(
            _tabulate_detections(
                rhythm, [d for d in of_rhythm if not d.size], "change of shape alone"
            )
        )
    return [*tables, _tabulate_quiet(quiet)]


def _tabulate_detections(rhythm: Rhythm, detections: Sequence[Detection], what: str) -> Table:
    changes = list(dict.fromkeys(d.change for d in detections))
    table = Table(
        *("requests/s", "size", *changes),
        title=f"Mean time to detect, time scale {rhythm.scale.name}, {what}: mean ± 95% interval / "
        "Lorden's limit / target, in seconds",
    )
    for rate in RATES:
        for size in dict.fromkeys(d.size for d in detections):
            cells = [
                f"{d.mean:.1f} ± {d.error:.1f} / {d.limit:.1f} / {d.target:.1f}"
                + (" **missed**" if d.is_missed else "")
                for d in detections
                if (d.rate, d.size) == (rate, size)
            ]
            table.add_row(str(rate), f"{size:g} sd" if size else "", *cells)
    return table


def _tabulate_quiet(quiet: Mapping[str, Sequence[Quiet]]) -> Table:
    table = Table(
        *("time scale", "metric", "evaluations", "highest evidence", "above its limit or floor"),
        *("alerts", "target"),
        title=f"A month without drift, at {DEFAULT_RATE} requests/s on average, from half of that "
        "at night to one and a half times at noon",
    )
    for scale, found in quiet.items():
        for q in found:
            highest = f"{q.highest:.1f} of {LIMIT:g}" if q.highest else ""
            target = f"at most 1: {'met' if q.alerts <= 1 else 'missed'}"
            cells = (highest, f"{q.significant:,}", f"{q.alerts}", target)
            table.add_row(scale, q.name, f"{q.looks:,}", *cells)
    return table


def write_markdown(tables: Sequence[Table], detections: Sequence[Detection]) -> str:
    """The same tables, and what they hold for."""
    worst = max(detections, key=lambda d: d.mean / d.target)
    parts = [
        "<!-- Written by `make bench-drift`; do not edit. -->",
        "# Time to detect a drift",
        *(
            " ".join(paragraph.split()).replace("``", "`")
            for paragraph in (__doc__ or "").split("\n\n")[1:]
        ),
        f"Sizes are in standard deviations of the default value, with {len(detections[0].times)} "
        "repetitions each. The target is 1.5 times the limit plus two evaluations. All of the "
        f"interval is within it in {sum(d.is_met for d in detections)} of {len(detections)} cases. "
        f"The nearest to its target is {worst.change}"
        f"{f' by {worst.size:g} sd' if worst.size else ''} at {worst.rate}/s in the time scale "
        f"{worst.rhythm.scale.name}: {worst.mean:.1f} s ± {worst.error:.1f} s of "
        f"{worst.target:.1f} s.",
        f"By the bound of the rules, all sums of both metrics together raise at most one false "
        f"alarm in {1 / ALPHA:,.0f} evaluations: 11.6 months in the time scale production, 23 days "
        "in demo. The bound holds for any traffic and is not reached.",
        "Measure again: `make bench-drift`.",
    ]
    for table in tables:
        heads = [str(column.header) for column in table.columns]
        columns = [map(str, column.cells) for column in table.columns]
        parts += [f"## {table.title}", write_table(heads, list(zip(*columns, strict=True)))]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
