"""Runs a learner's program for a while, and ends it with its children."""

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

__all__ = ("Program", "run_program")

START_WITHIN = 20.0
"""Seconds until the program must accept connections."""
LOG_LINES = 8
"""Lines of its output in an error: enough for a short traceback."""


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
        """Raise ``WorkError`` with the last output if the program ends ``within`` seconds."""
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(within)
            raise WorkError(f"{self._path.name} ended with exit code {code}{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the last lines of its output, indented, to append to a sentence."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "; its last output:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""

    def accepts_connections(self) -> bool:
        """Whether it accepts connections."""
        self.expect_alive()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False


@contextmanager
def run_program(path: Path) -> Iterator[Program]:
    """Run a Python file with PORT set to a free port, until it accepts connections there."""
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
                wait_until(program.accepts_connections, within=START_WITHIN)
            except TimeoutError:
                raise WorkError(
                    f"{path.name} does not listen at 127.0.0.1:$PORT within {START_WITHIN:g} s "
                    f"(PORT={port}){program.last_lines()}"
                ) from None
            yield program
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
