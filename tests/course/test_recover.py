"""Exercise 4: the solution passes, the starter does not, and each mistake gets its hint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from randsvc.course import EXERCISES
from randsvc.course.recover import choose_distributions
from randsvc.distributions import parse, parse_delay
from randsvc.histograms.binned import Bin, Binned
from tests.support.exercises import Mistake, expect_passed, with_mistake

EXERCISE = EXERCISES[4]


def answer(hint: str, *edits: tuple[str, str]) -> Mistake:
    return Mistake("answer.yaml", edits, hint)


VALUE = "gamma(shape=3.5, scale=10)"
DELAY = "exponential(rate=47)"

MISTAKES = {
    "nothing filled in": answer("value is empty", (VALUE, "")),
    "no YAML": answer("answer.yaml is not YAML", ("seed: 1", "seed: [")),
    "no seed": answer("seed is 'mine', expected a whole number", ("seed: 1", "seed: mine")),
    "no distribution": answer("answer.yaml: value: ", (VALUE, "about 35")),
    "an average": answer(
        "value is constant: an average is only one number of a distribution",
        (VALUE, "constant(value=35)"),
    ),
    "another mean": answer("which is sum divided by count", (VALUE, "gamma(shape=5, scale=10)")),
    "a variance for a standard deviation": answer(
        "yours is too wide; sd is the square root of the variance",
        (VALUE, "normal(mean=35, sd=350)"),
    ),
    "too narrow": answer("yours is too narrow", (VALUE, "normal(mean=35, sd=4)")),
    "another family": answer(
        "the mean is right, but the shape is not", (VALUE, "normal(mean=35, sd=18.7)")
    ),
    "milliseconds": answer("the unit of the metric is seconds", (DELAY, "exponential(rate=0.047)")),
    "a median for a mean": answer(
        "the median of a skewed distribution is not its mean", (DELAY, "exponential(rate=67.8)")
    ),
    "another family of the delay": answer(
        "the mean is right, but the shape is not", (DELAY, "weibull(shape=1.4, scale=0.0233)")
    ),
}


@pytest.fixture(scope="module")
def system() -> Iterator[Any]:
    with EXERCISE.run_system(EXERCISE.read(EXERCISE.solution)) as system:
        yield system


@pytest.mark.native
def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step() -> None:
    assert EXERCISE.grade(EXERCISE.starter).hint == "answer.yaml: value is empty"


@pytest.mark.native
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_its_hint(name: str, system: Any, tmp_path: Path) -> None:
    mistake = MISTAKES[name]
    grade = EXERCISE.grade_on(system, with_mistake(EXERCISE, mistake, tmp_path))
    assert mistake.hint in grade.hint, grade


@pytest.mark.native
def test_a_slightly_inaccurate_fit_passes(system: Any, tmp_path: Path) -> None:
    fit = answer("", (VALUE, "gamma(shape=3.4, scale=10.2)"), (DELAY, "exponential(rate=46)"))
    expect_passed(EXERCISE.grade_on(system, with_mistake(EXERCISE, fit, tmp_path)), EXERCISE)


@pytest.mark.native
def test_endpoints_at_bucket_edges_are_graded(system: Any, tmp_path: Path) -> None:
    flat = Binned(tuple(Bin(low, low + 5, 1000) for low in range(20, 60, 5)), sum=8000 * 40)
    normal = answer("the mean is right, but the shape is not", (VALUE, "normal(mean=40, sd=11.5)"))
    grade = EXERCISE.grade_on({**system, "value": flat}, with_mistake(EXERCISE, normal, tmp_path))
    assert normal.hint in grade.hint, grade


@pytest.mark.parametrize("seed", range(50))
def test_a_seed_has_two_distributions_within_the_buckets(seed: int) -> None:
    value, delay = choose_distributions(seed)
    assert choose_distributions(seed) == (value, delay)
    assert parse(value).cdf(100) > 0.9
    assert parse(value).cdf(0) < 0.01
    assert parse_delay(delay).mean < 0.1
