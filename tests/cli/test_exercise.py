"""``randsvc exercise`` as a learner types it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from randsvc.course import EXERCISES
from tests.support.command_line import refuse, run_randsvc

KNOWN = ", ".join(map(str, EXERCISES))


def exercise(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return run_randsvc("exercise", *arguments, before=before)


def test_every_exercise_is_listed_with_its_folder() -> None:
    lines = exercise("list").stdout.splitlines()
    for line, each in zip(lines, EXERCISES.values(), strict=True):
        assert line.split()[0] == str(each.number)
        assert each.title in line
        assert line.endswith(f"course/exercises/{each.name}")


@pytest.mark.parametrize("number", EXERCISES)
def test_an_exercise_says_what_is_to_be_done(number: int) -> None:
    shown = exercise("show", str(number)).stdout
    assert f"Exercise {number}" in shown
    assert f"randsvc exercise check {number}" in shown


def test_work_that_does_it_passes() -> None:
    done = exercise("check", "1", "--work", "course/solutions/1-instrument")
    assert (done.returncode, done.stderr) == (0, "")
    first, *checks, last = done.stdout.splitlines()
    assert first.endswith(": course/solutions/1-instrument")
    assert len(checks) == len(EXERCISES[1].checks)
    assert all(line.startswith("✓ ") for line in checks)
    assert last == "Passed."


def test_work_that_does_not_gets_one_hint_behind_what_it_does(tmp_path: Path) -> None:
    work = Path(shutil.copytree(EXERCISES[1].solution, tmp_path / "work"))
    text = (work / "app.py").read_text()
    (work / "app.py").write_text(text.replace("perf_counter() - started", "0.0"))
    done = exercise("check", "1", "--work", str(work))
    assert (done.returncode, done.stderr) == (1, "")
    _, *passed, failed, hint = done.stdout.splitlines()
    assert passed
    assert all(line.startswith("✓ ") for line in passed)
    assert failed == "✗ Durations are in seconds, and include the whole handler"
    assert "start the clock before" in hint


@pytest.mark.parametrize(
    ("arguments", "before", "line"),
    [
        (("check", "9"), "", f"randsvc: no exercise 9, expected one of {KNOWN}"),
        (
            ("check", "1", "--work", "nowhere"),
            "",
            f"randsvc: --work nowhere: expected a folder such as {EXERCISES[1].starter}",
        ),
        (
            ("run", "1"),
            "",
            "randsvc: exercise 1 has no system to run; expected one of 4, 5. `randsvc exercise "
            "check 1` runs your work",
        ),
        (
            ("check", "2"),
            "import os; os.environ['PATH'] = '/nowhere'",
            "randsvc: no program `go` in PATH: install Go 1.26 or newer, https://go.dev/dl/",
        ),
        (
            ("list",),
            "import randsvc.cli.exercise as cli\ncli.ROOT = cli.Path('/nowhere')",
            "randsvc: exercises need a clone of the project, and /nowhere is not one: run the "
            "command in a clone",
        ),
        (
            ("list",),
            "sys.modules['prometheus_client'] = None",
            "randsvc: exercises need the package prometheus_client, which is not installed: run "
            "`make tools` in the clone",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], before: str, line: str
) -> None:
    assert refuse("exercise", *arguments, before=before) == line
