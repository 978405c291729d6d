"""``randsvc exercise``: list, show, run and check the exercises of the course.

What grades them is beside the package, in a clone: it runs Prometheus and the rest of the chain.
"""

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.markdown import Markdown

from randsvc.errors import ConfigurationError
from randsvc.project import ROOT
from randsvc.stack.build import BuildError
from randsvc.stack.programs import StackError

if TYPE_CHECKING:
    from randsvc.course import Exercise

__all__ = ("exercise_app",)

Number = Annotated[int, Parameter(help="Which exercise, by its number.")]
exercise_app = App(
    name="exercise",
    help="The exercises of the course, which course/ is the text of.",
    help_format="plaintext",
    config=(),
)


@exercise_app.command(name="list")
def list_() -> None:
    """List the exercises, and where each begins."""
    console = Console(highlight=False, soft_wrap=True)
    for number, exercise in _exercises().items():
        console.print(f"{number}  {exercise.title:<50}  {_shown(exercise.starter)}", markup=False)


@exercise_app.command
def show(number: Number) -> None:
    """Tell what is to be done in an exercise."""
    text = (_exercise(number).starter / "README.md").read_text(encoding="utf-8")
    Console(highlight=False).print(Markdown(text))


@exercise_app.command
def check(
    number: Number,
    *,
    work: Annotated[
        Path | None, Parameter(help="Folder of your work; that of the exercise where not given.")
    ] = None,
) -> None:
    """Run your work, and say what it does already and what is missing; exit code 1 where any is."""
    exercise = _exercise(number)
    folder = work or exercise.starter
    if not folder.is_dir():
        raise ConfigurationError(f"--work {folder}: expected a folder such as {exercise.starter}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{number}. {exercise.title}: {_shown(folder)}", markup=False)
    with console.status("your work is being run"):
        try:
            grade = exercise.grade(folder.resolve())
        except (BuildError, StackError) as error:
            raise ConfigurationError(str(error)) from error
    for title in grade.passed:
        console.print(f"[green]✓[/green] {title}")
    if grade.failed:
        console.print(f"[red]✗[/red] {grade.failed}")
        console.print(f"  {grade.hint}", markup=False)
        raise SystemExit(1)
    console.print("Passed.")


@exercise_app.command(name="run")
def run_(
    number: Number,
    *,
    seed: Annotated[int, Parameter(help="What is hidden, and what breaks, follows from it.")] = 1,
) -> None:
    """Run what an exercise is about, until Ctrl-C."""
    exercise = _exercise(number)
    if exercise.play is None:
        playable = [str(n) for n, each in _exercises().items() if each.play]
        raise ConfigurationError(
            f"exercise {number} has nothing to run but your work, which `check {number}` runs; "
            f"expected one of {', '.join(playable)}"
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
            f"exercises cannot be graded here: {ROOT} is not a clone of the project, which "
            "contains the course; run the command in a clone"
        )
    try:
        from randsvc.course import EXERCISES
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise ConfigurationError(
            f"exercises cannot be graded here: the package {package} is not "
            "installed; `make tools` installs it in a clone of the project"
        ) from error
    return EXERCISES


def _shown(path: Path) -> Path:
    """The path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
