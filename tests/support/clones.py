"""A clone of the project, in which pages are followed as a newcomer does."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from randsvc.project import ROOT
from randsvc.stack.programs import drop_settings
from tests.support import native_programs

__all__ = ("FENCE", "ROOT", "follow", "make_clone", "started")

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


def make_clone(folder: Path) -> Path:
    """Put the files of the project there, and its environment as `make` would install it."""
    if subprocess.run([*ISOLATED, "true"], capture_output=True).returncode:
        pytest.skip("no page is followed: this machine gives nobody a network of his own (unshare)")
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    for stamp in ("run", "dev"):
        (folder / ".venv" / f"{stamp}.stamp").touch()
    return folder


def started(command: str, log: str, says: str) -> str:
    """Give the lines of a script that start a command and wait until it has said something."""
    return (
        f"{{ {command}; }} >{log} 2>&1 &\n"
        f"for _ in $(seq 240); do grep -q '{says}' {log} && break; sleep 0.5; done; "
        f"grep -q '{says}' {log} || {{ cat {log}; exit 1; }}"
    )


def follow(script: str, clone: Path) -> str:
    """Run a script of bash in the clone, and give what it said; it has to succeed.

    It has a network of its own, so that the well-known ports are free whatever runs here.
    """
    native_programs.folder()
    (clone / ".script").write_text(script)
    done = subprocess.run(
        [*ISOLATED, "sh", "-c", f'{sys.executable} -c "{LOOPBACK_UP}" && exec bash .script'],
        cwd=clone,
        # A `make` that runs the tests sets variables for itself, not for the page's `make`.
        env=drop_settings() | {"PYTHONPATH": str(clone), "MAKEFLAGS": "", "PYTHON": "python3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
