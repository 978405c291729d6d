"""Types of command line arguments."""

import argparse

__all__ = ("parse_count", "parse_positive")


def parse_positive(text: str) -> float:
    """Read a positive, finite number; raises ``ArgumentTypeError``."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a positive number")
    return value


def parse_count(text: str) -> int:
    """Read a whole number above 0; raises ``ArgumentTypeError``."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a positive number")
    return number
