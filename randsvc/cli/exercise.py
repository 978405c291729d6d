"""``randsvc exercise``: list, show, run and check the exercises of the course, in a clone."""

import json
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter, validators
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from randsvc.errors import ConfigurationError
from randsvc.project import ROOT
from randsvc.stack.build import BuildError
from randsvc.stack.programs import StackError

if TYPE_CHECKING:
    from randsvc.course import Exercise, Grade

__all__ = ("exercise_app",)

Number = Annotated[int, Parameter(help="Number of the exercise.")]
exercise_app = App(
    name="exercise",
    help="Show, run and check the exercises of the course in course/.",
    help_format="plaintext",
    config=(),
)


@exercise_app.command(name="list")
def list_() -> None:
    """List the exercises and their folders."""
    console = Console(highlight=False, soft_wrap=True)
    for number, exercise in _exercises().items():
        console.print(f"{number}  {exercise.title:<50}  {_shown(exercise.starter)}", markup=False)


@exercise_app.command
def show(number: Number) -> None:
    """Show the task of an exercise."""
    text = (_exercise(number).starter / "README.md").read_text(encoding="utf-8")
    Console(highlight=False).print(Markdown(text))


@exercise_app.command
def check(
    number: Number,
    *,
    work: Annotated[
        Path | None, Parameter(help="Folder of your work; default: the folder of the exercise.")
    ] = None,
    json_: Annotated[
        bool, Parameter(name="--json", negative="", help="Print the grade as JSON.")
    ] = False,
    gradescope: Annotated[
        bool,
        Parameter(negative="", help="Print Gradescope's results.json; the exit code is 0."),
    ] = False,
) -> None:
    """Run your work, and report what works and what is missing.

    The exit code is 1 if anything is missing.
    """
    exercise = _exercise(number)
    folder = work or exercise.starter
    if not folder.is_dir():
        raise ConfigurationError(f"--work {folder}: expected a folder such as {exercise.starter}")
    console = Console(highlight=False, soft_wrap=True)
    is_for_people = not (json_ or gradescope)
    if is_for_people:
        console.print(f"{number}. {exercise.title}: {_shown(folder)}", markup=False)
    began = time.monotonic()
    with console.status("running your work"):
        try:
            grade = exercise.grade(folder.resolve())
        except (BuildError, StackError) as error:
            raise ConfigurationError(str(error)) from error
    if is_for_people:
        _print_grade(console, grade)
    else:
        from randsvc.course import grade_report

        content = (
            grade_report.to_gradescope(grade, time.monotonic() - began)
            if gradescope
            else grade_report.to_json(exercise, folder, grade)
        )
        console.print(json.dumps(content, indent=1), markup=False)
    if number == 1:
        _warn_of_gap()
    if grade.failed and not gradescope:
        raise SystemExit(1)


def _print_grade(console: Console, grade: "Grade") -> None:
    for title in grade.passed:
        console.print(f"[green]✓[/green] {title}")
    if grade.failed:
        console.print(f"[red]✗[/red] {grade.failed}")
        console.print(f"  {grade.hint}", markup=False)
    else:
        console.print("Passed.")


def _warn_of_gap() -> None:
    from randsvc.course.sandbox import find_gap

    if gap := find_gap():
        Console(stderr=True, soft_wrap=True).print(f"Run only work that you trust: {gap}")


@exercise_app.command
def roster(
    folder: Annotated[Path, Parameter(help="Folder with a folder for each person.")],
    *,
    exercise: Annotated[
        tuple[int, ...],
        Parameter(negative="", help="Only this exercise; once for each. Default: all."),
    ] = (),
    jobs: Annotated[
        int, Parameter(help="Submissions graded at a time.", validator=validators.Number(gte=1))
    ] = 2,
    json_: Annotated[
        bool, Parameter(name="--json", negative="", help="Print the grades as JSON.")
    ] = False,
) -> None:
    """Grade the work of a class, and show a table; the work is found by its file names."""
    exercises = _exercises()
    for number in exercise:
        _exercise(number)
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder: expected a folder for each person in it")
    from randsvc.course import grade_report
    from randsvc.course.roster import (
        FILES,
        Submission,
        find_submissions,
        grade_submissions,
        list_people,
    )

    numbers = exercise or tuple(exercises)
    submissions = find_submissions(folder, numbers)
    if not submissions:
        names = ", ".join(sorted({FILES[number] for number in numbers}))
        raise ConfigurationError(f"no folder in {folder} has any of these files: {names}")
    if 1 in numbers:
        _warn_of_gap()
    grades: dict[Submission, Grade] = {}
    with Progress(
        *Progress.get_default_columns(), console=Console(stderr=True), transient=True
    ) as progress:
        task = progress.add_task("grading", total=len(submissions))
        try:
            for submission, grade in grade_submissions(
                submissions, exercises, root=folder.resolve(), jobs=jobs
            ):
                grades[submission] = grade
                progress.update(task, advance=1, description=f"graded {submission.person}")
        except BuildError as error:
            raise ConfigurationError(str(error)) from error
    console = Console(highlight=False, soft_wrap=True)
    if json_:
        content = [
            {
                "person": each.person,
                **grade_report.to_json(exercises[each.exercise], each.folder, grades[each]),
            }
            for each in submissions
        ]
        console.print(json.dumps(content, indent=1), markup=False)
        return
    shown = sorted({each.exercise for each in submissions})
    table = Table("person", *(f"{n} {exercises[n].name.partition('-')[2]}" for n in shown))
    people = [person.name for person in list_people(folder)]
    for person in people:
        cells = {each.exercise: grades[each] for each in submissions if each.person == person}
        table.add_row(escape(person), *(_cell(cells.get(number)) for number in shown))
    console.print(table)
    for each in submissions:
        if grades[each].failed:
            console.print(
                f"{each.person}, exercise {each.exercise}: {grades[each].failed}\n"
                f"  {grades[each].hint}",
                markup=False,
            )
    if missing := [each for each in people if each not in {s.person for s in submissions}]:
        console.print(f"no work was found of {', '.join(missing)}", markup=False)


def _cell(grade: "Grade | None") -> str:
    if grade is None:
        return "-"
    if not grade.failed:
        return "[green]✓[/green]"
    number = len(grade.passed) + 1 + len(grade.not_run)
    return f"[red]✗[/red] {len(grade.passed)} of {number}"


@exercise_app.command(name="run")
def run_(
    number: Number,
    *,
    seed: Annotated[
        int, Parameter(help="Seed of the hidden distributions or of the incident.")
    ] = 1,
) -> None:
    """Run the system of an exercise until Ctrl-C."""
    exercise = _exercise(number)
    if exercise.play is None:
        playable = [str(n) for n, each in _exercises().items() if each.play]
        raise ConfigurationError(
            f"exercise {number} has no system to run; expected one of {', '.join(playable)}. "
            f"`randsvc exercise check {number}` runs your work"
        )
    console = Console(highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        exercise.play(seed, partial(console.print, markup=False))
    except KeyboardInterrupt:
        return
    except (BuildError, StackError) as error:
        raise ConfigurationError(str(error)) from error


def _exercise(number: int) -> "Exercise[Any, Any, Any]":
    exercises = _exercises()
    if number not in exercises:
        known = ", ".join(map(str, exercises))
        raise ConfigurationError(f"no exercise {number}, expected one of {known}")
    return exercises[number]


def _exercises() -> "dict[int, Exercise[Any, Any, Any]]":
    if not (ROOT / "course").is_dir():
        raise ConfigurationError(
            f"exercises need a clone of the project, and {ROOT} is not one: run the command in a "
            "clone"
        )
    try:
        from randsvc.course import EXERCISES
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise ConfigurationError(
            f"exercises need the package {package}, which is not installed: run `make tools` in "
            "the clone"
        ) from error
    return EXERCISES


def _shown(path: Path) -> Path:
    """Return the path relative to the current folder if possible."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
