"""The exercises of the course: each grades a learner's work by running it on the real programs."""

from typing import Any

from observability.exercises.configure import CONFIGURE
from observability.exercises.dashboard import DASHBOARD
from observability.exercises.exercise import Exercise, Grade, WorkError
from observability.exercises.incident import INCIDENT
from observability.exercises.instrument import INSTRUMENT
from observability.exercises.recover import RECOVER

__all__ = ("EXERCISES", "Exercise", "Grade", "WorkError")

EXERCISES: dict[int, Exercise[Any, Any, Any]] = {
    each.number: each for each in (INSTRUMENT, CONFIGURE, DASHBOARD, RECOVER, INCIDENT)
}
