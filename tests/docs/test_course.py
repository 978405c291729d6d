"""The course as a learner follows it: every command of every lesson, word for word, in a clone.

A ``bash`` fence is run, block by block in one shell a lesson. ``bash background TEXT`` is a second
terminal: the command keeps running, and the next block waits until it has printed TEXT. An
``output`` fence is exactly the output of the block before it. A ``text`` fence is that output too,
apart from what differs between runs. Each lesson has its own network, so that the well-known ports
are free.
"""

from pathlib import Path

import pytest

from randsvc.course.exercise import COURSE
from tests.support.clones import FENCE, follow, make_clone, started
from tests.support.printed import prints

LESSONS = sorted(COURSE.glob("[0-9]*.md"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("clone"))


def script(lesson: Path) -> str:
    """What a learner types, as one script that ends at the first command that fails.

    The output of a block with a ``text`` fence is left in ``.printed-NUMBER``, the fence's number.
    """
    lines = ["set -euo pipefail"]
    for number, found in enumerate(FENCE.finditer(lesson.read_text())):
        language, how, block = found.groups()
        if language == "output":
            lines.append(f"diff .block - <<'OUTPUT'\n{block}OUTPUT")
        elif language == "text":
            lines.append(f"cp .block .printed-{number}")
        elif language == "bash" and how.startswith("background"):
            until = how.removeprefix("background").strip()
            lines.append(started(block.strip(), f".terminal-{number}", until))
        elif language == "bash":
            lines.append(f"{{\n{block}}} >.block\ncat .block")
    return "\n".join(lines) + "\n"


@pytest.mark.native
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_every_command_of_a_lesson_works_word_for_word(lesson: Path, clone: Path) -> None:
    follow(script(lesson), clone)
    for number, found in enumerate(FENCE.finditer(lesson.read_text())):
        language, _, shown = found.groups()
        if language == "text":
            printed = (clone / f".printed-{number}").read_text()
            assert prints(shown, printed), (
                f"{lesson.name} shows\n{shown}\nbut this was printed\n{printed}"
            )


def test_every_lesson_and_every_exercise_is_in_the_index() -> None:
    index = (COURSE / "README.md").read_text()
    for lesson in LESSONS:
        assert f"]({lesson.name})" in index
    for folder in sorted((COURSE / "exercises").iterdir()):
        assert f"](exercises/{folder.name}/README.md)" in index
