"""Exercise 2: the solution passes, the starter does not, and answers are judged rightly."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from randsvc.course import EXERCISES
from tests.course.corpus import FAMILIES, Judge, judging, take_sample
from tests.course.corpus.answer import Answer
from tests.support.exercises import expect_passed

pytestmark = pytest.mark.native

EXERCISE = EXERCISES[2]


SAMPLE = take_sample("configuration", 7) + take_sample("queries", 7)


def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step() -> None:
    hint = EXERCISE.grade(EXERCISE.starter).hint
    assert hint == "prometheus.yml has no job randsvc: scrape_configs is empty"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with judging(FAMILIES["configuration"], []) as judge:
        yield judge


@pytest.mark.parametrize(("name", "answer"), SAMPLE)
def test_an_answer_is_judged_rightly(name: str, answer: Answer, judge: Judge) -> None:
    assert not judge.explain(answer), name


def test_a_machine_that_is_too_busy_for_the_first_scrapes_is_given_longer(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("randsvc.course.configure.INTERVAL", "1ms")
    monkeypatch.setattr("randsvc.course.configure.LONGER_INTERVAL", "500ms")
    assert not judge.explain(Answer())


def test_a_folder_without_work_is_named(tmp_path: Path) -> None:
    assert EXERCISE.grade(tmp_path).hint == f"there is no {tmp_path}/prometheus.yml"


def test_rule_files_may_have_absolute_paths(tmp_path: Path) -> None:
    shutil.copytree(EXERCISE.solution, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "prometheus.yml"
    text = config.read_text()
    relative = EXERCISE.read(tmp_path)
    pattern = str(next(iter(relative.config["rule_files"])))
    config.write_text(text.replace(pattern, str(tmp_path / pattern)))
    absolute = EXERCISE.read(tmp_path)
    assert absolute.rule_files == relative.rule_files
    assert absolute.rules == relative.rules
