"""``randsvc exercise``: list, show, run and check the exercises of the course, in a clone."""

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
) -> None:
    """Run your work, and report what works and what is missing.

    The exit code is 1 if anything is missing.
    """
    exercise = _exercise(number)
    folder = work or exercise.starter
    if not folder.is_dir():
        raise ConfigurationError(f"--work {folder}: expected a folder such as {exercise.starter}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{number}. {exercise.title}: {_shown(folder)}", markup=False)
    with console.status("running your work"):
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
