"""Exercise 5: diagnose an incident. The query in the answer must detect it, and nothing else."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from randsvc.course.exercise import MARKING, Exercise, Say, WorkError, read_answer
from randsvc.course.promql import (
    Node,
    find_misuse,
    find_raw_counter,
    has_threshold,
    list_metrics,
    list_unknown_metrics,
    parse_query,
    query_types,
    query_values,
)
from randsvc.course.small_stack import PULLED, run_small_stack, set_fault, wait_for_interrupt
from randsvc.documents import show
from randsvc.levels import LEVELS
from randsvc.stack.addresses import WELL_KNOWN_ADDRESSES, AddressBook
from randsvc.stack.build import find_cache
from randsvc.stack.programs import make_auth, make_randsvc, make_users
from randsvc.stack.supervisor import Stack, wait_until

__all__ = ("INCIDENT", "Fault", "choose_fault", "find_record")

SETTLED = 12
"""Seconds that the service runs healthy, and then broken, before the query is evaluated."""
SETTLED_WITHIN = 600.0
"""Seconds more until no symptom is visible, and then that of the fault: on a busy machine healthy
services may be slow for a while, and scrapes late."""
TIMES = 3
"""Seconds in a row at which the query is evaluated; most of them decide."""
SERVED_WITHIN = 600.0
"""Seconds until users get responses from both services; more than a busy machine takes."""
TOLERANCE = 20.0
"""Seconds of error that the start time may have: a few scrapes, and the window of a rate."""
HEALTHY_TIME = (40, 80)
"""Seconds until the incident, at random between these."""
USERS = 60
"""Enough that even a fault in 4% of the requests appears two dozen times in a check."""
RECORDS = find_cache().parent / "exercises"


@dataclass(frozen=True)
class Fault:
    """What can break, and where it is observed."""

    name: str
    level: str
    management: str
    parameters: Mapping[str, float]
    visible_in: str
    symptom: str
    """A query for a number, over 10 s, that the fault increases."""
    normal: float
    """What the number does not exceed in a healthy service."""
    visible: float
    """What it exceeds while the fault is clearly visible."""


_DURATION = "http_server_request_duration_seconds"
FAULTS = (
    Fault(
        "errors",
        "critical",
        "randsvc:9464",
        {"share": 0.3},
        "responses 5xx of /random in the job randsvc",
        f'sum(rate({_DURATION}_count{{job="randsvc",http_response_status_code=~"5.."}}[10s]))'
        f' / sum(rate({_DURATION}_count{{job="randsvc"}}[10s]))',
        0.02,
        0.1,
    ),
    Fault(
        "auth-down",
        "critical",
        "auth:9465",
        {},
        "responses 5xx of /login in the job auth",
        f'sum(rate({_DURATION}_count{{job="auth",http_response_status_code=~"5.."}}[10s]))',
        0,
        0.15,
    ),
    Fault(
        "model-down",
        "major",
        "randsvc:9464",
        {},
        "randsvc_predictions_total by randsvc_source, and randsvc_model_errors_total with an "
        "exception",
        'sum(rate(randsvc_model_errors_total{error_type!="timeout"}[10s]))',
        0.5,
        1.5,
    ),
    Fault(
        "model-slow",
        "major",
        "randsvc:9464",
        {"seconds": 1},
        "randsvc_predictions_total by randsvc_source, and randsvc_model_errors_total with timeout",
        'sum(rate(randsvc_model_errors_total{error_type="timeout"}[10s]))',
        0.5,
        1.5,
    ),
    Fault(
        "latency",
        "minor",
        "randsvc:9464",
        {"share": 0.04, "seconds": 2},
        "the slowest 1% of the requests for /random, compared with the median",
        f'histogram_quantile(0.99, sum by (le) (rate({_DURATION}_bucket{{http_route="/random"}}'
        "[10s])))",
        0.5,
        1.5,
    ),
)
MEANINGS: Mapping[str, str] = {
    "critical": "users get errors or cannot log in, so that somebody must act now, day and night",
    "major": "users get a worse response, as a fallback responds instead of the model",
    "minor": "a few percent of the users wait longer, and all others notice nothing",
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
    """A stack, and the Unix times at which it was healthy and broken."""

    stack: Stack
    healthy: float
    broken: float


@dataclass(frozen=True)
class _Observations:
    work: _Work
    tree: Node
    types: Mapping[str, str]
    healthy: Sequence[Sequence[float]]
    """What the query returned at several times, one series each, and so on."""
    broken: Sequence[Sequence[float]]


def choose_fault(seed: int) -> Fault:
    """Return the fault of a seed; five consecutive seeds have every fault once."""
    round_, index = divmod(seed, len(FAULTS))
    shuffled = random.Random(f"randsvc exercise 5, round {round_}").sample(FAULTS, len(FAULTS))
    return shuffled[index]


def find_record(seed: int) -> Path:
    """Return the file with the start time of the latest incident of a seed."""
    return RECORDS / f"incident-{seed}"


def _read(folder: Path) -> _Work:
    answer = read_answer(folder, ("seed", "query", "fault", "level", "since"))
    names = [fault.name for fault in FAULTS]
    for field, known in (("fault", names), ("level", list(LEVELS))):
        if answer[field] not in known:
            raise WorkError(
                f"answer.yaml: {field} is {show(answer[field])}, expected one of {', '.join(known)}"
            )
    return _Work(
        answer["seed"],
        answer["fault"],
        answer["level"],
        _parse_time(answer["since"]),
        str(answer["query"]),
    )


def _parse_time(given: Any) -> datetime:
    try:
        # YAML may have parsed the time already.
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError:
        raise WorkError(
            f"answer.yaml: since is {show(given)}, expected a time such as 2026-11-24T10:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _run_services(book: AddressBook | None = None) -> Iterator[Stack]:
    """Run both services with users who log in, and Prometheus."""
    with run_small_stack(
        partial(make_randsvc, env=PULLED),
        partial(make_auth, env=PULLED),
        partial(make_users, number=USERS),
        book=book,
    ) as stack:
        yield stack


def _serves(stack: Stack) -> bool:
    jobs = 'count by (job) (http_server_request_duration_seconds_count{http_route!=""} > 0)'
    return len(stack.query(jobs)) == len(("randsvc", "auth"))


def _break(stack: Stack, seed: int) -> None:
    fault = choose_fault(seed)
    set_fault(stack, fault.management, fault.name, **fault.parameters)


def _play(seed: int, say: Say) -> None:
    """Run both services, and start the incident after a while."""
    find_record(seed).unlink(missing_ok=True)
    with _run_services(WELL_KNOWN_ADDRESSES) as stack:
        say(
            f"Two services with {USERS} users are running. Prometheus: "
            f"{stack.url('prometheus:9090')}"
        )
        say("They are healthy now. Within about a minute, one fault begins.")
        time.sleep(random.uniform(*HEALTHY_TIME))
        _break(stack, seed)
        find_record(seed).parent.mkdir(parents=True, exist_ok=True)
        find_record(seed).write_text(datetime.now(UTC).isoformat(timespec="seconds"))
        wait_for_interrupt(stack)


@contextmanager
def _run_system(work: _Work) -> Iterator[_System]:
    """Run the incident of the seed again."""
    with _run_services() as stack:
        wait_until(partial(_serves, stack), within=SERVED_WITHIN, every=0.5)
        normal = " or ".join(f"({fault.symptom} > {fault.normal})" for fault in FAULTS)
        healthy = _settle(stack, normal, is_visible=False)
        _break(stack, work.seed)
        fault = choose_fault(work.seed)
        broken = _settle(stack, f"{fault.symptom} > {fault.visible}", is_visible=True)
        yield _System(stack, healthy, broken)


def _settle(stack: Stack, symptom: str, *, is_visible: bool) -> float:
    """Wait until a symptom is visible, or is not, at several times; return the last of them."""
    time.sleep(SETTLED)

    def find_time() -> float:
        now = time.time()
        found = (bool(query_values(stack, symptom, now - second)) for second in range(TIMES))
        return now if all(each == is_visible for each in found) else 0.0

    try:
        return wait_until(find_time, within=SETTLED_WITHIN, every=1)
    except TimeoutError as error:
        said = "the incident is not visible" if is_visible else "the services do not run well"
        raise WorkError(
            f"{said} within {SETTLED_WITHIN:g} s: this machine is too busy, so try again later"
        ) from error


def _observe(work: _Work, system: _System) -> _Observations:
    return _Observations(
        work=work,
        tree=parse_query(system.stack, work.query),
        types=query_types(system.stack),
        healthy=_ask(work, system, system.healthy),
        broken=_ask(work, system, system.broken),
    )


def _ask(work: _Work, system: _System, until: float) -> list[list[float]]:
    """Return the values of the query at several times, the last of which is ``until``."""
    return [query_values(system.stack, work.query, until - second) for second in range(TIMES)]


def _check_functions(observed: _Observations) -> str | None:
    """The query uses functions on the right types of metrics."""
    if "randsvc_fault_active" in list_metrics(observed.tree):
        return "randsvc_fault_active names the fault, which no metric does in a real incident"
    if hint := find_misuse(observed.work.query, observed.tree, observed.types):
        return hint
    if counter := find_raw_counter(observed.tree, observed.types):
        return (
            f"{counter} is a counter, whose value never falls: as an alert your query would fire "
            "long after the incident. Use rate(...[1m])"
        )
    return None


def _check_threshold(observed: _Observations) -> str | None:
    """The query has a threshold."""
    if has_threshold(observed.tree):
        return None
    return (
        "your query has no threshold: as an alert it would fire for one failed request, or always. "
        "Add a comparison, such as > 0.05, without bool"
    )


def _check_no_detection_when_healthy(observed: _Observations) -> str | None:
    """The query returns nothing while the services are healthy."""
    # Most times decide: one scrape of a busy machine is no incident.
    found = [values[0] for values in observed.healthy if values]
    if len(found) <= TIMES / 2:
        return None
    return (
        f"your query returns {found[0]:.3g} while the services are healthy: compare it with a "
        "threshold that only the incident exceeds, such as > 0.05"
    )


def _check_detection(observed: _Observations) -> str | None:
    """The query returns something during the incident."""
    if sum(map(bool, observed.broken)) > TIMES / 2:
        return None
    if missing := list_unknown_metrics(observed.tree, observed.types):
        return f"your query returns nothing during the incident: there is no metric {missing[0]}"
    return (
        f"your query returns nothing {SETTLED} s after the start of the incident: check the metric "
        "and its labels, or use a shorter window or a lower threshold"
    )


def _check_fault(observed: _Observations) -> str | None:
    """The fault is right."""
    if observed.work.fault == choose_fault(observed.work.seed).name:
        return None
    (claimed,) = (fault for fault in FAULTS if fault.name == observed.work.fault)
    return f"{claimed.name} would appear in {claimed.visible_in}, which have not changed"


def _check_level(observed: _Observations) -> str | None:
    """The level is right."""
    if observed.work.level == choose_fault(observed.work.seed).level:
        return None
    return (
        f"{observed.work.level} means that {MEANINGS[observed.work.level]}; compare with this "
        "incident"
    )


def _check_start_time(observed: _Observations) -> str | None:
    """The start time is right."""
    seed = observed.work.seed
    if not find_record(seed).is_file():
        if MARKING.get():
            return None  # the incident ran on the machine of its author
        return (
            "the start time can be checked only after the incident has run on this machine: "
            f"randsvc exercise run 5 --seed {seed}"
        )
    began = datetime.fromisoformat(find_record(seed).read_text())
    late = (observed.work.since - began).total_seconds()
    if abs(late) <= TOLERANCE:
        return None
    if abs(late) > 1000:
        return (
            f"{observed.work.since:%Y-%m-%d %H:%M:%S} UTC is far from the latest incident of seed "
            f"{seed}; Prometheus and answer.yaml use UTC"
        )
    direction = "late" if late > 0 else "early"
    return (
        f"your time is {abs(late):.0f} s too {direction}: a rate over a window begins to rise at "
        "the start of the incident, and reaches its full value one window later"
    )


INCIDENT = Exercise(
    number=5,
    name="5-incident",
    title="Diagnose an incident from Prometheus alone",
    read=_read,
    run_system=_run_system,
    observe=_observe,
    checks=(
        _check_functions,
        _check_threshold,
        _check_no_detection_when_healthy,
        _check_detection,
        _check_fault,
        _check_level,
        _check_start_time,
    ),
    play=_play,
)
