"""Exercise 3: the solution passes, the starter does not, and answers are judged rightly."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from randsvc.course import EXERCISES
from randsvc.course.promql import has_data
from tests.course.corpus import FAMILIES, Judge, judging, take_sample
from tests.course.corpus.answer import Answer
from tests.support.exercises import expect_passed

pytestmark = pytest.mark.native

EXERCISE = EXERCISES[3]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with judging(FAMILIES["dashboards"], []) as judge:
        yield judge


def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step() -> None:
    hint = EXERCISE.grade(EXERCISE.starter).hint
    assert hint.startswith("the panel Traffic has no query")


@pytest.mark.parametrize(("name", "answer"), take_sample("dashboards", 20))
def test_an_answer_is_judged_rightly(name: str, answer: Answer, judge: Judge) -> None:
    assert not judge.explain(answer), name


def test_a_query_that_has_no_data_since_a_missed_scrape_had_data(judge: Judge) -> None:
    a_while_ago = f"vector(1) and on () vector(time()) < {time.time() - 5:.0f}"
    assert has_data(judge.system, a_while_ago)
    assert not has_data(judge.system, "vector(1) < 1")


def test_a_folder_without_work_is_named(tmp_path: Path) -> None:
    assert EXERCISE.grade(tmp_path).hint == f"there is no {tmp_path}/dashboard.json"
