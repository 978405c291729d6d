"""What every exercise is: how a learner's work is run, and what is looked at in it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ("COURSE", "Exercise", "Grade", "WorkError")

COURSE = Path(__file__).parents[2] / "docs" / "course"

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
    there is nothing to say; the first line of their docstrings is what people see.
    """

    number: int
    name: str
    title: str
    read: Callable[[Path], Work]
    system: Callable[[Work], AbstractContextManager[System]]
    observe: Callable[[Work, System], Seen]
    checks: Sequence[Callable[[Seen], str | None]]

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
                return self.judge(work, system)
        except WorkError as error:
            return _cannot_be_run(error)

    def judge(self, work: Work, system: System) -> Grade:
        """Judge work on a system that runs: several can be, one after the other."""
        try:
            seen = self.observe(work, system)
        except WorkError as error:
            return _cannot_be_run(error)
        passed: list[str] = []
        for check in self.checks:
            title = (check.__doc__ or "").partition("\n")[0].removesuffix(".")
            if hint := check(seen):
                return Grade(tuple(passed), title, hint)
            passed.append(title)
        return Grade(tuple(passed))


def _cannot_be_run(error: WorkError) -> Grade:
    return Grade((), "Your work can be run", str(error))
