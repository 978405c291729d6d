"""Runs a learner's program in a sandbox, from which nothing is left at the end.

Where the kernel permits it (``unshare`` of util-linux, user namespaces), the program has its own
processes, its own network with nothing but loopback, and a view of the files in which all is
read-only but a copy of the work, a home and a temporary folder; the home of the user is hidden.
Elsewhere its processes, memory, time and output are limited, and ``find_gap`` says what is not
contained.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import aiohttp
import psutil

from randsvc.course.exercise import COURSE, MARKING, WorkError
from randsvc.project import ROOT
from randsvc.stack.addresses import find_unused_ports

__all__ = ("Program", "run_program")

START_WITHIN = 30.0
"""Seconds until the program must accept connections, unless it is at work: on a busy machine it
starts slowly."""
IDLE = (10.0, 0.05)
"""Seconds, and seconds of the processor in them below which a program is not at work."""
START_AT_MOST = 300.0
"""Seconds until it must accept connections, whatever it does."""
LOG_LINES = 8
"""Lines of its output in an error: enough for a short traceback."""
OUTPUT_BYTES = 10 * 2**20
MEMORY_BYTES = 2**30
"""Resident memory of all processes together."""
PROCESSES = 64
BOX_BYTES = 64 * 2**20
"""Size of the work and of each folder that the program may write to."""
WATCH_EVERY = 0.2
LIMITS = {
    # One process: a program that allocates at once gets a MemoryError.
    "RLIMIT_AS": 4 * 2**30,
    "RLIMIT_CORE": 0,
    "RLIMIT_FSIZE": BOX_BYTES,
}
KEPT_VARIABLES = ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "TZ", "VIRTUAL_ENV")
"""All else of the environment, where secrets may be, stays out."""
UNSHARE = (
    *("unshare", "--user", "--map-root-user", "--mount", "--mount-proc", "--net", "--ipc"),
    *("--pid", "--fork", "--kill-child"),
)
_INIT = Path(__file__).with_name("sandbox_init.py")
_HOOK = Path(__file__).with_name("sandbox_hook.py")


class Program:
    """A running program of a learner, at ``url``."""

    def __init__(
        self, path: Path, port: int, process: "subprocess.Popen[bytes]", control: socket.socket
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._path = path
        self._port = port
        self._process = process
        self._control = control
        self._output = bytearray()
        self._excess = ""
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def was_stopped(self) -> bool:
        """Whether it was ended for what it took."""
        return bool(self._excess)

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return self._output.decode(errors="replace")

    def expect_alive(self, within: float = 0) -> None:
        """Raise ``WorkError`` with the reason if the program ends ``within`` seconds."""
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(within)
            self._reader.join(1)
            if self._excess:
                raise WorkError(f"{self._path.name} was ended: it {self._excess}")
            raise WorkError(f"{self._path.name} ended with exit code {code}{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the last lines of its output, indented, to append to a sentence."""
        length = -1
        deadline = time.monotonic() + 1
        while length < len(self._output) and time.monotonic() < deadline:
            length = len(self._output)
            time.sleep(0.2)  # what it printed before it responded may be under way
        lines = [line[:300] for line in self.output.splitlines()[-LOG_LINES:]]
        return "; its last output:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""

    def accepts_connections(self) -> bool:
        """Whether it accepts connections."""
        self.expect_alive()
        with suppress(OSError), self.make_socket() as probe:
            probe.settimeout(1)
            probe.connect(("127.0.0.1", self._port))
            return True
        return False

    def wait_until_it_listens(self) -> None:
        """Wait until it accepts connections; raises ``TimeoutError``, ``WorkError``."""
        began = time.monotonic()
        seen, used = began, 0.0
        while not self.accepts_connections():
            now, total = time.monotonic(), self._measure_cpu()
            if total - used > IDLE[1]:
                seen, used = now, total
            is_idle = now - seen > IDLE[0]
            if (
                (now - began > START_WITHIN and is_idle)
                or used > START_WITHIN
                or now - began > START_AT_MOST
            ):
                raise TimeoutError
            time.sleep(0.1)

    def _measure_cpu(self) -> float:
        """Return the seconds of the processor that the processes of the program have used."""
        total = 0.0
        # The first process of the sandbox is no program of the learner.
        for each in _list_descendants(self._process)[0 if find_gap() else 1 :]:
            with suppress(psutil.Error):
                times = each.cpu_times()
                total += times.user + times.system
        return total

    def make_socket(self, *_: object) -> socket.socket:
        """Make a TCP socket of its network, as a ``socket_factory`` of aiohttp."""
        self._control.sendall(b"socket")
        descriptors = socket.recv_fds(self._control, 16, 1)[1]
        if not descriptors:
            raise ConnectionResetError("the sandbox has ended")
        return socket.socket(fileno=descriptors[0])

    def connector(self) -> aiohttp.TCPConnector:
        """Make a connector to it, which opens a connection for each request."""
        return aiohttp.TCPConnector(force_close=True, socket_factory=self.make_socket)

    def end(self) -> None:
        """End it with every process that it has started."""
        self._ended.set()
        self._control.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            _kill_tree(self._process)
        self._reader.join(5)
        if self._process.stdout:
            self._process.stdout.close()

    def _read_output(self) -> None:
        assert self._process.stdout  # noqa: S101 - a pipe
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            if len(self._output) + len(chunk) <= OUTPUT_BYTES:
                self._output += chunk
            elif not self._excess:
                self._stop(f"printed more than {OUTPUT_BYTES // 2**20} MB")

    def _watch(self) -> None:
        while not self._ended.wait(WATCH_EVERY) and not self._excess:
            memory, number = _measure(self._process)
            if number > PROCESSES:
                self._stop(f"started more than {PROCESSES} processes")
            elif memory > MEMORY_BYTES:
                self._stop(f"took more than {MEMORY_BYTES // 2**20} MB of memory")

    def _stop(self, reason: str) -> None:
        self._excess = reason
        if not find_gap():
            # With process 1 of the namespace, the kernel ends them all, faster than they fork.
            self._process.kill()
        _kill_tree(self._process)


@contextmanager
def run_program(path: Path) -> Iterator[Program]:
    """Run a Python file with PORT set to a free port, until it accepts connections there.

    Raises ``WorkError``, at the end of the block also if the program tried to write or connect
    outside its sandbox.
    """
    (port,) = find_unused_ports(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        process, control = _start(
            [sys.executable, path.name],
            folder,
            work=path.parent.resolve(),
            env={"PORT": str(port), "PYTHONUNBUFFERED": "1"},
        )
        program = Program(path, port, process, control)
        failure: WorkError | None = None
        try:
            _wait_for(program, path, port)
            yield program
        except WorkError as error:
            failure = error
        finally:
            program.end()
        tried = [] if program.was_stopped else _read_attempts(folder / "tried")
        if tried:
            raise WorkError(
                f"{path.name} may use its folder, a temporary folder (tempfile), loopback and "
                f"processes that end with it, but tried to {', '.join(tried)}"
                + (f"; {failure}" if failure else "")
            )
        if failure:
            raise failure


@cache
def find_gap() -> str:
    """Return what a sandbox does not contain on this machine, and why; empty if nothing."""
    if shutil.which(UNSHARE[0]) is None:
        reason = "there is no program `unshare`, of util-linux"
    else:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            process, control = _start(
                [sys.executable, "-c", ""], folder, work=folder / "work", env={}, is_copied=False
            )
            output, _ = process.communicate(timeout=60)
            control.close()
        if process.returncode == 0:
            return ""
        reason = output.decode(errors="replace").strip().rpartition("\n")[2]
    return f"files outside the work and the network are not contained: {reason}"


def _wait_for(program: Program, path: Path, port: int) -> None:
    try:
        program.wait_until_it_listens()
    except (TimeoutError, ConnectionError):
        program.expect_alive(within=1)
        raise WorkError(
            f"{path.name} does not listen at 127.0.0.1:$PORT within {START_WITHIN:g} s "
            f"(PORT={port}){program.last_lines()}"
        ) from None


def _start(
    command: Sequence[str],
    folder: Path,
    *,
    work: Path,
    env: Mapping[str, str],
    is_copied: bool = True,
) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """Start a command in a sandbox; ``folder`` is empty, and receives its attempts."""
    is_probe = not is_copied
    namespaces = is_probe or not find_gap()
    box = folder / "box"
    box.mkdir()
    (folder / "tried").touch()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    homes = {"HOME": f"{box}/home", "TMPDIR": str(box / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    watched = {
        "PYTHONPATH": f"{box}/hook",
        "SANDBOX_TRIED": f"{box}/tried",
        "SANDBOX_ALLOWED": f"{box}:{work}:/dev:/proc",
    }
    spec = {
        "namespaces": namespaces,
        "box": str(box),
        "box_bytes": BOX_BYTES,
        "work": str(work),
        "is_copied": is_copied,
        "tried": str(folder / "tried"),
        "hook": _HOOK.read_text(),
        "hide": _list_private_folders(),
        "keep": [str(path) for path in _list_interpreter_folders()],
        "command": list(command),
        "env": {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        | homes
        | watched
        | dict(env),
        "limits": LIMITS,
        "control": None if is_probe else theirs.fileno(),
    }
    process = subprocess.Popen(  # noqa: S603
        [*(UNSHARE if namespaces else ()), sys.executable, "-I", str(_INIT), json.dumps(spec)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()
    return process, ours


def _list_private_folders() -> list[str]:
    """Return folders with private files, sockets of other programs, or the answers of others."""
    names = ("/tmp", "/var/tmp", "/run")  # noqa: S108
    paths = [*map(Path, names), Path.home(), COURSE / "solutions"]
    if submissions := MARKING.get():
        paths.append(submissions)
    return sorted({os.path.realpath(path) for path in paths} - {"/"})


def _list_interpreter_folders() -> list[Path]:
    found = {Path(path).resolve() for path in (ROOT, sys.prefix, sys.base_prefix)}
    return sorted(found | {Path(sysconfig.get_path("stdlib")).resolve()})


def _read_attempts(file: Path) -> list[str]:
    """Return what the hook and the first process of the sandbox noted, at most five."""
    with file.open(errors="replace") as lines:
        text = lines.read(10_000)
    found = []
    for line in text.splitlines():
        with suppress(ValueError, SyntaxError):
            found.append(str(literal_eval(line)))
    return list(dict.fromkeys(found))[:5]


def _list_descendants(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Return the descendants of a process, parents first."""
    found: list[psutil.Process] = []
    parents = [process.pid]
    while parents:
        children = _list_children(parents.pop(0))
        parents += children
        for child in children:
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(child))
    return found


def _list_children(process: int) -> list[int]:
    """Return the children of a process; psutil would read every process of the machine."""
    found: list[int] = []
    # Threads and processes may end meanwhile.
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def _measure(process: "subprocess.Popen[bytes]") -> tuple[int, int]:
    """Return the resident bytes and the number of the processes of a sandbox."""
    found = _list_descendants(process)
    memory = 0
    for each in found:
        with suppress(psutil.Error):
            memory += each.memory_info().rss
    return memory, len(found)


def _kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """Kill the processes of a sandbox; its first process last, whose children orphans become."""
    while found := _list_descendants(process):
        for each in found:
            with suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(found, timeout=0.1)
    process.kill()
    process.wait()
