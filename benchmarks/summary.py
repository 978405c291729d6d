"""Statistics of interleaved rounds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ("Spread", "compute_ratios", "rotate")

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and the quartiles about it."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Quartiles by linear interpolation between at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))


def compute_ratios(values: Sequence[float], yardstick: Sequence[float]) -> list[float]:
    """Each value over the yardstick's of the same round, so that a slow round cancels out."""
    return [value / unit for value, unit in zip(values, yardstick, strict=True)]


def rotate(items: Sequence[T], turn: int) -> list[T]:
    """The items in a circle, starting ``turn`` further on, so that nobody always goes first."""
    turn %= len(items)
    return [*items[turn:], *items[:turn]]
