"""Binned maximum likelihood: the parameters under which the counts of the bins are likeliest.

The counts are multinomial with the probabilities that the family gives its bins, so the width of
the bins biases nothing. Steps are those of Fisher's scoring, damped as Levenberg and Marquardt do.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from randsvc.recovery.binned import Binned
from randsvc.recovery.estimate import Estimate
from randsvc.recovery.families import FAMILIES, Array, Family, Rough

__all__ = ("Fit", "fit", "ranked", "refitted")

_LEAST = 1e-300
"""A probability of 0 is taken for this, so that a search finds its way back."""
_Z = 1.959963984540054
"""The 97.5% quantile of the normal."""
_LR_REGULAR, _LR_EDGE = 3.841458820694124, 5.991464547107979
"""Of chi-square with 1 and 2 degrees of freedom, 95%. The second is for an end of a uniform that is
told by where values stop: twice the log-likelihood ratio then is that of an exponential."""


@dataclass(frozen=True)
class Fit:
    """A family fitted to a sample.

    ``aic`` and ``bic`` are differences to nothing: compare them between fits to one sample only.
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
        """The probability of bins."""
        return self.family.probability(self.values, lower, upper)


def ranked(binned: Binned, families: Sequence[Family] = FAMILIES) -> list[Fit]:
    """All families that can have made the sample and have fewer parameters than it has bins.

    By BIC, the best first: AIC would prefer a superfluous parameter in one sample out of six,
    however large the samples are.
    """
    fits = [
        fit(binned, family)
        for family in families
        if family.possible(binned) and len(family.parameters) < len(binned.bins)
    ]
    return sorted(fits, key=lambda fit: fit.bic)


def fit(binned: Binned, family: Family) -> Fit:
    """The likeliest parameters of a family, with 95% intervals."""
    search = _Search(binned, family)
    if family.name == "uniform":
        parameters, best = _uniform(binned)
    else:
        ends = [search.climb(search.point(start), 12) for start in family.starts(binned)]
        best = search.climb(max(ends, key=search.log_likelihood), 100)
        parameters = search.estimates(best)
    likelihood = (
        _uniform_likelihood(binned, *best)
        if family.name == "uniform"
        else search.log_likelihood(best)
    )
    number = len(family.parameters)
    return Fit(
        family=family,
        parameters=dict(zip(family.parameters, _ordered(family, parameters), strict=True)),
        log_likelihood=likelihood,
        aic=2 * number - 2 * likelihood,
        bic=math.log(binned.count) * number - 2 * likelihood,
    )


def refitted(binned: Binned, near: Fit) -> Fit:
    """The same family fitted to other bins of the same sample; the intervals are left as they are.

    A uniform stays as it is: its ends are known so much better than merged bins could tell that
    nothing is lost for them.
    """
    if near.family.name == "uniform":
        return near
    search = _Search(binned, near.family)
    values = search.values(search.climb(search.point(near.values), 30))
    parameters = {
        name: replace(estimate, value=value)
        for (name, estimate), value in zip(near.parameters.items(), values, strict=True)
    }
    return replace(near, parameters=parameters)


def _ordered(family: Family, estimates: list[Estimate]) -> list[Estimate]:
    """The parts of a mixture from left to right."""
    if "weight" not in family.parameters or estimates[1].value <= estimates[3].value:
        return estimates
    weight, *rest = estimates
    low = None if weight.high is None else 1 - weight.high
    high = None if weight.low is None else 1 - weight.low
    return [Estimate(1 - weight.value, low, high), *rest[2:], *rest[:2]]


class _Search:
    """The likelihood of a family on the scales on which its parameters have no limits."""

    def __init__(self, binned: Binned, family: Family) -> None:
        self._family = family
        self._lower, self._upper, self._counts = (
            np.array(each) for each in zip(*binned.bins, strict=True)
        )
        # So that a step means as much for a value in millions as for one in microseconds.
        self._unit = Rough.of(binned).sd or 1.0
        self._scales = list(family.parameters.values())
        limits = zip(self._scales, map(family.limits, family.parameters), strict=True)
        inward = [[self._inward(scale, x) for x in ends] for scale, ends in limits]
        self._low, self._high = np.array(inward).T

    def point(self, values: Sequence[float]) -> Array:
        """Values of the parameters as a point of the search."""
        point = np.array([self._inward(s, v) for s, v in zip(self._scales, values, strict=True)])
        return np.asarray(np.clip(point, self._low, self._high), dtype=np.float64)

    def values(self, point: Array) -> list[float]:
        """The parameters there."""
        return [self._outward(s, x) for s, x in zip(self._scales, point, strict=True)]

    def log_likelihood(self, point: Array) -> float:
        """Up to a constant that is the same for all families."""
        return float(self._counts @ np.log(np.maximum(self._probability(point), _LEAST)))

    def climb(self, point: Array, steps: int) -> Array:
        """Go up from a point, so many steps at most."""
        damping, height = 1e-3, self.log_likelihood(point)
        for _ in range(steps):
            score, information = self._score(point)
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

    def estimates(self, point: Array) -> list[Estimate]:
        """The parameters there, with intervals of the observed information."""
        errors = self._errors(point)
        result = []
        for i, scale in enumerate(self._scales):
            value = self._outward(scale, point[i])
            if math.isfinite(errors[i]):
                low, high = (self._outward(scale, point[i] + z * errors[i]) for z in (-_Z, _Z))
                bounds = [x if math.isfinite(x) else None for x in (low, high)]
                result.append(Estimate(value, *bounds))
            else:
                result.append(Estimate(value, None, None))
        return result

    def _probability(self, point: Array) -> Array:
        values = self.values(point)
        low, high = dict(zip(self._family.parameters, values, strict=True)).get("low"), values[-1]
        if low is not None and not low < high:
            return np.zeros_like(self._lower)
        return self._family.probability(values, self._lower, self._upper)

    def _score(self, point: Array) -> tuple[Array, Array]:
        """The slope of the log-likelihood, and the information that each observation gives."""
        p = np.maximum(self._probability(point), _LEAST)
        steps = 1e-5 * np.eye(len(point))
        slopes = np.array(
            [(self._probability(point + s) - self._probability(point - s)) / 2e-5 for s in steps]
        )
        relative = np.nan_to_num(np.clip(slopes / p, -1e6, 1e6))
        return relative @ self._counts, (relative * self._counts) @ relative.T

    def _errors(self, point: Array) -> Array:
        """Standard errors; infinite where the data do not say, or where a limit is reached."""
        errors = np.full(len(point), math.inf)
        free = (point > self._low) & (point < self._high)
        if not free.any():
            return errors
        _, rough = self._score(point)
        # A tenth of a standard error is far enough for the likelihood to differ, and near enough.
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

    def _inward(self, scale: str, value: float) -> float:
        if scale == "real":
            return value / self._unit
        if scale == "share":
            return math.log(value / (1 - value)) if 0 < value < 1 else value
        if value <= 0 or math.isinf(value):
            return value
        return math.log(value)

    def _outward(self, scale: str, x: float) -> float:
        if scale == "real":
            return float(x * self._unit)
        x = min(max(float(x), -690.0), 690.0)
        return 1 / (1 + math.exp(-x)) if scale == "share" else math.exp(x)


def _uniform(binned: Binned) -> tuple[list[Estimate], Array]:
    """The ends of a uniform, with intervals of the likelihood ratio.

    How full the first and the last bin are, beside those between, says where in them the ends lie.
    """
    first, last = binned.bins[0], binned.bins[-1]
    inner = last.lower - first.upper
    x, y = first.width, last.width
    # Alternately: from how full a bin is follows how much of it is used, given the other end.
    for _ in range(100):
        x = _used(first.count, binned.count, inner + y, first.upper - first.lower)
        y = _used(last.count, binned.count, inner + x, last.upper - last.lower)
    low, high = first.upper - x, last.lower + y
    span = high - low

    def at_low(end: float) -> float:
        y = _used(last.count, binned.count, last.lower - end, last.upper - last.lower)
        return _uniform_likelihood(binned, end, last.lower + y)

    def at_high(end: float) -> float:
        x = _used(first.count, binned.count, end - first.upper, first.upper - first.lower)
        return _uniform_likelihood(binned, first.upper - x, end)

    best = _uniform_likelihood(binned, low, high)
    edge_low = x >= (first.upper - first.lower) * (1 - 1e-9) or first.count < 10
    edge_high = y >= (last.upper - last.lower) * (1 - 1e-9) or last.count < 10
    low_cut = best - (_LR_EDGE if edge_low else _LR_REGULAR) / 2
    high_cut = best - (_LR_EDGE if edge_high else _LR_REGULAR) / 2
    return [
        Estimate(
            low,
            _crossing(lambda e: at_low(e) - low_cut, low, low - 4 * span),
            _crossing(lambda e: at_low(e) - low_cut, low, first.upper),
        ),
        Estimate(
            high,
            _crossing(lambda e: at_high(e) - high_cut, high, last.lower),
            _crossing(lambda e: at_high(e) - high_cut, high, high + 4 * span),
        ),
    ], np.array([low, high])


def _used(count: float, total: float, rest: float, width: float) -> float:
    """The part of an outermost bin that is likeliest within the range, given the rest of it."""
    return min(count * rest / (total - count), width) if total > count else width


def _uniform_likelihood(binned: Binned, low: float, high: float) -> float:
    lower, upper, counts = (np.array(each) for each in zip(*binned.bins, strict=True))
    inside = np.minimum(upper, high) - np.maximum(lower, low)
    if not low < high:
        return -math.inf
    return float(counts @ np.log(np.maximum(inside / (high - low), _LEAST)))


def _crossing(height: Callable[[float], float], start: float, end: float) -> float | None:
    """Where a function that is above 0 at ``start`` comes to 0 before ``end``."""
    if not math.isfinite(end) or height(end) > 0:
        return None
    return float(optimize.brentq(height, start, end))
