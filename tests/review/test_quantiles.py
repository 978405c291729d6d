"""Quantiles of what was counted in buckets."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from randsvc.review.quantiles import find_quantile

BOUNDS = np.array([0.1, 0.5, 1.0, math.inf])


@pytest.mark.parametrize(
    ("q", "value", "low", "high"),
    [(0.5, 0.1, 0.0, 0.1), (0.7, 0.3, 0.1, 0.5), (0.95, 0.75, 0.5, 1.0)],
)
def test_it_is_interpolated_as_histogram_quantile_does(
    q: float, value: float, low: float, high: float
) -> None:
    found = find_quantile(q, BOUNDS, np.array([50.0, 90.0, 100.0, 100.0]))
    assert (found.low, found.high) == (low, high)
    assert found.value == pytest.approx(value)


def test_beyond_the_last_bound_only_that_is_known() -> None:
    found = find_quantile(0.99, BOUNDS, np.array([50.0, 90, 95, 100]))
    assert (found.value, found.text) == (None, "over 1 s")


def test_of_nothing_nothing_is_known() -> None:
    found = find_quantile(0.5, BOUNDS, np.zeros(4))
    assert (found.value, found.text) == (None, "n/a")


@given(st.lists(st.integers(0, 100), min_size=4, max_size=4).filter(any), st.floats(0.01, 1))
def test_it_lies_in_a_bucket_that_holds_something(counts: list[int], q: float) -> None:
    rising = np.cumsum(counts).astype(float)
    found = find_quantile(q, BOUNDS, rising)
    at = list(BOUNDS).index(found.high)
    assert counts[at] > 0
    assert rising[at] >= q * rising[-1]
