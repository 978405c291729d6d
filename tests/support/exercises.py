"""The work of learners, for the tests of the exercises."""

from typing import Any

from randsvc.course import Exercise, Grade


def expect_passed(grade: Grade, exercise: Exercise[Any, Any, Any]) -> None:
    """Every check passed, and none was left out."""
    assert not grade.failed, grade.hint
    assert len(grade.passed) == len(exercise.checks)
