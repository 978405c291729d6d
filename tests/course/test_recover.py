"""Exercise 4: the solution passes, the starter does not, and answers are judged rightly."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from randsvc.course import EXERCISES
from randsvc.course.recover import choose_distributions
from randsvc.distributions import parse, parse_delay
from randsvc.histograms.binned import Bin, Binned
from tests.course.corpus import FAMILIES, Judge, take_sample
from tests.course.corpus.answer import Answer
from tests.support.exercises import expect_passed

EXERCISE = EXERCISES[4]
SAMPLE = [
    each
    for each in take_sample("recovery", 50)
    if not re.search(r"^seed: (?!1\n)\d", each[1].files.get("answer.yaml", ""), re.MULTILINE)
]
"""Of one seed, as each seed has a system of its own."""


@pytest.fixture(scope="module")
def system() -> Iterator[Any]:
    with EXERCISE.run_system(EXERCISE.read(EXERCISE.solution)) as system:
        yield system


@pytest.mark.native
def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step() -> None:
    assert EXERCISE.grade(EXERCISE.starter).hint == "answer.yaml: value is empty"


@pytest.fixture(scope="module")
def judge(system: Any) -> Judge:
    return Judge(FAMILIES["recovery"], {1: system})


@pytest.mark.native
@pytest.mark.parametrize(("name", "answer"), SAMPLE)
def test_an_answer_is_judged_rightly(name: str, answer: Answer, judge: Judge) -> None:
    assert not judge.explain(answer), name


@pytest.mark.native
def test_an_answer_is_judged_by_the_same_numbers_each_time(system: Any) -> None:
    with EXERCISE.run_system(EXERCISE.read(EXERCISE.solution)) as again:
        for what in ("value", "delay"):
            assert again[what].bins == system[what].bins


@pytest.mark.native
def test_endpoints_at_bucket_edges_are_graded(system: Any, tmp_path: Path) -> None:
    flat = Binned(tuple(Bin(low, low + 5, 1000) for low in range(20, 60, 5)), sum=8000 * 40)
    text = "seed: 1\nvalue: normal(mean=40, sd=11.5)\ndelay: exponential(rate=47)\n"
    (tmp_path / "answer.yaml").write_text(text)
    grade = EXERCISE.grade_on({**system, "value": flat}, tmp_path)
    assert "the mean is right, but the shape is not" in grade.hint, grade


@pytest.mark.parametrize("seed", range(50))
def test_a_seed_has_two_distributions_within_the_buckets(seed: int) -> None:
    value, delay = choose_distributions(seed)
    assert choose_distributions(seed) == (value, delay)
    assert parse(value).cdf(100) > 0.9
    assert parse(value).cdf(0) < 0.01
    assert parse_delay(delay).mean < 0.1
