"""Notes what a learner's program tries outside its sandbox: files and connections.

A copy of this file is the ``sitecustomize`` module of the program. It names attempts for the
grade; the namespaces of ``sandbox_init.py`` are what prevents them.
"""

import os
import sys
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
}
_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::")  # noqa: S104
_MOST = 20
"""Attempts that are noted at most."""


def _install(tried: str, allowed: tuple[str, ...]) -> None:
    noted: set[str] = set()
    descriptor = os.open(tried, os.O_WRONLY | os.O_APPEND)

    def note(what: str) -> None:
        if what not in noted and len(noted) < _MOST:
            noted.add(what)
            os.write(descriptor, f"{what[:200]!r}\n".encode())

    def note_path(path: Any) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            absolute = os.path.realpath(os.fsdecode(path))
            if not any(absolute == each or absolute.startswith(f"{each}/") for each in allowed):
                note(f"write {absolute}")

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES:
                note_path(path)
        elif event in _PATHS:
            # The new name decides; a link may point anywhere.
            note_path(arguments[_PATHS[event] - 1])
        elif event == "socket.connect":
            address = arguments[1]
            if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
                note(f"connect to {address[0]}:{address[1]}")
        elif event == "socket.getaddrinfo" and arguments[0]:
            host = os.fsdecode(arguments[0])
            if not host.startswith(_LOOPBACK):
                note(f"connect to {host}")

    sys.addaudithook(watch)


_install(os.environ.pop("SANDBOX_TRIED"), tuple(os.environ.pop("SANDBOX_ALLOWED").split(":")))
