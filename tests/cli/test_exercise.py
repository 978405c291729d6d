"""``randsvc exercise`` as a learner types it."""

import json
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


def test_a_grade_can_be_read_by_a_program() -> None:
    done = exercise("check", "1", "--work", "course/exercises/1-instrument", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    grade = json.loads(done.stdout)
    assert (grade["exercise"], grade["passed"], grade["score"]) == (1, False, 0)
    first, *rest = grade["checks"]
    assert first["title"] == "Your work runs"
    assert first["status"] == "failed"
    assert first["hint"].startswith("GET /metrics gets status 404")
    assert [each["title"] for each in rest] == list(EXERCISES[1].titles)
    assert {each["status"] for each in rest} == {"not run"}


def test_gradescope_gets_a_point_for_each_check() -> None:
    done = exercise("check", "1", "--work", "course/solutions/1-instrument", "--gradescope")
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(done.stdout)
    assert set(results) == {"execution_time", "visibility", "output", "output_format", "tests"}
    assert len(results["tests"]) == len(EXERCISES[1].checks) + 1
    for test in results["tests"]:
        assert (test["score"], test["max_score"], test["status"]) == (1, 1, "passed")


def test_gradescope_gets_a_result_for_work_that_fails() -> None:
    done = exercise("check", "1", "--work", "course/exercises/1-instrument", "--gradescope")
    assert done.returncode == 0
    scores = [test["score"] for test in json.loads(done.stdout)["tests"]]
    assert scores == [0] * (len(EXERCISES[1].checks) + 1)


def test_a_class_is_graded_side_by_side_whatever_is_handed_in(tmp_path: Path) -> None:
    shutil.copytree(EXERCISES[1].solution, tmp_path / "ada" / "1-instrument")
    for name, text in {
        "bob": "while True:\n    print('x' * 1000)",
        "eve": f"print(len(open('{tmp_path}/ada/1-instrument/app.py').read()), 'characters')",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text(text)
    (tmp_path / "zoe").mkdir()
    (tmp_path / "zoe" / "answer.yaml").write_text("seed: 1\nvalue:\ndelay:\n")
    done = exercise("roster", str(tmp_path))
    assert done.returncode == 0
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in done.stdout.splitlines()]
    checks = len(EXERCISES[1].checks) + 1
    assert ["ada", "✓", "-"] in rows
    assert ["bob", f"✗ 0 of {checks}", "-"] in rows
    assert ["eve", f"✗ 0 of {checks}", "-"] in rows
    assert "bob, exercise 1: Your work runs\n  app.py was ended: it printed more" in done.stdout
    assert "FileNotFoundError" in done.stdout
    assert " characters\n" not in done.stdout
    assert "zoe, exercise 4: Your work runs\n  answer.yaml: value is empty" in done.stdout


def test_the_grades_of_a_class_can_be_read_by_a_program(tmp_path: Path) -> None:
    (tmp_path / "zoe").mkdir()
    (tmp_path / "zoe" / "answer.yaml").write_text("seed: 1\nfault:\n")
    (grade,) = json.loads(exercise("roster", str(tmp_path), "--json").stdout)
    assert (grade["person"], grade["exercise"], grade["passed"]) == ("zoe", 5, False)


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
            ("roster", "nowhere"),
            "",
            "randsvc: nowhere is no folder: expected a folder for each person in it",
        ),
        (
            ("roster", "docs", "--exercise", "1"),
            "",
            "randsvc: no folder in docs has any of these files: app.py",
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
