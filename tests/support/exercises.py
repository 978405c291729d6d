"""Work of learners, for the tests of the exercises: a solution with a mistake made in it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randsvc.course import Exercise, Grade


@dataclass(frozen=True)
class Mistake:
    """What is replaced in which file of the solution, and what the hint has to say."""

    file: str
    edits: tuple[tuple[str, str], ...]
    hint: str


def with_mistake(exercise: Exercise[Any, Any, Any], mistake: Mistake, folder: Path) -> Path:
    """Copy the solution into a folder, with the mistake."""
    work = Path(shutil.copytree(exercise.solution, folder / "work"))
    path = work / mistake.file
    text = path.read_text()
    for old, new in mistake.edits:
        assert old in text, f"{path.name} of the solution has no {old!r}"
        text = text.replace(old, new)
    path.write_text(text)
    return work


def expect_passed(grade: Grade, exercise: Exercise[Any, Any, Any]) -> None:
    """Every check passed, and none was left out."""
    assert not grade.failed, grade.hint
    assert len(grade.passed) == len(exercise.checks)
