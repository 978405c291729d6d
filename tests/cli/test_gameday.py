"""The command of a game day: its plan, and what it refuses."""

from pathlib import Path

import pytest

from tests.support.command_line import refuse, run_randsvc


def test_the_plan_lists_every_incident_and_starts_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    shown = run_randsvc("gameday", "--seed", "5", "--with-stack", "--plan", f"--folder={folder}")
    lines = [line.split() for line in shown.stdout.splitlines()[1:]]
    assert len(lines) == 10
    assert lines[1] == ["5:44", "138", "s", "single", "major", "model-down"]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--minutes", "0"], "--minutes is 0: expected a number from 1 to 1440"),
        (["--minutes", "nan"], "--minutes is nan: expected a number from 1 to 1440"),
        (["--minutes", "2"], "2 minutes are too short for the first incident of the game day of"),
        (["--teams", "0"], "--teams is 0: expected a number from 1 to 50"),
        (["--hints", "4"], "--hints is 4: expected a number from 0 to 3"),
        (["--port", "0"], "--port is 0: expected a number from 1 to 65535"),
        (["--scenarios", "/nowhere"], "/nowhere: no scenario with a level"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments: list[str], expected: str) -> None:
    assert expected in refuse("gameday", "--seed", "5", *arguments)


def test_a_stack_that_does_not_run_is_one_line(tmp_path: Path) -> None:
    line = refuse(
        "gameday",
        "--seed=5",
        "--prometheus=http://127.0.0.1:1",
        "--port=28097",
        f"--folder={tmp_path}",
    )
    assert line.startswith("randsvc: --prometheus: cannot reach Prometheus at http://127.0.0.1:1: ")
