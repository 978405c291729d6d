"""Exercise 5: the solution passes, the starter does not, and answers are judged rightly."""

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
from tests.course.corpus import FAMILIES, Judge, take_sample
from tests.course.corpus.answer import Answer
from tests.course.corpus.diagnosis import BEGAN, QUERIES, SEEDS
from tests.support.exercises import expect_passed

pytestmark = pytest.mark.native

EXERCISE = EXERCISES[5]
SEED = SEEDS["errors"]
SAMPLE = [
    each
    for each in take_sample("diagnosis", 150)
    if f"seed: {SEED}\n" in each[1].files.get("answer.yaml", "")
]
"""Of one seed, as each seed has a system of its own."""


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


@pytest.fixture(scope="module")
def judge(system: Any) -> Judge:
    return Judge(FAMILIES["diagnosis"], {SEED: system})


@pytest.mark.parametrize(("name", "answer"), SAMPLE)
def test_an_answer_is_judged_rightly(name: str, answer: Answer, judge: Judge) -> None:
    assert not judge.explain(answer), name


def test_five_consecutive_seeds_have_every_fault() -> None:
    for first in (0, 5, 10):
        assert {choose_fault(seed).name for seed in range(first, first + 5)} == {
            f.name for f in FAULTS
        }


@pytest.mark.parametrize("seed", sorted(set(SEEDS.values()) - {SEED}))
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
