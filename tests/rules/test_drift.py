"""The rules on drift, in promtool: every number against numpy's from the same buckets."""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from randsvc.metrics import VALUE
from randsvc.model.baselines import BaselineNumbers, load_baselines
from randsvc.rules import cusum, drift, features, feedback
from randsvc.rules.drift import (
    ALPHA,
    BIN_ERROR,
    COUNT,
    D1_PER_FLOOR,
    KS_PER_FLOOR,
    LARGEST_SHARE,
    OUT_OF_RANGE,
    PER_SD,
    SHARE,
    SPREAD,
    name_distance,
    name_floor,
)
from randsvc.rules.golden_signals import Rule
from randsvc.rules.time_scale import DEMO, PRODUCTION
from randsvc.settings import Settings
from randsvc.times import parse_duration
from tests.support.drift_reference import (
    Array,
    Buckets,
    classic,
    distances,
    exponential,
    floors,
    shares,
    wasserstein,
)
from tests.support.rule_cases import GAINS, STEP, RuleCase, list_untested_rules, run_rule_case

BASELINES = load_baselines(Settings())
DAY = 600
SCHEMA = 4


def gains(buckets: Buckets) -> str:
    """What a native histogram gains in each step, in the notation of promtool."""
    if buckets.exponential:
        index = np.round(np.log2(buckets.upper) * 2**SCHEMA).astype(int)
        counts = np.zeros(index[-1] - index[0] + 1)
        counts[index - index[0]] = buckets.count
        where = f"schema:{SCHEMA} offset:{index[0]}"
    else:
        counts = buckets.count
        where = f"schema:-53 custom_values:[{' '.join(f'{x:g}' for x in buckets.upper)}]"
    listed = " ".join(f"{count:g}" for count in counts)
    return f"{{{{{where} sum:0 count:{counts.sum():g} buckets:[{listed}]}}}}"


def counted(*phases: tuple[int, Buckets]) -> str:
    """A counter that gains so many times what is in the buckets; it begins anew with a phase."""
    parts = []
    for times, buckets in phases:
        each = gains(buckets)
        # promtool repeats a difference, so that each phase starts from nothing but the first gain.
        parts.append(f"{each}+{each}x{times - 1}")
    return " ".join(parts)


def exported(
    name: str, it: BaselineNumbers, instances: tuple[str, ...] = ("a", "b")
) -> Iterator[tuple[str, str]]:
    """The series of a baseline, which every replica exports."""
    for metric, label, numbers in (
        ("edge", "bin", it.edges),
        ("share", "bin", it.shares),
        ("quantile", "quantile", {**it.quantiles, **it.tails}),
        ("statistic", "statistic", it.statistics),
    ):
        for key, number in numbers.items():
            for instance in instances:
                labels = (
                    f'job="randsvc",instance="{instance}",randsvc_distribution="{name}",'
                    f'randsvc_{label}="{key}"'
                )
                yield f"randsvc_baseline_{metric}{{{labels}}}", f"{number!r}x400"


def values(n: int, mean: float = 50, sd: float = 10) -> Array:
    """A sample that is as even as can be, so that no seed decides."""
    return np.array(stats.norm(mean, sd).ppf((np.arange(n) + 0.5) / n))


def selector(series: str, name: str = "value", **labels: str) -> str:
    matchers = {"randsvc_distribution": name, "window": "60s"} | labels
    inside = ",".join(f'{label}="{value}"' for label, value in matchers.items())
    return f"{series}{{{inside}}}"


def expected_of(
    buckets: Buckets, it: BaselineNumbers, name: str = "value", replicas: int = 2
) -> dict[str, float]:
    """All numbers against the baseline, of a sample of which each replica has the buckets."""
    n = buckets.total * GAINS * replicas
    p = shares(buckets, it)
    q = np.array(list(it.shares.values()))
    now = [buckets.quantile(float(level)) for level in it.quantiles]
    before = list(it.quantiles.values())
    sd = it.statistics["stddev"]
    all_distances = distances(p, q) | {"wasserstein": wasserstein(now, before)}
    all_floors = floors(1 / n + 1 / it.statistics["count"], len(q), it.statistics)
    against = {"against": "baseline"}
    low, high = (it.statistics[end] for end in ("low", "high"))
    return {
        selector(COUNT, name): n,
        selector(OUT_OF_RANGE, name): 1 - (buckets.below(high) - buckets.below(low)),
        selector(LARGEST_SHARE, name): float(p.max()),
        selector(SPREAD, name): (now[-1] - now[0]) / (before[-1] - before[0]),
        **{
            selector(SHARE, name, randsvc_bin=bin_): share
            for bin_, share in zip(it.shares, p, strict=True)
        },
        **{selector(name_distance(d), name, **against): x for d, x in all_distances.items()},
        **{selector(name_floor(d), name, **against): x for d, x in all_floors.items()},
        selector(PER_SD, name, **against): all_distances["wasserstein"] / sd,
        selector(KS_PER_FLOOR, name, **against): all_distances["ks"] / all_floors["ks"],
        selector(D1_PER_FLOOR, name, **against): all_distances["d1"] / all_floors["d1"],
    }


def model(instance: str, job: str = "randsvc", source: str = "model") -> str:
    return f'randsvc_value{{job="{job}",instance="{instance}",randsvc_source="{source}"}}'


NORMAL = exponential(values(200), SCHEMA)
SHIFTED = exponential(values(200, mean=57, sd=12), SCHEMA)
NARROW = exponential(values(50, mean=70, sd=2), SCHEMA)
PULLED = classic(values(200, mean=80, sd=15), VALUE.buckets)
DELAYS = exponential(np.exp(values(300, mean=-2.8, sd=0.6)), SCHEMA)


def make_rule_case(buckets: Buckets, it: BaselineNumbers | None = None) -> RuleCase:
    it = it or BASELINES["value"]
    # Beside it what is not to count: another job, and the answers of the fallback.
    decoys = {
        model("a", job="another"): counted((40, NARROW)),
        model("a", source="fallback"): counted((40, NARROW)),
    }
    both = {model(instance): counted((40, buckets)) for instance in "ab"}
    return RuleCase(both | decoys | dict(exported("value", it)), expected_of(buckets, it), 180)


def seven_bins() -> BaselineNumbers:
    """A baseline that has but seven bins, from a thousand values."""
    names = [f"{k:02}" for k in range(1, 8)]
    edges = (30.0, 38.0, 45.0, 50.0, 55.0, 62.0)
    bins = np.diff([0, *stats.norm(50, 10).cdf(edges), 1])
    default = BASELINES["value"]
    return BaselineNumbers(
        edges=dict(zip(names, edges, strict=False)),
        shares=dict(zip(names, map(float, bins), strict=True)),
        quantiles=default.quantiles,
        statistics={**default.statistics, "count": 1000.0},
    )


def delays() -> RuleCase:
    series = {
        f'randsvc_delay_seconds{{job="{job}",instance="a"}}': counted((40, buckets))
        for job, buckets in (("randsvc", DELAYS), ("another", NARROW))
    }
    it = BASELINES["delay"]
    return RuleCase(
        {**series, **dict(exported("delay", it))}, expected_of(DELAYS, it, "delay", replicas=1), 180
    )


def against_the_past() -> RuleCase:
    """Normal a week ago, shifted a day ago, narrow now; without a baseline there are no bins."""
    week = parse_duration(DEMO.week)
    now, day_ago = week + 780, week + 780 - DAY
    lengths = [1000, day_ago + 100 - 1000, now + STEP - day_ago - 100]
    phases = [
        (int(length) // STEP, buckets)
        for length, buckets in zip(lengths, (NORMAL, SHIFTED, NARROW), strict=True)
    ]
    it = BASELINES["value"]
    stretched = {k: v.replace("x400", "x2000") for k, v in exported("value", it)}
    expected: dict[str, float] = {}
    for against, before in (("day", SHIFTED), ("week", NORMAL)):
        label = {"against": against}
        far = distances(shares(NARROW, it), shares(before, it))
        levels = [float(level) for level in it.quantiles]
        quantiles = [[b.quantile(level) for level in levels] for b in (NARROW, before)]
        far["wasserstein"] = wasserstein(*quantiles)
        n, m = (b.total * GAINS for b in (NARROW, before))
        high = floors(1 / n + 1 / m, len(it.shares), it.statistics)
        expected |= {selector(name_distance(d), **label): x for d, x in far.items()}
        expected |= {selector(name_floor(d), **label): x for d, x in high.items()}
        expected[selector(PER_SD, **label)] = far["wasserstein"] / it.statistics["stddev"]
        expected[selector(KS_PER_FLOOR, **label)] = far["ks"] / high["ks"]
    return RuleCase({model("a"): counted(*phases), **stretched}, expected, int(now))


def mix() -> RuleCase:
    """60 new, 120 regular, 20 premium ones in each step, and more that do not say."""
    each = {"new": 60, "regular": 120, "premium": 20, "missing": 50}
    series = {
        f'randsvc_inputs_total{{job="{job}",instance="{i}",randsvc_segment="{segment}"}}': (
            f"0+{n if job == 'randsvc' else 1000}x40"
        )
        for job in ("randsvc", "another")
        for i in "ab"
        for segment, n in each.items()
    }
    for feature, n in (("segment", 50), ("amount", 5)):
        for i in "ab":
            labels = f'job="randsvc",instance="{i}",randsvc_feature="{feature}"'
            series[f"randsvc_inputs_missing_total{{{labels}}}"] = f"0+{n}x40"
    refused = 'randsvc_inputs_refused_total{job="randsvc",instance="a",randsvc_reason="repeated"}'
    series[refused] = "0+100x40"
    it = BASELINES["segment"]
    q = np.array(list(it.shares.values()))
    p = np.array([each[segment] / 200 for segment in it.shares])
    n = 2 * 200 * GAINS
    far = distances(p, q)
    high = floors(1 / n + 1 / it.statistics["count"], 3, {"stddev": 1.0, "noise": 1.0})
    label = {"against": "baseline"}
    expected = {
        selector(COUNT, "segment"): n,
        **{
            selector(SHARE, "segment", randsvc_bin=segment): share
            for segment, share in zip(it.shares, p, strict=True)
        },
        **{
            selector(series(d), "segment", **label): numbers[d]
            for d in ("d1", "total_variation", "psi")
            for series, numbers in ((name_distance, far), (name_floor, high))
        },
        selector(D1_PER_FLOOR, "segment", **label): far["d1"] / high["d1"],
        f'{features.COUNT}{{window="60s"}}': 2 * 250 * GAINS,
        f'{features.MISSING_SHARE}{{randsvc_feature="segment",window="60s"}}': 50 / 250,
        f'{features.MISSING_SHARE}{{randsvc_feature="amount",window="60s"}}': 5 / 250,
        f'{features.REFUSED_SHARE}{{window="60s"}}': 100 / 600,
    }
    # Segments have no order: nothing is below another.
    absent = tuple(selector(name_distance(d), "segment", **label) for d in ("ks", "wasserstein"))
    return RuleCase({**series, **dict(exported("segment", it))}, expected, 180, absent)


def silent() -> RuleCase:
    """A service that answers nothing any more: only what it exports is there."""
    still = {model("a"): f"{gains(NORMAL)}x60"}
    absent = tuple(
        f'{record}{{window="60s"}}' for record in (COUNT, SHARE, OUT_OF_RANGE, KS_PER_FLOOR)
    )
    return RuleCase(still | dict(exported("value", BASELINES["value"])), {}, 180, absent)


def unknown() -> RuleCase:
    """Values that are not the default ones, and no file: there is no baseline."""
    expected = {selector(COUNT): NORMAL.total * GAINS}
    absent = tuple(
        f'{record}{{window="60s"}}'
        for record in (SHARE, OUT_OF_RANGE, SPREAD, LARGEST_SHARE, PER_SD, KS_PER_FLOOR)
    )
    return RuleCase({model("a"): counted((40, NORMAL))}, expected, 180, absent)


CASES = {
    "as the baseline": make_rule_case(NORMAL),
    "shifted": make_rule_case(SHIFTED),
    "narrow, with empty bins": make_rule_case(NARROW),
    "pulled, partly out of range": make_rule_case(PULLED),
    "a baseline of seven bins": make_rule_case(SHIFTED, seven_bins()),
    "delays": delays(),
    "against the past": against_the_past(),
    "the mix of the segments": mix(),
    "no values": silent(),
    "no baseline": unknown(),
}


@pytest.mark.native
@pytest.mark.parametrize("name", CASES)
def test_rules_give_what_numpy_gives_from_the_same_buckets(name: str) -> None:
    assert not run_rule_case(CASES[name])


@pytest.mark.native
def test_each_number_has_a_test_that_fails_where_its_rule_is_broken() -> None:
    assert not list_untested_rules(CASES.values())


def test_both_time_scales_have_the_same_rules_but_for_times() -> None:
    times = {
        "5m": "20s",
        "1h": "60s",
        "1d": "10m",
        "7d": "70m",
        "30d": "1h",
        "30s": "2s",
    }

    def timed(rule: Rule) -> str:
        text = f"{rule.record} {rule.expr} {sorted(rule.labels.items())}"
        return re.sub(r"\b(5m|1h|1d|7d|30d|30s)\b", lambda found: times[found[0]], text)

    modules = (drift, cusum, features, feedback)
    production = [timed(r) for module in modules for r in module.make_recordings(PRODUCTION)]
    demo = [
        f"{r.record} {r.expr} {sorted(r.labels.items())}"
        for module in modules
        for r in module.make_recordings(DEMO)
    ]
    assert [p.replace("24 *", "10 *") for p in production] == demo


def test_a_replica_more_with_its_part_of_the_traffic_changes_nothing() -> None:
    """Two that see half of the values each give the numbers of one that sees all."""
    half = exponential(values(200), SCHEMA)
    whole = replace(half, count=2 * half.count)
    it = BASELINES["value"]
    assert expected_of(half, it, replicas=2) == expected_of(whole, it, replicas=1)


@pytest.mark.parametrize(
    ("name", "edges", "coarser"),
    [
        ("value", [2 ** (k / 16) for k in range(16 * 8)], 1),
        ("delay", [2 ** (k / 16) for k in range(-16 * 9, 16)], 1),
        ("value", VALUE.buckets, 4),
    ],
)
def test_interpolation_adds_no_more_than_the_stated_error(
    name: str, edges: list[float], coarser: int
) -> None:
    """Of the default distributions, in buckets of 16 an octave, and in those that are pulled."""
    it = BASELINES[name]
    truth = {"value": stats.norm(50, 10), "delay": stats.lognorm(0.5, scale=0.05)}[name]
    mass = np.diff(truth.cdf(edges)) * 1e9
    buckets = Buckets(np.array(edges[:-1]), np.array(edges[1:]), mass, exponential=coarser == 1)
    off = [buckets.below(x) - truth.cdf(x) for x in it.edges.values()]
    assert np.abs(off).max() < BIN_ERROR * coarser
    quantiles = [buckets.quantile(float(level)) for level in it.quantiles]
    far = wasserstein(quantiles, list(it.quantiles.values())) / it.statistics["stddev"]
    assert far < 5 * BIN_ERROR * coarser


@pytest.mark.parametrize("n", [100, 1000])
def test_chance_stays_below_the_floors(n: int) -> None:
    """In 2,000 samples none is above, and the floors are not ten times too high either."""
    it = BASELINES["value"]
    q = np.array(list(it.shares.values()))
    rng = np.random.default_rng(1)
    worst = {"d1": 0.0, "psi": 0.0, "ks": 0.0}
    for p in rng.multinomial(n, q, size=2000) / n:
        worst = {d: max(x, distances(p, q)[d]) for d, x in worst.items()}
    high = floors(1 / n, len(q), it.statistics)
    if n < 1000:
        # Of ten values in a bin, or fewer, it is not yet like chi-square.
        del worst["psi"]
    for name, seen in worst.items():
        assert high[name] / 4 < seen < high[name], name
    assert 1e-7 < ALPHA < 1e-4
