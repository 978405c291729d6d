"""The runner of trials: what it runs, what it keeps, and its exit code."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.chaos import runner
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.runner import Campaign, main
from benchmarks.chaos.trial import Outcome
from benchmarks.chaos_ha.__main__ import CAMPAIGN

CHANGES = list(CAMPAIGN.changes)
OUTCOME = Outcome(
    trial=0,
    faults=("kill: receive-0",),
    requests=100,
    unanswered=0,
    bound=0,
    counted={"Query": 100},
    missing={"Query": 0},
    expected=0,
    sent=(),
    doubled=0,
    seconds=1.0,
    problems=(),
)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """The numbers of what was run, in order; trial 7 breaks a promise."""
    numbers: list[int] = []

    def run(
        _: Campaign, plan: Mapping[int, Sequence[Fault]], changes: Mapping[int, str], *__: Any
    ) -> Iterator[Outcome]:
        for number in (*plan, *changes):
            numbers.append(number)
            yield replace(OUTCOME, trial=number, problems=("lost",) if number == 7 else ())

    monkeypatch.setattr(runner, "_run", run)
    monkeypatch.setattr(runner, "_find_available", lambda: ["libfaketime"])
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    (tmp_path / "benchmarks").mkdir()
    return numbers


def start(*arguments: str) -> int:
    return main(CAMPAIGN, None, arguments, Console(file=io.StringIO()))


def test_a_second_run_continues_where_the_first_one_stopped(ran: list[int], tmp_path: Path) -> None:
    assert start("--trials", "2") == 0
    assert start("--trials", "4") == 0
    assert ran == [0, 1, -1, -2, -3, 2, 3]
    results = (tmp_path / "benchmarks/chaos-ha-results.md").read_text()
    assert "4 trials and 3 changes" in results
    assert "make chaos-ha TRIALS=4 SEED=1" in results
    assert start("--trials", "1", "--fresh") == 0
    assert ran[7:] == [0, -1, -2, -3]


def test_one_trial_or_one_change_keeps_nothing(ran: list[int], tmp_path: Path) -> None:
    assert start("--only", "7") == 1
    assert start("--change", CHANGES[1]) == 0
    assert ran == [7, -2]
    assert list((tmp_path / "benchmarks").iterdir()) == []
    assert not (tmp_path / ".cache").exists()


def test_a_broken_promise_is_in_the_results_and_the_exit_code(
    ran: list[int], tmp_path: Path
) -> None:
    assert start("--trials", "8") == 1
    results = (tmp_path / "benchmarks/chaos-ha-results.md").read_text()
    assert "- trial 7 (kill: receive-0): lost" in results
    assert start("--trials", "8") == 1
    assert len(ran) == 8 + len(CHANGES)
