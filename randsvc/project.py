"""The clone that this package runs from: its configuration, scenarios and course lie next to it."""

from pathlib import Path

__all__ = ("ROOT",)

ROOT = Path(__file__).parents[1]
"""The root of the clone; in an environment that has only the package, nothing of it is there."""
