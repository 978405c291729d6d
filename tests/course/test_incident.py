"""Exercise 5: the solution passes, the starter does not, and each mistake gets its hint."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from randsvc.course import EXERCISES, incident
from randsvc.course.incident import FAULTS, choose_fault, find_record
from randsvc.stack.addresses import find_free_addresses
from randsvc.stack.supervisor import Stack
from tests.support.exercises import Mistake, expect_passed, with_mistake

pytestmark = pytest.mark.native

EXERCISE = EXERCISES[5]
BEGAN = datetime(2026, 11, 24, 10, tzinfo=UTC)


def answer(hint: str, *edits: tuple[str, str]) -> Mistake:
    return Mistake("answer.yaml", edits, hint)


SINCE = "2026-11-24T10:00:00Z"
MATCHER = ',http_response_status_code=~"5.."'

MISTAKES = {
    "nothing filled in": answer("fault is empty", ("fault: errors", "fault:")),
    "an unknown fault": answer(
        "fault is 'bug', expected one of errors, auth-down", ("fault: errors", "fault: bug")
    ),
    "an unknown level": answer(
        "level is 'high', expected one of", ("level: critical", "level: high")
    ),
    "no time": answer("since is 'today', expected a time such as", (SINCE, "today")),
    "a query that is none": answer("parse error", ("> 0.05", "> > 0.05")),
    "the answer itself": answer(
        "randsvc_fault_active names the fault",
        ("/ sum (rate(", "/ sum (randsvc_fault_active) / sum (rate("),
    ),
    "rate over a gauge": answer(
        "rate() of http_server_active_requests, which is a gauge",
        (
            f'duration_seconds_count{{job="randsvc"{MATCHER}}}',
            'duration_seconds_count{job="randsvc"}',
        ),
        ("http_server_request_duration_seconds_count", "http_server_active_requests"),
    ),
    "a query that always gives something": answer("while the services are healthy", (MATCHER, "")),
    "a query that gives nothing": answer(
        "check the metric and its labels", ('job="randsvc",', 'job="auth",')
    ),
    "a metric that there is not": answer(
        "there is no metric http_requests_total",
        ("http_server_request_duration_seconds_count", "http_requests_total"),
    ),
    "another fault": answer(
        "auth-down would appear in responses 5xx of /login in the job auth, which have not changed",
        ("fault: errors", "fault: auth-down"),
    ),
    "another level": answer(
        "minor means that a few percent of the users wait longer",
        ("level: critical", "level: minor"),
    ),
    "a minute late": answer("your time is 57 s too late", (SINCE, "2026-11-24T10:01:00Z")),
    "another time zone": answer(
        "Prometheus and answer.yaml use UTC", (SINCE, "2026-11-24T12:00:00Z")
    ),
}
DURATION = "http_server_request_duration_seconds"
QUERIES = {
    "auth-down": f'sum (rate({DURATION}_count{{http_route="/login",'
    'http_response_status_code=~"5.."}[10s])) > 0',
    "model-down": 'sum (rate(randsvc_model_errors_total{error_type!="timeout"}[10s])) > 0',
    "model-slow": 'sum (rate(randsvc_model_errors_total{error_type="timeout"}[10s])) > 0',
    "latency": f"histogram_quantile(0.995, sum by (le) (rate({DURATION}_bucket"
    '{http_route="/random"}[15s]))) > 1',
}


@pytest.fixture(scope="module", autouse=True)
def took_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """As if the incident of every seed had been run here before."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("records")
        patch.setattr("randsvc.course.incident.RECORDS", folder)
        for seed in range(len(FAULTS)):
            find_record(seed).write_text((BEGAN + timedelta(seconds=3)).isoformat())
        yield


@pytest.fixture(scope="module")
def system() -> Iterator[Any]:
    with EXERCISE.run_system(EXERCISE.read(EXERCISE.solution)) as system:
        yield system


def test_the_solution_passes(system: Any) -> None:
    expect_passed(EXERCISE.grade_on(system, EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step() -> None:
    assert EXERCISE.grade(EXERCISE.starter).hint == "answer.yaml: query is empty"


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_its_hint(name: str, system: Any, tmp_path: Path) -> None:
    mistake = MISTAKES[name]
    grade = EXERCISE.grade_on(system, with_mistake(EXERCISE, mistake, tmp_path))
    assert mistake.hint in grade.hint, grade


def test_five_consecutive_seeds_have_every_fault() -> None:
    for first in (0, 5, 10):
        assert {choose_fault(seed).name for seed in range(first, first + 5)} == {
            f.name for f in FAULTS
        }


@pytest.mark.parametrize("seed", [seed for seed in range(5) if choose_fault(seed).name in QUERIES])
def test_every_other_fault_can_be_diagnosed(seed: int, tmp_path: Path) -> None:
    fault = choose_fault(seed)
    content = {
        "seed": seed,
        "query": QUERIES[fault.name],
        "fault": fault.name,
        "level": fault.level,
        "since": BEGAN,
    }
    (tmp_path / "answer.yaml").write_text(yaml.safe_dump(content))
    expect_passed(EXERCISE.grade(tmp_path), EXERCISE)


def test_an_incident_that_never_ran_has_no_start_time(system: Any) -> None:
    find_record(1).rename(find_record(1).with_suffix(".away"))
    try:
        hint = EXERCISE.grade_on(system, EXERCISE.solution).hint
    finally:
        find_record(1).with_suffix(".away").rename(find_record(1))
    assert hint.endswith("randsvc exercise run 5 --seed 1")


def test_the_incident_starts_after_a_while_and_its_time_is_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken: list[dict[str, Any]] = []

    def look_and_end(stack: Stack) -> None:
        broken.append(json.loads(stack.get("randsvc:9464", "/faults"))["on"])
        raise KeyboardInterrupt

    for name, value in {
        "HEALTHY_TIME": (0, 0),
        "RECORDS": tmp_path,
        "wait_for_interrupt": look_and_end,
        "WELL_KNOWN_ADDRESSES": find_free_addresses(),
    }.items():
        monkeypatch.setattr(incident, name, value)
    said: list[str] = []
    assert EXERCISE.play
    began = datetime.now(UTC).replace(microsecond=0)
    with pytest.raises(KeyboardInterrupt):
        EXERCISE.play(1, said.append)
    assert [set(each) for each in broken] == [{"errors"}]
    assert began <= datetime.fromisoformat(find_record(1).read_text()) <= datetime.now(UTC)
    assert not any("errors" in line for line in said)
