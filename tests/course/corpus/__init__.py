"""Right and wrong answers to the exercises, as data, and how they are judged.

`make corpus` judges them all; the tests judge a sample.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from randsvc.course import EXERCISES, WorkError, incident
from tests.course.corpus import (
    configuration,
    dashboards,
    diagnosis,
    metrics,
    metrics_right,
    queries,
    recovery,
)
from tests.course.corpus.answer import Answer, explain_misjudgement, write_answer

__all__ = ("FAMILIES", "Family", "Judge", "judging", "take_sample")


@dataclass(frozen=True)
class Family:
    """Answers to one exercise."""

    exercise: int
    wrong: Mapping[str, Answer]
    right: Mapping[str, Answer]


FAMILIES: Mapping[str, Family] = {
    "metrics": Family(1, metrics.WRONG, metrics_right.RIGHT),
    "configuration": Family(2, configuration.WRONG, configuration.RIGHT),
    "queries": Family(2, queries.WRONG, queries.RIGHT),
    "dashboards": Family(3, dashboards.WRONG, dashboards.RIGHT),
    "recovery": Family(4, recovery.WRONG, recovery.RIGHT),
    "diagnosis": Family(5, diagnosis.WRONG, diagnosis.RIGHT),
}


class Judge:
    """Judges answers on systems that they share."""

    def __init__(self, family: Family, systems: Mapping[int, Any]) -> None:
        self._exercise = EXERCISES[family.exercise]
        self._systems = systems

    @property
    def system(self) -> Any:
        """The system of answers without a seed."""
        return next(iter(self._systems.values()))

    def explain(self, answer: Answer) -> str:
        """Return how an answer is misjudged; empty if it is judged rightly."""
        with tempfile.TemporaryDirectory() as folder:
            work = write_answer(self._exercise, answer, Path(folder))
            if self._exercise.number == 1:
                grade = self._exercise.grade(work)
            else:
                system = self._systems.get(_find_seed(work), self.system)
                grade = self._exercise.grade_on(system, work)
        return explain_misjudgement(answer, grade)


def take_sample(family: str, number: int) -> list[tuple[str, Answer]]:
    """Return ``number`` answers of a family, evenly from all kinds, with their names.

    Four or more have right answers too, of which each family has at least 50 of 250.
    """
    found = FAMILIES[family]
    answers = [(f"wrong: {name}", each) for name, each in found.wrong.items()]
    answers += [(f"right: {name}", each) for name, each in found.right.items()]
    # The middle of each part.
    return [answers[(2 * i + 1) * len(answers) // (2 * number)] for i in range(number)]


@contextmanager
def judging(family: Family, answers: Sequence[Answer]) -> Iterator[Judge]:
    """Run the systems that answers need, one for each seed, in a ``with`` block."""
    exercise = EXERCISES[family.exercise]
    with ExitStack() as stack:
        systems: dict[int, Any] = {}
        if exercise.number == 5:
            stack.enter_context(_recorded_incidents())
        # The first exercise runs a program for each answer.
        for answer in (*answers, Answer()) if exercise.number > 1 else ():
            with tempfile.TemporaryDirectory() as folder:
                work = write_answer(exercise, answer, Path(folder))
                if (seed := _find_seed(work)) in systems:
                    continue
                try:
                    seeded = exercise.read(work)
                except WorkError:
                    continue
            systems[seed] = stack.enter_context(exercise.run_system(seeded))
        yield Judge(family, systems)


@contextmanager
def _recorded_incidents() -> Iterator[None]:
    """Let every incident have run here before, 3 s after the time of the answers."""
    with tempfile.TemporaryDirectory() as folder, patch.object(incident, "RECORDS", Path(folder)):
        for seed in range(len(incident.FAULTS)):
            began = diagnosis.BEGAN + timedelta(seconds=3)
            incident.find_record(seed).write_text(began.isoformat())
        yield


def _find_seed(work: Path) -> int:
    path = work / "answer.yaml"
    found = re.search(r"^seed: (\d+)", path.read_text(), re.MULTILINE) if path.is_file() else None
    return int(found[1]) if found else 0
