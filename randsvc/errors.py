"""The errors that end a command with one line instead of a traceback."""

from randsvc.telemetry.errors import ConfigurationError

__all__ = ("ConfigurationError", "RecoveryError")


class RecoveryError(Exception):
    """A distribution cannot be recovered, kept or drawn; the message is one line that says why."""
