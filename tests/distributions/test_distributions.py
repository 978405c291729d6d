"""What a distribution says of itself and what it draws, with scipy as the oracle."""

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from randsvc.distributions import Distribution, parse

# A text and the frozen distribution of scipy that it stands for (which has no public type).
Twins = tuple[str, Any]

locations = st.integers(-1000, 1000)
lows = st.integers(
    0, 1000
)  # of a beta: near a pole, a sum that cancels would cost the oracle digits
scales = st.floats(1e-3, 1e3)
shapes = st.floats(0.05, 1000)
# Densities without a pole, in which the oracle's numerical integration can be trusted.
smooth_shapes = st.floats(1, 50)


def twins(shapes: st.SearchStrategy[float], sigmas: st.SearchStrategy[float]) -> Any:
    return st.one_of(
        st.builds(
            lambda low, width: (f"uniform({low}, {low + width})", stats.uniform(low, width)),
            locations,
            scales,
        ),
        st.builds(
            lambda mean, sd: (f"normal(mean={mean}, sd={sd})", stats.norm(mean, sd)),
            locations,
            scales,
        ),
        st.builds(
            lambda median, sigma: (
                f"lognormal(median={median}, sigma={sigma})",
                stats.lognorm(sigma, scale=median),
            ),
            scales,
            sigmas,
        ),
        st.builds(lambda rate: (f"exponential({rate})", stats.expon(scale=1 / rate)), scales),
        st.builds(
            lambda shape, scale: (
                f"gamma(shape={shape}, scale={scale})",
                stats.gamma(shape, scale=scale),
            ),
            shapes,
            scales,
        ),
        st.builds(
            lambda shape, scale: (
                f"weibull(shape={shape}, scale={scale})",
                stats.weibull_min(shape, scale=scale),
            ),
            shapes,
            scales,
        ),
        st.builds(
            lambda alpha, beta, low, width: (
                f"beta(alpha={alpha}, beta={beta}, low={low}, high={low + width})",
                stats.beta(alpha, beta, low, width),
            ),
            shapes,
            shapes,
            lows,
            scales,
        ),
    )


any_twins = twins(shapes, st.floats(0.001, 3))
smooth_twins = twins(smooth_shapes, st.floats(0.05, 1))
quantiles = st.floats(0.02, 0.98)


def with_arguments(text: str, more: str) -> str:
    return f"{text.removesuffix(')')}, {more})"


def integrated(g: Callable[[np.ndarray], np.ndarray], twin: Any, low: float, high: float) -> float:
    """The integral of g times twin's density from low to high, by Gauss and Legendre.

    In pieces with about as much probability each, thinner towards both tails.
    """
    ends = np.array([1e-14, 1e-9, 1e-6, 1e-4, 0.01, 0.1, 0.3])
    edges = twin.ppf(np.concatenate([ends, 1 - ends]))
    edges = np.unique(np.clip(edges, low, high))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    total = 0.0
    for start, end in pairwise(edges):
        x = start + (end - start) * (nodes + 1) / 2
        total += float(np.sum(weights * g(x) * twin.pdf(x))) * (end - start) / 2
    return total


@given(twins=any_twins)
def test_the_mean_and_variance_of_a_family_are_those_of_scipy(twins: Twins) -> None:
    text, twin = twins
    ours = parse(text)
    scale = twin.std()
    assert ours.mean == pytest.approx(twin.mean(), rel=1e-9, abs=1e-9 * scale)
    # scipy subtracts the squared mean where we do not, which costs it digits.
    assert ours.variance == pytest.approx(twin.var(), rel=1e-6)


@given(twins=any_twins, q=st.floats(1e-9, 1 - 1e-9))
def test_the_cdf_of_a_family_is_that_of_scipy(twins: Twins, q: float) -> None:
    text, twin = twins
    x = float(twin.ppf(q))
    # At a pole the last digit of x alone moves the cdf.
    digit = 4 * math.ulp(x)
    ours = parse(text).cdf(x)
    with np.errstate(over="ignore"):
        assert twin.cdf(x - digit) - 1e-9 <= ours <= twin.cdf(x + digit) + 1e-9


@given(twins=smooth_twins, q=st.tuples(quantiles, quantiles).filter(lambda q: q[1] - q[0] > 0.05))
def test_a_truncation_has_the_mean_variance_and_cdf_of_the_integrated_density(
    twins: Twins, q: tuple[float, float]
) -> None:
    text, twin = twins
    low, middle, high = (float(twin.ppf(at)) for at in (q[0], (q[0] + q[1]) / 2, q[1]))
    mass = integrated(np.ones_like, twin, low, high)
    mean = integrated(lambda x: x, twin, low, high) / mass
    variance = integrated(lambda x: (x - mean) ** 2, twin, low, high) / mass

    ours = parse(with_arguments(text, f"min={low}, max={high}"))

    assert ours.mean == pytest.approx(mean, rel=1e-9, abs=1e-9 * math.sqrt(variance))
    assert ours.variance == pytest.approx(variance, rel=1e-7)
    assert ours.cdf(middle) == pytest.approx(0.5, abs=1e-7)
    assert (ours.cdf(low), ours.cdf(high)) == pytest.approx((0, 1), abs=1e-12)
    assert ours.support == (low, high)


@given(twins=any_twins, q=quantiles)
def test_a_quantile_is_the_smallest_value_whose_cdf_reaches_it(twins: Twins, q: float) -> None:
    distribution = parse(twins[0])
    found = distribution.quantile(q)
    assert distribution.cdf(found) >= q
    below = math.nextafter(found, -math.inf)
    assert found == distribution.support[0] or distribution.cdf(below) < q


@given(twins=any_twins, q=quantiles)
def test_the_two_sides_of_a_cut_make_up_the_whole(twins: Twins, q: float) -> None:
    """The laws of total expectation and variance, at shapes too extreme for integration."""
    text, twin = twins
    cut = float(twin.ppf(q))
    whole = parse(text)
    p = whole.cdf(cut)
    assume(0.01 < p < 0.99)  # the oracle's quantile can be a bound, to the last digit of a float
    left = parse(with_arguments(text, f"max={cut}"))
    right = parse(with_arguments(text, f"min={cut}"))
    sd = math.sqrt(whole.variance)
    mean = p * left.mean + (1 - p) * right.mean
    variance = p * (left.variance + (left.mean - mean) ** 2) + (1 - p) * (
        right.variance + (right.mean - mean) ** 2
    )
    assert mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-6 * sd)
    # A beta of 1000 beside 0.05 is down to five digits.
    assert variance == pytest.approx(whole.variance, rel=1e-4)
    assert min(left.variance, right.variance) >= 0
    assert left.mean <= cut <= right.mean


@given(parts=st.lists(smooth_twins, min_size=1, max_size=4), q=quantiles)
def test_a_mixture_is_the_weighted_sum_of_its_parts(parts: list[Twins], q: float) -> None:
    weight = 1 / len(parts)
    ours = parse(f"mixture({', '.join(f'{weight}*{text}' for text, _ in parts)})")
    means = np.array([twin.mean() for _, twin in parts])
    squares = np.array([twin.var() for _, twin in parts]) + means**2
    x = float(parts[0][1].ppf(q))
    assert ours.mean == pytest.approx(means.mean(), rel=1e-9, abs=1e-9)
    assert ours.variance + ours.mean**2 == pytest.approx(squares.mean(), rel=1e-9)
    with np.errstate(over="ignore"):
        cdf = np.mean([twin.cdf(x) for _, twin in parts])
    assert ours.cdf(x) == pytest.approx(cdf, abs=1e-9)


def test_a_truncated_mixture_weighs_its_parts_by_what_is_left_of_them() -> None:
    ours = parse("mixture(0.5*uniform(0, 2), 0.5*uniform(0, 4), min=1)")
    # Left are 1/4 from 1 to 2 and 3/8 from 1 to 4: two fifths and three fifths.
    same = parse("mixture(0.4*uniform(1, 2), 0.6*uniform(1, 4))")
    assert (ours.mean, ours.variance) == pytest.approx((same.mean, same.variance), rel=1e-12)
    assert ours.cdf(1.5) == pytest.approx(same.cdf(1.5), rel=1e-12)


def test_a_truncation_far_from_the_mean_keeps_its_digits() -> None:
    """The mean of the whole is e^50, that of the part 1.4: the difference has no digit left."""
    ours = parse("lognormal(median=1, sigma=10, min=1, max=2)")
    # So wide a lognormal is flat in log(x) here, to 3 digits.
    mean = 1 / math.log(2)
    assert ours.mean == pytest.approx(mean, rel=2e-3)
    assert ours.variance == pytest.approx(1.5 / math.log(2) - mean**2, rel=1e-2)


def test_a_normal_far_from_zero_keeps_its_digits() -> None:
    ours = parse("normal(mean=1e9, sd=0.001, min=1e9)")
    assert ours.mean - 1e9 == pytest.approx(0.001 * math.sqrt(2 / math.pi), rel=1e-3)
    assert ours.variance == pytest.approx(1e-6 * (1 - 2 / math.pi), rel=1e-9)


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [("min=1", {1, 4}), ("min=1.5", {4}), ("max=4", {1, 4}), ("max=3.5", {1}), ("min=0", {1, 4})],
)
def test_a_value_with_a_probability_of_its_own_on_a_bound_is_kept(
    bounds: str, kept: set[float]
) -> None:
    ours = parse(f"mixture(0.5*constant(1), 0.5*constant(4), {bounds})")
    assert ours.mean == sum(kept) / len(kept)
    assert set(draws(ours, 50)) == kept


def test_a_truncation_wider_than_the_support_changes_nothing() -> None:
    ours, whole = parse("uniform(0, 1, min=-5, max=5)"), parse("uniform(0, 1)")
    assert ours.support == whole.support
    assert (ours.mean, ours.variance) == pytest.approx((whole.mean, whole.variance))


def test_a_variance_with_no_digit_left_is_not_negative() -> None:
    assert parse("beta(alpha=28, beta=0.0625, min=0.9999996729120196)").variance >= 0


@pytest.mark.parametrize("text", ["weibull(1000, 0.001)", "gamma(1000, 0.001)", "lognormal(1, 10)"])
def test_the_cdf_is_1_at_the_largest_numbers(text: str) -> None:
    assert parse(text).cdf(1e308) == pytest.approx(1)


def test_the_cdf_jumps_at_a_constant() -> None:
    ours = parse("mixture(0.25*constant(1), 0.75*constant(2))")
    assert [ours.cdf(x) for x in (0.999, 1, 1.999, 2, math.inf)] == [0, 0.25, 0.25, 1, 1]


SAMPLED = (
    "uniform(low=-3, high=2)",
    "normal(mean=50, sd=10)",
    "lognormal(median=0.05, sigma=0.5)",
    "exponential(rate=20)",
    "gamma(shape=0.5, scale=2)",
    "gamma(shape=3, scale=0.1)",
    "weibull(shape=1.5, scale=2)",
    "beta(alpha=2, beta=5, low=10, high=20)",
    "mixture(0.9*normal(mean=50, sd=10), 0.1*normal(mean=90, sd=5))",
    "normal(mean=0.05, sd=0.05, min=0)",
    "lognormal(median=0.05, sigma=1, min=0.1, max=0.2)",
    "mixture(0.7*normal(mean=0, sd=1), 0.3*exponential(rate=1), min=0, max=2)",
)


def draws(distribution: Distribution, count: int, seed: int = 7) -> list[float]:
    sample = distribution.sampler(random.Random(seed))
    return [sample() for _ in range(count)]


def p_value(samples: list[float], distribution: Distribution) -> float:
    """Kolmogorov and Smirnov: how likely samples so far from the cdf are, if drawn from it."""
    return float(stats.kstest(samples, np.vectorize(distribution.cdf)).pvalue)


@pytest.mark.parametrize("text", SAMPLED)
def test_draws_follow_the_cdf(text: str) -> None:
    distribution = parse(text)
    # Seeded, so this never flickers; one wrong seed in a hundred would fail here.
    assert p_value(draws(distribution, 4000), distribution) > 0.01


@pytest.mark.parametrize(
    ("drawn", "claimed"),
    [
        ("normal(mean=50, sd=10)", "normal(mean=51, sd=10)"),
        ("normal(mean=50, sd=10)", "normal(mean=50, sd=12)"),
        ("normal(mean=0.05, sd=0.05)", "normal(mean=0.05, sd=0.05, min=0)"),
        ("gamma(shape=3, scale=0.1)", "gamma(shape=3.2, scale=0.1)"),
        (
            "mixture(0.9*constant(0), 0.1*normal(50, 10), min=1)",
            "mixture(0.9*normal(50, 10), 0.1*normal(90, 5))",
        ),
    ],
)
def test_draws_from_a_slightly_different_distribution_do_not_follow_the_cdf(
    drawn: str, claimed: str
) -> None:
    assert p_value(draws(parse(drawn), 4000), parse(claimed)) < 0.001


@pytest.mark.parametrize("text", SAMPLED)
def test_the_same_seed_draws_the_same_numbers(text: str) -> None:
    assert draws(parse(text), 10) == draws(parse(text), 10)
    assert draws(parse(text), 10) != draws(parse(text), 10, seed=8)


@given(twins=any_twins, q=quantiles, seed=st.integers(0, 2**32))
def test_no_draw_leaves_the_support(twins: Twins, q: float, seed: int) -> None:
    text, twin = twins
    cut = float(twin.ppf(q))
    assume(0.01 < parse(text).cdf(cut) < 0.99)
    for bounds in (f"min={cut}", f"max={cut}"):
        distribution = parse(with_arguments(text, bounds))
        low, high = distribution.support
        assert all(low <= x <= high and math.isfinite(x) for x in draws(distribution, 20, seed))


def test_a_constant_is_drawn_as_it_is() -> None:
    assert draws(parse("constant(0.25)"), 3) == [0.25] * 3


def test_a_part_of_a_mixture_is_drawn_as_often_as_its_weight_says() -> None:
    ones = sum(draws(parse("mixture(0.9*constant(0), 0.1*constant(1))"), 10_000))
    assert stats.binomtest(int(ones), 10_000, 0.1).pvalue > 0.01


@pytest.mark.parametrize("text", SAMPLED)
def test_the_cdf_goes_from_0_to_1(text: str) -> None:
    distribution = parse(text)
    low, high = distribution.support
    assert (distribution.cdf(low), distribution.cdf(high)) == pytest.approx((0, 1), abs=1e-12)
    assert (distribution.cdf(-math.inf), distribution.cdf(math.inf)) == pytest.approx((0, 1))
