"""Starts, stops and watches the programs of a stack."""

import os
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil

from randsvc.prometheus_api import Prometheus, Series
from randsvc.stack.addresses import AddressBook, expect_unused
from randsvc.stack.programs import Program, StackError

__all__ = ("Stack", "run_programs", "wait_until")

START_WITHIN = 120.0
"""Seconds that a program has until it is ready."""
GET_WITHIN = 10.0
"""Seconds that a program has to answer a request."""
QUERY_WITHIN = 60.0
"""Seconds that Prometheus has to answer a query; more than a busy machine takes."""
STOP_WITHIN = 20.0
"""Seconds that a program has to stop. The service takes up to 15: it finishes requests, then
exports."""

T = TypeVar("T")

# Proxies that the environment names are not for loopback.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Stack:
    """Programs that can be started, stopped, killed and queried, each by its name."""

    def __init__(self, programs: Sequence[Program], book: AddressBook, folder: Path) -> None:
        self.programs = {program.name: program for program in programs}
        self.book = book
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a program and wait until it is ready; it finds the data of its last run."""
        program = self.programs[name]
        for address in program.listens:
            _expect_free(name, self.book[address])
        with self._log(name).open("ab") as log:
            # A session of its own, so that Ctrl-C in a terminal reaches only this process, which
            # then stops the programs in order.
            process = subprocess.Popen(  # noqa: S603
                [*_end_with_parent(), *program.command],
                cwd=self.folder,
                env=program.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process
        if program.ready is None:
            return
        address, path = program.ready
        try:
            wait_until(lambda: self._responds(name, address, path), within=START_WITHIN)
        except TimeoutError:
            raise StackError(
                f"{name} is not ready after {START_WITHIN:g} s: {self.url(address, path)}\n"
                f"{self.log(name)}"
            ) from None

    def stop(self, name: str) -> None:
        """Send a program SIGTERM and wait for its end; kill its processes after ``STOP_WITHIN``."""
        self._end(name, signal.SIGTERM)

    def kill(self, name: str) -> None:
        """Send a program SIGKILL, so that it neither saves nor exports anything."""
        self._end(name, signal.SIGKILL)

    def processes(self, name: str) -> list[psutil.Process]:
        """Return the processes of a running program: its main process, then its workers."""
        main = psutil.Process(self._processes[name].pid)
        return [main, *main.children(recursive=True)]

    @property
    def running(self) -> set[str]:
        """The names of the programs that were started and not stopped."""
        return set(self._processes)

    def check(self) -> None:
        """Raise ``StackError`` if a program has ended by itself."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise StackError(
                    f"{name} ended by itself with exit code {process.returncode}\n{self.log(name)}"
                )

    def log(self, name: str, lines: int = 15) -> str:
        """Return the last lines that a program printed."""
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-lines:])

    def url(self, address: str, path: str = "") -> str:
        """Return the URL on this machine of an address in the compose network."""
        return f"http://{self.book[address]}{path}"

    def get(self, address: str, path: str, **parameters: str) -> bytes:
        """Fetch a page; raises ``OSError`` without a response or for a status other than 2xx."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with _http.open(self.url(address, path) + query, timeout=GET_WITHIN) as response:
            body: bytes = response.read()
        return body

    @property
    def prometheus(self) -> Prometheus:
        """The client of this stack's Prometheus."""
        return Prometheus(self.url("prometheus:9090"), timeout=QUERY_WITHIN)

    def query(self, promql: str) -> list[Series]:
        """Send an instant query; raises ``PrometheusError``."""
        return self.prometheus.query(promql)

    def number(self, promql: str) -> float | None:
        """Send an instant query for one number; None without a series that is a finite number."""
        found = self.query(promql)
        if len(found) > 1:
            raise ValueError(f"{promql}: {len(found)} series, expected one at most")
        return found[0].values[-1][1] if found else None

    def _responds(self, name: str, address: str, path: str) -> bool:
        self.check()
        try:
            self.get(address, path)
        except OSError:
            return False
        return True

    def _end(self, name: str, how: signal.Signals) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.send_signal(how)
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN)
        finally:
            # Its workers too, if it could not end them itself.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _end_all(self) -> None:
        for name in reversed(list(self._processes)):
            self.stop(name)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextmanager
def run_programs(programs: Sequence[Program], book: AddressBook, folder: Path) -> Iterator[Stack]:
    """Run programs in a ``with`` block: start each when the one before is ready; stop in reverse.

    ``folder`` receives their logs. Raises ``StackError``. The thread that enters the block must
    live until its end, as the kernel ends the programs with that thread.
    """
    stack = Stack(programs, book, folder)
    # Before anything runs, so that a taken port is one line with nothing to clean up.
    for program in programs:
        for address in program.listens:
            _expect_free(program.name, book[address])
    try:
        for program in programs:
            stack.start(program.name)
        yield stack
    finally:
        stack._end_all()


def wait_until(holds: Callable[[], T], *, within: float, every: float = 0.1) -> T:
    """Return the first true value of ``holds()``; ``TimeoutError`` after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:g} s")
        time.sleep(every)
    return found


def _expect_free(name: str, address: str) -> None:
    try:
        expect_unused(address)
    except OSError as error:
        raise StackError(
            f"{name} cannot listen on {address}: {error.strerror}; stop the program that "
            "listens there"
        ) from None


def _end_with_parent() -> list[str]:
    """Return a command prefix by which the kernel stops a program when this process ends.

    It also holds when this process is killed. setpriv is of util-linux; the alternative, a function
    between fork and exec, is not safe in a process with threads. Without setpriv, only an orderly
    end stops the programs.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
