"""What a game day keeps on disk, and what it makes of a folder that is not its own."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from randsvc.errors import ConfigurationError
from randsvc.gameday.journal import Journal, Planned, Report, Setup

SETUP = Setup(
    seed=5,
    minutes=45,
    hints=1,
    teams={"team-1": "secret"},
    sequence=(Planned(scenario="auth-down", kind="single", start=60, end=200),),
)
REPORT = Report(team="team-1", at=70, began=60, level="major", cause="auth-down", what='“x”\n"')


def fill(folder: Path) -> Journal:
    journal = Journal.open(folder, SETUP)
    journal.start(10.5)
    journal.begin(0, 70.5)
    journal.add(REPORT)
    journal.end(0, 210.5)
    journal.fail(0, "why")
    return journal


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    # The links of a repeated command are new; those that the teams have stay.
    again = replace(SETUP, teams={"team-1": "another secret"})
    assert fill(tmp_path) == Journal.open(tmp_path, again)


def test_half_a_line_of_a_killed_process_is_left_out(tmp_path: Path) -> None:
    journal = fill(tmp_path)
    with journal.file.open("a") as file:
        file.write('{"event": "report", "team": "te')
    assert Journal.open(tmp_path, SETUP) == journal
    journal.add(REPORT)
    assert len(Journal.open(tmp_path, SETUP).reports) == 2


def test_an_incident_begins_once_even_if_it_is_caused_again(tmp_path: Path) -> None:
    journal = fill(tmp_path)
    journal.begin(0, 99)
    assert Journal.open(tmp_path, SETUP).begun == {0: 70.5}


def test_nobody_else_on_the_machine_reads_the_solution(tmp_path: Path) -> None:
    assert stat.S_IMODE(fill(tmp_path).file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (replace(SETUP, seed=6), "--seed is 6, but .* is of a game day with --seed 5: repeat"),
        (replace(SETUP, minutes=9), "--minutes is 9, but .* with --minutes 45: repeat"),
        (replace(SETUP, hints=3), "--hints is 3, but .* with --hints 1: repeat"),
        (replace(SETUP, teams={}), "--teams is 0, but .* with --teams 1: repeat"),
        (replace(SETUP, sequence=()), "with another sequence: the scenarios have changed, or"),
    ],
)
def test_another_game_day_in_the_folder_is_refused(
    other: Setup, expected: str, tmp_path: Path
) -> None:
    fill(tmp_path)
    with pytest.raises(ConfigurationError, match=expected):
        Journal.open(tmp_path, other)


@pytest.mark.parametrize("text", ["[]\n", "{}\n", "x\n", '{"event": "setup", "version": 2}\n'])
def test_a_file_that_no_game_day_wrote_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "gameday.jsonl").write_text(text)
    with pytest.raises(ConfigurationError, match="line 1: not written by a game day"):
        Journal.open(tmp_path, SETUP)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"^--folder .*file: "):
        Journal.open(tmp_path / "file", SETUP)
