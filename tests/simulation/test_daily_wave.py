"""The wave starts at night, peaks at noon, repeats, and never asks for fewer than no requests."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from randsvc.simulation.daily_wave import compute_rate


def test_the_wave_starts_at_its_trough() -> None:
    assert compute_rate(0, mean=15, amplitude=10, period=600) == 5


def test_the_peak_comes_after_half_a_period() -> None:
    assert compute_rate(300, mean=15, amplitude=10, period=600) == 25


def test_the_mean_comes_after_a_quarter_of_a_period() -> None:
    assert compute_rate(150, mean=15, amplitude=10, period=600) == pytest.approx(15)


def test_the_wave_repeats_after_a_period() -> None:
    first, second = (compute_rate(t, mean=15, amplitude=10, period=600) for t in (123, 723))
    assert second == pytest.approx(first)


def test_an_amplitude_of_zero_is_steady() -> None:
    assert {compute_rate(t, mean=15, amplitude=0, period=600) for t in range(600)} == {15}


@given(
    seconds=st.floats(-1e9, 1e9),
    mean=st.floats(0, 1e6),
    share=st.floats(0, 1),
    period=st.floats(1e-3, 1e6),
)
def test_the_rate_stays_between_trough_and_peak(
    seconds: float, mean: float, share: float, period: float
) -> None:
    amplitude = mean * share
    rate = compute_rate(seconds, mean=mean, amplitude=amplitude, period=period)
    assert 0 <= mean - amplitude <= rate <= mean + amplitude


@pytest.mark.parametrize("amplitude", [-1, 15.1, math.nan])
def test_an_amplitude_that_makes_a_negative_rate_is_refused(amplitude: float) -> None:
    with pytest.raises(ValueError, match=r"^amplitude=\S+: expected a number from 0 to .* 15$"):
        compute_rate(0, mean=15, amplitude=amplitude, period=600)


@pytest.mark.parametrize("mean", [math.inf, math.nan, -1])
def test_a_mean_that_is_not_a_rate_is_refused(mean: float) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to the mean"):
        compute_rate(0, mean=mean, amplitude=0, period=600)


@pytest.mark.parametrize("period", [0, -600, math.inf, math.nan])
def test_a_period_that_is_not_positive_is_refused(period: float) -> None:
    with pytest.raises(ValueError, match=r"^period=.*: expected a positive number of seconds$"):
        compute_rate(0, mean=15, amplitude=10, period=period)
