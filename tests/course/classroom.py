"""What a class hands in: thirty submissions, some of which would harm the machine that grades them.

`make corpus FAMILY=roster` grades them all with one command; the tests grade some.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from randsvc.course import EXERCISES
from tests.support.command_line import run_randsvc
from tests.test_documents import LAUGHS

__all__ = ("CLASS", "grade_class")

SOLUTION = (EXERCISES[1].solution / "app.py").read_text()
CONFIG = (EXERCISES[2].solution / "prometheus.yml").read_text()
SERVE = SOLUTION.rpartition('if __name__ == "__main__":')[0]
MAIN = SOLUTION.removeprefix(SERVE)
GIGABYTE = 10**9


@dataclass(frozen=True)
class Submission:
    """How a person hands in their work, and what the grade has to say; empty if it passes."""

    write: Callable[[Path], object]
    hint: str = ""
    is_run: bool = False
    """Whether a program runs until it has its grade."""

    def explain_misjudgement(self, hint: str) -> str:
        """Return how a grade with this hint is wrong; empty if it is right."""
        if bool(hint) == bool(self.hint) and self.hint in hint:
            return ""
        return f"expected {self.hint or 'no hint'!r}, got {hint!r}"


def solution(number: int) -> Submission:
    return Submission(
        lambda folder: shutil.copytree(EXERCISES[number].solution, folder / EXERCISES[number].name),
        is_run=True,
    )


def app(hint: str, source: str, *, before: bool = False) -> Submission:
    """Hand in a program; with ``before``, the shop with a statement before it serves."""
    text = f"{SERVE}{source}\n{MAIN}" if before else source
    return Submission(lambda folder: (folder / "app.py").write_text(text), hint, is_run=True)


def file(name: str, text: str, hint: str) -> Submission:
    return Submission(lambda folder: (folder / name).write_text(text), hint)


def config(hint: str, old: str, new: str) -> Submission:
    """Hand in the configuration with a change, which is refused before Prometheus starts."""

    def write(folder: Path) -> None:
        shutil.copytree(EXERCISES[2].solution, folder, dirs_exist_ok=True)
        (folder / "prometheus.yml").write_text(CONFIG.replace(old, new))

    return Submission(write, hint)


def grow(folder: Path) -> None:
    (folder / "answer.yaml").touch()
    os.truncate(folder / "answer.yaml", GIGABYTE)


def add_pipe(folder: Path) -> None:
    (folder / "app.py").write_text(SOLUTION)
    os.mkfifo(folder / "log")


def link_folder(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to("ada")


ORPHAN = "import os, time\\nif os.fork(): os._exit(0)\\nos.setsid()\\ntime.sleep(2728281)"
OUTSIDE = "/var/tmp/randsvc-class-was-here"  # noqa: S108

CLASS: Mapping[str, Submission] = {
    "ada": solution(1),
    "bob": solution(2),
    "cem": solution(3),
    "dua": solution(4),
    # The start time of an incident that ran elsewhere is not checked.
    "eli": solution(5),
    "endless output": app("it printed more than 10 MB", "while True:\n    print('x' * 10_000)"),
    "growing memory": app(
        "it took more than 1024 MB of memory",
        "x = []\nwhile True:\n    x.append(bytearray(b'x' * 10_000_000))",
    ),
    "processes without end": app(
        "it started more than 64 processes",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    ),
    "a child that outlives its parent": app(
        "tried to leave a process behind",
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', \"{ORPHAN}\"], "
        "start_new_session=True)",
        before=True,
    ),
    "a file outside": app(f"tried to write {OUTSIDE}", f"open('{OUTSIDE}', 'w')", before=True),
    "a file outside by a shell": app(
        f"tried to write {OUTSIDE}", f"os.system('echo x > {OUTSIDE}')", before=True
    ),
    "a connection": app(
        "tried to connect to 192.0.2.1",
        "import socket\ntry:\n    socket.create_connection(('192.0.2.1', 80), timeout=3)\n"
        "except OSError:\n    pass",
        before=True,
    ),
    "the files of the teacher": app(
        "FileNotFoundError",
        f"import os\nprint(os.listdir({str(Path.home())!r}))\n"
        f"print(open({str(EXERCISES[1].solution / 'app.py')!r}).read())",
    ),
    "a full disk": app(
        "app.py ended with exit code 1",
        "data = bytes(10**7)\nfor i in range(100):\n    open(str(i), 'wb').write(data)",
    ),
    "a program that never listens": app("app.py ended with exit code 0", "pass"),
    "signals to all": app(
        "app.py ended with exit code", "import os\nos.kill(-1, 9)"
    ),
    "a named pipe": Submission(
        lambda folder: os.mkfifo(folder / "answer.yaml"), "answer.yaml is a named pipe"
    ),
    "a named pipe beside the program": Submission(
        add_pipe, "log is a named pipe, expected a file"
    ),
    "a gigabyte": Submission(grow, "the work is larger than 32 MB with answer.yaml"),
    "not UTF-8": Submission(
        lambda folder: (folder / "answer.yaml").write_bytes(b"seed: 1 # f\xfcr mich\n"),
        "answer.yaml is not UTF-8 text",
    ),
    "a link to a secret": Submission(
        lambda folder: (folder / "answer.yaml").symlink_to("/etc/passwd"),
        "answer.yaml is a link to /etc/passwd, outside the work",
    ),
    "a link to the work of another": Submission(
        lambda folder: (folder / "app.py").symlink_to("../ada/1-instrument/app.py"),
        "app.py is a link to ../ada/1-instrument/app.py, outside the work",
    ),
    "a link for a folder": Submission(link_folder, "is a link to ada: hand in a folder"),
    "a device": Submission(
        lambda folder: (folder / "dashboard.json").symlink_to("/dev/zero"),
        "dashboard.json is a link to /dev/zero, outside the work",
    ),
    "rules of another folder": config(
        "prometheus.yml names /etc/passwd, outside the work", "[rules.yml]", "[/etc/passwd]"
    ),
    "targets of another folder": config(
        "prometheus.yml names ../ada/targets.json, outside the work",
        "static_configs:", "file_sd_configs: [{files: [../ada/targets.json]}]\n    static_configs:",
    ),
    "a password of the teacher": config(
        "outside the work", "static_configs:",
        "basic_auth: {username: x, password_file: ../../../../../etc/shadow}\n    static_configs:",
    ),
    "a billion laughs": file(
        "answer.yaml", f"{LAUGHS}seed: 1\nvalue: *a9\ndelay: 1\n", "value is ["
    ),
    "brackets without end": file(
        "dashboard.json", "[" * 100_000, "dashboard.json is not JSON: it is nested too deeply"
    ),
    "a folder for a file": Submission(
        lambda folder: (folder / "dashboard.json").mkdir(), "dashboard.json is a folder"
    ),
}  # fmt: skip


def grade_class(people: Mapping[str, Submission] = CLASS) -> list[str]:
    """Grade a class by the command, and return what is misjudged or was harmed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for person, submission in people.items():
            (folder / person).mkdir()
            submission.write(folder / person)
        done = run_randsvc("exercise", "roster", name, "--json")
    grades = {each["person"]: each for each in json.loads(done.stdout)}
    problems = [f"{person} has no grade" for person in people if person not in grades]
    for person, grade in grades.items():
        hint = " ".join(check["hint"] for check in grade["checks"]).strip()
        if said := people[person].explain_misjudgement(hint):
            problems.append(f"{person}: {said}")
    if Path(OUTSIDE).exists():
        problems.append(f"{OUTSIDE} was written")
        Path(OUTSIDE).unlink()
    problems += [
        f"process {process.pid} is left: {process.info['cmdline']}"
        for process in psutil.process_iter(["cmdline"])
        if any("2728281" in part for part in process.info["cmdline"] or ())
    ]
    return problems
