"""The native programs, for the tests that run the real chain."""

from pathlib import Path

import pytest

from tests.support import native_programs


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the native programs; a module that uses it sets a long timeout."""
    return native_programs.folder()
