"""The real Prometheus, promtool, Alertmanager, amtool and Collector, for tests.

A test that starts a program which is not Python's is marked ``native``, so that ``make quick`` can
leave it out: by a fixture that gives a program, or by hand. Another test cannot start one. In the
same way a test that starts a service as a process of its own is marked ``process``.
"""

import os
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from randsvc.stack.build import build_programs

FIXTURES = {"browser", "go", "programs"}
"""A test that uses one of them starts native programs."""
SECONDS = 900
"""The longest time of such a test, as the first one builds the programs."""
_ALLOWED = re.compile(r"python[\d.]*|git|nohup|setpriv|unshare")

_running: list[pytest.Item] = []


@cache
def folder() -> Path:
    """Where the programs are; the first build takes some minutes."""
    if shutil.which("go") is None:
        pytest.skip("Prometheus, Alertmanager and the Collector are not run: no Go to build them")
    return build_programs()


def mark(item: pytest.Item) -> None:
    """Mark a test as ``native`` if a fixture makes it so, and give a native test its time."""
    if not FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.native)
    if item.get_closest_marker("native") and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(SECONDS))


def hold_to_mark(item: pytest.Item) -> None:
    """Refuse from now on to start programs, unless this test is marked ``native``."""
    _running[:] = [item]


def expect_process_mark() -> None:
    """Raise ``RuntimeError`` if this test is marked neither ``process`` nor ``native``."""
    if _running and not any(map(_running[0].get_closest_marker, ("process", "native"))):
        raise RuntimeError("a service is started, but the test is not marked process")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "subprocess.Popen" or not _running or _running[0].get_closest_marker("native"):
        return
    program = Path(os.fsdecode(arguments[0])).name
    if not _ALLOWED.fullmatch(program):
        raise RuntimeError(f"{program} is started, but the test is not marked native")


# A hook of the interpreter sees every start, whichever module makes it.
sys.addaudithook(_refuse)
