"""How well a distribution is recovered: ``python -m benchmarks.recovery``, some ten minutes.

First, draws go through the accumulators, the SDK, the Collector and Prometheus, all series in one
pass, and what is read back must be the very bins that the accumulator holds. As it is, repetitions
skip the network: the accumulator's data go through the parser as the HTTP API would write them.

The yardstick is the same estimate from the raw draws, each in a bin of its own that is a millionth
of a standard deviation wide.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ExponentialHistogramDataPoint
from opentelemetry.sdk.resources import Resource
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from observability.stack import running, wait_until
from randsvc.distributions import Distribution, parse
from randsvc.recovery import prometheus
from randsvc.recovery.binned import Bin, Binned
from randsvc.recovery.families import FAMILIES, Array, Family, cut
from randsvc.recovery.fit import Fit, fit, ranked, refitted
from randsvc.recovery.goodness import goodness
from randsvc.recovery.summary import summarise
from randsvc.telemetry.accumulator import Histogram
from randsvc.telemetry.aggregate import ExponentialAggregate, upper_bound
from randsvc.telemetry.catalogue import VALUE
from randsvc.telemetry.instruments import SCOPE
from randsvc.telemetry.readers import PushReader

MOST_SCHEMA = 8
"""The finest native histogram; the Collector merges finer exponential ones down to it.

https://prometheus.io/docs/specs/native_histograms/#schema
"""
SIZES = (100, 1_000, 10_000, 100_000)
JUDGED_AT = 10_000
REPETITIONS = 200
RANKINGS = 25
RAWS = 20
"""Repetitions in which all families, or raw draws, are fitted, which takes most of the time."""
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
        return self.fitted.described(self.truth)


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


def draws(distribution: Distribution, number: int, seed: int) -> list[float]:
    """Some draws, ascending."""
    draw = distribution.sampler(random.Random(f"{distribution} {seed}"))
    return sorted(draw() for _ in range(number))


def accumulated(values: Sequence[float]) -> Binned:
    """Sorted values through the accumulator and the parser, without the network."""
    aggregate = ExponentialAggregate()
    aggregate.fold(values)
    return prometheus.histogram(as_api(aggregate.point({}, 0, 1)))


def as_api(point: ExponentialHistogramDataPoint) -> Mapping[str, object]:
    """A data point as the HTTP API of Prometheus writes it."""
    scale = min(point.scale, MOST_SCHEMA)
    shift = point.scale - scale
    buckets: dict[tuple[float, float], int] = {}
    for sign, side in ((1, point.positive), (-1, point.negative)):
        for i, count in enumerate(side.bucket_counts):
            index = (side.offset + i) >> shift
            ends = sorted((sign * upper_bound(index - 1, scale), sign * upper_bound(index, scale)))
            key = (ends[0], ends[1])
            buckets[key] = buckets.get(key, 0) + count
    if point.zero_count:
        buckets[-1e-128, 1e-128] = point.zero_count
    listed = [[0, str(low), str(high), str(count)] for (low, high), count in buckets.items()]
    return {"count": str(point.count), "sum": str(point.sum), "buckets": listed}


def from_raw(values: Sequence[float], sd: float, near: Fit) -> Fit:
    """The estimate from each value in a bin of its own, so small that it says all."""
    half = sd * 5e-7
    binned = Binned(tuple(Bin(x - half, x + half, 1.0) for x in values), math.fsum(values))
    return fit(binned, near.family) if near.family.name == "uniform" else refitted(binned, near)


def through_everything(samples: Mapping[str, Sequence[float]]) -> dict[str, Binned]:
    """Samples by name through SDK, Collector and Prometheus, and read back."""
    with running(services=[], free_ports=True, interval="1s") as stack:
        reader = PushReader(
            OTLPMetricExporter(endpoint=stack.url("otel-collector:4318", "/v1/metrics"))
        )
        histogram = Histogram(VALUE, [reader.reading])
        described = Resource.create({"service.name": "randsvc", "service.instance.id": "bench"})
        provider = MeterProvider([reader], described, shutdown_on_exit=False)
        provider.get_meter(SCOPE).create_observable_gauge("bench.up", [lambda _: []])
        provider.get_meter(SCOPE).create_counter("bench.runs").add(1)
        reader.histograms = [histogram]
        for name, values in samples.items():
            series = histogram.series({CASE: name})
            for value in values:
                series.observe(value)
        provider.shutdown()
        url = stack.url("prometheus:9090")

        def there() -> dict[str, Binned] | None:
            try:
                return {
                    name: prometheus.read(
                        url,
                        VALUE.prometheus_name,
                        {"job": "randsvc", CASE: name},
                        end=time.time(),
                        window=300,
                    )
                    for name in samples
                }
            except prometheus.RecoveryError:
                return None

        return wait_until(there, within=60, every=1) or {}


def distances(truth: Distribution, case: Case, fitted: Fit) -> tuple[float, float]:
    """Kolmogorov-Smirnov, and Wasserstein-1 over the standard deviation, to the truth."""
    sd = math.sqrt(truth.variance)
    low = max(truth.support[0], truth.mean - 12 * sd) - sd
    high = min(truth.support[1], truth.mean + 25 * sd) + sd
    grid = np.linspace(low, high, 8001)
    below = np.full_like(grid, -np.inf)
    real = case.fitted.probability(case.truth, below, grid)
    gap = np.abs(fitted.probability(below, grid) - real)
    return float(gap.max()), float(np.trapezoid(gap, grid)) / sd


def rms(values: Sequence[float]) -> float:
    """The root of the mean square."""
    return math.sqrt(sum(x * x for x in values) / len(values))


@dataclass
class Judged:
    """What came of the repetitions of a case at one size."""

    covered: dict[str, int]
    errors: dict[str, list[float]]
    raw_errors: dict[str, list[float]]
    resolution: float
    p_values: list[float]
    ranked: int = 0
    near: int = 0
    near_aic: int = 0
    rankings: int = 0


def repetitions(
    case: Case, size: int, number: int, rankings: int, with_raw: int
) -> Iterator[Judged]:
    """Repeat a case; gives the same object after each repetition."""
    truth = parse(case.text)
    sd = math.sqrt(truth.variance)
    names = list(case.fitted.parameters)
    judged = Judged({}, {}, {}, 0.0, [])

    def note(kept: dict[str, list[float]], fitted: Fit) -> None:
        for name, error in zip(("KS", "W1/sd"), distances(truth, case, fitted), strict=True):
            kept.setdefault(name, []).append(error)
        for name, real, value in zip(names, case.truth, fitted.values, strict=True):
            kept.setdefault(name, []).append((value - real) / abs(real))

    for repetition in range(number):
        values = draws(truth, size, repetition)
        binned = accumulated(values)
        found = fit(binned, case.fitted)
        for name, real in zip(names, case.truth, strict=True):
            judged.covered.setdefault(name, 0)
            judged.covered[name] += found.parameters[name].covers(real)
        summary = summarise(binned)
        for name, covers in (
            ("mean", summary.mean is not None and summary.mean.covers(truth.mean)),
            ("sd", summary.sd is not None and summary.sd.covers(sd)),
            *(
                (f"p{100 * q:g}", _holds(truth, q, e.low, e.high))
                for q, e in (summary.quantiles or {}).items()
            ),
        ):
            judged.covered[f"any: {name}"] = judged.covered.get(f"any: {name}", 0) + covers
        tested = goodness(binned, found)
        if tested:
            judged.p_values.append(tested.p_value)
        if repetition < with_raw:
            note(judged.errors, found)
            note(judged.raw_errors, from_raw(values, sd, found))
            judged.resolution = max(b.width for b in binned.bins if b.count > size / 100) / sd
        if repetition < rankings:
            fits = ranked(binned)
            judged.rankings += 1
            own = next(fit for fit in fits if fit.family.name == case.family)
            judged.ranked += fits[0] is own
            judged.near += own.bic - fits[0].bic <= 2
            judged.near_aic += own.aic - min(fit.aic for fit in fits) <= 2
        yield judged


def _holds(truth: Distribution, q: float, low: float | None, high: float | None) -> bool:
    return (low is None or truth.cdf(low) <= q) and (high is None or q <= truth.cdf(high))


def main() -> int:
    """Run, print the tables; exit code 1 where what was read is not what was accumulated."""
    parser = argparse.ArgumentParser(prog="benchmarks.recovery", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions: about a minute")
    parser.add_argument("--without-stack", action="store_true", help="repetitions only")
    chosen = parser.parse_args()
    number, rankings, with_raw = (20, 3, 3) if chosen.quick else (REPETITIONS, RANKINGS, RAWS)
    console = Console(width=160)
    same = True
    if not chosen.without_stack:
        same = _one_pass(console)
    with Progress(console=console) as progress:
        task = progress.add_task("repetitions", total=len(CASES) * number)
        results = []
        for case in CASES:
            progress.update(task, description=case.family)
            for judged in repetitions(case, JUDGED_AT, number, rankings, with_raw):  # noqa: B007
                progress.advance(task)
            results.append((case, judged))
    console.print(_errors(results))
    console.print(_coverage(results, number))
    return 0 if same else 1


def _one_pass(console: Console) -> bool:
    samples = {
        f"{case.family} {size}": draws(parse(case.text), size, 0)
        for case in CASES
        for size in SIZES
    }
    console.print(f"{len(samples)} series through the SDK, the Collector and Prometheus ...")
    found = through_everything(samples)
    table = Table(
        "family",
        "N",
        "bins",
        "read = accumulated",
        "KS",
        "W1/sd",
        "relative errors",
        "raw KS",
        "raw W1/sd",
        "raw relative errors",
        title="One pass through everything",
    )
    same = True
    for case in CASES:
        truth = parse(case.text)
        for size in SIZES:
            name = f"{case.family} {size}"
            equal = _equal(found[name], accumulated(samples[name]))
            same &= equal
            row: list[str] = []
            own = fit(found[name], case.fitted)
            for fitted in (own, from_raw(samples[name], math.sqrt(truth.variance), own)):
                row += [f"{x:.4f}" for x in distances(truth, case, fitted)]
                relative = zip(case.truth, fitted.values, strict=True)
                row.append(
                    " ".join(f"{(value - real) / abs(real):+.2%}" for real, value in relative)
                )
            bins = str(len(found[name].bins))
            table.add_row(case.family, f"{size}", bins, "yes" if equal else "NO", *row)
    console.print(table)
    return same


def _equal(one: Binned, other: Binned) -> bool:
    return len(one.bins) == len(other.bins) and all(
        a.count == b.count
        and math.isclose(a.lower, b.lower, rel_tol=1e-9)
        and math.isclose(a.upper, b.upper, rel_tol=1e-9)
        for a, b in zip(one.bins, other.bins, strict=True)
    )


def _errors(results: Sequence[tuple[Case, Judged]]) -> Table:
    table = Table(
        "family",
        "quantity",
        "error",
        "from raw draws",
        "ratio",
        "target",
        title=f"Root mean square errors at N = {JUDGED_AT}, parameters relative; at most 1.25 "
        "times those of the raw draws, or below the width of a bucket",
    )
    for case, judged in results:
        scale = math.sqrt(parse(case.text).variance)
        for name, errors in judged.errors.items():
            error, yardstick = rms(errors), rms(judged.raw_errors[name])
            ratio = error / yardstick
            if ratio <= 1.25:
                verdict = "met"
            else:
                # An end of a range in standard deviations, as the resolution is.
                real = dict(zip(case.fitted.parameters, case.truth, strict=True)).get(name, 1.0)
                size = error * abs(real) / scale if name in ("low", "high") else error
                below = size <= judged.resolution
                verdict = f"below the resolution, {judged.resolution:.3f} sd" if below else "MISSED"
            table.add_row(
                case.family, name, f"{error:.5f}", f"{yardstick:.5f}", f"{ratio:.2f}", verdict
            )
    return table


def _coverage(results: Sequence[tuple[Case, Judged]], number: int) -> Table:
    table = Table(
        "family",
        "parameters",
        "mean, sd, quantiles",
        "ranked first",
        "within 2 BIC",
        "within 2 AIC",
        "p < 0.05",
        "p < 0.001",
        title=f"{number} repetitions at N = {JUDGED_AT}: how often 95% intervals cover the truth",
    )
    own: list[float] = []
    for case, judged in results:
        of_own = {k: v / number for k, v in judged.covered.items() if not k.startswith("any")}
        of_any = [v / number for k, v in judged.covered.items() if k.startswith("any")]
        own += of_own.values()
        p_values: Array = np.array(judged.p_values)
        table.add_row(
            case.family,
            " ".join(f"{name} {share:.1%}" for name, share in of_own.items()),
            f"{min(of_any):.1%} to {max(of_any):.1%}",
            *(f"{x / judged.rankings:.0%}" for x in (judged.ranked, judged.near, judged.near_aic)),
            *(f"{(p_values < level).mean():.1%}" for level in (0.05, 0.001)),
        )
    table.add_row("all", f"{sum(own) / len(own):.1%}")
    return table


if __name__ == "__main__":
    sys.exit(main())
