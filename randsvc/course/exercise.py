"""What every exercise is: how a learner's work is run, and what is looked at in it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from randsvc.project import ROOT

__all__ = ("COURSE", "Exercise", "Grade", "Say", "WorkError", "read_answer")

COURSE = ROOT / "course"

Say = Callable[[str], None]
Work = TypeVar("Work")
System = TypeVar("System")
Seen = TypeVar("Seen")


class WorkError(Exception):
    """The work cannot be run: what is wrong with it, in one line, and its own last lines."""


@dataclass(frozen=True)
class Grade:
    """What was found: titles of the checks that passed, and the first that did not, with a hint."""

    passed: tuple[str, ...]
    failed: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Exercise(Generic[Work, System, Seen]):
    """An exercise, and how it is graded.

    ``read`` makes the work of a folder, ``system`` runs what is needed to try it, and ``observe``
    tries it there; each may raise ``WorkError``. ``checks`` then give a hint each, or None where
    there is nothing to say; the first line of their docstrings is what people see. ``play`` runs
    what the learner looks at, made from a seed, until KeyboardInterrupt; None where that is the
    learner's own work.
    """

    number: int
    name: str
    title: str
    read: Callable[[Path], Work]
    system: Callable[[Work], AbstractContextManager[System]]
    observe: Callable[[Work, System], Seen]
    checks: Sequence[Callable[[Seen], str | None]]
    play: Callable[[int, Say], None] | None = None

    @property
    def starter(self) -> Path:
        """The folder that the learner works in."""
        return COURSE / "exercises" / self.name

    @property
    def solution(self) -> Path:
        """The folder of one way to do it."""
        return COURSE / "solutions" / self.name

    def grade(self, folder: Path) -> Grade:
        """Run the work in a folder, and judge it."""
        try:
            work = self.read(folder)
            with self.system(work) as system:
                return self._judged(self.observe(work, system))
        except WorkError as error:
            return _cannot_be_run(error)

    def grade_on(self, system: System, folder: Path) -> Grade:
        """The same on a system that runs already, for one work after the other."""
        try:
            return self._judged(self.observe(self.read(folder), system))
        except WorkError as error:
            return _cannot_be_run(error)

    def _judged(self, seen: Seen) -> Grade:
        passed: list[str] = []
        for check in self.checks:
            title = (check.__doc__ or "").partition("\n")[0].removesuffix(".")
            if hint := check(seen):
                return Grade(tuple(passed), title, hint)
            passed.append(title)
        return Grade(tuple(passed))


def read_answer(folder: Path, fields: Sequence[str]) -> dict[str, Any]:
    """Give the fields of answer.yaml, all of them filled in; raises ``WorkError``."""
    path = folder / "answer.yaml"
    if not path.is_file():
        raise WorkError(f"there is no {path}")
    try:
        answer = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise WorkError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(answer, dict):
        raise WorkError(f"{path.name}: expected {', '.join(fields)}")
    for field in fields:
        if answer.get(field) is None:
            raise WorkError(f"{path.name}: {field} is still to be filled in")
    if not isinstance(answer["seed"], int):
        raise WorkError(f"{path.name}: seed is {answer['seed']!r}, expected a whole number")
    return answer


def _cannot_be_run(error: WorkError) -> Grade:
    return Grade((), "Your work can be run", str(error))
