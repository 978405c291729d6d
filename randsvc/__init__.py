"""A service that returns a random number after a random delay, and its monitoring."""

__version__ = "0.1.0"
