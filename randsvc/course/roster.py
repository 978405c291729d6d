"""Grades the submissions of a class side by side."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randsvc.course.exercise import ANSWER_BYTES, MARKING, RUNS, Exercise, Grade
from randsvc.course.handed_in import SKIPPED, WorkError, find_file, inspect_work, walk
from randsvc.documents import DocumentError, load_yaml
from randsvc.stack.build import BuildError

__all__ = ("Submission", "find_submissions", "grade_submissions", "list_people")

DEPTH = 3
"""Folders below that of a person in which a file of an exercise is looked for."""
FILES = {1: "app.py", 2: "prometheus.yml", 3: "dashboard.json", 4: "answer.yaml", 5: "answer.yaml"}
"""The file by which the work for an exercise is recognized."""


@dataclass(frozen=True)
class Submission:
    """The work of a person for an exercise."""

    person: str
    exercise: int
    folder: Path


def list_people(folder: Path) -> list[Path]:
    """Return the folders of the people, by name."""
    return sorted(each for each in folder.iterdir() if each.is_dir() and each.name not in SKIPPED)


def find_submissions(folder: Path, numbers: Collection[int]) -> list[Submission]:
    """Return the work for some exercises in the folders of ``folder``, one for each person."""
    return [
        Submission(person.name, number, found)
        for person in list_people(folder)
        for number in sorted(numbers)
        if (found := _find_work(person, number))
    ]


def _find_work(folder: Path, number: int) -> Path | None:
    files = [path for path in walk(folder, DEPTH) if path.name == FILES[number]]
    fitting = [path for path in files if number not in (4, 5) or _guess_answer(path) == number]
    found = min(fitting, key=lambda path: len(path.parts), default=None)
    return found.parent if found else None


def _guess_answer(path: Path) -> int:
    """Return the exercise of an answer.yaml: only that of an incident has a fault."""
    answer: object = path.parent.name.replace("incident", "fault")
    # What cannot be read gets a grade that says why.
    with suppress(WorkError, OSError):
        inspect_work(path.parent)
        file = find_file(path.parent, path.name, ANSWER_BYTES)
        try:
            answer = load_yaml(file)
        except DocumentError:
            answer = file.read_text(errors="replace")
    return 5 if isinstance(answer, Collection) and "fault" in answer else 4


def grade_submissions(
    submissions: Sequence[Submission],
    exercises: Mapping[int, Exercise[Any, Any, Any]],
    *,
    root: Path,
    jobs: int,
) -> Iterator[tuple[Submission, Grade]]:
    """Grade submissions, ``jobs`` at a time, and yield each grade when it is there.

    ``root`` is the folder of all submissions, which the programs of learners cannot read. Work that
    cannot be graded gets a grade that says why; raises ``BuildError``.
    """

    def grade(submission: Submission) -> Grade:
        MARKING.set(root)
        exercise = exercises[submission.exercise]
        person = root / submission.person
        if person.is_symlink():
            reason = f"{person.name} is a link to {person.readlink()}: hand in a folder"
            return Grade((), RUNS, reason, exercise.titles)
        try:
            return exercise.grade(submission.folder.resolve())
        except BuildError:
            raise
        except Exception as error:
            # The work of one person must not end the grading of all others.
            reason = f"it could not be graded: {type(error).__name__}: {error}"
            return Grade((), RUNS, reason, exercise.titles)

    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(grade, submission): submission for submission in submissions}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)
