"""Answers of learners that cannot be read."""

from pathlib import Path

import pytest

from randsvc.course import EXERCISES
from randsvc.course.exercise import WorkError
from tests.test_documents import LAUGHS

ANSWERS = (4, 5)
"""The exercises whose answer is answer.yaml."""


@pytest.mark.parametrize("number", ANSWERS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "- x\n"),
        ("seed: ", "seed: !!int x\nother: "),
        ("seed: ", "seed: 2024-99-99\nother: "),
        ("seed: ", f"{LAUGHS}seed: *a9\nother: "),
        ("seed: ", "seed: {a: 1}\nother: "),
    ],
)
def test_an_answer_that_cannot_be_read_is_one_short_line(
    number: int, old: str, new: str, tmp_path: Path
) -> None:
    exercise = EXERCISES[number]
    answer = (exercise.solution / "answer.yaml").read_text()
    (tmp_path / "answer.yaml").write_text(answer.replace(old, new, 1))
    with pytest.raises(WorkError, match=r"^answer\.yaml[^\n]{1,300}$"):
        exercise.read(tmp_path)


@pytest.mark.parametrize(
    "board",
    [
        '{"panels": [1]}',
        '{"panels": [{"panels": 1}]}',
        '{"panels": [{"targets": {"expr": "up"}}]}',
        '{"panels": [{"targets": ["up"]}]}',
        '{"panels": [{"fieldConfig": []}, {"fieldConfig": [1]}]}',
        '{"panels": [{"fieldConfig": {"defaults": 1}}]}',
        "[" * 100_000,
    ],
)
def test_a_dashboard_that_is_none_is_one_short_line(board: str, tmp_path: Path) -> None:
    (tmp_path / "dashboard.json").write_text(board)
    with pytest.raises(WorkError, match=r"^dashboard\.json[^\n]{1,300}$"):
        EXERCISES[3].read(tmp_path)
