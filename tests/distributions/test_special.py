"""The special functions against scipy's, over all shapes that the families allow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special as scipy_special

from randsvc.distributions.special import normal_cdf, regularised_beta, regularised_gamma

shapes = st.floats(0.05, 1002)
# From far in the left tail to far in the right one, as a multiple of the mean.
multiples = st.floats(1e-6, 4)


@given(shape=shapes, multiple=multiples)
def test_the_incomplete_gamma_function_is_that_of_scipy(shape: float, multiple: float) -> None:
    x = shape * multiple
    expected = scipy_special.gammainc(shape, x)
    assert regularised_gamma(shape, x) == pytest.approx(expected, rel=1e-11, abs=1e-11)


@given(a=shapes, b=shapes, multiple=multiples)
def test_the_incomplete_beta_function_is_that_of_scipy(a: float, b: float, multiple: float) -> None:
    x = min(multiple * a / (a + b), 1.0)
    expected = scipy_special.betainc(a, b, x)
    assert regularised_beta(a, b, x) == pytest.approx(expected, rel=1e-11, abs=1e-11)


@given(z=st.floats(-37, 37))
def test_the_normal_cdf_keeps_its_digits_in_the_left_tail(z: float) -> None:
    assert normal_cdf(z) == pytest.approx(scipy_special.ndtr(z), rel=1e-12)


@pytest.mark.parametrize(("x", "expected"), [(-1.0, 0.0), (0.0, 0.0), (1e304, 1.0), (math.inf, 1)])
def test_the_incomplete_gamma_function_has_both_ends(x: float, expected: float) -> None:
    assert regularised_gamma(2.5, x) == expected


@pytest.mark.parametrize(("x", "expected"), [(-1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (2.0, 1.0)])
def test_the_incomplete_beta_function_has_both_ends(x: float, expected: float) -> None:
    assert regularised_beta(0.5, 2.5, x) == expected
