"""The extra ``analysis``, which fits and draws, and which the service does not need."""

import shlex
import sys
from importlib import metadata

from randsvc.errors import ConfigurationError

__all__ = ("missing_package",)


def missing_package(error: ModuleNotFoundError, purpose: str) -> ConfigurationError:
    """Say which package is missing, and the command that installs the extra into this Python."""
    package = str(error.name).partition(".")[0]
    command = shlex.join([sys.executable, "-m", "pip", "install", *_requirements()])
    return ConfigurationError(f"{package} is missing, which {purpose} needs: run {command}")


def _requirements() -> list[str]:
    """What the extra requires, so that the command works wherever randsvc was installed from."""
    marker = 'extra == "analysis"'
    requirements = (text.split(";") for text in metadata.requires("randsvc") or ())
    return [each.strip() for each, *markers in requirements if marker in "".join(markers)]
