"""The machine on which results were measured."""

import os
import platform

__all__ = ("describe_machine",)


def describe_machine() -> str:
    """Return cores, architecture and Python, for a sentence."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores ({platform.machine()}), {python}"
