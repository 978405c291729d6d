"""A grade as JSON: for programs, and as Gradescope reads it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from randsvc.course.exercise import RUNS, Exercise, Grade

__all__ = ("to_gradescope", "to_json")


def to_json(exercise: Exercise[Any, Any, Any], work: Path, grade: Grade) -> dict[str, Any]:
    """Return the whole grade; ``status`` is passed, failed or not run."""
    return {
        "version": 1,
        "exercise": exercise.number,
        "name": exercise.name,
        "title": exercise.title,
        "work": str(work),
        "passed": not grade.failed,
        "score": round(grade.score, 3),
        "checks": [
            {"title": title, "status": status, "hint": hint}
            for title, status, hint in _list_checks(grade)
        ],
    }


def to_gradescope(grade: Grade, seconds: float) -> dict[str, Any]:
    """Return the content of results.json: one point for each check.

    https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format
    """
    return {
        "execution_time": round(seconds),
        "visibility": "visible",
        "output": "Passed." if not grade.failed else f"{grade.failed}: {grade.hint}",
        "output_format": "text",
        "tests": [
            {
                "name": title,
                "score": int(status == "passed"),
                "max_score": 1,
                "status": "passed" if status == "passed" else "failed",
                "output": hint if status != "not run" else "not run: an earlier check failed",
                "output_format": "text",
            }
            for title, status, hint in _list_checks(grade)
        ],
    }


def _list_checks(grade: Grade) -> Iterator[tuple[str, str, str]]:
    if grade.failed != RUNS:
        yield RUNS, "passed", ""
    for title in grade.passed:
        yield title, "passed", ""
    if grade.failed:
        yield grade.failed, "failed", grade.hint
    for title in grade.not_run:
        yield title, "not run", ""
