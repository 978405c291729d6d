"""Binned maximum likelihood: the parameters under which the counts of the bins are likeliest.

The counts are multinomial with the probabilities that the family gives its bins, so the width of
the bins biases nothing. Steps are those of Fisher's scoring, damped as Levenberg and Marquardt do.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from randsvc.histograms.binned import Binned
from randsvc.recovery.estimate import Estimate
from randsvc.recovery.families import (
    CUTTABLE,
    FAMILIES,
    LEAST_KEPT,
    Array,
    Ends,
    Family,
    SampleMoments,
    cut,
    split,
)

__all__ = ("Fit", "fit", "rank_fits", "refit")

_LEAST = 1e-300
"""Replaces a probability of 0, so that the likelihood stays finite."""
_Z = 1.959963984540054
"""The 97.5% quantile of the standard normal distribution."""
_LR_REGULAR, _LR_EDGE = 3.841458820694124, 5.991464547107979
"""The 95% quantiles of chi-square with 1 and 2 degrees of freedom. The second is for an end that is
estimated from where the values stop: half the log-likelihood ratio is then exponential."""
_VAGUE = 3.0
"""Standard error of a logarithm or of log-odds from which on there is no interval."""
_SHARP = 6.907755278982137
"""Values that a fit must expect beyond an end before a truncation is tried: -log(0.001). If the fit
is right, one sample of 1,000 has no value there."""


@dataclass(frozen=True)
class Fit:
    """A family fitted to a sample.

    ``aic`` and ``bic`` are comparable only between fits to the same sample.
    """

    family: Family
    parameters: dict[str, Estimate]
    log_likelihood: float
    aic: float
    bic: float

    @property
    def values(self) -> list[float]:
        """The estimates in the order of the family's parameters."""
        return [estimate.value for estimate in self.parameters.values()]

    def probability(self, lower: Array, upper: Array) -> Array:
        """Return the probability of each bin."""
        return self.family.probability(self.values, lower, upper)


def rank_fits(binned: Binned, families: Sequence[Family] = FAMILIES) -> list[Fit]:
    """Fit all families that are possible and have fewer parameters than the sample has bins.

    Ranked by BIC, the best first. AIC would keep an unnecessary parameter in one sample of six, for
    any number of values.

    A family is also fitted with a truncation if its fit expects values beyond the sample.
    """
    fits = [fit(binned, family) for family in families if _is_possible(family, binned)]
    fits += [
        each for plain in fits if plain.family.name in CUTTABLE for each in _fit_ends(binned, plain)
    ]
    return sorted(fits, key=lambda fit: fit.bic)


def fit(binned: Binned, family: Family) -> Fit:
    """Fit a family by maximum likelihood, with 95% intervals."""
    search = _EndsSearch(binned, family) if any(family.ends) else _Search(binned, family)
    climbed = [search.climb(search.to_point(start), 12) for start in family.starts(binned)]
    best = search.climb(max(climbed, key=search.log_likelihood), 100)
    estimates = search.estimate(best)
    if isinstance(search, _EndsSearch):
        estimates += _estimate_ends(binned, family, search, best)
    likelihood, number = search.log_likelihood(best), len(family.parameters)
    return Fit(
        family=family,
        parameters=dict(zip(family.parameters, _order_parts(family, estimates), strict=True)),
        log_likelihood=likelihood,
        aic=2 * number - 2 * likelihood,
        bic=math.log(binned.count) * number - 2 * likelihood,
    )


def refit(binned: Binned, near: Fit) -> Fit:
    """Fit the family of ``near`` to other bins of its sample; the intervals stay the same.

    Truncated ends stay the same too: merged bins know less about them.
    """
    values, low, high = split(near.values, near.family.ends)
    search = _Search(binned, _fix_ends(near.family, low, high))
    found = search.to_values(search.climb(search.to_point(values), 30))
    parameters = dict(near.parameters)
    for name, value in zip(parameters, found, strict=False):
        parameters[name] = replace(parameters[name], value=value)
    return replace(near, parameters=parameters)


def _is_possible(family: Family, binned: Binned) -> bool:
    return family.can_fit(binned) and len(family.parameters) < len(binned.bins)


def _fit_ends(binned: Binned, plain: Fit) -> Iterator[Fit]:
    """Fit a truncation at one end, then at both, wherever the values seem to stop."""
    tried: set[Ends] = set()

    def fit_further(near: Fit) -> Iterator[Fit]:
        ends, beyond = near.family.ends, _count_beyond(binned, near)
        for more in ((True, False), (False, True)):
            more_ends = (ends[0] or more[0], ends[1] or more[1])
            expected = beyond[0] if more[0] else beyond[1]
            family = cut(plain.family, more_ends)
            if expected > _SHARP and more_ends not in tried and _is_possible(family, binned):
                tried.add(more_ends)
                found = fit(binned, family)
                yield found
                yield from fit_further(found)

    return fit_further(plain)


def _count_beyond(binned: Binned, fitted: Fit) -> Array:
    """Return the number of values that a fit expects below the first bin and above the last."""
    ends = np.array([binned.bins[0].lower, binned.bins[-1].upper])
    infinite = np.array([-math.inf, math.inf])
    return binned.count * fitted.probability(np.minimum(ends, infinite), np.maximum(ends, infinite))


def _fix_ends(family: Family, low: float, high: float) -> Family:
    """Return the family with its ends fixed, so that they are not parameters."""
    if family.uncut is None:
        return family
    ends = [x for x in (low, high) if math.isfinite(x)]
    return replace(
        family.uncut,
        probability=lambda rest, lower, upper: family.probability((*rest, *ends), lower, upper),
    )


def _order_parts(family: Family, estimates: list[Estimate]) -> list[Estimate]:
    """Order the parts of a mixture from left to right."""
    if "weight" not in family.parameters or estimates[1].value <= estimates[3].value:
        return estimates
    weight, *rest = estimates
    low = None if weight.high is None else 1 - weight.high
    high = None if weight.low is None else 1 - weight.low
    return [Estimate(1 - weight.value, low, high), *rest[2:], *rest[:2]]


class _Search:
    """The likelihood of a family, on scales on which its parameters have no limits."""

    def __init__(self, binned: Binned, family: Family) -> None:
        self._family = family
        self._lower, self._upper, self._counts = (
            np.array(each) for each in zip(*binned.bins, strict=True)
        )
        # Makes steps independent of the unit of the values.
        self._unit = SampleMoments.of(binned).sd or 1.0
        self._scales = list(family.parameters.values())
        limits = zip(self._scales, map(family.get_limits, family.parameters), strict=True)
        inward = [[self._to_search(scale, x) for x in ends] for scale, ends in limits]
        self._low, self._high = np.array(inward).reshape(-1, 2).T

    def to_point(self, values: Sequence[float]) -> Array:
        """Return the point of the search for values of the parameters."""
        point = np.array([self._to_search(s, v) for s, v in zip(self._scales, values, strict=True)])
        return np.asarray(np.clip(point, self._low, self._high), dtype=np.float64)

    def to_values(self, point: Array) -> list[float]:
        """Return the values of the parameters at a point."""
        return [self._from_search(s, x) for s, x in zip(self._scales, point, strict=True)]

    def log_likelihood(self, point: Array) -> float:
        """Return the log-likelihood, up to a constant that all families share."""
        return float(self._counts @ np.log(np.maximum(self._compute_probability(point), _LEAST)))

    def climb(self, point: Array, steps: int) -> Array:
        """Return a local maximum of the likelihood near a point, within a number of steps."""
        if not len(point):
            return point
        damping, height = 1e-3, self.log_likelihood(point)
        for _ in range(steps):
            score, information = self._compute_score(point)
            diagonal = np.diag(np.maximum(np.diag(information), 1e-12 * information.max() + _LEAST))
            gained = 0.0
            while damping < 1e9:
                step = np.linalg.lstsq(information + damping * diagonal, score, rcond=None)[0]
                there = np.clip(point + np.clip(step, -2, 2), self._low, self._high)
                gained = self.log_likelihood(there) - height
                if gained >= 0:
                    break
                damping *= 8
            if gained <= 0:
                break
            point, height, damping = there, height + gained, max(damping / 8, 1e-9)
            if gained < 1e-7:
                break
        return point

    def estimate(self, point: Array) -> list[Estimate]:
        """Return the parameters at a point, with intervals from the observed information."""
        errors = self._compute_errors(point)
        result = []
        for i, scale in enumerate(self._scales):
            value = self._from_search(scale, point[i])
            # A vaguer interval would span powers of ten: the data do not bound the parameter.
            if math.isfinite(errors[i]) and (scale == "real" or errors[i] < _VAGUE):
                low, high = (self._from_search(scale, point[i] + z * errors[i]) for z in (-_Z, _Z))
                bounds = [x if math.isfinite(x) else None for x in (low, high)]
                result.append(Estimate(value, *bounds))
            else:
                result.append(Estimate(value, None, None))
        return result

    def _compute_probability(self, point: Array) -> Array:
        values = self.to_values(point)
        named = dict(zip(self._family.parameters, values, strict=True))
        if "low" in named and not named["low"] < named["high"]:
            return np.zeros_like(self._lower)
        return self._family.probability(values, self._lower, self._upper)

    def _compute_score(self, point: Array) -> tuple[Array, Array]:
        """Return the score (the slope of the log-likelihood) and the Fisher information."""
        p = np.maximum(self._compute_probability(point), _LEAST)
        steps = 1e-6 * np.eye(len(point))
        slopes = np.array([(self._compute_probability(point + step) - p) / 1e-6 for step in steps])
        relative = np.nan_to_num(np.clip(slopes / p, -1e6, 1e6))
        return relative @ self._counts, (relative * self._counts) @ relative.T

    def _compute_errors(self, point: Array) -> Array:
        """Return standard errors; infinite if the data do not bound a parameter, or at a limit."""
        errors = np.full(len(point), math.inf)
        free = (point > self._low) & (point < self._high)
        if not free.any():
            return errors
        _, rough = self._compute_score(point)
        # Steps of a tenth of a standard error: the likelihood differs, and is still quadratic.
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.clip(0.1 / np.sqrt(np.diag(rough)), 1e-7, 0.05)
        axes = np.eye(len(point))[free] * steps[free][:, None]
        height = self.log_likelihood
        hessian = np.array(
            [
                [
                    height(point + a + b)
                    - height(point + a - b)
                    - height(point - a + b)
                    + height(point - a - b)
                    for b in axes
                ]
                for a in axes
            ]
        ) / (4 * np.outer(steps[free], steps[free]))
        try:
            variances = np.diag(np.linalg.inv(-hessian))
        except np.linalg.LinAlgError:
            return errors
        errors[free] = np.where(variances > 0, np.sqrt(np.abs(variances)), math.inf)
        return errors

    def _to_search(self, scale: str, value: float) -> float:
        if scale == "real":
            return value / self._unit
        if scale == "share":
            return math.log(value / (1 - value)) if 0 < value < 1 else value
        if value <= 0 or math.isinf(value):
            return value
        return math.log(value)

    def _from_search(self, scale: str, x: float) -> float:
        if scale == "real":
            return float(x * self._unit)
        x = min(max(float(x), -690.0), 690.0)
        return 1 / (1 + math.exp(-x)) if scale == "share" else math.exp(x)


class _EndsSearch(_Search):
    """The likelihood of a truncated family, at the likeliest ends for its other parameters.

    The counts of the first and the last bin, relative to the others, determine the ends.
    """

    def __init__(self, binned: Binned, family: Family) -> None:
        super().__init__(binned, family.uncut or family)
        self._ends = family.ends
        self._binned = binned
        first, last = binned.bins[0], binned.bins[-1]
        # Three more bins: from the first to the last, below the first, above the last.
        self._lower = np.array([*self._lower, first.upper, -math.inf, last.upper])
        self._upper = np.array([*self._upper, last.lower, first.lower, math.inf])

    def _compute_probability(self, point: Array) -> Array:
        measured = self._measure(point)
        first, last, whole = self._measure_inside(measured)
        if not whole > 0 or (self._scales and whole < LEAST_KEPT):
            return np.zeros(len(measured) - 3)
        return np.asarray(np.array([first, *measured[1:-4], last]) / whole)

    def _compute_errors(self, point: Array) -> Array:
        # At the limit of a truncation, the likelihood does not depend on the parameters.
        if self._measure_inside(self._measure(point))[2] < 1.1 * LEAST_KEPT:
            return np.full(len(point), math.inf)
        return super()._compute_errors(point)

    def find_ends(self, point: Array) -> tuple[float, float]:
        """Return the likeliest ends; infinite if not truncated."""
        values = self.to_values(point)
        first, last = self._binned.bins[0], self._binned.bins[-1]

        def measure(low: float, high: float) -> float:
            return float(self._family.probability(values, np.array([low]), np.array([high]))[0])

        x, y, _ = self._measure_inside(self._measure(point))
        low, high = first.lower, last.upper
        if x < measure(low, first.upper) * (1 - 1e-9):
            low = _find_root(lambda end: measure(end, first.upper) - x, first.lower, first.upper)
        if y < measure(last.lower, high) * (1 - 1e-9):
            high = _find_root(lambda end: measure(last.lower, end) - y, last.lower, last.upper)
        return low if self._ends[0] else -math.inf, high if self._ends[1] else math.inf

    def _measure(self, point: Array) -> Array:
        return self._family.probability(self.to_values(point), self._lower, self._upper)

    def _measure_inside(self, measured: Array) -> tuple[float, float, float]:
        """Return the probabilities of the first bin, the last and all bins between the ends."""
        between, below, above = (float(x) for x in measured[-3:])
        below, above = 0 if self._ends[0] else below, 0 if self._ends[1] else above
        x, y = whole = float(measured[0]), float(measured[-4])
        counts, total = self._counts, float(self._counts.sum())
        # In turn: the part of one outermost bin follows from its count and the part of the other.
        for _ in range(100):
            before = x, y
            if self._ends[0]:
                x = _compute_used(counts[0], total, between + y + above, whole[0])
            if self._ends[1]:
                y = _compute_used(counts[-1], total, between + x + below, whole[1])
            if (x, y) == before:
                break
        return x, y, below + x + between + y + above


def _compute_used(count: float, total: float, rest: float, whole: float) -> float:
    """Return the likeliest probability of an outermost bin within the end, given all others."""
    return min(float(count) * rest / (total - count), whole) if total > count else whole


def _estimate_ends(
    binned: Binned, family: Family, search: _EndsSearch, best: Array
) -> list[Estimate]:
    """Return the ends, with intervals from the likelihood ratio."""
    first, last = binned.bins[0], binned.bins[-1]
    low, high = search.find_ends(best)
    height = search.log_likelihood(best)
    far = 4 * (last.upper - first.lower)

    def compute_fall(ends: tuple[float, float], by: float) -> float:
        at = _Search(binned, _fix_ends(family, *ends))
        return at.log_likelihood(at.climb(best, 4)) - height + by / 2

    found = []
    if family.ends[0]:
        at_edge = low <= first.lower or first.count < 10
        by = _LR_EDGE if at_edge else _LR_REGULAR
        lowest = max(low - far, family.support[0])
        found.append(
            Estimate(
                low,
                _find_crossing(lambda end: compute_fall((end, high), by), low, lowest),
                _find_crossing(lambda end: compute_fall((end, high), by), low, first.upper),
            )
        )
    if family.ends[1]:
        at_edge = high >= last.upper or last.count < 10
        by_high = _LR_EDGE if at_edge else _LR_REGULAR
        found.append(
            Estimate(
                high,
                _find_crossing(lambda end: compute_fall((low, end), by_high), high, last.lower),
                _find_crossing(lambda end: compute_fall((low, end), by_high), high, high + far),
            )
        )
    return found


def _find_crossing(height: Callable[[float], float], start: float, end: float) -> float | None:
    """Return the first root of a function between ``start``, where it is positive, and ``end``."""
    if not math.isfinite(end):
        return None
    if height(start) <= 0:
        return start
    near = start
    for part in (1e-4, 1e-3, 1e-2, 0.1, 1.0):
        far = start + part * (end - start)
        if height(far) <= 0:
            return _find_root(height, near, far, within=1e-3)
        near = far
    return None


def _find_root(
    height: Callable[[float], float], start: float, end: float, within: float = 1e-5
) -> float:
    """Return the root between ``start`` and ``end``, to within a share of their distance."""
    return float(optimize.brentq(height, start, end, xtol=within * abs(end - start), rtol=1e-12))
