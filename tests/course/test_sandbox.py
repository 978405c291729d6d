"""A learner's program, however hostile, harms nothing, and what it tried is named."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from randsvc.course import EXERCISES, sandbox
from randsvc.course.exercise import MARKING, WorkError
from randsvc.course.sandbox import run_program
from randsvc.project import ROOT

pytestmark = pytest.mark.process

SERVE = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(params=["in namespaces", "without"])
def namespaces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run a test in a sandbox of namespaces, and in one that has to do without."""
    if request.param == "without":
        monkeypatch.setattr(sandbox, "find_gap", lambda: "as a test says so")
        return False
    return True


in_both_sandboxes = pytest.mark.usefixtures("namespaces")
needs_namespaces = pytest.mark.skipif(bool(sandbox.find_gap()), reason=sandbox.find_gap())


def run(source: str, folder: Path) -> str:
    """Run a program until it serves or ends, and return why it is refused; empty if it is not."""
    path = folder / "app.py"
    path.write_text(textwrap.dedent(source))
    try:
        with run_program(path):
            pass
    except WorkError as error:
        return str(error)
    return ""


def is_running(word: str) -> bool:
    return any(
        any(word in part for part in process.info["cmdline"] or ())
        for process in psutil.process_iter(["cmdline"])
    )


@in_both_sandboxes
def test_a_program_that_does_its_work_is_not_refused(tmp_path: Path) -> None:
    source = """
    import pathlib, tempfile
    pathlib.Path("cache").write_text("in its folder")
    tempfile.NamedTemporaryFile().write(b"in its temporary folder")
    pathlib.Path.home().joinpath("note").write_text("in its home")
    """
    assert run(textwrap.dedent(source) + SERVE, tmp_path) == ""
    assert [each.name for each in tmp_path.iterdir()] == ["app.py"]


@in_both_sandboxes
def test_a_program_without_end_to_its_output_is_ended_and_named(tmp_path: Path) -> None:
    hint = run("while True:\n    print('x' * 10_000)", tmp_path)
    assert hint == "app.py was ended: it printed more than 10 MB"


@in_both_sandboxes
def test_a_program_whose_memory_grows_is_ended_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 200 * 2**20)
    hint = run("x = []\nwhile True:\n    x.append(bytearray(b'x' * 1_000_000))", tmp_path)
    assert hint == "app.py was ended: it took more than 200 MB of memory"


@in_both_sandboxes
def test_a_program_that_starts_ever_more_processes_is_ended_and_named(tmp_path: Path) -> None:
    source = """
    import subprocess, time
    while True:
        subprocess.Popen(["sleep", "2717182"])
        time.sleep(0.005)
    """
    assert run(source, tmp_path) == "app.py was ended: it started more than 64 processes"
    assert not is_running("2717182")


@in_both_sandboxes
def test_a_child_that_outlives_its_parent_is_ended_and_named(tmp_path: Path) -> None:
    source = """
    import subprocess, sys
    orphan = "import os, time\\nif os.fork(): os._exit(0)\\nos.setsid()\\ntime.sleep(2718281)"
    subprocess.run([sys.executable, "-c", orphan], start_new_session=True)
    """
    hint = run(textwrap.dedent(source) + SERVE, tmp_path)
    assert "tried to leave a process behind" in hint
    assert "time.sleep(2718281)" in hint
    assert not is_running("sleep(2718281)")


@in_both_sandboxes
def test_a_child_of_a_program_that_ends_at_once_is_ended_too(tmp_path: Path) -> None:
    source = "import subprocess\nsubprocess.Popen(['sleep', '2719281'], start_new_session=True)"
    assert "2719281" in run(source, tmp_path)
    assert not is_running("2719281")


@in_both_sandboxes
def test_a_file_outside_is_named(tmp_path: Path) -> None:
    target = tmp_path.parent / "outside"
    hint = run(f"open({str(target)!r}, 'w')\n{SERVE}", tmp_path)
    assert f"tried to write {target}" in hint


@needs_namespaces
@pytest.mark.parametrize(
    "folder",
    [str(Path.home()), "/tmp", "/etc", "/usr", str(ROOT), "/dev/shm"],  # noqa: S108
)
def test_a_file_outside_is_not_written_by_whatever_program(folder: str, tmp_path: Path) -> None:
    target = Path(folder) / f"randsvc-test-{os.getpid()}"
    source = f"import os\nos.system('echo x > {target}')\n{SERVE}"
    try:
        run(source, tmp_path)
        assert not target.exists()
    finally:
        target.unlink(missing_ok=True)


@needs_namespaces
def test_it_cannot_undo_its_limits(tmp_path: Path) -> None:
    source = """
    import os
    os.system("umount /root")
    os.system("mount -o remount,rw /")
    os.system("unshare --user --map-root-user --mount mount -o remount,rw,bind /etc")
    os.system("grep CapEff /proc/self/status")
    """
    hint = run(source, tmp_path)
    assert "CapEff:\t0000000000000000" in hint
    for said in ("umount: /root: must be superuser", "mount: /: permission denied", "uid_map"):
        assert said in hint


@needs_namespaces
def test_it_reads_neither_the_home_of_the_user_nor_the_solutions(tmp_path: Path) -> None:
    solution = EXERCISES[1].solution / "app.py"
    source = f"""
    import os
    print("home:", [n for n in os.listdir({str(Path.home())!r}) if n in (".ssh", ".bashrc")])
    print("solution:", os.path.exists({str(solution)!r}))
    """
    hint = run(source, tmp_path)
    assert "home: []" in hint
    assert "solution: False" in hint


@needs_namespaces
def test_it_does_not_read_the_work_of_others(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    token = MARKING.set(tmp_path)
    try:
        hint = run(f"import os\nprint(os.listdir({str(tmp_path)!r}))", tmp_path / "one")
    finally:
        MARKING.reset(token)
    assert "['one']" in hint


@needs_namespaces
def test_it_reaches_no_network_but_its_own(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        text=True,
    ) as server:
        assert server.stdout
        port = int(server.stdout.readline().split("port ")[1].split()[0])
        source = f"""
        import socket
        for address in (("127.0.0.1", {port}), ("192.0.2.1", 80)):
            try:
                socket.create_connection(address, timeout=5)
            except OSError as error:
                print(address, error)
        """
        hint = run(source, tmp_path)
        server.kill()
    assert "Connection refused" in hint
    assert "Network is unreachable" in hint
    assert "tried to connect to 192.0.2.1" in hint


@in_both_sandboxes
def test_it_gets_no_variable_that_may_be_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "correct horse")
    source = """
import os, pathlib
print("correct horse" in str(os.environ))
try:
    print("correct horse" in pathlib.Path(f"/proc/{os.getppid()}/environ").read_text())
except PermissionError:
    print(False)
"""
    assert "False\n    False" in run(source, tmp_path)


def test_it_ends_when_the_grader_is_killed(tmp_path: Path, namespaces: bool) -> None:
    (tmp_path / "app.py").write_text(f"marker = 'grader-killed-{os.getpid()}'\n{SERVE}")
    grader = f"""
import pathlib, time
from randsvc.course import sandbox
{"" if namespaces else "sandbox.find_gap = lambda: 'as a test says so'"}
with sandbox.run_program(pathlib.Path({str(tmp_path / "app.py")!r})):
    print("serving", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", grader], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "serving\n"
        started = psutil.Process(process.pid).children(recursive=True)
        assert started
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(each.is_running() for each in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(each.is_running() for each in started)


@needs_namespaces
def test_a_kernel_without_namespaces_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "UNSHARE", ("no-such-program",))
    sandbox.find_gap.cache_clear()
    try:
        assert "there is no program `unshare`" in sandbox.find_gap()
        monkeypatch.setattr(sandbox, "UNSHARE", ("setpriv", "--"))
        sandbox.find_gap.cache_clear()
        assert sandbox.find_gap().startswith("files outside the work and the network are not")
    finally:
        sandbox.find_gap.cache_clear()
