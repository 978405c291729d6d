"""Exercise 1: the solution passes, the starter does not, and an answer is judged rightly."""

from pathlib import Path

import pytest

from randsvc.course import EXERCISES
from tests.course.corpus import FAMILIES, judging, take_sample
from tests.course.corpus.answer import Answer, write_answer
from tests.support.exercises import expect_passed

pytestmark = pytest.mark.process

EXERCISE = EXERCISES[1]


def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step() -> None:
    hint = EXERCISE.grade(EXERCISE.starter).hint
    assert hint.startswith("GET /metrics gets status 404: add a route")


@pytest.mark.parametrize(("name", "answer"), take_sample("metrics", 12))
def test_an_answer_is_judged_rightly(name: str, answer: Answer) -> None:
    with judging(FAMILIES["metrics"], [answer]) as judge:
        assert not judge.explain(answer), name


def test_a_learner_sees_the_output_of_their_program_and_no_traceback_of_ours(
    tmp_path: Path,
) -> None:
    crash = Answer(edits={"app.py": (("PRICES = {", "PRICES = unknown\nPRICES = {"),)})
    hint = EXERCISE.grade(write_answer(EXERCISE, crash, tmp_path)).hint
    assert "NameError: name 'unknown' is not defined" in hint
    assert "observability" not in hint


def test_a_program_that_does_not_listen_gets_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("randsvc.course.sandbox.START_WITHIN", 1.0)
    (tmp_path / "app.py").write_text("import time\ntime.sleep(60)\n")
    hint = EXERCISE.grade(tmp_path).hint
    assert hint.startswith("app.py does not listen at 127.0.0.1:$PORT within 1 s")


def test_a_folder_without_work_is_named(tmp_path: Path) -> None:
    assert EXERCISE.grade(tmp_path).hint == f"there is no {tmp_path}/app.py"
