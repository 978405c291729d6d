"""An exercise: how to run a learner's work, and what to check in it."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from randsvc.course.handed_in import WorkError, find_file, inspect_work
from randsvc.documents import DocumentError, load_yaml, show
from randsvc.project import ROOT

__all__ = (
    "ANSWER_BYTES",
    "COURSE",
    "MARKING",
    "RUNS",
    "Exercise",
    "Grade",
    "Say",
    "WorkError",
    "read_answer",
)

COURSE = ROOT / "course"
RUNS = "Your work runs"
"""The title of what precedes all checks."""
ANSWER_BYTES = 64 * 1024

MARKING: ContextVar[Path | None] = ContextVar("MARKING", default=None)
"""The folder of all submissions, while other people's work is marked; None for one's own work."""

Say = Callable[[str], None]
Work = TypeVar("Work")
System = TypeVar("System")
Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Grade:
    """The titles of the passed checks, and the first failed check with a hint."""

    passed: tuple[str, ...]
    failed: str = ""
    hint: str = ""
    not_run: tuple[str, ...] = ()
    """The titles of the checks after the failed one."""

    @property
    def score(self) -> float:
        """The share of the checks that passed."""
        number = len(self.passed) + bool(self.failed) + len(self.not_run)
        return len(self.passed) / number if number else 0.0


@dataclass(frozen=True, kw_only=True)
class Exercise(Generic[Work, System, Seen]):
    """An exercise, and how it is graded.

    ``read`` reads the work in a folder, ``run_system`` runs the programs that the work needs, and
    ``observe`` tries the work on them; each may raise ``WorkError``. Each of ``checks`` returns a
    hint, or None if it passes; the first line of its docstring is its title. ``play`` runs the
    system that a seed stands for, for the learner to look at, until KeyboardInterrupt; None if the
    learner runs only their own work.
    """

    number: int
    name: str
    title: str
    read: Callable[[Path], Work]
    run_system: Callable[[Work], AbstractContextManager[System]]
    observe: Callable[[Work, System], Seen]
    checks: Sequence[Callable[[Seen], str | None]]
    play: Callable[[int, Say], None] | None = None

    @property
    def starter(self) -> Path:
        """The folder of the learner's work."""
        return COURSE / "exercises" / self.name

    @property
    def solution(self) -> Path:
        """The folder of one solution."""
        return COURSE / "solutions" / self.name

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the checks."""
        docs = (check.__doc__ or "" for check in self.checks)
        return tuple(doc.partition("\n")[0].removesuffix(".") for doc in docs)

    def grade(self, folder: Path) -> Grade:
        """Run the work in a folder, and grade it."""
        try:
            inspect_work(folder)
            work = self.read(folder)
            with self.run_system(work) as system:
                return self._judge(self.observe(work, system))
        except WorkError as error:
            return self._refuse(error)

    def grade_on(self, system: System, folder: Path) -> Grade:
        """Grade the work in a folder on a running system."""
        try:
            inspect_work(folder)
            return self._judge(self.observe(self.read(folder), system))
        except WorkError as error:
            return self._refuse(error)

    def _refuse(self, error: WorkError) -> Grade:
        return Grade((), RUNS, str(error), self.titles)

    def _judge(self, observed: Seen) -> Grade:
        titles = self.titles
        for number, check in enumerate(self.checks):
            if hint := check(observed):
                return Grade(titles[:number], titles[number], hint, titles[number + 1 :])
        return Grade(titles)


def read_answer(folder: Path, fields: Sequence[str]) -> dict[str, Any]:
    """Return the fields of answer.yaml; raises ``WorkError`` if one is missing or empty."""
    path = find_file(folder, "answer.yaml", ANSWER_BYTES)
    try:
        answer = load_yaml(path)
    except DocumentError as error:
        raise WorkError(f"{path.name} is {error.problem}") from error
    if not isinstance(answer, dict):
        raise WorkError(f"{path.name}: expected the fields {', '.join(fields)}")
    for field in fields:
        if answer.get(field) is None:
            raise WorkError(f"{path.name}: {field} is empty")
        if isinstance(answer[field], Collection) and not isinstance(answer[field], str):
            shown = show(answer[field])
            raise WorkError(f"{path.name}: {field} is {shown}, expected one value")
    if not isinstance(answer["seed"], int) or isinstance(answer["seed"], bool):
        raise WorkError(f"{path.name}: seed is {show(answer['seed'])}, expected a whole number")
    return answer
