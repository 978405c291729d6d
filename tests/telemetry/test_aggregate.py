import math
from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import Buckets

from randsvc.telemetry.aggregate import (
    MAX_BUCKETS,
    ExplicitAggregate,
    ExponentialAggregate,
    compute_upper_bound,
    find_bucket_index,
)

values = st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1)
magnitudes = st.floats(1e-300, 1e300)
bounds = st.lists(st.integers(-100, 100), min_size=1, unique=True).map(sorted)


@given(st.lists(values, min_size=1), bounds)
def test_batches_count_in_explicit_buckets_as_each_value_alone_would(
    batches: list[list[float]], bounds: list[int]
) -> None:
    aggregate = ExplicitAggregate(bounds)
    expected = [0] * (len(bounds) + 1)
    for batch in batches:
        aggregate.fold(sorted(batch))
        for value in batch:
            expected[bisect_left(bounds, value)] += 1
    assert aggregate.counts == expected


def test_a_value_on_a_bound_belongs_below_it() -> None:
    aggregate = ExplicitAggregate((1, 2))
    aggregate.fold([1.0, 2.0, 2.5])
    assert aggregate.counts == [1, 1, 1]


@given(st.lists(values, min_size=1))
def test_every_value_lies_in_its_exponential_bucket(batches: list[list[float]]) -> None:
    aggregate = ExponentialAggregate()
    for batch in batches:
        aggregate.fold(sorted(batch))
    everything = [value for batch in batches for value in batch]
    for sign, buckets in ((1, aggregate.positive), (-1, aggregate.negative)):
        expected: dict[int, int] = {}
        for value in everything:
            if sign * value > 0:
                index = find_bucket_index(sign * value, aggregate.scale)
                expected[index] = expected.get(index, 0) + 1
        assert buckets == expected
        if buckets:
            assert max(buckets) - min(buckets) < MAX_BUCKETS
    assert aggregate.zeros == sum(value == 0 for value in everything)
    point = aggregate.point({}, 0, 1)
    assert (point.count, point.min, point.max) == (
        len(everything),
        min(everything),
        max(everything),
    )
    assert math.isclose(point.sum, math.fsum(everything), rel_tol=1e-9, abs_tol=1e-3)


@given(magnitudes, st.integers(-8, 12))
def test_a_bucket_bounds_the_values_it_holds(value: float, scale: int) -> None:
    index = find_bucket_index(value, scale)
    # The bounds are floats themselves: a value within rounding of one may lie on either side.
    assert compute_upper_bound(index - 1, scale) <= value * (1 + 1e-9)
    assert value <= compute_upper_bound(index, scale) * (1 + 1e-9)


@given(st.integers(-1000, 1000), st.integers(-8, 20))
def test_a_power_of_two_is_the_upper_bound_of_its_bucket_exactly(power: int, scale: int) -> None:
    index = find_bucket_index(2.0**power, scale)
    assert index == math.ceil(math.ldexp(power, scale)) - 1


def test_the_resolution_halves_until_the_range_fits() -> None:
    aggregate = ExponentialAggregate()
    aggregate.fold([1.0])
    assert aggregate.scale == 20
    aggregate.fold([1.0, 1024.0])  # 10 doublings in 160 buckets: 16 a doubling
    assert aggregate.scale == 3  # 161 buckets at scale 4, as both ends are powers of two
    assert aggregate.point({}, 0, 1).positive == Buckets(-1, [2] + [0] * 79 + [1])
