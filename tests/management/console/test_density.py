import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from randsvc.distributions import parse
from randsvc.management.console.density import (
    compute_density,
    find_central_range,
    join_buckets,
    measure_distance,
    subtract,
)
from randsvc.metrics import VALUE
from randsvc.telemetry.snapshot import Exponential, _reduce_to_point
from tests.support.metering import meter_of
from tests.support.reading import measured as read

EMPTY = Exponential(scale=20)


def measured(*batches: list[float]) -> list[Exponential]:
    """The state of a histogram after each batch."""
    reader = InMemoryMetricReader()
    record = meter_of(reader).create_histogram(**VALUE.arguments).bind()
    states = []
    for batch in batches:
        for value in batch:
            record(value)
        (point,) = read(reader.get_metrics_data())[VALUE.name].values()
        state = _reduce_to_point(point)
        assert isinstance(state, Exponential)
        states.append(state)
    return states


def drawn(text: str, number: int) -> list[float]:
    draw = parse(text).sampler(random.Random(1))
    return [draw() for _ in range(number)]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_each_bar_counts_what_was_observed_between_its_edges(values: list[float]) -> None:
    (state,) = measured(values)
    found = join_buckets(state, EMPTY, parse("normal(mean=0, sd=1)"))
    assert found.edges == sorted(set(found.edges))
    for (low, high), count in zip(pairwise(found.edges), found.counts, strict=True):
        # An edge is computed, so a value on it may count on either side.
        surely = sum(low * (1 + 1e-9) < v < high * (1 - 1e-9) for v in values if low > 0)
        assert count >= surely
    assert sum(found.counts) == len(values)  # too few for a tail to be left out


def test_bars_get_finer_as_observations_get_more() -> None:
    few, many = measured(drawn("normal(mean=50, sd=10)", 100), drawn("normal(50, 10)", 9900))
    real = parse("normal(mean=50, sd=10)")
    assert len(join_buckets(few, EMPTY, real).counts) * 3 < len(
        join_buckets(many, EMPTY, real).counts
    )


@pytest.mark.parametrize(
    "text",
    ["normal(mean=50, sd=10)", "lognormal(median=0.05, sigma=0.5)", "normal(mean=0, sd=1)"],
)
def test_bars_follow_the_true_distribution(text: str) -> None:
    real = parse(text)
    (state,) = measured(drawn(text, 20_000))
    found = join_buckets(state, EMPTY, real)
    shares = [count / state.count for count in found.counts]
    far = sum(abs(a - b) for a, b in zip(shares, found.expected, strict=True))
    assert far < 0.06  # the noise of 55 bars of 20,000: sum of sqrt(2 p / (pi n))


def test_recent_observations_are_separated_although_the_buckets_became_coarser() -> None:
    before, after = measured([50.0, 51.0], [52.0, 52.0, 90.0, 0.1, -3.0, 0.0])
    assert before.scale > after.scale
    recent = subtract(after, before)
    assert recent.count == 6
    assert recent.zeros == 1
    found = join_buckets(after, recent, parse("normal(mean=50, sd=10)"))
    assert (sum(found.counts), sum(found.recent)) == (8, 6)


def test_without_an_earlier_state_all_is_recent() -> None:
    (state,) = measured([1.0])
    assert subtract(state, None) is state


@pytest.mark.parametrize("value", [7.0, 0.0, -2.5])
def test_a_single_value_over_and_over_is_one_bar(value: float) -> None:
    (state,) = measured([value] * 50)
    found = join_buckets(state, state, parse(f"constant({value})"))
    assert [count for count in found.counts if count] == [50]


@pytest.mark.parametrize(
    "text", ["normal(50, 10)", "exponential(1)", "constant(3)", "beta(0.5, 0.5)", "uniform(-1, 1)"]
)
def test_the_true_density_integrates_to_nearly_one(text: str) -> None:
    real = parse(text)
    curve = compute_density(real)
    step = curve["x"][1] - curve["x"][0]
    assert sum(curve["density"]) * step == pytest.approx(1, abs=0.0025)


def test_the_true_range_leaves_a_thousandth_out_on_each_side() -> None:
    real = parse("lognormal(median=0.05, sigma=0.5)")
    shown = find_central_range(real)
    assert real.cdf(shown.low) == pytest.approx(0.001, rel=0.01)
    assert real.cdf(shown.high) == pytest.approx(0.999, rel=0.01)


@pytest.mark.parametrize(("text", "drifted"), [("normal(50, 10)", False), ("normal(60, 10)", True)])
def test_the_distance_is_that_of_chance_unless_something_has_changed(
    text: str, *, drifted: bool
) -> None:
    (state,) = measured(drawn(text, 1000))
    found = measure_distance(join_buckets(state, state, parse("normal(50, 10)")), state.count)
    assert (found.d1 > 3 * found.chance) == drifted
    assert found.d1 < 2


def test_the_distance_of_what_has_nothing_in_common_is_2() -> None:
    (state,) = measured([500.0] * 100)
    found = join_buckets(state, state, parse("normal(50, 10)"))
    assert measure_distance(found, 100).d1 == pytest.approx(2, abs=0.01)
