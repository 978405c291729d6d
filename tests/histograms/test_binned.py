"""Quantiles of values that are counted in bins."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from randsvc.histograms.binned import Bin, estimate_quantile

BINS = (Bin(0, 1, 50), Bin(1, 2, 0), Bin(2, 4, 40), Bin(4, math.inf, 10))


@pytest.mark.parametrize(("q", "value"), [(0.25, 0.5), (0.5, 1), (0.7, 3), (0.9, 4), (0.95, None)])
def test_a_quantile_is_linear_within_its_bin(q: float, value: float | None) -> None:
    found = estimate_quantile(BINS, q)
    assert found is not None
    assert found.value == (None if value is None else pytest.approx(value))


def test_nothing_has_no_quantile() -> None:
    assert estimate_quantile([], 0.5) is None
    assert estimate_quantile([Bin(0, 1, 0)], 0.5) is None


@given(st.lists(st.integers(0, 100), min_size=1, max_size=9).filter(any), st.floats(0, 1))
def test_a_quantile_lies_in_a_bin_that_holds_something(counts: list[int], q: float) -> None:
    bins = [Bin(*ends, n) for ends, n in zip(pairwise(range(10)), counts, strict=False)]
    found = estimate_quantile(bins, q)
    assert found is not None
    assert found.value is not None
    assert found.bin.count
    assert found.bin.lower <= found.value <= found.bin.upper
