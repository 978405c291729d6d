"""The real Prometheus, promtool, Alertmanager, amtool and Collector, for tests."""

import shutil
from functools import cache
from pathlib import Path

import pytest

from randsvc.stack.build import build_programs


@cache
def folder() -> Path:
    """Where the programs are; the first build takes some minutes, so give such tests the time."""
    if shutil.which("go") is None:
        pytest.skip("Prometheus, Alertmanager and the Collector are not run: no Go to build them")
    return build_programs()
