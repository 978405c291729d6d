"""A number with its error bar."""

import math
from dataclasses import dataclass

__all__ = ("Estimate",)


@dataclass(frozen=True)
class Estimate:
    """A number; ``low`` to ``high`` is its 95% interval, None where the data do not bound it."""

    value: float
    low: float | None = None
    high: float | None = None

    def covers(self, value: float) -> bool:
        """Whether a value is in the interval."""
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        """The interval, to two digits of its width: ``0.0498..0.0506``."""
        low, high = (format_rounded(x, self.low, self.high) for x in (self.low, self.high))
        return low if low == high else f"{low}..{high}"


def format_rounded(x: float | None, low: float | None, high: float | None) -> str:
    """A number to two digits of the width of its interval; ``?`` where there is none."""
    if x is None:
        return "?"
    width = high - low if low is not None and high is not None else 0.0
    if not width > 0 or not math.isfinite(width):
        return f"{x:.6g}"
    # Digits up to the second of the width, and those that the number has before it.
    size = max(abs(x), width)
    return f"{x:.{max(2, 2 + math.floor(math.log10(size)) - math.floor(math.log10(width)))}g}"
