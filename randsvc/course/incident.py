"""Exercise 5: diagnose an incident. The answer's query has to tell it from the healthy service."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from randsvc.course.exercise import Exercise, Say, WorkError, read_answer
from randsvc.course.promql import Node, misused, parsed, selected, types, unknown, values
from randsvc.course.watched import PULLED, hold, set_fault, watched
from randsvc.stack.addresses import WELL_KNOWN_ADDRESSES, AddressBook
from randsvc.stack.build import find_cache
from randsvc.stack.programs import make_auth, make_randsvc, make_users
from randsvc.stack.supervisor import Stack

__all__ = ("INCIDENT", "Fault", "fault_of", "record")

SETTLED = 12
"""Seconds that the check watches the service healthy, and then broken."""
TOLERANCE = 20.0
"""Seconds that the answer may be off: a few scrapes, and the window of a rate."""
QUIET = (40, 80)
"""Seconds until something breaks."""
USERS = 60
"""So many that a rare fault has shown before the check looks: of 4%, two dozen times."""
RECORDS = find_cache().parent / "exercises"


@dataclass(frozen=True)
class Fault:
    """What can break, and where it is seen."""

    name: str
    level: str
    management: str
    parameters: Mapping[str, float]
    shows: str


FAULTS = (
    Fault(
        "errors",
        "critical",
        "randsvc:9464",
        {"share": 0.3},
        "5xx of /random in the job randsvc",
    ),
    Fault("auth-down", "critical", "auth:9465", {}, "5xx of /login in the job auth"),
    Fault(
        "model-down",
        "major",
        "randsvc:9464",
        {},
        "randsvc_predictions_total by source, and randsvc_model_errors_total with an exception",
    ),
    Fault(
        "model-slow",
        "major",
        "randsvc:9464",
        {"seconds": 1},
        "randsvc_predictions_total by source, and randsvc_model_errors_total with timeout",
    ),
    Fault(
        "latency",
        "minor",
        "randsvc:9464",
        {"share": 0.04, "seconds": 2},
        "the slowest hundredth of /random against its median",
    ),
)
LEVELS = {
    "critical": "users are not served, or cannot log in: somebody has to act now, day and night",
    "major": "users are served, but worse: a fallback answers in place of the model",
    "minor": "a few users in a hundred wait, and all others notice nothing",
}


@dataclass(frozen=True)
class _Work:
    seed: int
    fault: str
    level: str
    since: datetime
    query: str


@dataclass(frozen=True)
class _System:
    """A service that was healthy at one time, and broken at another, in Unix seconds."""

    stack: Stack
    healthy: float
    broken: float


@dataclass(frozen=True)
class _Seen:
    work: _Work
    tree: Node
    types: Mapping[str, str]
    healthy: Sequence[float]
    broken: Sequence[float]


def fault_of(seed: int) -> Fault:
    """Give the fault that a seed stands for; each is there once in five seeds."""
    round_, index = divmod(seed, len(FAULTS))
    shuffled = random.Random(f"randsvc exercise 5, round {round_}").sample(FAULTS, len(FAULTS))
    return shuffled[index]


def record(seed: int) -> Path:
    """Give the file that says since when the incident of a seed was going on, the last time."""
    return RECORDS / f"incident-{seed}"


def _read(folder: Path) -> _Work:
    answer = read_answer(folder, ("seed", "query", "fault", "level", "since"))
    names = [fault.name for fault in FAULTS]
    for field, known in (("fault", names), ("level", list(LEVELS))):
        if answer[field] not in known:
            raise WorkError(
                f"answer.yaml: {field} is {answer[field]!r}, expected one of {', '.join(known)}"
            )
    return _Work(
        answer["seed"],
        answer["fault"],
        answer["level"],
        _moment(answer["since"]),
        str(answer["query"]),
    )


def _moment(given: Any) -> datetime:
    try:
        # YAML has times of its own.
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError:
        raise WorkError(
            f"answer.yaml: since is {given!r}, expected a time such as 2026-11-24T10:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _running(book: AddressBook | None = None) -> Iterator[Stack]:
    """Run the services with users who log in, and Prometheus."""
    with watched(
        partial(make_randsvc, env=PULLED),
        partial(make_auth, env=PULLED),
        partial(make_users, number=USERS),
        book=book,
    ) as stack:
        yield stack


def _break(stack: Stack, seed: int) -> None:
    fault = fault_of(seed)
    set_fault(stack, fault.management, fault.name, **fault.parameters)


def _play(seed: int, say: Say) -> None:
    """Run a healthy service, and break it after a while."""
    record(seed).unlink(missing_ok=True)
    with _running(WELL_KNOWN_ADDRESSES) as stack:
        say(
            f"Two services have {USERS} users, and Prometheus is at {stack.url('prometheus:9090')}."
        )
        say("All is well. Within a minute or so something breaks, and nobody will tell you what.")
        time.sleep(random.uniform(*QUIET))
        _break(stack, seed)
        record(seed).parent.mkdir(parents=True, exist_ok=True)
        record(seed).write_text(datetime.now(UTC).isoformat(timespec="seconds"))
        hold(stack)


@contextmanager
def _system(work: _Work) -> Iterator[_System]:
    """Let the incident of the seed happen once more."""
    with _running() as stack:
        time.sleep(SETTLED)
        healthy = time.time()
        _break(stack, work.seed)
        time.sleep(SETTLED)
        yield _System(stack, healthy, time.time())


def _observe(work: _Work, system: _System) -> _Seen:
    return _Seen(
        work=work,
        tree=parsed(system.stack, work.query),
        types=types(system.stack),
        healthy=values(system.stack, work.query, system.healthy),
        broken=values(system.stack, work.query, system.broken),
    )


def _uses(seen: _Seen) -> str | None:
    """The query uses functions on what they are for."""
    if "randsvc_fault_active" in selected(seen.tree):
        return "randsvc_fault_active is the answer itself, which no real incident has"
    return misused(seen.work.query, seen.tree, seen.types)


def _quiet(seen: _Seen) -> str | None:
    """The query gives nothing while all is well."""
    if not seen.healthy:
        return None
    return (
        f"your query gives {seen.healthy[0]:.3g} while all is well: as in an alert, a comparison "
        "such as > 0.05 leaves nothing then"
    )


def _tells(seen: _Seen) -> str | None:
    """The query gives something during the incident."""
    if seen.broken:
        return None
    if missing := unknown(seen.tree, seen.types):
        return f"your query gives nothing during the incident: there is no metric {missing[0]}"
    return (
        f"your query gives nothing {SETTLED} s into the incident: is that where it shows, and are "
        "window and threshold small enough?"
    )


def _fault(seen: _Seen) -> str | None:
    """The fault is the right one."""
    if seen.work.fault == fault_of(seen.work.seed).name:
        return None
    (claimed,) = (fault for fault in FAULTS if fault.name == seen.work.fault)
    return f"{claimed.name} would show in {claimed.shows}; it does not, so what else does?"


def _level(seen: _Seen) -> str | None:
    """The level is the right one."""
    if seen.work.level == fault_of(seen.work.seed).level:
        return None
    return f"{seen.work.level} is when {LEVELS[seen.work.level]}. Is that so here?"


def _since(seen: _Seen) -> str | None:
    """The time is the right one."""
    seed = seen.work.seed
    if not record(seed).is_file():
        return (
            "since when can only be told of an incident that took place here: "
            f"randsvc exercise run 5 --seed {seed}"
        )
    began = datetime.fromisoformat(record(seed).read_text())
    late = (seen.work.since - began).total_seconds()
    if abs(late) <= TOLERANCE:
        return None
    if abs(late) > 1000:
        return (
            f"{seen.work.since:%Y-%m-%d %H:%M:%S} UTC is not within the last incident of seed "
            f"{seed}; Prometheus and answer.yaml are in UTC"
        )
    direction = "late" if late > 0 else "early"
    return (
        f"your time is {abs(late):.0f} s too {direction}: look at a graph, and remember that a "
        "rate over a window rises for as long as the window is"
    )


INCIDENT = Exercise(
    number=5,
    name="5-incident",
    title="Diagnose an incident from Prometheus alone",
    read=_read,
    system=_system,
    observe=_observe,
    checks=(_uses, _quiet, _tells, _fault, _level, _since),
    play=_play,
)
