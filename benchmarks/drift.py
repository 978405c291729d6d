"""Time to detect a drift, and false alarms without one: ``python -m benchmarks.drift``.

The benchmark draws values and counts them in the buckets of a native histogram, as between two
scrapes. It evaluates the formulas of ``randsvc.rules.drift`` with the thresholds of
``randsvc.rules.ml_alerts``. For some samples, promtool evaluates the generated rules, which must
give the same numbers and alerts. The reference is scipy's Kolmogorov-Smirnov test on all raw draws
of the same windows, with the same evaluations and the same probability of a false alarm.

The time to detect starts with the fault and ends when the condition is first true. An alert also
waits for ``drift_wait``.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scipy import stats

from randsvc.generate import make_alert_files
from randsvc.model.baselines import BaselineNumbers, load_baselines
from randsvc.rules.drift import ALPHA, KS_PER_FLOOR, MIX, PER_SD, compute_d1_floor, compute_ks_floor
from randsvc.rules.feedback import CHANCE
from randsvc.rules.ml_alerts import EFFECTS, FOUND_AT, MIX_MOVED
from randsvc.rules.time_scale import DEMO, PRODUCTION, TimeScale
from randsvc.settings import Settings
from randsvc.simulation.behaviour import REPORTED_SHARE
from randsvc.simulation.ground_truth import NOISE
from randsvc.stack.promtool import RULE_FILE, run_rule_tests
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
SHIFTS = (0.0, 0.1, 0.25, 0.5, 1.0)
REPETITIONS = 60
MONTH = 30 * 86_400
ERROR = NOISE * math.sqrt(Settings().value.variance)
"""Standard deviation of the healthy model's errors."""
CHUNK = 50_000
"""Scrapes that are simulated at once."""


@dataclass(frozen=True)
class Rhythm:
    """A time scale, and how often is scraped and evaluated then; horizons in seconds."""

    scale: TimeScale
    scrape: int
    evaluation: int
    horizon: int

    @property
    def windows(self) -> tuple[int, int]:
        """The windows of samples in scrapes."""
        windows = map(parse_duration, self.scale.samples)
        short, long = (round(window) // self.scrape for window in windows)
        return short, long


RHYTHMS = (Rhythm(PRODUCTION, 15, 30, 3600), Rhythm(DEMO, 2, 2, 120))


@dataclass(frozen=True)
class Judge:
    """Judges samples of a distribution as the rules do, many at once.

    A sample is a row of counts by bucket, whose ``bounds`` ascend.
    """

    described: BaselineNumbers
    bounds: Array
    parts: Array = field(init=False)

    def __post_init__(self) -> None:
        """Work out which part of each bucket lies below each edge of the baseline."""
        edges = np.array(list(self.described.edges.values()))
        logs = np.log2(self.bounds)
        inside = (np.log2(edges)[None, :] - logs[:-1, None]) / np.diff(logs)[:, None]
        object.__setattr__(self, "parts", np.clip(inside, 0.0, 1.0))

    def counts(self, values: Array, steps: NDArray[np.int64], number: int) -> Array:
        """Values by bucket in each of a number of steps."""
        buckets = len(self.bounds) - 1
        bucket = np.clip(np.searchsorted(self.bounds, values) - 1, 0, buckets - 1)
        counted = np.bincount(steps * buckets + bucket, minlength=number * buckets)
        return counted.reshape(number, buckets).astype(float)

    def judge(self, samples: Array, extrapolated: float) -> tuple[Array, Array, Array]:
        """Count, Kolmogorov-Smirnov and Wasserstein over the standard deviation of each sample.

        ``extrapolated`` is what ``increase`` multiplies the counts by.
        """
        total = np.maximum(samples.sum(axis=1), 1e-9)
        q = np.cumsum(list(self.described.shares.values()))[:-1]
        ks = np.abs(samples @ self.parts / total[:, None] - q).max(axis=1)
        cumulated = np.cumsum(samples, axis=1)
        rows = np.arange(len(samples))
        gaps = np.zeros(len(samples))
        for level, before in self.described.quantiles.items():
            rank = float(level) * total
            at = np.minimum((cumulated < rank[:, None]).sum(axis=1), samples.shape[1] - 1)
            part = (rank - cumulated[rows, at]) / np.maximum(samples[rows, at], 1e-9) + 1
            low, high = self.bounds[at], self.bounds[at + 1]
            gaps += np.abs(low * (high / low) ** part - before)
        per_sd = gaps / len(self.described.quantiles) / self.described.statistics["stddev"]
        return total * extrapolated, ks, per_sd

    def found(self, samples: Array, extrapolated: float, least: int) -> tuple[Held, Held, Held]:
        """Whether chance is ruled out, and whether a minor and a major alert's condition holds."""
        n, ks, per_sd = self.judge(samples, extrapolated)
        m = self.described.statistics["count"]
        real = np.array(ks > compute_ks_floor(n, m)) & (n >= least)
        minor, major = (real & (per_sd > FOUND_AT * EFFECTS[e]) for e in ("minor", "major"))
        return real, minor, major


def bounds(low: float, high: float) -> Array:
    """The bounds of native buckets from low to high; what lies beyond is in the outermost."""
    first, last = np.floor(np.log2(low) * 2**SCHEMA), np.ceil(np.log2(high) * 2**SCHEMA)
    return np.array(2 ** (np.arange(first, last + 1) / 2**SCHEMA))


DESCRIBED = load_baselines(Settings())
VALUE = Judge(DESCRIBED["value"], bounds(4, 120))
DELAY = Judge(DESCRIBED["delay"], bounds(0.004, 0.7))
MEAN, SD = 50.0, 10.0


def windowed(counts: Array, window: int) -> Array:
    """What a window holds at the end of each step: the gains between its scrapes."""
    cumulated = np.vstack([np.zeros(counts.shape[1]), np.cumsum(counts, axis=0)])
    # The first scrape of a window is where the gains begin to count.
    gains = window - 1
    return np.array(cumulated[gains + 1 :] - cumulated[1:-gains])


@dataclass
class Detected:
    """Seconds until something was first found in each repetition; infinite where it was not."""

    times: list[float] = field(default_factory=list)

    def share(self) -> float:
        """How often it was found at all."""
        return float(np.isfinite(self.times).mean())

    def median(self) -> float:
        """The median, infinite where it was found in less than half of the repetitions."""
        return float(np.median(self.times))


@dataclass(frozen=True)
class Power:
    """What came of one shift at one rate, by window and for both together."""

    rhythm: Rhythm
    rate: int
    shift: float
    windows: tuple[Detected, Detected]
    minor: Detected
    major: Detected
    reference: Detected

    @property
    def ratio(self) -> float:
        """The median time until anything is found, over that of the reference."""
        return self.minor.median() / self.reference.median()


def power(rhythm: Rhythm, rate: int, shift: float, repetitions: int) -> Power:
    """Let a shift begin again and again, after a long window without one."""
    rng = np.random.default_rng([rhythm.scrape, rate, round(100 * shift)])
    result = Power(rhythm, rate, shift, (Detected(), Detected()), *(Detected() for _ in range(3)))
    before, after = rhythm.windows[1], rhythm.horizon // rhythm.scrape
    every = rhythm.evaluation // rhythm.scrape
    looks = np.arange(every - 1, after, every)
    times = np.array((looks + 1.0) * rhythm.scrape)
    for _ in range(repetitions):
        per_step = rng.poisson(rate * rhythm.scrape, before + after)
        steps = np.repeat(np.arange(before + after), per_step)
        values = rng.normal(MEAN, SD, len(steps)) + np.where(steps >= before, shift * SD, 0.0)
        counts = VALUE.counts(values, steps, before + after)
        found = []
        for window, detected in zip(rhythm.windows, result.windows, strict=True):
            # The row of a step is that many before it, as the first windows are not whole.
            at = looks + before - window + 1
            samples = windowed(counts, window)[at - 1]
            found.append(VALUE.found(samples, window / (window - 1), rhythm.scale.min_values))
            detected.times.append(_first(found[-1][1], times))
        result.minor.times.append(_first(found[0][1] | found[1][1], times))
        result.major.times.append(_first(found[0][2] | found[1][2], times))
        if shift < EFFECTS["minor"]:
            continue
        ends = np.cumsum(per_step)
        result.reference.times.append(_reference(rhythm, values, ends, before, looks, times))
    return result


def _first(holds: Held, times: Array) -> float:
    found = np.flatnonzero(holds)
    return float(times[found[0]]) if len(found) else np.inf


def _reference(
    rhythm: Rhythm,
    values: Array,
    ends: NDArray[np.int64],
    before: int,
    looks: NDArray[np.int64],
    times: Array,
) -> float:
    """When scipy first finds that the raw draws of a window are not of the baseline."""
    for look, time in zip(looks + before, times, strict=True):
        for window in rhythm.windows:
            drawn = values[ends[look - window] if look >= window else 0 : ends[look]]
            enough = len(drawn) >= rhythm.scale.min_values
            if enough and stats.ks_1samp(drawn, stats.norm(MEAN, SD).cdf).pvalue < ALPHA:
                return float(time)
    return np.inf


@dataclass
class Quiet:
    """What was found where nothing was wrong."""

    name: str
    looks: int = 0
    significant: int = 0
    alerts: int = 0
    _held: int = 0

    def note(self, significant: Held, holds: Held, needed: int) -> None:
        """Note some looks, in order; an alert is a condition that holds for as many looks."""
        self.looks += len(holds)
        self.significant += int(significant.sum())
        for hold in holds:
            self._held = self._held + 1 if hold else 0
            self.alerts += self._held == needed


def month(rhythm: Rhythm, length: int, progressed: Progressed) -> list[Quiet]:
    """Let nothing be wrong for so many seconds at the default traffic."""
    rng = np.random.default_rng([rhythm.scrape, length])
    long = rhythm.windows[1]
    every = rhythm.evaluation // rhythm.scrape
    needed = round(parse_duration(rhythm.scale.drift_wait)) // rhythm.evaluation + 1
    mean, sigma = np.log(0.05), 0.5
    cdfs = {
        "value": (VALUE, stats.norm(MEAN, SD).cdf(VALUE.bounds)),
        "delay": (DELAY, stats.lognorm(sigma, scale=np.exp(mean)).cdf(DELAY.bounds)),
    }
    found = {name: Quiet(name) for name in (*cdfs, MIX, "bias")}
    total = length // rhythm.scrape
    tails: dict[str, Array] = {}
    for start in range(0, total, CHUNK):
        number = min(CHUNK, total - start)
        per_step = rng.poisson(DEFAULT_RATE * rhythm.scrape, number)

        def samples(name: str, counts: Array) -> Iterator[tuple[Array, float]]:
            """Those of both windows at each look of the chunk."""
            counts = np.vstack([tails[name], counts]) if name in tails else counts
            tails[name] = counts[-long:]
            looks = len(counts) - np.arange(number - long if start == 0 else number)[::-1]  # noqa: B023
            looks = looks[::every]
            for window in rhythm.windows:
                yield windowed(counts, window)[looks - window], window / (window - 1)

        for name, (judge, cdf) in cdfs.items():
            shares = np.diff(cdf) / (cdf[-1] - cdf[0])
            counts = rng.multinomial(per_step, shares).astype(float)
            both = [
                judge.found(sample, factor, rhythm.scale.min_values)
                for sample, factor in samples(name, counts)
            ]
            found[name].note(both[0][0] | both[1][0], both[0][1] | both[1][1], needed)
        mix = np.array(list(DESCRIBED[MIX].shares.values()))
        counts = rng.multinomial(per_step, mix).astype(float)
        short, factor = next(samples(MIX, counts))
        n = short.sum(axis=1)
        d1 = np.abs(short / n[:, None] - mix).sum(axis=1)
        significant = d1 > compute_d1_floor(n * factor, 1e9, len(mix))
        found[MIX].note(significant, significant & (d1 > MIX_MOVED), needed)
        labels = rng.poisson(REPORTED_SHARE * per_step)
        sums = rng.normal(0, ERROR, number) * np.sqrt(labels)
        squares = ERROR**2 * np.where(labels > 0, rng.chisquare(np.maximum(labels, 1)), 0.0)
        conditions = []
        for sample, factor in samples("bias", np.stack([labels, sums, squares], axis=1)):
            n = np.maximum(sample[:, 0], 1)
            bias = np.abs(sample[:, 1] / n)
            deviation = np.sqrt(np.maximum(sample[:, 2] / n - bias**2, 0))
            enough = n * factor >= rhythm.scale.min_labels
            real = enough & (bias > CHANCE * deviation / np.sqrt(n * factor))
            conditions.append((real, real & (bias > FOUND_AT * EFFECTS["minor"] * SD)))
        (one, fires), (other, too) = conditions
        found["bias"].note(one | other, fires | too, needed)
        progressed(number)
    return list(found.values())


@dataclass(frozen=True)
class Compared:
    """What promtool and this module made of the same values."""

    shift: float
    numbers: Mapping[str, float]
    levels: Sequence[str]
    failure: str


def compared(shifts: Sequence[float], rate: int = 40) -> list[Compared]:
    """Let promtool run the rules of the time scale demo on values that are judged here too."""
    rng = np.random.default_rng(len(shifts))
    rhythm = RHYTHMS[1]
    (text,) = (t for path, t in make_alert_files(DEMO).items() if path.endswith("/ml.yml"))
    rules = yaml.safe_load(text)
    results = []
    for shift in shifts:
        steps = rhythm.windows[1] + 1
        per_step = rng.poisson(rate * rhythm.scrape, steps)
        index = np.repeat(np.arange(steps), per_step)
        values = rng.normal(MEAN + shift * SD, SD, len(index))
        counts = VALUE.counts(values, index, steps)
        numbers: dict[str, float] = {}
        holds = {"minor": False, "major": False}
        for name, window in zip(rhythm.scale.samples, rhythm.windows, strict=True):
            sample, factor = windowed(counts, window)[-1:], window / (window - 1)
            n, ks, per_sd = (float(x[0]) for x in VALUE.judge(sample, factor))
            of = f'{{randsvc_distribution="value",against="baseline",window="{name}"}}'
            numbers[PER_SD + of] = per_sd
            numbers[KS_PER_FLOOR + of] = ks / compute_ks_floor(
                n, VALUE.described.statistics["count"]
            )
            _, minor, major = VALUE.found(sample, factor, rhythm.scale.min_values)
            holds["minor"] |= bool(minor[0])
            holds["major"] |= bool(major[0])
        levels = [level for level, fires in holds.items() if fires]
        failure = _by_promtool(rules, counts, numbers, levels, rhythm.scrape)
        results.append(Compared(shift, numbers, levels, failure))
    return results


def _by_promtool(
    rules: Any, counts: Array, numbers: Mapping[str, float], levels: Sequence[str], scrape: int
) -> str:
    """What promtool finds otherwise; empty where it comes to the same."""
    offset = round(np.log2(VALUE.bounds[1]) * 2**SCHEMA)
    listed = (
        f"{{{{schema:{SCHEMA} sum:0 count:{row.sum():g} offset:{offset} "
        f"buckets:[{' '.join(f'{x:g}' for x in row)}]}}}}"
        for row in np.cumsum(counts, axis=0)
    )
    series = {'randsvc_value{job="randsvc",instance="a",randsvc_source="model"}': " ".join(listed)}
    described = VALUE.described
    for metric, label, found in (
        ("edge", "bin", described.edges),
        ("share", "bin", described.shares),
        ("quantile", "quantile", described.quantiles),
        ("statistic", "statistic", described.statistics),
    ):
        for key, number in found.items():
            labels = f'job="randsvc",randsvc_distribution="value",randsvc_{label}="{key}"'
            series[f"randsvc_baseline_{metric}{{{labels}}}"] = f"{number!r}x{len(counts)}"
    at = f"{(len(counts) - 1) * scrape}s"
    expected = [
        {
            "expr": f"sum (abs({name} - {number!r}) < bool 1e-9)",
            "eval_time": at,
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for name, number in numbers.items()
    ]
    samples = [{"labels": f'{{level="{level}"}}', "value": 1} for level in sorted(levels)]
    alert = 'count by (level) (group by (level) (ALERTS{alertname="RandsvcValueShifted"}))'
    expected.append({"expr": alert, "eval_time": at, "exp_samples": samples})
    tests = {
        "rule_files": [RULE_FILE],
        "evaluation_interval": f"{scrape}s",
        "tests": [
            {
                "interval": f"{scrape}s",
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "promql_expr_test": expected,
            }
        ],
    }
    done = run_rule_tests(tests, rules)
    return done.stdout if done.returncode else ""


def main() -> int:
    """Run, print the tables, write them; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions, nothing is written")
    quick = parser.parse_args().quick
    repetitions, length = (20, MONTH // 30) if quick else (REPETITIONS, MONTH)
    console = Console(width=140)
    cases = [(rhythm, rate, s) for rhythm in RHYTHMS for rate in RATES for s in SHIFTS]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("promtool", total=len(cases) + 2)
        same = compared((0.0, 0.0, 0.1, 0.25, 0.25, 0.5, 1.0))
        progress.advance(task)
        powers = []
        for rhythm, rate, shift in cases:
            progress.update(task, description=f"{rhythm.scale.name}, {rate}/s, {shift:g} sd")
            powers.append(power(rhythm, rate, shift, repetitions))
            progress.advance(task)
        quiet = {}
        for rhythm in RHYTHMS:
            name = rhythm.scale.name
            task = progress.add_task(f"a month, {name}", total=length // rhythm.scrape)
            quiet[name] = month(rhythm, length, partial(progress.advance, task))
    tables = report(powers, quiet)
    for table in tables:
        console.print(table)
    failed = [each for each in same if each.failure]
    for each in failed:
        console.print(f"promtool differs at a shift of {each.shift:g} sd: {each.failure}")
    if not quick:
        RESULTS.write_text(markdown(tables, same), encoding="utf-8")
        console.print(f"written to {RESULTS.parent.name}/{RESULTS.name}")
    missed = [p for p in powers if _judged(p) and p.ratio > AT_MOST]
    too_many = [q for found in quiet.values() for q in found if q.alerts > 1]
    return int(bool(failed or missed or too_many))


AT_MOST = 2.0
"""Times the reference's time to detect."""


def _judged(found: Power) -> bool:
    """Whether there is a time to keep to: the effect matters, and the reference mostly finds it."""
    return found.shift >= EFFECTS["minor"] and bool(np.isfinite(found.reference.median()))


def report(powers: Sequence[Power], quiet: Mapping[str, Sequence[Quiet]]) -> list[Table]:
    """The tables of what came of it."""
    by_rhythm = [[p for p in powers if p.rhythm == rhythm] for rhythm in RHYTHMS]
    return [*map(_power_table, by_rhythm), _reference_table(powers), _quiet_table(quiet)]


def _time(found: float) -> str:
    if np.isinf(found):
        return "-"
    return f"{found:.0f} s" if found < 120 else f"{found / 60:.1f} min"


def _power_table(powers: Sequence[Power]) -> Table:
    rhythm = powers[0].rhythm
    table = Table(
        "requests/s",
        "window",
        "values",
        *(f"{shift:g} sd" for shift in SHIFTS),
        title=f"Power, time scale {rhythm.scale.name}: share of shifts detected within "
        f"{_time(rhythm.horizon)}, and median time to detect",
    )
    for rate in RATES:
        of_rate = [p for p in powers if p.rate == rate]
        for i, window in enumerate(rhythm.scale.samples):
            cells = [f"{p.windows[i].share():.0%}, {_time(p.windows[i].median())}" for p in of_rate]
            table.add_row(str(rate), window, f"{rate * parse_duration(window):.0f}", *cells)
    return table


def _reference_table(powers: Sequence[Power]) -> Table:
    table = Table(
        *("time scale", "requests/s", "shift", "minor or major", "major", "KS of raw draws"),
        *("ratio", "target"),
        title="Median time to detect with both windows, compared with scipy's Kolmogorov-Smirnov "
        "test of all raw draws in them",
    )
    for p in powers:
        if p.shift < EFFECTS["minor"]:
            continue
        judged = f"at most {AT_MOST:.2f}: {'met' if p.ratio <= AT_MOST else 'missed'}"
        table.add_row(
            p.rhythm.scale.name,
            str(p.rate),
            f"{p.shift:g} sd",
            _time(p.minor.median()),
            _time(p.major.median()),
            _time(p.reference.median()),
            "-" if not np.isfinite(p.ratio) else f"{p.ratio:.2f}",
            judged if _judged(p) else "",
        )
    return table


def _quiet_table(quiet: Mapping[str, Sequence[Quiet]]) -> Table:
    table = Table(
        *("time scale", "metric", "evaluations", "above the noise floor", "alerts", "target"),
        title=f"A month at {DEFAULT_RATE} requests/s without drift",
    )
    for scale, found in quiet.items():
        for q in found:
            target = f"at most 1: {'met' if q.alerts <= 1 else 'missed'}"
            cells = (scale, q.name, f"{q.looks:,}", f"{q.significant:,}", f"{q.alerts}", target)
            table.add_row(*cells)
    return table


def markdown(tables: Sequence[Table], same: Sequence[Compared]) -> str:
    """The same tables, and what they hold for."""
    parts = [
        "<!-- Written by `make bench-drift`; do not edit. -->",
        "# Time to detect a drift",
        " ".join((__doc__ or "").partition("\n\n")[2].split()).replace("``", "`"),
        f"Shifts are in standard deviations of the default value, with {REPETITIONS} repetitions "
        "each. When a shift starts, the windows still contain earlier values. The probability of a "
        f"false alarm per evaluation is at most {ALPHA:g} for both methods. At high traffic, the "
        "reference is faster, because it detects any effect, while the alerts require an effect "
        "that matters. An alert can be major only when the fault covers more than half of a "
        "window. Until then it is minor.",
        f"promtool evaluated the rules on {len(same)} samples. Numbers (to 1e-9) and alerts were "
        f"equal in {sum(not each.failure for each in same)} of them.",
        "Measure again: `make bench-drift`.",
    ]
    for table in tables:
        columns = [list(column.cells) for column in table.columns]
        heads = [str(column.header) for column in table.columns]
        rows = [heads, ["---"] * len(heads), *zip(*columns, strict=True)]
        parts += [f"## {table.title}", "\n".join(f"| {' | '.join(map(str, r))} |" for r in rows)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
