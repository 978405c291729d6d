"""What a test needs of the machine, and what it means when that is missing."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where RANDSVC_TEST_REQUIRE_ALL=1 asks for all of them."""
    if os.environ.get("RANDSVC_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"{what}, and RANDSVC_TEST_REQUIRE_ALL=1", pytrace=False)
    pytest.skip(what)
