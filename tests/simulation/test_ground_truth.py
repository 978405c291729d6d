import random
from statistics import fmean, stdev

import pytest

from randsvc.distributions import parse
from randsvc.simulation.ground_truth import world
from tests.support.breaking import faults_of

VALUE = parse("normal(mean=50, sd=10)")


def test_the_truth_is_what_can_be_predicted_and_noise_of_a_fifth_of_the_spread() -> None:
    truth = world(VALUE, random.Random(1), faults_of())
    errors = [truth(x) - x for x in range(10_000)]
    assert fmean(errors) == pytest.approx(0, abs=0.1)
    assert stdev(errors) == pytest.approx(2, rel=0.05)


def test_a_world_that_changes_shifts_the_truth_until_it_reverts() -> None:
    faults = faults_of()
    truth = world(parse("constant(value=7)"), random.Random(1), faults)
    assert truth(7.0) == 7.0
    faults.set("truth-shift", {"by": -3, "duration": 60})
    assert truth(7.0) == 4.0
    faults.clear()
    assert truth(7.0) == 7.0
