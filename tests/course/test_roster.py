"""A class is graded side by side; work that would harm the machine is named, and harms nothing."""

from pathlib import Path

from randsvc.course.roster import find_submissions, list_people
from tests.course.classroom import CLASS, grade_class

SAMPLE = ("ada", "a child that outlives its parent", "a file outside by a shell")
"""Of those whose programs run; test_sandbox.py has the others."""


def test_harmful_work_is_named_and_harms_nothing() -> None:
    people = {
        name: submission
        for name, submission in CLASS.items()
        if name in SAMPLE or not submission.is_run
    }
    assert len(people) > 15
    assert not grade_class(people)


def test_folders_of_tools_and_links_are_not_searched(tmp_path: Path) -> None:
    (tmp_path / "ada" / ".venv" / "lib").mkdir(parents=True)
    (tmp_path / "ada" / ".venv" / "lib" / "app.py").touch()
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "all").symlink_to("/")
    (tmp_path / "bob" / "mine").mkdir()
    (tmp_path / "bob" / "mine" / "app.py").touch()
    assert [each.name for each in list_people(tmp_path)] == ["ada", "bob"]
    (found,) = find_submissions(tmp_path, {1})
    assert found.folder == tmp_path / "bob" / "mine"
