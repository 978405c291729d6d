"""Distributions that consist of others: mixtures, and truncations to an interval."""

import math
import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from randsvc.distributions.families import (
    Distribution,
    Moments,
    ParameterError,
    Sampler,
    format_number,
)

# A truncation repeats draws until a number is inside the interval: at most 100 draws on average.
_LEAST_MASS = 0.01


def mixture(parts: Sequence[tuple[float, Distribution]]) -> Distribution:
    """Return a distribution that draws from one of the parts; the weights are probabilities."""
    for number, (weight, _) in enumerate(parts, start=1):
        if not weight > 0:
            problem = f"a weight must be above 0, not {format_number(weight)}"
            raise ParameterError(f"part {number}", problem)
    weights = [weight for weight, _ in parts]
    total = math.fsum(weights)
    if abs(total - 1) > 1e-9:
        raise ParameterError("weights", f"the weights must sum to 1, not {total:.10g}")
    mean = math.fsum(weight * part.mean for weight, part in parts)

    def moments(about: float, low: float, high: float) -> Moments:
        p = first = second = 0.0
        for weight, part in parts:
            part_p, part_first, part_second = part.moments(about, low, high)
            p += weight * part_p
            first += weight * part_first
            second += weight * part_second
        return p, first, second

    def sampler(rng: random.Random) -> Sampler:
        samplers = [part.sampler(rng) for _, part in parts]
        bounds, last, draw = list(accumulate(weights)), len(parts) - 1, rng.random
        return lambda: samplers[bisect(bounds, draw(), 0, last)]()

    return Distribution(
        text=f"mixture({', '.join(f'{format_number(weight)}*{part}' for weight, part in parts)})",
        mean=mean,
        variance=math.fsum(w * (part.variance + (part.mean - mean) ** 2) for w, part in parts),
        support=(min(p.support[0] for _, p in parts), max(p.support[1] for _, p in parts)),
        moments=moments,
        sampler=sampler,
    )


def truncated(base: Distribution, low: float = -math.inf, high: float = math.inf) -> Distribution:
    """Return ``base`` truncated to ``low``..``high``, which a text calls ``min`` and ``max``."""
    if not low < high:
        limit = f"min, which is {format_number(low)}"
        raise ParameterError("max", f"max must be above {limit}, not {format_number(high)}")
    mass, *_ = base.moments(0.0, low, high)
    bounds = {"min": low, "max": high}
    finite = [name for name, bound in bounds.items() if math.isfinite(bound)]
    kept = ", ".join(f"{name}={format_number(bounds[name])}" for name in finite)
    if not mass >= _LEAST_MASS:
        problem = f"{kept} keeps {100 * mass:.2g}% of {base}: keep at least {100 * _LEAST_MASS:g}%"
        raise ParameterError(finite[0], problem)

    def moments(about: float, start: float, end: float) -> Moments:
        p, first, second = base.moments(about, max(low, start), min(high, end))
        return p / mass, first / mass, second / mass

    def sampler(rng: random.Random) -> Sampler:
        draw = base.sampler(rng)

        def draw_inside() -> float:
            while not low <= (x := draw()) <= high:
                pass
            return x

        return draw_inside

    # Moments about a point far from the mean lose digits, so compute them about the mean. Digits
    # are still lost if the interval is narrow relative to its distance from zero (for a beta,
    # from low): at a millionth of it, all digits of the variance.
    _, rough_mean, _ = moments(0.0, low, high)
    _, rest, second = moments(rough_mean, low, high)
    return Distribution(
        text=f"{str(base).removesuffix(')')}, {kept})",
        mean=rough_mean + rest,
        variance=max(second - rest**2, 0.0),
        support=(max(low, base.support[0]), min(high, base.support[1])),
        moments=moments,
        sampler=sampler,
    )
