"""The command that runs the native stack."""

import io
import os
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest
from rich.console import Console

from randsvc.cli import stack as command
from tests.support.command_line import run_randsvc


class FakeStack:
    """Programs that have only a name."""

    def __init__(self) -> None:
        self.programs = dict.fromkeys(("auth", "randsvc"))
        self.running = {"auth"}

    def stop(self, name: str) -> None:
        self.running.remove(name)

    def start(self, name: str) -> None:
        self.running.add(name)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The file descriptor at which a test types."""
    keyboard, terminal = os.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield keyboard
    os.close(keyboard)


def test_help_is_printed_and_nothing_is_started() -> None:
    done = run_randsvc("stack", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: randsvc stack")


def test_the_two_layouts_exclude_each_other() -> None:
    done = run_randsvc("stack", "--ha", "--logs")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "randsvc: --logs and --ha: expected one of them; --ha runs no VictoriaLogs"
    )


@pytest.mark.parametrize(
    ("line", "running", "printed"),
    [
        ("stop auth", set(), "auth is stopped"),
        ("start randsvc", {"auth", "randsvc"}, "randsvc is running"),
        ("", {"auth"}, ""),
        *(
            (
                line,
                {"auth"},
                "expected `stop NAME` or `start NAME`; running programs: auth; "
                "stopped programs: randsvc",
            )
            for line in ("stop", "stop randsvc", "start auth", "start nothing", "restart auth")
        ),
    ],
)
def test_a_program_is_stopped_and_started_from_the_terminal(
    line: str, running: set[str], printed: str, keyboard: int
) -> None:
    stack, screen = FakeStack(), io.StringIO()
    os.write(keyboard, f"{line}\n".encode())
    command._obey(cast("Any", stack), Console(file=screen, soft_wrap=True))
    assert stack.running == running
    assert screen.getvalue().strip() == printed
