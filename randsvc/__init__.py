"""A service that answers a random number after a random delay, and everything that monitors it."""

__version__ = "0.1.0"
