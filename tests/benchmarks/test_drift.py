"""The benchmark of drift judges as the rules do, and counts what it says it counts."""

import numpy as np
import pytest

from benchmarks.drift import RHYTHMS, SD, VALUE, Quiet, power, windowed
from randsvc.rules.drift import compute_ks_floor
from tests.support.drift_reference import Buckets, distances, shares, wasserstein


def test_a_sample_is_judged_as_by_the_formulas() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(53, 9, 500)
    counts = VALUE.counts(values, np.zeros(500, dtype=int), 1)
    (n,), (ks,), (per_sd,) = VALUE.judge(counts, 1.1)
    buckets = Buckets(VALUE.bounds[:-1], VALUE.bounds[1:], counts[0])
    it = VALUE.described
    p = shares(buckets, it)
    now = [buckets.quantile(float(level)) for level in it.quantiles]
    assert n == pytest.approx(550)
    assert ks == pytest.approx(distances(p, np.array(list(it.shares.values())))["ks"])
    far = wasserstein(now, list(it.quantiles.values())) / it.statistics["stddev"]
    assert per_sd == pytest.approx(far)


def test_a_window_holds_the_gains_between_its_scrapes() -> None:
    counts = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    assert windowed(counts, 3).ravel().tolist() == [6.0, 12.0, 24.0]


def test_an_alert_is_a_condition_that_holds_for_as_long_as_it_must() -> None:
    quiet = Quiet("value")
    holds = np.array([True, True, False, True, True, True, True])
    quiet.note(holds, holds, needed=3)
    assert (quiet.looks, quiet.significant, quiet.alerts) == (7, 6, 1)


def test_a_large_shift_is_found_at_once_and_none_is_not() -> None:
    large = power(RHYTHMS[1], 30, 2.0, 3)
    assert large.minor.median() <= large.major.median() < 20
    none = power(RHYTHMS[1], 30, 0.0, 3)
    assert np.isinf(none.minor.times).all()


def test_a_floor_is_lower_the_more_values_there_are() -> None:
    floors = compute_ks_floor(np.array([100.0, 1000.0, 10_000.0]), 1e6)
    assert (np.diff(floors) < 0).all()
    assert floors[1] == pytest.approx(compute_ks_floor(1000.0, 1e6))
    assert SD == 10
