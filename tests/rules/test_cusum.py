"""The rules that add up evidence of drift, in promtool: every number against numpy's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from benchmarks.drift import DELAY, HEALTHY, VALUE, Judge, compute_divergence
from randsvc.generate import make_alert_files
from randsvc.model.baselines import EDGE_LEVELS
from randsvc.rules import cusum
from randsvc.rules.cusum import (
    CAP,
    EVIDENCE,
    GAIN,
    LIMIT,
    STEP_COUNT,
    compute_weights,
    make_changes,
    make_reshapings,
)
from randsvc.rules.drift import BASELINE_QUANTILES, COUNT, SAMPLE, STATISTIC
from randsvc.rules.time_scale import DEMO
from randsvc.stack.promtool import RULE_FILE, run_rule_tests
from randsvc.times import parse_duration
from tests.rules.test_drift import exported
from tests.support import native_programs
from tests.support.drift_reference import Array
from tests.support.rule_cases import list_recording_rules

STEP = 2
SCHEMA = 4
MEMORY = round(parse_duration(DEMO.samples[1])) // STEP
NONE = "_"


@dataclass(frozen=True)
class History:
    """What each instance counts in each step, by bucket; None before it starts and where it stops.

    An instance that ``restarts`` begins again at 0 with the counts of that step.
    """

    judge: Judge
    counts: Sequence[Sequence[Array | None]]
    restarts: frozenset[tuple[int, int]] = frozenset()

    def list_series(self, metric: str) -> Iterator[tuple[str, str]]:
        """The native histograms, as promtool reads them."""
        first = round(np.log2(self.judge.bounds[1]) * 2**SCHEMA)
        for i, steps in enumerate(self.counts):
            total = np.zeros(len(self.judge.bounds) - 1)
            samples = []
            for k, counts in enumerate(steps):
                if counts is None:
                    samples.append(NONE)
                    continue
                total = counts if (i, k) in self.restarts else total + counts
                listed = " ".join(f"{n:g}" for n in total)
                samples.append(
                    f"{{{{schema:{SCHEMA} sum:0 count:{total.sum():g} offset:{first} "
                    f"buckets:[{listed}]}}}}"
                )
            yield metric.replace("INSTANCE", f"replica-{i}"), " ".join(samples)

    def list_gains(self) -> list[Array | None]:
        """What each evaluation adds to each sum; None where no values have come.

        An evaluation sees the samples up to one step earlier, as it reads none that is younger than
        a second. What an instance has counted when it is first seen is no increase.
        """
        gains: list[Array | None] = [None]
        for k in range(len(self.counts[0]) - 1):
            total = np.zeros(len(self.judge.bounds) - 1)
            for steps in self.counts:
                counts = steps[k]
                if k and counts is not None and steps[k - 1] is not None:
                    total = total + counts
            gains.append(total @ self.judge.weights if total.sum() else None)
        return gains


def add_up(gains: Sequence[Array | None]) -> list[Array | None]:
    """The sums after each evaluation, until the memory ends."""
    evidence: list[Array | None] = []
    for gain in gains:
        before = evidence[-1] if evidence else None
        if gain is None:
            evidence.append(before)
        else:
            start = np.zeros(len(gain)) if before is None else before
            evidence.append(np.clip(start + gain, 0, CAP))
    return evidence


def draw(judge: Judge, cdf: Any, number: int, steps: int, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [row.astype(float) for row in rng.multinomial(number, judge.share(cdf), steps)]


def expect(evidence: Sequence[Array | None], at: Sequence[int], name: str) -> list[dict[str, Any]]:
    """The tests of all sums after these evaluations."""
    tests = []
    for step in at:
        sums = evidence[step]
        for (change, size), number in zip(
            compute_weights(), () if sums is None else sums, strict=sums is not None
        ):
            of = (
                f'{{job="randsvc",randsvc_distribution="{name}",change="{change}",size="{size:g}"}}'
            )
            tests.append(
                {
                    "expr": f"abs({EVIDENCE}{of} - {float(number)!r}) < bool 1e-5",
                    "eval_time": f"{step * STEP}s",
                    "exp_samples": [{"labels": of, "value": 1}],
                }
            )
    return tests


def list_rules() -> list[dict[str, Any]]:
    """The rules of the sums, and those that they read."""
    read = {SAMPLE, COUNT, BASELINE_QUANTILES, STATISTIC}
    records = read | {rule.record for rule in cusum.make_recordings(DEMO)}
    return [rule for rule in list_recording_rules() if rule["record"] in records]


def run(
    series: dict[str, str], tests: list[dict[str, Any]], rules: list[dict[str, Any]] | None = None
) -> str:
    """Evaluate the rules; promtool's failures, empty without any."""
    native_programs.folder()
    test = {
        "rule_files": [RULE_FILE],
        "evaluation_interval": f"{STEP}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "promql_expr_test": tests,
            }
        ],
    }
    done = run_rule_tests(
        test, {"groups": [{"name": "x", "rules": rules or list_recording_rules()}]}
    )
    return done.stdout if done.returncode else ""


VALUES = 'randsvc_value{job="randsvc",instance="INSTANCE",randsvc_source="model"}'
DELAYS = 'randsvc_delay_seconds{job="randsvc",instance="INSTANCE"}'


def follow(history: History, metric: str, name: str) -> tuple[dict[str, str], list[Array | None]]:
    series = dict(history.list_series(metric)) | dict(exported(name, history.judge.described))
    return series, add_up(history.list_gains())


def make_eventful() -> History:
    """Two replicas, of which one starts late and the other starts anew, and a time without values.

    Their values are healthy, then a little higher, then much higher, then healthy again.
    """
    healthy, higher, high = HEALTHY["value"][1], stats.norm(53, 10).cdf, stats.norm(60, 10).cdf
    phases = [(healthy, 10), (higher, 12), (None, 8), (high, 8), (healthy, 12)]
    both: list[list[Array | None]] = [[], []]
    for replica, counts in enumerate(both):
        for phase, (cdf, steps) in enumerate(phases):
            if cdf is None:
                counts.extend(np.zeros(len(VALUE.bounds) - 1) for _ in range(steps))
            else:
                counts.extend(draw(VALUE, cdf, 12, steps, 10 * replica + phase))
    both[1][:15] = [None] * 15
    return History(VALUE, both, frozenset({(0, 18)}))


@pytest.mark.native
def test_sums_are_those_of_numpy_through_gaps_restarts_and_replicas() -> None:
    history = make_eventful()
    series, evidence = follow(history, VALUES, "value")
    # The answers of the fallback, and those of another job, are no evidence.
    other = draw(VALUE, stats.norm(80, 5).cdf, 50, 50, 3)
    decoys = History(VALUE, [other])
    for old, new in (('"model"', '"fallback"'), ('job="randsvc"', 'job="another"')):
        series |= dict(decoys.list_series(VALUES.replace(old, new)))
    at = (5, 14, 18, 19, 25, 30, 36, 49)
    sums = evidence[36]
    assert sums is not None
    assert {0, CAP} < set(sums)
    assert not run(series, expect(evidence, at, "value"))


@pytest.mark.native
@pytest.mark.parametrize(("mean", "levels"), [(53.5, ["minor"]), (60.0, ["major", "minor"])])
def test_a_shift_is_one_alert_of_its_level_that_ends_soon_after_it(
    mean: float, levels: list[str]
) -> None:
    """Of the rules as Prometheus reads them, at 25 values/s."""
    phases = [(HEALTHY["value"][1], 30), (stats.norm(mean, 10).cdf, 30), (HEALTHY["value"][1], 30)]
    counts = [
        row for i, (cdf, steps) in enumerate(phases) for row in draw(VALUE, cdf, 50, steps, i)
    ]
    series, _ = follow(History(VALUE, [counts]), VALUES, "value")

    def firing(step: int, expected: Sequence[str]) -> dict[str, Any]:
        alerts = 'ALERTS{alertname="RandsvcValueShifted",alertstate="firing"}'
        return {
            "expr": f"count by (level) (group by (level) ({alerts}))",
            "eval_time": f"{step * STEP}s",
            "exp_samples": [{"labels": f'{{level="{level}"}}', "value": 1} for level in expected],
        }

    held = range(30 + 15, 60 + 1)
    (text,) = (t for path, t in make_alert_files(DEMO).items() if path.endswith("/ml.yml"))
    rules = yaml.safe_load(text)["groups"][0]["rules"]
    quiet, over = [firing(k, []) for k in range(31)], firing(60 + 15, [])
    assert not run(series, [*quiet, *(firing(k, levels) for k in held), over], rules)


@pytest.mark.native
def test_delays_have_sums_of_their_own() -> None:
    slower = draw(DELAY, stats.lognorm(0.5, scale=0.06).cdf, 20, 12, 1)
    series, evidence = follow(History(DELAY, [slower]), DELAYS, "delay")
    assert not run(series, expect(evidence, (4, 11), "delay"))


@pytest.mark.native
def test_evidence_is_kept_for_the_long_window_without_values_and_no_longer() -> None:
    higher = draw(VALUE, stats.norm(60, 10).cdf, 20, 8, 1)
    still = [np.zeros(len(VALUE.bounds) - 1)] * (MEMORY + 10)
    series, evidence = follow(History(VALUE, [[*higher, *still]]), VALUES, "value")
    kept = 8 + MEMORY - 5
    gone = {"expr": EVIDENCE, "eval_time": f"{(8 + MEMORY + 5) * STEP}s", "exp_samples": []}
    assert not run(series, [*expect(evidence, (kept,), "value"), gone])
    sums = evidence[kept]
    assert sums is not None
    assert sums.max() == CAP


@pytest.mark.native
def test_values_without_a_baseline_are_no_evidence() -> None:
    history = History(VALUE, [draw(VALUE, HEALTHY["value"][1], 20, 10, 1)])
    nothing = {"expr": EVIDENCE, "eval_time": "18s", "exp_samples": []}
    assert not run(dict(history.list_series(VALUES)), [nothing])


@pytest.mark.native
@pytest.mark.parametrize(
    ("record", "changed"),
    [
        (GAIN, lambda expr: f"({expr}) * 1.01"),
        (STEP_COUNT, lambda expr: f"({expr}) * 1.01"),
        (cusum.STEP_BELOW, lambda expr: f"({expr}) * 1.01"),
        (cusum.STEP, lambda expr: expr.replace(" anchored", "")),
        (cusum.STEP, lambda expr: expr.replace("[2s]", "[4s]")),
        (cusum.STEP, lambda expr: expr.replace(',randsvc_source="model"', "")),
        (EVIDENCE, lambda expr: expr.replace(", 0, ", ", -100, ")),
        (EVIDENCE, lambda expr: expr.replace(f"{CAP:g}", "100")),
        (EVIDENCE, lambda expr: expr.replace("+ (job", "- (job")),
        (EVIDENCE, lambda expr: expr.replace("last_over_time", "max_over_time")),
    ],
)
def test_the_sums_notice_where_a_rule_is_broken(record: str, changed: Any) -> None:
    rules = [
        rule | {"expr": changed(rule["expr"])} if rule["record"] == record else rule
        for rule in list_rules()
    ]
    assert rules != list_rules()
    history = make_eventful()
    series, evidence = follow(history, VALUES, "value")
    decoys = History(VALUE, [draw(VALUE, stats.norm(80, 5).cdf, 50, 50, 3)])
    series |= dict(decoys.list_series(VALUES.replace('"model"', '"fallback"')))
    failures = run(series, expect(evidence, (14, 25, 30, 36, 49), "value"), rules)
    assert "FAILED" in failures


def test_weights_are_log_likelihood_ratios_of_the_bins() -> None:
    edges = stats.norm.ppf(EDGE_LEVELS)

    def spread(cdf: Any) -> Array:
        return np.diff([0.0, *cdf(edges), 1.0])

    weights = compute_weights()
    p = spread(stats.norm.cdf)
    expected = spread(stats.norm(0.25).cdf) / p
    assert np.exp(weights["higher", 0.25]) == pytest.approx(expected)
    expected = spread(stats.norm(0, 2).cdf) / p
    assert np.exp(weights["wider", 1.0]) == pytest.approx(expected)
    for each in weights.values():
        # The mean over the baseline that makes exp(sum) an e-detector.
        assert p @ np.exp(each) == pytest.approx(1)


def test_reshapings_leave_mean_and_standard_deviation_as_they_are() -> None:
    x = np.linspace(-8, 8, 16_001)
    middle = (x[1:] + x[:-1]) / 2
    for cdf in make_reshapings().values():
        shares = np.diff(np.array([cdf(float(each)) for each in x]))
        assert shares @ middle == pytest.approx(0, abs=1e-3)
        assert shares @ middle**2 == pytest.approx(1, abs=1e-3)


def test_bins_keep_nine_tenths_of_what_most_changes_say() -> None:
    weights = compute_weights()
    edges = [float(stats.norm.ppf(level)) for level in EDGE_LEVELS]
    for size in cusum.SIZES:
        for name, cdf in make_changes(size).items():
            after = np.diff(np.array([0.0, *(cdf(edge) for edge in edges), 1.0]))
            kept = float(after @ np.array(weights[name, size])) / compute_divergence(cdf)
            assert kept > (0.85 if name == "wider" else 0.93), (name, size)


def test_chance_raises_no_more_false_alarms_than_is_promised() -> None:
    """At a limit of 5 nats, where there are some: at most exp(-5) evaluations for each sum."""
    rng = np.random.default_rng(1)
    looks = 20_000
    for judge, cdf in HEALTHY.values():
        gains = rng.multinomial(rng.poisson(30, looks), judge.share(cdf)) @ judge.weights
        ends = np.cumsum(gains, axis=0)
        sums = ends - np.minimum(np.minimum.accumulate(ends, axis=0), 0)
        above = sums > 5
        begins = (above[1:] & ~above[:-1]).sum(axis=0) / looks
        assert begins.max() < np.exp(-5)
        assert begins.sum() > np.exp(-5) / 10
    assert len(compute_weights()) * 2 * np.exp(-LIMIT) == pytest.approx(1e-6, rel=0.05)
