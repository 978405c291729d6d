"""The benchmark of drift finds what is there, and counts what it says it counts."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.drift import (
    DELAY,
    HEALTHY,
    RHYTHMS,
    VALUE,
    Quiet,
    compute_divergence,
    detect,
    draw_month,
    of_values,
    sum_windows,
)
from randsvc.rules.cusum import LIMIT, make_changes


def test_the_divergence_of_a_shift_is_half_of_its_square() -> None:
    assert compute_divergence(make_changes(0.5)["higher"]) == pytest.approx(0.125, rel=1e-3)


def test_healthy_values_are_no_evidence_and_changed_ones_are() -> None:
    for judge, cdf in HEALTHY.values():
        assert (judge.share(cdf) @ judge.weights < 0).all()
    wider = of_values(make_changes(0.5)["wider"])
    assert (VALUE.share(wider) @ VALUE.weights > 0).any()
    slower = stats.lognorm(0.5, scale=0.07).cdf
    assert (DELAY.share(slower) @ DELAY.weights > 0).any()


def test_a_change_is_found_soon_after_the_limit() -> None:
    changes = make_changes(0.5)
    found = detect(RHYTHMS[1], 15, "higher", 0.5, changes["higher"], 50)
    # By 1/8 nats a value.
    assert found.limit == pytest.approx(np.log(2e6 * 15) * 8 / 15, rel=1e-3)
    assert found.limit * 0.8 < found.mean < found.target
    assert found.is_met


def test_a_month_has_every_metric_and_every_evaluation() -> None:
    found = draw_month(RHYTHMS[1], 3600, lambda _: None)
    assert [quiet.name for quiet in found] == [*HEALTHY, "segment", "bias"]
    assert [quiet.looks for quiet in found[: len(HEALTHY)]] == [1800] * len(HEALTHY)
    assert all(0 < quiet.highest < LIMIT for quiet in found[: len(HEALTHY)])
    assert not any(quiet.alerts for quiet in found)


def test_a_window_holds_what_its_steps_have_counted() -> None:
    counts = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    assert sum_windows(counts, 3).ravel().tolist() == [7.0, 14.0, 28.0]


def test_an_alert_is_a_condition_that_holds_for_as_long_as_it_must() -> None:
    quiet = Quiet("value")
    holds = np.array([True, True, False, True, True, True, True])
    quiet.note(holds, holds, needed=3)
    assert (quiet.looks, quiet.significant, quiet.alerts) == (7, 6, 1)
