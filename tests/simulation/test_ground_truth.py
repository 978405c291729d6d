import random
from statistics import fmean, stdev

import pytest

from randsvc.distributions import parse
from randsvc.simulation.ground_truth import make_outcome_sampler
from tests.support.breaking import faults_of

VALUE = parse("normal(mean=50, sd=10)")


def test_an_outcome_is_the_prediction_plus_noise_of_a_fifth_of_the_spread() -> None:
    draw_outcome = make_outcome_sampler(VALUE, random.Random(1), faults_of())
    errors = [draw_outcome(x) - x for x in range(10_000)]
    assert fmean(errors) == pytest.approx(0, abs=0.1)
    assert stdev(errors) == pytest.approx(2, rel=0.05)


def test_concept_drift_shifts_outcomes_until_it_is_cleared() -> None:
    faults = faults_of()
    draw_outcome = make_outcome_sampler(parse("constant(value=7)"), random.Random(1), faults)
    assert draw_outcome(7.0) == 7.0
    faults.set("outcome-shift", {"by": -3, "duration": 60})
    assert draw_outcome(7.0) == 4.0
    faults.clear()
    assert draw_outcome(7.0) == 7.0
