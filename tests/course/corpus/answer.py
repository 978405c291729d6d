"""An answer to an exercise as data: what is changed in the reference solution, or whole files."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from randsvc.course import Exercise, Grade

__all__ = ("Answer", "explain_misjudgement", "write_answer")


@dataclass(frozen=True)
class Answer:
    """An answer, and what its hint has to say; a right answer has no hint."""

    hint: str = ""
    edits: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """By file of the solution, texts and what each is replaced by."""
    files: Mapping[str, str] = field(default_factory=dict)


def write_answer(exercise: Exercise[Any, Any, Any], answer: Answer, folder: Path) -> Path:
    """Write an answer into a new folder below ``folder``."""
    work = Path(shutil.copytree(exercise.solution, folder / "work"))
    for name, edits in answer.edits.items():
        text = (work / name).read_text()
        for old, new in edits:
            assert old in text, f"{name} of the solution has no {old!r}"
            text = text.replace(old, new)
        (work / name).write_text(text)
    for name, text in answer.files.items():
        # So that a configuration can name files where they are.
        (work / name).write_text(text.replace("{folder}", str(work)))
    return work


def explain_misjudgement(answer: Answer, grade: Grade) -> str:
    """Return how a grade is wrong; empty if it is right."""
    if not answer.hint:
        return f"right, but refused: {grade.failed}: {grade.hint}" if grade.failed else ""
    if not grade.failed:
        return "wrong, but passed"
    if answer.hint not in grade.hint:
        return f"another hint: {grade.failed}: {grade.hint}"
    return ""
