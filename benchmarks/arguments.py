"""Types of command line arguments."""

import argparse

__all__ = ("parse_positive",)


def parse_positive(text: str) -> float:
    """Read a positive, finite number; raises ``ArgumentTypeError``."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a positive number")
    return value
