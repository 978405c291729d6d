"""The errors that end a command with one line instead of a traceback."""

from randsvc.telemetry.errors import ConfigurationError

__all__ = ("ConfigurationError",)
