"""A distribution recovered from bins: fitted, tested, summed up, told, kept."""

import json
import math
import random
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.recovery import CASES, CUT_CASES, Case, accumulate
from randsvc.distributions import parse
from randsvc.errors import RecoveryError
from randsvc.histograms import baseline_file
from randsvc.histograms.binned import EMPTY, Bin, Binned, make_equiprobable
from randsvc.recovery import plot, report
from randsvc.recovery.families import CUTTABLE, FAMILIES
from randsvc.recovery.fit import Fit, fit, rank_fits
from randsvc.recovery.goodness import compute_goodness
from randsvc.recovery.recover import recover
from randsvc.recovery.summary import summarise


def sample(text: str, number: int, seed: int = 7) -> Binned:
    """Draws through the accumulator."""
    draw = parse(text).sampler(random.Random(seed))
    return accumulate(sorted(draw() for _ in range(number)))


@cache
def rank(case: Case) -> list[Fit]:
    """The fits to a sample of a case, which several tests look at."""
    return rank_fits(sample(case.text, 10_000))


SUPERFLUOUS = 7
"""A seed with which a mixture gets nearer to a normal sample than AIC charges for."""

every_family = pytest.mark.parametrize("case", CASES, ids=lambda case: case.family)
every_cut = pytest.mark.parametrize("case", CUT_CASES, ids=lambda case: case.family)


@every_family
def test_a_family_has_the_probabilities_of_the_service_s_own(case: Case) -> None:
    truth = parse(case.text)
    edges = np.linspace(truth.mean - 5 * truth.variance**0.5, truth.mean * 3, 40)
    edges = np.concatenate([[-math.inf], edges, [math.inf]])
    found = case.fitted.probability(case.truth, edges[:-1], edges[1:])
    expected = np.diff([truth.cdf(float(x)) for x in edges])
    assert np.allclose(found, expected, atol=1e-11)
    assert abs(found.sum() - 1) < 1e-12


@every_family
def test_a_family_is_ranked_first_and_its_parameters_are_near(case: Case) -> None:
    found = rank(case)[0]
    assert found.family.name == case.family
    for estimate, truth in zip(found.parameters.values(), case.truth, strict=True):
        assert estimate.low is not None
        assert estimate.high is not None
        # Twice the interval: what is missed once in ten thousand times.
        assert abs(estimate.value - truth) <= estimate.high - estimate.low


@every_cut
def test_a_family_that_is_cut_has_the_probabilities_of_the_service_s_own(case: Case) -> None:
    test_a_family_has_the_probabilities_of_the_service_s_own(case)


@every_cut
def test_an_end_at_which_a_family_is_cut_is_recovered(case: Case) -> None:
    test_a_family_is_ranked_first_and_its_parameters_are_near(case)


def test_an_end_lies_as_far_in_its_bucket_as_that_is_full() -> None:
    counts = ((0, 500), (1, 1000), (2, 1000), (3, 1000), (4, 250))
    binned = Binned(tuple(Bin(low, low + 1, count) for low, count in counts), None)
    (uniform,) = (family for family in FAMILIES if family.name == "uniform")
    low, high = fit(binned, uniform).values
    assert (round(low, 3), round(high, 3)) == (0.5, 4.25)


@pytest.mark.parametrize("family", CUTTABLE)
def test_no_end_is_claimed_of_a_family_that_has_none(family: str) -> None:
    (case,) = (case for case in CASES if case.family == family)
    names = [fit.family.name for fit in rank(case)]
    assert names[0] == family
    assert not any(name.startswith(f"{family} with") for name in names)


def test_a_family_with_more_parameters_has_to_earn_them() -> None:
    # Of this sample, AIC prefers a mixture to the normal that made it.
    fits = rank_fits(sample("normal(mean=50, sd=10)", 2000, seed=SUPERFLUOUS))
    assert fits[0].family.name == "normal"
    assert min(fits, key=lambda fit: fit.aic).family.name.startswith("mixture")
    # What comes first is what AIC prefers among those whose BIC is below that of all smaller ones.
    earning = [
        fit
        for fit in fits
        if all(fit.bic < small.bic for small in fits if len(small.values) < len(fit.values))
    ]
    assert min(earning, key=lambda fit: fit.aic) is fits[0]


@pytest.mark.parametrize("text", ["exponential(rate=2)", "normal(mean=-5, sd=10)", "uniform(3, 7)"])
def test_intervals_contain_the_parameters_in_95_percent_and_p_values_are_uniform(text: str) -> None:
    truth, repetitions = parse(text), 200
    family = next(each for each in FAMILIES if text.startswith(each.name))
    values = [float(each) for each in re.findall(r"-?\d+", text)]
    covered, by_any, p_values = [], [], []
    for seed in range(repetitions):
        binned = sample(text, 1000, seed)
        found = fit(binned, family)
        for estimate, real in zip(found.parameters.values(), values, strict=True):
            covered.append(estimate.covers(real))
        summary = summarise(binned)
        assert summary.mean
        assert summary.quantiles
        by_any.append(summary.mean.covers(truth.mean))
        for q, each in summary.quantiles.items():
            assert each.low is not None
            assert each.high is not None
            by_any.append(truth.cdf(each.low) <= q <= truth.cdf(each.high))
        tested = compute_goodness(binned, found)
        assert tested
        p_values.append(tested.p_value)
    # Four standard errors of 200, which the two parameters of one sample share.
    assert abs(sum(covered) / len(covered) - 0.95) < 0.062
    assert sum(by_any) / len(by_any) > 0.95
    for level in (0.1, 0.5, 0.9):
        assert abs(sum(p < level for p in p_values) / repetitions - level) < 0.14


@every_family
def test_recovering_does_not_depend_on_the_unit(case: Case) -> None:
    if case.family == "beta":
        return  # which lies in 0 to 1
    here = sample(case.text, 3000)
    factor = 2.0**40
    there = Binned(tuple(Bin(b.lower * factor, b.upper * factor, b.count) for b in here.bins), None)
    one, other = fit(here, case.fitted), fit(there, case.fitted)
    assert abs(one.log_likelihood - other.log_likelihood) < 0.01


def test_values_that_no_family_makes_fit_none() -> None:
    parts = "0.4*uniform(low=1, high=2), 0.3*uniform(low=5, high=6), 0.3*uniform(low=8, high=9)"
    recovered = recover(sample(f"mixture({parts})", 5000))
    assert recovered.best is None
    assert recovered.verdict.startswith("none of the families fits: the closest, ")


def test_the_verdict_gives_the_family_with_its_intervals() -> None:
    verdict = recover(sample("normal(mean=50, sd=10)", 10_000)).verdict
    assert verdict.startswith("consistent with normal(mean=49.")
    assert ".." in verdict


@pytest.mark.parametrize(
    ("text", "number", "verdict"),
    [
        ("normal(mean=50, sd=10)", 0, "no values were counted in the window"),
        ("constant(value=7)", 1, "one value, 7: too few for a distribution"),
        ("normal(mean=50, sd=10)", 5, "5 values in 5 buckets: too few to distinguish families"),
        (
            "constant(value=0)",
            100,
            "consistent with constant(value=0): all 100 values are in one bucket",
        ),
        (
            "constant(value=-3)",
            9,
            "consistent with constant(value=-3): all 9 values are in one bucket",
        ),
        ("normal(mean=-50, sd=1)", 5000, "consistent with normal(mean=-50."),
        ("normal(mean=0, sd=1)", 5000, "consistent with normal(mean=-0.0"),
        ("uniform(low=-3, high=0)", 5000, "consistent with uniform(low=-3.0"),
    ],
)
def test_few_values_constant_ones_and_those_below_zero(
    text: str, number: int, verdict: str
) -> None:
    binned = sample(text, number) if number else EMPTY
    recovered = recover(binned)
    assert recovered.verdict.startswith(verdict)
    # Neither NaN nor infinity.
    assert json.loads(json.dumps(report.to_json(recovered), allow_nan=False))["count"] == number
    plot.draw_text(recovered)
    report.to_text(recovered)


edges = st.lists(
    st.floats(-1e6, 1e6).map(lambda x: float(f"{x:.3g}")), min_size=2, max_size=12, unique=True
)


@settings(max_examples=15, deadline=None)
@given(
    edges=edges, counts=st.lists(st.integers(1, 10**6), min_size=13, max_size=13), data=st.data()
)
def test_whatever_was_counted_gives_a_verdict(
    edges: list[float], counts: list[int], data: st.DataObject
) -> None:
    ends = sorted(edges)
    if data.draw(st.booleans()):
        ends = [-math.inf, *ends, math.inf]
    pairs = [(low, high) for low, high in pairwise(ends) if data.draw(st.integers(0, 3))]
    if data.draw(st.booleans()):
        pairs = [(0.0, 0.0), *((low, high) for low, high in pairs if low >= 0)]
    bins = tuple(Bin(low, high, n) for (low, high), n in zip(pairs, counts, strict=False))
    recovered = recover(Binned(bins, None))
    assert recovered.verdict
    assert "\n" not in recovered.verdict
    json.dumps(report.to_json(recovered), allow_nan=False)
    plot.draw_text(recovered)


def test_what_lies_in_no_row_is_no_trouble_to_draw() -> None:
    binned = Binned((Bin(0.0, 0.0, 1), Bin(2.0, math.inf, 1)), None)
    assert "0.0%" in plot.draw_text(recover(binned)).plain


def test_bins_without_an_end_are_fitted_as_well() -> None:
    ends = (-math.inf, 0.0, 5.0, 10.0, 20.0, 50.0, math.inf)
    truth = parse("normal(mean=8, sd=10)")
    bins = tuple(
        Bin(a, b, round(10_000 * (truth.cdf(b) - truth.cdf(a)))) for a, b in pairwise(ends)
    )
    recovered = recover(Binned(bins, None))
    assert recovered.best is not None
    assert recovered.best.fit.family.name == "normal"
    assert abs(recovered.best.fit.values[0] - 8) < 0.5
    json.dumps(report.to_json(recovered), allow_nan=False)


def test_a_picture_is_drawn_where_one_bound_is_all_that_is_known(tmp_path: Path) -> None:
    recovered = recover(Binned((Bin(-math.inf, 5.0, 3), Bin(5.0, math.inf, 4)), None))
    assert "from share of the values" in plot.draw_text(recovered).plain
    plot.draw_png(recovered, tmp_path / "x.png", label="value")


def test_where_buckets_are_coarse_a_row_of_the_picture_is_a_bucket() -> None:
    bins = tuple(Bin(low, high, 10) for low, high in pairwise((0, 1, 2, 5, 10, 20, 50, 100)))
    rows = plot.draw_text(recover(Binned(bins, None))).plain.splitlines()
    assert [row.split()[0] for row in rows[1:9]] == ["0", "1", "2", "5", "10", "20", "50", "100"]
    assert all("14.3%" in row for row in rows[1:8])


def test_bins_of_two_resolutions_become_the_coarser_one() -> None:
    fine = Binned((Bin(1, 1.5, 3), Bin(1.5, 2, 4), Bin(4, 6, 1)), 20.0)
    coarse = Binned((Bin(1, 2, 10), Bin(2, 4, 5)), 30.0)
    assert (fine + coarse) == Binned((Bin(1, 2, 17), Bin(2, 4, 5), Bin(4, 6, 1)), 50.0)
    assert (fine + coarse).since(coarse) == Binned((Bin(1, 2, 7), Bin(4, 6, 1)), 20.0)


def test_a_count_below_the_one_before_began_anew() -> None:
    assert Binned((Bin(1, 2, 3),), 5).since(Binned((Bin(1, 2, 4),), 6)) is None
    assert Binned((Bin(1, 2, 9),), 5).since(Binned((Bin(2, 3, 1),), 6)) is None


def test_the_mean_is_that_of_the_values_and_not_of_the_bins() -> None:
    binned = Binned((Bin(0, 10, 4), Bin(10, 20, 6)), 100.0)
    mean = summarise(binned).mean
    assert mean is not None
    assert mean.value == 10
    unknown = summarise(Binned(binned.bins, None)).mean
    assert unknown is not None
    assert unknown.value == 11
    assert unknown.low is not None
    assert unknown.low < 6  # all at the lower ends of their bins


def test_the_interval_of_the_mean_is_that_of_student() -> None:
    mean = summarise(sample("normal(mean=50, sd=10)", 10_000)).mean
    assert mean is not None
    assert mean.low is not None
    assert mean.high is not None
    assert 0.9 < (mean.high - mean.low) / (2 * 1.96 * 10 / 100) < 1.1
    assert mean.covers(50)


def test_a_quantile_that_the_sample_does_not_bound_has_no_end() -> None:
    quantiles = summarise(sample("normal(mean=50, sd=10)", 20)).quantiles
    assert quantiles is not None
    assert quantiles[0.99].high is None
    assert quantiles[0.01].low is None
    assert quantiles[0.5].low is not None


def test_equiprobable_bins_cover_the_sample_and_keep_the_counts() -> None:
    binned = sample("normal(mean=50, sd=10)", 10_000)
    bins = make_equiprobable(binned, 10)
    assert (bins[0].lower, bins[-1].upper) == (binned.bins[0].lower, binned.bins[-1].upper)
    assert sum(bin_.count for bin_ in bins) == 10_000
    assert len(bins) == 10
    # Either end is off by half of a bucket at most.
    fullest = max(bin_.count for bin_ in binned.bins)
    assert all(abs(bin_.count - 1000) <= fullest for bin_ in bins)
    assert all(a.upper == b.lower for a, b in pairwise(bins))


def kept(path: Path) -> baseline_file.Baseline:
    made = baseline_file.make_baseline(
        sample("normal(mean=50, sd=10)", 1000),
        number=10,
        metric="randsvc_value",
        unit="{value}",
        source={"prometheus": "http://127.0.0.1:9090", "job": "randsvc"},
        end=1e9,
        window=1800,
    )
    baseline_file.save(made, path)
    return made


def test_a_baseline_reads_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert kept(path) == baseline_file.load(path)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("{", "", "is not JSON: .*expected JSON of a baseline"),
        ("randsvc-baseline", "other", "expected format randsvc-baseline"),
        ('"version": 1', '"version": 2', "has format version 2: expected 1"),
        ('"count": 1000', '"count": 999', "its bins hold 1000 values, but its count is 999"),
        ('"bins"', '"boxes"', "damaged baseline"),
        ('"sum": ', '"sum": Infinity, "other": ', "end, window_seconds and sum must be finite"),
        ('"window_seconds": 1800', f'"window_seconds": {10**400}', "too large to convert"),
        ('"bins": [', '"bins": [[99, 98, 1],', "its bins must ascend"),
        ('"bins": [', '"bins": [[-9, -9, 0],', "each bin must hold a value"),
    ],
)
def test_an_invalid_baseline_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    path = tmp_path / "baseline.json"
    kept(path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RecoveryError, match=problem) as raised:
        baseline_file.load(path)
    assert "\n" not in str(raised.value)


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    path = tmp_path / "value.png"
    plot.draw_png(recover(sample("normal(mean=50, sd=10)", 500)), path, label="value")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_service_imports_none_of_the_extra() -> None:
    code = (
        "import sys, randsvc.cli.main, randsvc.service.serving, randsvc.cli.recover\n"
        "print({'numpy', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
