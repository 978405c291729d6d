"""Whether what a service holds grows with its work: memory, descriptors, series, log."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from benchmarks.promises import Promise
from benchmarks.services import Reading

__all__ = ("DESCRIPTORS", "judge_growth")

MEMORY = 16.0
"""Largest growth of a service's memory in a run, MiB, by the upper end of the 95% interval."""
DESCRIPTORS = 10
"""Largest growth of the number of file descriptors: as many as good clients keep open."""


def judge_growth(
    name: str, readings: Sequence[tuple[float, Reading]], *, series: int, lines: float
) -> list[Promise]:
    """Judge the readings of a service, in order, with the seconds since the start.

    The service may have that many ``series``, and its log that many ``lines``. The first tenth of
    the readings is left out, as it fills caches, pools and the heap of the interpreter.
    """
    settled = readings[len(readings) // 10 :]
    times = np.array([at for at, _ in settled])
    memory = np.array([each.memory / 2**20 for _, each in settled])
    # A robust slope, as single readings may be off. The interval takes the readings as independent.
    # P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968).
    slope, _, low, high = (float(x) * 3600 for x in stats.theilslopes(memory, times, 0.95))
    growth = high / 3600 * float(times[-1] - times[0])
    first, last = settled[0][1], settled[-1][1]
    return [
        Promise(
            f"Growth of the memory of {name}",
            f"{slope:.1f} MiB/h (95% interval {low:.1f} to {high:.1f}), which is at most "
            f"{growth:.1f} MiB in the run; {np.median(memory):.0f} MiB in all",
            f"{MEMORY:g} MiB in the run",
            growth <= MEMORY,
        ),
        Promise(
            f"Growth of the file descriptors of {name}",
            f"from {first.descriptors} to {last.descriptors}",
            f"by {DESCRIPTORS}",
            last.descriptors - first.descriptors <= DESCRIPTORS,
        ),
        Promise(
            f"Series of {name}",
            f"from {first.series:,} to {last.series:,}",
            f"{series:,}",
            last.series <= series,
        ),
        Promise(
            f"Log of {name}",
            f"{last.log_lines} lines",
            f"{lines:.0f} lines",
            last.log_lines <= lines,
        ),
    ]
