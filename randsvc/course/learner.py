"""A learner's program, run for a while; it is gone at the end, with its children."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from randsvc.course.exercise import WorkError
from randsvc.stack.addresses import find_unused_ports
from randsvc.stack.supervisor import wait_until

__all__ = ("Program", "running_program")

START_WITHIN = 20.0
"""Seconds until it has to answer."""
LINES = 8
"""Of what it said last; a traceback of a few calls."""


class Program:
    """A running program of a learner, at ``url``."""

    def __init__(
        self, path: Path, port: int, process: "subprocess.Popen[bytes]", log: Path
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._path = path
        self._port = port
        self._process = process
        self._log = log

    def expect_alive(self, within: float = 0) -> None:
        """Raise ``WorkError``, with what it said last, where it has ended or does in a moment."""
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(within)
            raise WorkError(f"{self._path.name} ended with exit code {code}{self.last_lines()}")

    def last_lines(self) -> str:
        """What it said last, each line indented, to be put behind a sentence."""
        lines = self._log.read_text(errors="replace").splitlines()[-LINES:]
        return "; it said last:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""

    def answers(self) -> bool:
        """Whether it accepts connections."""
        self.expect_alive()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False


@contextmanager
def running_program(path: Path) -> Iterator[Program]:
    """Run a Python file with PORT set to a free port; give it when it answers there."""
    (port,) = find_unused_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, path.name],
                cwd=path.parent,
                env=os.environ | {"PORT": str(port), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            program = Program(path, port, process, log)
            try:
                wait_until(program.answers, within=START_WITHIN)
            except TimeoutError:
                raise WorkError(
                    f"{path.name} does not listen at 127.0.0.1:$PORT within {START_WITHIN:g} s; "
                    f"the checker set PORT={port}{program.last_lines()}"
                ) from None
            yield program
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
