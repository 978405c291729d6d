"""The errors that whoever starts an application has to see."""

__all__ = ("ConfigurationError",)


class ConfigurationError(Exception):
    """A setting that cannot be followed: one line with its name, its value and what is expected."""
