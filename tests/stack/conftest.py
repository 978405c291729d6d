"""The native programs, for the tests that run the real chain."""

import shutil
from pathlib import Path

import pytest

from observability import native
from tests.required import missing


@pytest.fixture(scope="session")
def programs() -> Path:
    """Build the programs, or find them in the cache: the folder that holds them.

    The first build takes some minutes: a module whose tests use this sets a long timeout.
    """
    if shutil.which("go") is None:
        missing("Collector, Prometheus and Alertmanager are not run: there is no Go to build them")
    return native.build()
