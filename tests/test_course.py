"""The course as a learner follows it: every command of every lesson, word for word, in a clone.

What a fence ``bash`` holds is run, block by block in one shell a lesson. ``bash background TEXT``
is a terminal of its own: it goes on, and the next block waits until it has said TEXT. What a fence
``output`` holds is exactly what the block before it says. Each lesson has a network of its own, so
that the well-known ports are free whatever runs on this machine.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from observability.exercises.exercise import COURSE
from tests import native_programs

pytestmark = pytest.mark.timeout(900)  # the first build of the native programs

ROOT = Path(__file__).parents[1]
LESSONS = sorted(COURSE.glob("[0-9]*.md"))
FENCE = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

LOOPBACK_UP = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, "
LOOPBACK_UP += "struct.pack('16sh', b'lo', 0x41))"
"""SIOCSIFFLAGS with IFF_UP and IFF_RUNNING, as not every machine has a program for it."""
ISOLATED = (
    "unshare",
    "--map-root-user",
    "--net",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the project, and its environment as `make` would install it."""
    if subprocess.run([*ISOLATED, "true"], capture_output=True).returncode:
        pytest.skip("no lesson is run: this machine gives nobody a network of his own (unshare)")
    clone = tmp_path_factory.mktemp("clone")
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    (clone / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (clone / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    for stamp in ("run", "dev"):
        (clone / ".venv" / f"{stamp}.stamp").touch()
    return clone


def script(lesson: Path) -> str:
    """What a learner types, as one script that ends at the first thing that does not work."""
    lines = ["set -euo pipefail"]
    for number, found in enumerate(FENCE.finditer(lesson.read_text())):
        language, how, block = found.groups()
        if language == "output":
            lines.append(f"diff .block - <<'OUTPUT'\n{block}OUTPUT")
        elif language == "bash" and how.startswith("background"):
            until = how.removeprefix("background").strip()
            log = f".terminal-{number}"
            lines.append(f"{{ {block.strip()}; }} >{log} 2>&1 &")
            lines.append(
                f"for _ in $(seq 120); do grep -q '{until}' {log} && break; sleep 0.5; done; "
                f"grep -q '{until}' {log} || {{ cat {log}; exit 1; }}"
            )
        elif language == "bash":
            lines.append(f"{{\n{block}}} >.block\ncat .block")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_every_command_of_a_lesson_works_word_for_word(lesson: Path, clone: Path) -> None:
    native_programs.folder()
    (clone / ".script").write_text(script(lesson))
    done = subprocess.run(
        [*ISOLATED, "sh", "-c", f'{sys.executable} -c "{LOOPBACK_UP}" && exec bash .script'],
        cwd=clone,
        env={**_environment(), "PYTHONPATH": str(clone)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("RANDSVC_", "OTEL_"))}


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
