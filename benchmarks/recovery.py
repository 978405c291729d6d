"""How well a distribution is recovered: ``python -m benchmarks.recovery``, some ten minutes.

The results are written to benchmarks/recovery-results.md.

First, draws go through the accumulators, the SDK, the Collector and Prometheus, all series in one
pass, and what is read back must be the very bins that the accumulator holds. As it is, repetitions
skip the network: the accumulator's data go through the parser as the HTTP API would write them.

The yardstick is the same estimate from the raw draws.
"""

import argparse
import math
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import ExponentialHistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from rich.console import Console
from rich.progress import Progress
from scipy import stats

from benchmarks.recovery_report import Section, draw_table, write_markdown
from randsvc.distributions import Distribution, parse
from randsvc.errors import RecoveryError
from randsvc.histograms import from_prometheus
from randsvc.histograms.binned import Bin, Binned
from randsvc.metrics import VALUE
from randsvc.prometheus_api import NativeHistogram, Prometheus, PrometheusError
from randsvc.recovery.families import FAMILIES, Family, cut
from randsvc.recovery.fit import Fit, fit, rank_fits, refit
from randsvc.recovery.goodness import compute_goodness
from randsvc.recovery.summary import summarise
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import wait_until
from randsvc.telemetry.aggregate import ExponentialAggregate, compute_upper_bound
from randsvc.telemetry.instruments import Reading
from randsvc.telemetry.provider import MeterProvider
from randsvc.telemetry.readers import PushReader

MOST_SCHEMA = 8
"""The finest native histogram; the Collector merges finer exponential ones down to it.

https://prometheus.io/docs/specs/native_histograms/#schema
"""
SIZES = (100, 1_000, 10_000, 100_000)
JUDGED_AT = 10_000
REPETITIONS = 200
RANKINGS = 25
RAWS = {100: 20, 1_000: 20, 10_000: 20, 100_000: 5}
"""Repetitions in which all families, or raw draws, are fitted, which takes most of the time."""
MOST_RATIO = 1.25
RESULTS = Path(__file__).with_name("recovery-results.md")
CASE = "case"


@dataclass(frozen=True)
class Case:
    """A truth: a family and its parameters."""

    family: str
    truth: tuple[float, ...]

    @property
    def fitted(self) -> Family:
        """The family as it is fitted."""
        name, _, ends = self.family.partition(" with ")
        (family,) = (family for family in FAMILIES if family.name == name)
        return cut(family, ("min" in ends, "max" in ends)) if ends else family

    @property
    def text(self) -> str:
        """The distribution as a text."""
        return self.fitted.describe(self.truth)


CASES = (
    Case("normal", (50, 10)),
    Case("lognormal", (0.05, 0.5)),
    Case("exponential", (20,)),
    Case("gamma", (3, 0.02)),
    Case("weibull", (1.7, 2)),
    Case("uniform", (10, 30)),
    Case("beta", (2, 5)),
    Case("stretched beta", (3, 4, 10, 20)),
    Case("mixture of normals", (0.7, 40, 5, 60, 5)),
    Case("mixture of lognormals", (0.9, 0.05, 0.3, 0.5, 0.3)),
)
CUT_CASES = (
    Case("normal with min", (0.05, 0.03, 0)),
    Case("exponential with max", (20, 0.1)),
    Case("lognormal with min and max", (0.05, 0.5, 0.02, 0.15)),
)


def draw_samples(distribution: Distribution, number: int, seed: int) -> list[float]:
    """Some draws, ascending."""
    draw = distribution.sampler(random.Random(f"{distribution} {seed}"))
    return sorted(draw() for _ in range(number))


def accumulate(values: Sequence[float]) -> Binned:
    """Sorted values through the accumulator, without the network."""
    aggregate = ExponentialAggregate()
    aggregate.fold(values)
    return from_prometheus.to_binned(as_native(aggregate.point({}, 0, 1)))


def as_native(point: ExponentialHistogramDataPoint) -> NativeHistogram:
    """A data point as Prometheus gives it."""
    scale = min(point.scale, MOST_SCHEMA)
    shift = point.scale - scale
    buckets: dict[tuple[float, float], int] = {}
    for sign, side in ((1, point.positive), (-1, point.negative)):
        for i, count in enumerate(side.bucket_counts):
            index = (side.offset + i) >> shift
            ends = sorted(
                (
                    sign * compute_upper_bound(index - 1, scale),
                    sign * compute_upper_bound(index, scale),
                )
            )
            key = (ends[0], ends[1])
            buckets[key] = buckets.get(key, 0) + count
    if point.zero_count:
        buckets[-1e-128, 1e-128] = point.zero_count
    listed = sorted((low, high, float(count)) for (low, high), count in buckets.items())
    return NativeHistogram(point.sum, tuple(listed))


def from_raw(values: Sequence[float], sd: float, near: Fit) -> Fit:
    """The estimate from sorted values in bins so narrow, a thousandth of ``sd``, that they say all.

    The lowest and the highest, which tell of ends, have a bin of their own, a millionth wide.
    """
    first, last = (Bin(x - sd * 5e-7, x + sd * 5e-7, 1.0) for x in (values[0], values[-1]))
    inner = Counter(round(x / sd * 1000) for x in values[1:-1])
    bins = (
        Bin(max((i - 0.5) * sd / 1000, first.upper), min((i + 0.5) * sd / 1000, last.lower), number)
        for i, number in sorted(inner.items())
    )
    binned = Binned((first, *bins, last), math.fsum(values))
    return fit(binned, near.family) if any(near.family.ends) else refit(binned, near)


def send_through_everything(samples: Mapping[str, Sequence[float]]) -> dict[str, Binned]:
    """Samples by name through SDK, Collector and Prometheus, and read back."""
    with run_stack(services=[], free_ports=True, interval="1s") as stack:
        reader = PushReader(
            OTLPMetricExporter(endpoint=stack.url("otel-collector:4318", "/v1/metrics"))
        )
        provider = MeterProvider([Reading(InMemoryMetricReader(), lambda: reader)])
        provider.start(Resource.create({"service.name": "randsvc", "service.instance.id": "bench"}))
        histogram = provider.get_meter("bench").create_histogram(**VALUE.arguments)
        for name, values in samples.items():
            record = histogram.bind({CASE: name})
            for value in values:
                record(value)
        provider.shutdown()
        server = Prometheus(stack.url("prometheus:9090"))

        def there() -> dict[str, Binned] | None:
            try:
                return {
                    name: from_prometheus.read(
                        server,
                        VALUE.prometheus_name,
                        ['job="randsvc"', f'{CASE}="{name}"'],
                        end=time.time(),
                        window=300,
                    )
                    for name in samples
                }
            except (PrometheusError, RecoveryError):
                return None

        return wait_until(there, within=60, every=1) or {}


def measure_distances(truth: Distribution, case: Case, fitted: Fit) -> tuple[float, float]:
    """Kolmogorov-Smirnov, and Wasserstein-1 over the standard deviation, to the truth."""
    sd = math.sqrt(truth.variance)
    low = max(truth.support[0], truth.mean - 12 * sd) - sd
    high = min(truth.support[1], truth.mean + 25 * sd) + sd
    grid = np.linspace(low, high, 8001)
    below = np.full_like(grid, -np.inf)
    real = case.fitted.probability(case.truth, below, grid)
    gap = np.abs(fitted.probability(below, grid) - real)
    return float(gap.max()), float(np.trapezoid(gap, grid)) / sd


@dataclass(frozen=True)
class Task:
    """A repetition to be made: the seed is its number."""

    case: Case
    size: int
    number: int
    with_raw: bool
    with_ranking: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a repetition.

    ``errors`` of the fit to buckets and of that to raw draws, by quantity; ``resolution`` in the
    same terms, where the buckets have one. ``covered`` says whether an interval holds the truth.
    """

    task: Task
    covered: Mapping[str, bool]
    covered_by_any: Mapping[str, bool]
    errors: Mapping[str, tuple[float, float]]
    resolution: Mapping[str, float]
    p_value: float | None
    first: bool = False
    near: bool = False


def repeat(task: Task) -> Outcome:
    """Draw, recover and compare with the truth."""
    case, family = task.case, task.case.fitted
    truth = parse(case.text)
    sd = math.sqrt(truth.variance)
    values = draw_samples(truth, task.size, task.number)
    binned = accumulate(values)
    found = fit(binned, family)
    tested = compute_goodness(binned, found)
    summary = summarise(binned)
    errors: dict[str, tuple[float, float]] = {}
    if task.with_raw:
        both = (found, from_raw(values, sd, found))
        ks, w1 = zip(*(measure_distances(truth, case, each) for each in both), strict=True)
        errors = {"KS": ks, "W1/sd": w1}
        for i, (name, real) in enumerate(zip(family.parameters, case.truth, strict=True)):
            ours, raw = ((each.values[i] - real) / (abs(real) or sd) for each in both)
            errors[name] = ours, raw
    fits = rank_fits(binned) if task.with_ranking else []
    own = next((each for each in fits if each.family.name == case.family), None)
    return Outcome(
        task=task,
        covered={
            name: found.parameters[name].covers(real)
            for name, real in zip(family.parameters, case.truth, strict=True)
        },
        covered_by_any={
            "mean": summary.mean is not None and summary.mean.covers(truth.mean),
            "sd": summary.sd is not None and summary.sd.covers(sd),
            **{
                f"p{100 * q:g}": _holds(truth, q, estimate.low, estimate.high)
                for q, estimate in (summary.quantiles or {}).items()
            },
        },
        errors=errors,
        resolution=_compute_resolution(binned, case, sd),
        p_value=tested.p_value if tested else None,
        first=own is not None and own is fits[0],
        near=own is not None and own.aic - fits[0].aic <= 2,
    )


def _compute_resolution(binned: Binned, case: Case, sd: float) -> dict[str, float]:
    """What a bucket hides: a share of the values for KS, a width for all that lies on the axis."""
    filled = [bin_ for bin_ in binned.bins if bin_.count > binned.count / 100]
    found = {"KS": max(bin_.count for bin_ in binned.bins) / binned.count}
    found["W1/sd"] = max((bin_.width for bin_ in filled), default=0.0) / sd
    for name, real in zip(case.fitted.parameters, case.truth, strict=True):
        if name in ("low", "min", "high", "max"):
            end = binned.bins[0] if name in ("low", "min") else binned.bins[-1]
            found[name] = end.width / (abs(real) or sd)
    return found


def _holds(truth: Distribution, q: float, low: float | None, high: float | None) -> bool:
    return (low is None or truth.cdf(low) <= q) and (high is None or q <= truth.cdf(high))


def list_tasks(quick: bool) -> list[Task]:
    """All repetitions, fewer when ``quick``, at the size that is judged first."""
    found = []
    for case in (*CASES, *CUT_CASES):
        for size in sorted(SIZES, key=lambda size: size != JUDGED_AT):
            raws = 3 if quick else RAWS[size]
            number = (20 if quick else REPETITIONS) if size == JUDGED_AT else raws
            rankings = (3 if quick else RANKINGS) if size == JUDGED_AT else 0
            found += [Task(case, size, i, i < raws, i < rankings) for i in range(number)]
    return found


def main() -> int:
    """Run, print the tables; exit code 1 where what was read is not what was accumulated."""
    parser = argparse.ArgumentParser(prog="benchmarks.recovery", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions: about a minute")
    parser.add_argument("--without-stack", action="store_true", help="repetitions only")
    chosen = parser.parse_args()
    console = Console(width=160)
    sections, same = [], True
    if not chosen.without_stack:
        console.print("all series through the SDK, the Collector and Prometheus ...")
        section, same = _run_one_pass()
        sections.append(section)
    todo, outcomes = list_tasks(chosen.quick), []
    # What forked would share the numerical libraries' threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=context) as pool, Progress(console=console) as progress:
        task = progress.add_task("repetitions", total=len(todo))
        for outcome in pool.map(repeat, todo, chunksize=4):
            progress.advance(task)
            outcomes.append(outcome)
    sections += [errors(outcomes), tabulate_coverage(outcomes), tabulate_ranking(outcomes)]
    for section in sections:
        console.print(draw_table(section))
    if not chosen.quick and not chosen.without_stack:
        RESULTS.write_text(write_markdown(sections), encoding="utf-8")
        console.print(f"written to {RESULTS}")
    return 0 if same else 1


def _run_one_pass() -> tuple[Section, bool]:
    cases = (*CASES, *CUT_CASES)
    samples = {
        f"{case.family} {size}": draw_samples(parse(case.text), size, 0)
        for case in cases
        for size in SIZES
    }
    found = send_through_everything(samples)
    rows, same = [], True
    for case in cases:
        equal = [
            _are_equal(found[name], accumulate(samples[name]))
            for name in (f"{case.family} {size}" for size in SIZES)
        ]
        same &= all(equal)
        cells = (
            f"{len(found[f'{case.family} {size}'].bins)}, {'equal' if is_equal else 'DIFFERENT'}"
            for size, is_equal in zip(SIZES, equal, strict=True)
        )
        rows.append([case.text, *cells])
    return (
        Section(
            "One pass through everything",
            "Values that passed the accumulators, the SDK, the Collector and Prometheus, and were "
            "read back by the command. The table shows the number of non-empty buckets, and "
            "whether bounds, counts and sum equal those of the accumulator. They do, so the "
            "repetitions below skip the network.",
            ["distribution", *(f"N = {size:,}" for size in SIZES)],
            rows,
        ),
        same,
    )


def _are_equal(one: Binned, other: Binned) -> bool:
    return (
        len(one.bins) == len(other.bins)
        and math.isclose(one.sum or 0.0, other.sum or 0.0, rel_tol=1e-9)
        and all(
            a.count == b.count
            and math.isclose(a.lower, b.lower, rel_tol=1e-9)
            and math.isclose(a.upper, b.upper, rel_tol=1e-9)
            for a, b in zip(one.bins, other.bins, strict=True)
        )
    )


def compute_rms(values: Iterable[float]) -> float:
    """The root of the mean square."""
    squares = [x * x for x in values]
    return math.sqrt(sum(squares) / len(squares))


def errors(outcomes: Sequence[Outcome]) -> Section:
    """The errors at every size beside those from raw draws, and the target at the one judged."""
    rows = []
    for case in _list_cases(outcomes):
        own = [each for each in outcomes if each.task.case == case and each.errors]
        for name in own[0].errors:
            cells, verdict = [], ""
            for size in SIZES:
                here = [each for each in own if each.task.size == size]
                error, raw = (compute_rms(each.errors[name][i] for each in here) for i in (0, 1))
                cells.append(f"{error:.2g} / {raw:.2g}")
                if size == JUDGED_AT:
                    cells.append(f"{error / raw:.2f}")
                if size >= JUDGED_AT and verdict != "MISSED":
                    verdict = _verdict(error / raw, error, here[0].resolution.get(name), verdict)
            rows.append([case.family, name, *cells, verdict])
    heads = [f"N = {size:,}" for size in SIZES]
    heads.insert(SIZES.index(JUDGED_AT) + 1, "ratio")
    return Section(
        "Errors",
        "Root mean square errors of the fit to buckets / of the same fit to the raw draws, whose "
        "error is sampling error only. Quantities: KS distance, Wasserstein-1 distance divided by "
        "the standard deviation, and parameters relative to their true value (to the standard "
        "deviation if that is 0). Repetitions: "
        f"{', '.join(f'{RAWS[size]}' for size in SIZES)}. Target at N = {JUDGED_AT:,} and above: "
        f"at most {MOST_RATIO} times the error of the raw draws, or below the resolution of a "
        "bucket (its share of the values for KS, its width for the other quantities).",
        ["family", "quantity", *heads, "target"],
        rows,
    )


def _verdict(ratio: float, error: float, resolution: float | None, before: str) -> str:
    if ratio <= MOST_RATIO:
        return before or "met"
    if resolution is not None and error <= resolution:
        return f"below the bucket's {resolution:.2g}"
    return "MISSED"


def tabulate_coverage(outcomes: Sequence[Outcome]) -> Section:
    """How often the intervals hold the truth, each with what chance makes of 95%."""
    rows: list[list[str]] = []
    counts: list[int] = []
    for case in _list_cases(outcomes):
        own = [o for o in outcomes if o.task.case == case and o.task.size == JUDGED_AT]
        shares = {name: sum(o.covered[name] for o in own) for name in own[0].covered}
        of_any = [sum(o.covered_by_any[name] for o in own) for name in own[0].covered_by_any]
        counts += shares.values()
        number = len(own)
        rows.append(
            [
                case.family,
                ", ".join(f"{name} {count / number:.1%}" for name, count in shares.items()),
                f"{min(of_any) / number:.1%} to {max(of_any) / number:.1%}",
            ]
        )
    low, high = math.ceil(0.93 * number), math.floor(0.97 * number)
    inside = sum(low <= count <= high for count in counts)
    by_chance = stats.binom.cdf(high, number, 0.95) - stats.binom.cdf(low - 1, number, 0.95)
    noise = math.sqrt(0.95 * 0.05 / number)
    spread = sum(((count / number - 0.95) / noise) ** 2 for count in counts)
    rows.append(["all", f"{sum(counts) / len(counts) / number:.2%}", ""])
    return Section(
        f"Intervals at N = {JUDGED_AT:,}",
        f"Share of {number} repetitions in which the 95% interval contains the true value. By "
        f"chance, such a share is within {2 * noise:.1%} of its expected value in 19 of 20 cases. "
        f"Of {len(counts)} exact 95% intervals, {by_chance * len(counts):.0f} would therefore "
        f"have a share of 93% to 97%. Here {inside} have one; the lowest is "
        f"{min(counts) / number:.1%}, the highest {max(counts) / number:.1%}. The hypothesis that "
        f"all intervals are exact has p = {stats.chi2.sf(spread, len(counts)):.2g} (chi-square). "
        "The intervals of mean, standard deviation and quantiles contain the true value more "
        "often, because they add the resolution of the buckets.",
        ["family", "parameters", "mean, sd and quantiles"],
        rows,
    )


def tabulate_ranking(outcomes: Sequence[Outcome]) -> Section:
    """How often the true family comes first, and how often the test turns it away."""
    rows = []
    all_of_it: list[Outcome] = []
    for case in _list_cases(outcomes):
        own = [o for o in outcomes if o.task.case == case and o.task.size == JUDGED_AT]
        of_rank = [o for o in own if o.task.with_ranking]
        all_of_it += of_rank if case in CASES else []
        p_values = [o.p_value for o in own if o.p_value is not None]
        rejected = (sum(p < level for p in p_values) / len(p_values) for level in (0.05, 0.001))
        rows.append([case.family, *_rank(of_rank), *(f"{share:.1%}" for share in rejected)])
    rows.append(["all without min and max", *_rank(all_of_it), "", ""])
    return Section(
        f"Ranking at N = {JUDGED_AT:,}",
        "Share of samples in which the true family ranks first, or has an AIC within 2 of the "
        f"first; target: 95%. The last two columns: share of {REPETITIONS} repetitions in which "
        "the chi-square test rejects the true family.",
        ["family", "samples", "first", "first or within 2", "p < 0.05", "p < 0.001"],
        rows,
    )


def _rank(outcomes: Sequence[Outcome]) -> list[str]:
    number = len(outcomes)
    first, near = sum(o.first for o in outcomes), sum(o.first or o.near for o in outcomes)
    return [f"{number}", f"{first / number:.0%}", f"{near / number:.0%}"]


def _list_cases(outcomes: Sequence[Outcome]) -> list[Case]:
    return list(dict.fromkeys(outcome.task.case for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
