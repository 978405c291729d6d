"""The course as a learner follows it: every command of every lesson, word for word, in a clone.

What a fence ``bash`` holds is run, block by block in one shell a lesson. ``bash background TEXT``
is a terminal of its own: it goes on, and the next block waits until it has said TEXT. What a fence
``output`` holds is exactly what the block before it says. Each lesson has a network of its own, so
that the well-known ports are free whatever runs on this machine.
"""

import re
from pathlib import Path

import pytest

from randsvc.course.exercise import COURSE
from tests.support.clones import FENCE, follow, make_clone, started

pytestmark = pytest.mark.timeout(900)  # the first build of the native programs

LESSONS = sorted(COURSE.glob("[0-9]*.md"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("clone"))


def script(lesson: Path) -> str:
    """What a learner types, as one script that ends at the first thing that does not work."""
    lines = ["set -euo pipefail"]
    for number, found in enumerate(FENCE.finditer(lesson.read_text())):
        language, how, block = found.groups()
        if language == "output":
            lines.append(f"diff .block - <<'OUTPUT'\n{block}OUTPUT")
        elif language == "bash" and how.startswith("background"):
            until = how.removeprefix("background").strip()
            lines.append(started(block.strip(), f".terminal-{number}", until))
        elif language == "bash":
            lines.append(f"{{\n{block}}} >.block\ncat .block")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_every_command_of_a_lesson_works_word_for_word(lesson: Path, clone: Path) -> None:
    follow(script(lesson), clone)


PAGES = [*COURSE.glob("*.md"), *COURSE.glob("exercises/*/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(COURSE)))
def test_every_link_of_the_course_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_every_lesson_and_every_exercise_is_in_the_index() -> None:
    index = (COURSE / "README.md").read_text()
    for lesson in LESSONS:
        assert f"]({lesson.name})" in index
    for folder in sorted((COURSE / "exercises").iterdir()):
        assert f"](exercises/{folder.name}/README.md)" in index
