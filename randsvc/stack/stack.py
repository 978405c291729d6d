"""The chain without containers: service, Collector, Prometheus, Alertmanager, on loopback.

``python -m randsvc.stack.stack`` runs it until Ctrl-C; tests run it by ``running``. What its
programs are is in ``randsvc.stack.programs``.
"""

import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from randsvc.stack import native
from randsvc.stack.programs import (
    ADDRESSES,
    BLACKBOX_PACKAGE,
    AddressBook,
    Program,
    Service,
    StackError,
    TimeScale,
    alertmanager,
    auth,
    blackbox,
    collector,
    inbox,
    prometheus,
    randsvc,
    users,
)

__all__ = (
    "AddressBook",
    "Program",
    "Service",
    "Stack",
    "StackError",
    "auth",
    "blackbox",
    "free_addresses",
    "randsvc",
    "running",
    "started",
    "unused_ports",
    "users",
    "wait_until",
    "well_known_addresses",
)

START_WITHIN = 60.0
STOP_WITHIN = 20.0
"""Seconds; the service finishes what is in flight, then flushes, which may take it 15."""

T = TypeVar("T")

# Environment variables of proxies are not for loopback.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Stack:
    """Programs that can be started, stopped, killed and asked, each by its name."""

    def __init__(self, programs: Sequence[Program], book: AddressBook, folder: Path) -> None:
        self.programs = {program.name: program for program in programs}
        self.book = book
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a program and wait until it is ready; it finds the data it left before."""
        program = self.programs[name]
        for address in program.listens:
            _refuse_taken(name, self.book[address])
        with self._log(name).open("ab") as log:
            # A session of its own, so that Ctrl-C in a terminal reaches this process alone, which
            # then stops all of them in order.
            process = subprocess.Popen(  # noqa: S603
                [*_dies_with_us(), *program.command],
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
            wait_until(lambda: self._answers(name, address, path), within=START_WITHIN)
        except TimeoutError:
            raise StackError(
                f"{name} is not ready after {START_WITHIN:g} s: {self.url(address, path)}\n"
                f"{self.log(name)}"
            ) from None

    def stop(self, name: str) -> None:
        """Ask a program to stop, and wait for it; kill what is left of it after 20 s."""
        self._end(name, signal.SIGTERM)

    def kill(self, name: str) -> None:
        """End a program without giving it time to save or send anything."""
        self._end(name, signal.SIGKILL)

    @property
    def running(self) -> set[str]:
        """The names of the programs that were started and not stopped."""
        return set(self._processes)

    def check(self) -> None:
        """Raise ``StackError`` if a program has stopped that nobody asked to."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise StackError(
                    f"{name} stopped by itself with exit code {process.returncode}\n"
                    f"{self.log(name)}"
                )

    def log(self, name: str, lines: int = 15) -> str:
        """Give the last lines that a program printed."""
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-lines:])

    def url(self, address: str, path: str = "") -> str:
        """Give the URL here of an address of the compose network."""
        return f"http://{self.book[address]}{path}"

    def get(self, address: str, path: str, **parameters: str) -> bytes:
        """Fetch a page; raises ``OSError`` when there is no answer, or one that is not 2xx."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with _http.open(self.url(address, path) + query, timeout=10) as response:
            body: bytes = response.read()
        return body

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Ask Prometheus for the present: ``metric`` and ``value`` or ``histogram`` a series.

        https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
        """
        answer = json.loads(self.get("prometheus:9090", "/api/v1/query", query=promql))
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def number(self, promql: str) -> float | None:
        """Ask Prometheus for one number; None where there is no series."""
        found = self.query(promql)
        if len(found) > 1:
            raise ValueError(f"{promql}: {len(found)} series, expected one at most")
        return float(found[0]["value"][1]) if found else None

    def _answers(self, name: str, address: str, path: str) -> bool:
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
            # Its workers too, where it has any and could not see to them.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _end_all(self) -> None:
        for name in reversed(list(self._processes)):
            self.stop(name)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextmanager
def running(
    *,
    services: Sequence[Service] = (randsvc,),
    free_ports: bool = False,
    interval: str | None = None,
    pull: bool = False,
    scale: TimeScale = "demo",
    folder: Path | None = None,
) -> Iterator[Stack]:
    """Run the chain inside; give it when everything is ready.

    ``interval`` replaces how often Prometheus scrapes and evaluates (a Prometheus duration).
    ``pull`` makes it keep what it reads from the service itself, as prometheus.yml describes.
    ``scale`` is the time scale of the rules. What is not among ``services`` is not probed.
    ``folder`` takes configurations, data and logs; without one they are gone at the end.
    Raises ``StackError`` or ``NativeError``. The thread that enters must live until the end: the
    kernel takes its death for ours.
    """
    with ExitStack() as cleanup:
        programs = native.build()
        folder = folder or Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        book = free_addresses() if free_ports else well_known_addresses()
        measured = [service(book) for service in services]
        probed = any("blackbox-exporter:9115" in program.listens for program in measured)
        # Prometheus last, so that it finds all that it scrapes, and stops first.
        last = prometheus(
            programs,
            book,
            folder,
            interval=interval,
            pull=pull,
            scale=scale,
            without=() if probed else ("blackbox",),
        )
        chain = (
            inbox(book),
            alertmanager(programs, book, folder),
            collector(programs, book),
            *measured,
            last,
        )
        yield cleanup.enter_context(started(chain, book, folder))


@contextmanager
def started(programs: Sequence[Program], book: AddressBook, folder: Path) -> Iterator[Stack]:
    """Run programs inside, each once the one before is ready; stop them in the opposite order.

    ``folder`` takes their logs. Raises ``StackError``. About the thread: as ``running``.
    """
    stack = Stack(programs, book, folder)
    # Before anything runs: one line for a taken port, and nothing to clean up.
    for program in programs:
        for address in program.listens:
            _refuse_taken(program.name, book[address])
    try:
        for program in programs:
            stack.start(program.name)
        yield stack
    finally:
        stack._end_all()


def wait_until(holds: Callable[[], T], *, within: float, every: float = 0.1) -> T:
    """Give what ``holds`` returns once it is true; ``TimeoutError`` after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:g} s")
        time.sleep(every)
    return found


def unused_ports(number: int) -> list[int]:
    """Find ports that nobody listens on, below the range that the kernel gives clients theirs from.

    Whoever connects to anything before a port is used would otherwise take it now and then.
    """
    ports = random.sample(range(10_000, 32_768), k=number + 1000)
    return list(islice((port for port in ports if not _answers(port)), number))


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    """Run the chain with users until Ctrl-C, SIGTERM, or until one of its programs stops.

    Who has a terminal can stop programs and start them again.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = {
        name: value for name, value in os.environ.items() if name.startswith(("RANDSVC_", "OTEL_"))
    }
    services: list[Service] = [partial(randsvc, env=chosen), partial(auth, env=chosen), users]
    if shutil.which(BLACKBOX_PACKAGE):
        services.append(blackbox)
    else:
        console.print(
            f"Nothing is probed from outside: there is no program {BLACKBOX_PACKAGE}; on Debian it "
            "is the package of that name."
        )
    try:
        with running(services=services) as stack:
            console.print(_table(stack))
            console.print(f"Logs and data until then: {stack.folder}. Ctrl-C stops all.")
            if sys.stdin.isatty():
                console.print(f"stop NAME, start NAME: one of {', '.join(stack.programs)}")
            while True:
                _obey(stack, console)
                stack.check()
    except KeyboardInterrupt:
        return 0
    except (StackError, native.NativeError) as error:
        console.print(str(error), markup=False)
        return 1


def _obey(stack: Stack, console: Console) -> None:
    """Do what is typed within a second, if anything is."""
    if not sys.stdin.isatty():
        time.sleep(1)
        return
    if not select.select([sys.stdin], [], [], 1)[0]:
        return
    match sys.stdin.readline().split():
        case ["stop", name] if name in stack.programs:
            stack.stop(name)
            console.print(f"{name} is stopped")
        case ["start", name] if name in stack.programs and name not in stack.running:
            stack.start(name)
            console.print(f"{name} runs")
        case []:
            pass
        case _:
            console.print(
                f"expected stop NAME or start NAME; running: {', '.join(sorted(stack.running))}"
            )


def well_known_addresses() -> AddressBook:
    """Give each program of the chain the ports of this machine that it is known by."""
    return {address: f"127.0.0.1:{address.split(':')[1]}" for address in ADDRESSES}


def free_addresses() -> AddressBook:
    """Give each program of the chain ports of this machine that nothing listens at."""
    ports = unused_ports(len(ADDRESSES))
    return {address: f"127.0.0.1:{port}" for address, port in zip(ADDRESSES, ports, strict=True)}


def _refuse_taken(name: str, address: str) -> None:
    host, port = address.split(":")
    with socket.socket() as probe:
        # As servers do: a connection of a server that has ended does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise StackError(
                f"{name} can't listen on {address}: {error.strerror}; stop what listens there"
            ) from None


def _dies_with_us() -> list[str]:
    """Have the kernel stop a program when this process is gone, even when it was killed.

    By setpriv of util-linux, as the other way, a function between fork and exec, is not safe in a
    process with threads. Where it is missing, only an orderly end stops the programs.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _table(stack: Stack) -> Table:
    table = Table("What", "Where")
    for address, what in ADDRESSES.items():
        table.add_row(what, stack.url(address))
    return table


if __name__ == "__main__":
    sys.exit(main())
