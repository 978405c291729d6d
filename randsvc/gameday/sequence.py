"""The incidents of a game day, drawn from the scenarios by a seed."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from randsvc.incidents.scenario import (
    FOLDER,
    Scenario,
    ScenarioError,
    SetFault,
    StopProgram,
    list_scenarios,
    read_scenario,
)

__all__ = ("GRACE", "KINDS", "Incident", "Kind", "draw_sequence", "read_pool")

Kind = Literal["single", "overlapping", "quiet", "red herring"]
"""One incident that pages or opens a ticket; two at a time; a minor one, of which only the daily
digest tells; something that looks like an incident, but breaks no objective."""

KINDS: tuple[Kind, ...] = get_args(Kind)

GRACE = 60.0
"""Seconds after the end of an incident in which a report of it still counts."""
QUIET_BEFORE = (60.0, 100.0)
"""Seconds before the first incident."""
QUIET_BETWEEN = (20.0, 80.0)
"""Seconds from the time at which all alerts have cleared to the next incident."""
LASTS_ON = (90.0, 150.0)
"""Seconds that an incident lasts after the time limit of its alert."""
HERRING_LASTS = (120.0, 200.0)
"""Seconds of a red herring."""
_ON_PREDICTIONS = frozenset(
    ("model-down", "model-slow", "value-shift", "value-scale", "value-frozen", "outcome-shift")
)
"""Faults of which one hides the other: a model that is down returns no frozen value."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A scenario at its place; ``start`` and ``end`` are seconds from the start of the game day."""

    scenario: Scenario
    kind: Kind
    start: float
    end: float


def read_pool(folder: Path = FOLDER) -> list[Scenario]:
    """Read the scenarios of a folder, and those of ``red-herrings`` in it.

    Those without a step are left out, as there is nothing to notice. Raises ``ScenarioError``.
    """
    herrings = folder / "red-herrings"
    found = [
        *(read_scenario(name, folder) for name in list_scenarios(folder)),
        *(read_scenario(name, herrings) for name in list_scenarios(herrings)),
    ]
    pool = [scenario for scenario in found if scenario.steps]
    if not any(scenario.level for scenario in pool):
        raise ScenarioError(f"{folder}: no scenario with a level, expected one or more")
    return pool


def draw_sequence(
    seed: int, seconds: float, pool: Iterable[Scenario], *, stops: bool
) -> list[Incident]:
    """Draw the incidents of a game day of ``seconds``, in the order of their starts.

    The sequence depends on the arguments alone. Every kind comes once before one comes twice, as
    far as the pool and the time allow; no scenario comes twice before all of its kind came once.
    Between two incidents there is time for the alerts of the first one to clear. Without ``stops``
    the scenarios that stop a program are left out. Raises ``ScenarioError`` if not even one
    incident fits.
    """
    # Only random() gives the same numbers in every version of Python.
    rng = random.Random(seed)
    usable = [each for each in pool if stops or not _stops(each)]
    bags = {
        "loud": _Bag(rng, [each for each in usable if each.level in ("critical", "major")]),
        "quiet": _Bag(rng, [each for each in usable if each.level == "minor"]),
        "herring": _Bag(rng, [each for each in usable if each.level is None]),
    }
    time = _between(rng, QUIET_BEFORE)
    found: list[Incident] = []
    for kind in _order_kinds(rng):
        chosen = _choose(kind, bags)
        if not chosen:
            continue
        group = _place(rng, kind, chosen, time)
        if max(each.end for each in group) + GRACE > seconds:
            break
        found += group
        time = max(each.end + _clears_within(each) for each in group) + _between(rng, QUIET_BETWEEN)
    if not found:
        raise ScenarioError(
            f"{seconds / 60:g} minutes are too short for the first incident of the game day of "
            f"seed {seed}, expected 9 minutes or more"
        )
    return sorted(found, key=lambda each: each.start)


class _Bag:
    """Scenarios in a random order, all of them before one comes again."""

    def __init__(self, rng: random.Random, scenarios: Sequence[Scenario]) -> None:
        self._rng = rng
        self._all = sorted(scenarios, key=lambda each: each.name)
        self._left: list[Scenario] = []

    def take(self, fits: Callable[[Scenario], bool] = lambda _: True) -> Scenario | None:
        """Take the next one that fits; None if none of those that are left does."""
        if not self._left:
            self._left = sorted(self._all, key=lambda _: self._rng.random())
        for index, each in enumerate(self._left):
            if fits(each):
                return self._left.pop(index)
        return None


def _order_kinds(rng: random.Random) -> Iterator[Kind]:
    # Not for ever: a pool may have no scenario of some kind.
    for _ in range(1000):
        yield from sorted(KINDS, key=lambda _: rng.random())


def _choose(kind: Kind, bags: dict[str, _Bag]) -> list[Scenario]:
    match kind:
        case "single" | "quiet" | "red herring":
            name = {"single": "loud", "quiet": "quiet", "red herring": "herring"}[kind]
            first = bags[name].take()
            return [first] if first else []
        case "overlapping":
            first = bags["loud"].take(_only_sets_faults)
            if not first:
                return []
            fits = partial(_can_overlap, first)
            second = bags["loud"].take(fits) or bags["quiet"].take(fits)
            return [first, second] if second else [first]


def _place(
    rng: random.Random, kind: Kind, chosen: Sequence[Scenario], time: float
) -> list[Incident]:
    placed = []
    for scenario in chosen:
        if scenario.expected:
            lasts = scenario.expected.fires_within + _between(rng, LASTS_ON)
        else:
            lasts = _between(rng, HERRING_LASTS)
        placed.append(
            Incident(scenario=scenario, kind=kind, start=round(time), end=round(time + lasts))
        )
        # The next one begins in the first half of this one.
        time += lasts * (0.2 + 0.3 * rng.random())
    return placed


def _stops(scenario: Scenario) -> bool:
    return any(isinstance(step, StopProgram) for step in scenario.steps)


def _only_sets_faults(scenario: Scenario) -> bool:
    return all(isinstance(step, SetFault) for step in scenario.steps)


def _can_overlap(one: Scenario, other: Scenario) -> bool:
    """Whether both can be told apart: they only set faults, and neither masks the other."""
    if not (_only_sets_faults(one) and _only_sets_faults(other)):
        return False
    faults, others = (
        {
            "predictions" if step.name in _ON_PREDICTIONS else step.name
            for step in each.steps
            if isinstance(step, SetFault)
        }
        for each in (one, other)
    )
    # An alert that may fire in the other incident is no sign of this one.
    alerts = {one.expected.alert if one.expected else "", *one.may_fire}
    return (
        not faults & others
        and other.expected is not None
        and other.expected.alert not in alerts
        and not alerts & set(other.may_fire)
    )


def _clears_within(incident: Incident) -> float:
    expected = incident.scenario.expected
    return max(GRACE, expected.clears_within if expected else 0)


def _between(rng: random.Random, limits: tuple[float, float]) -> float:
    low, high = limits
    return low + (high - low) * rng.random()
