"""The exercises of the course: each grades a learner's work by running it on the real programs."""

from typing import Any

from randsvc.course.configure import CONFIGURE
from randsvc.course.dashboard import DASHBOARD
from randsvc.course.exercise import Exercise, Grade, WorkError
from randsvc.course.incident import INCIDENT
from randsvc.course.instrument import INSTRUMENT
from randsvc.course.recover import RECOVER

__all__ = ("EXERCISES", "Exercise", "Grade", "WorkError")

EXERCISES: dict[int, Exercise[Any, Any, Any]] = {
    each.number: each for each in (INSTRUMENT, CONFIGURE, DASHBOARD, RECOVER, INCIDENT)
}
