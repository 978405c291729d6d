"""The levels of incidents and their alerts."""

from typing import Literal, get_args

__all__ = ("LEVELS", "Level")

Level = Literal["critical", "major", "minor"]
"""Act now, day and night; act in working hours; scheduled work."""

LEVELS: tuple[str, ...] = get_args(Level)
"""The highest level first."""
