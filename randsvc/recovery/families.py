"""The families of ``randsvc.distributions`` with numpy: the probabilities of all bins at once.

The search for a parameter uses a scale without limits: the logarithm of a positive parameter, the
log-odds of a share. Intervals are computed on the same scale, so they contain only possible values.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from randsvc.distributions.families import format_number
from randsvc.histograms.binned import Binned

__all__ = (
    "CUTTABLE",
    "FAMILIES",
    "LEAST_KEPT",
    "Array",
    "Ends",
    "Family",
    "SampleMoments",
    "Scale",
    "cut",
    "split",
)

Array = npt.NDArray[np.float64]
Scale = Literal["real", "positive", "share"]
# From the values of the parameters and the lower and upper ends of bins to the bins' probabilities.
Probability = Callable[[Sequence[float], Array, Array], Array]
Ends = tuple[bool, bool]
_Guesser = Callable[["SampleMoments"], Sequence[float]]
_Starts = Callable[[Binned], list[Sequence[float]]]

LEAST_KEPT = 0.01
"""Smallest share of a distribution that a truncation may keep, as in ``randsvc.distributions``."""
_LIMITS: Mapping[str, tuple[float, float]] = {
    # The same as in randsvc.distributions.families.
    "shape": (0.05, 1000.0),
    "alpha": (0.05, 1000.0),
    "beta": (0.05, 1000.0),
    "sigma": (0.001, 10.0),
    # A few outliers look like a part of a mixture with a smaller weight.
    "weight": (0.001, 0.999),
}


@dataclass(frozen=True)
class SampleMoments:
    """Rough moments of the values and of their logarithms, of a sample or a part of it.

    ``low`` and ``high`` are the ends of the range of the bins that are not empty.
    """

    mean: float
    sd: float
    log_mean: float
    log_sd: float
    low: float
    high: float

    @classmethod
    def of(cls, binned: Binned, first: float = 0.0, last: float = 1.0) -> "SampleMoments":
        """SampleMoments from the values between the quantiles ``first`` and ``last``."""
        counts = np.array([bin_.count for bin_ in binned.bins])
        ends = np.cumsum(counts) / counts.sum()
        starts = ends - counts / counts.sum()
        weights = np.clip(np.minimum(ends, last) - np.maximum(starts, first), 0.0, None)
        middles = np.array([bin_.middle for bin_ in binned.bins])
        widths = np.array([bin_.width for bin_ in binned.bins])
        mean, sd = _compute_moments(middles, weights, widths)
        smallest = np.finfo(float).tiny
        log_widths = widths / np.maximum(np.abs(middles), smallest)
        log_mean, log_sd = _compute_moments(
            np.log(np.maximum(middles, smallest)), weights, np.minimum(log_widths, 1.0)
        )
        low, high = binned.bins[0].lower, binned.bins[-1].upper
        if math.isinf(low):
            low = binned.bins[0].middle
        if math.isinf(high):
            high = binned.bins[-1].middle
        return cls(mean, sd, log_mean, log_sd, low, high)


def _compute_moments(values: Array, weights: Array, widths: Array) -> tuple[float, float]:
    weights = weights / weights.sum()
    mean = float(weights @ values)
    # Values within one bin differ too: the variance of a uniform distribution over it.
    return mean, math.sqrt(float(weights @ ((values - mean) ** 2 + widths**2 / 12)))


@dataclass(frozen=True)
class Family:
    """A family with ``parameters`` by name, each with its scale.

    ``starts`` returns the points from which to search. ``text`` has a replacement field for each
    parameter; ``randsvc.distributions`` parses the result. ``support`` contains all possible
    values. ``ends`` says whether the lower and the upper end are truncated. These ends are the last
    parameters, and ``uncut`` is the family without truncation.
    """

    name: str
    parameters: Mapping[str, Scale]
    text: str
    probability: Probability
    starts: Callable[[Binned], list[Sequence[float]]]
    support: tuple[float, float] = (-math.inf, math.inf)
    ends: Ends = (False, False)
    uncut: "Family | None" = None

    def can_fit(self, binned: Binned) -> bool:
        """Return whether the family's support covers the sample."""
        low, high = self.support
        if self.ends != (False, False) and not math.isfinite(
            binned.bins[-1].upper - binned.bins[0].lower
        ):
            # An infinite bin does not show where in it the values stop.
            return False
        # The factor allows for rounding in the last digit of a bound.
        return binned.bins[0].upper > low and binned.bins[-1].upper <= high * (1 + 1e-9)

    def get_limits(self, name: str) -> tuple[float, float]:
        """Return the smallest and the largest value of a parameter."""
        return _LIMITS.get(name.rstrip("0123456789"), (-math.inf, math.inf))

    def describe(self, values: Sequence[float], digits: int | None = None) -> str:
        """Return the text of the distribution with these parameters."""
        numbers = [format_number(v if digits is None else float(f"{v:.{digits}g}")) for v in values]
        fields = dict(zip(self.parameters, numbers, strict=True))
        if "weight" in fields:
            fields["rest"] = format_number(float(f"{1 - float(fields['weight']):.12g}"))
        return self.text.format(**fields)

    def fill_in(self, texts: Mapping[str, str]) -> str:
        """Return the text of the distribution with a given text for each parameter."""
        return self.text.format(**texts, rest="the rest")


def _normal(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
    mean, sd = parameters
    return _normal_between((lower - mean) / sd, (upper - mean) / sd)


def _normal_between(lower: Array, upper: Array) -> Array:
    # Uses the side on which both tails are small, so that their difference keeps its digits.
    flip = lower > 0
    first, second = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    return np.asarray(special.ndtr(second) - special.ndtr(first))


def _lognormal(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
    median, sigma = parameters
    return _normal((math.log(median), sigma), _log(lower), _log(upper))


def _exponential(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
    return _weibull((1.0, 1 / parameters[0]), lower, upper)


def _weibull(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
    shape, scale = parameters
    first, second = (
        np.exp(np.minimum(shape * (_log(x) - math.log(scale)), 700.0)) for x in (lower, upper)
    )
    return np.asarray(np.exp(-first) * -np.expm1(first - second))


def _gamma(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
    shape, scale = parameters
    first, second = np.maximum(lower, 0) / scale, np.maximum(upper, 0) / scale
    above = first > shape
    found = np.empty_like(first)
    for where, tail in ((above, special.gammaincc), (~above, special.gammainc)):
        found[where] = np.abs(tail(shape, second[where]) - tail(shape, first[where]))
    return found


def _beta(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
    alpha, beta, low, high = parameters
    first, second = (np.clip((x - low) / (high - low), 0.0, 1.0) for x in (lower, upper))
    above = first > alpha / (alpha + beta)
    found = np.empty_like(first)
    for where, tail in ((above, special.betaincc), (~above, special.betainc)):
        found[where] = np.abs(tail(alpha, beta, second[where]) - tail(alpha, beta, first[where]))
    return found


def _unit_beta(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
    return _beta((*parameters, 0.0, 1.0), lower, upper)


def _length(_: Sequence[float], lower: Array, upper: Array) -> Array:
    return upper - lower


def _mix(part: Probability) -> Probability:
    def probability(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
        weight, *rest = parameters
        return weight * part(rest[:2], lower, upper) + (1 - weight) * part(rest[2:], lower, upper)

    return probability


def _log(x: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.maximum(x, 0.0)))


def _start_once(guess: _Guesser) -> _Starts:
    return lambda binned: [guess(SampleMoments.of(binned))]


def _start_in_two_parts(guess: _Guesser) -> _Starts:
    """Start from the sample split at several quantiles, and from a narrow part over a wide one."""

    def starts(binned: Binned) -> list[Sequence[float]]:
        found: list[Sequence[float]] = []
        for cut in (0.1, 0.3, 0.5, 0.7, 0.9):
            parts = (
                guess(SampleMoments.of(binned, 0.0, cut)),
                guess(SampleMoments.of(binned, cut, 1.0)),
            )
            found.append((cut, *parts[0], *parts[1]))
        place, spread = guess(SampleMoments.of(binned))
        found.append((0.7, place, spread / 2, place, spread * 1.5))
        return found

    return starts


def _guess_normal(moments: SampleMoments) -> Sequence[float]:
    return moments.mean, moments.sd


def _guess_lognormal(moments: SampleMoments) -> Sequence[float]:
    return math.exp(moments.log_mean), moments.log_sd


def _guess_gamma(moments: SampleMoments) -> Sequence[float]:
    shape = (moments.mean / moments.sd) ** 2
    return shape, moments.mean / shape


def _guess_weibull(moments: SampleMoments) -> Sequence[float]:
    # The logarithm of a Weibull is a Gumbel: sd pi / sqrt(6) / shape, mean below log(scale) by
    # Euler's constant / shape.
    shape = math.pi / math.sqrt(6) / moments.log_sd
    return shape, math.exp(moments.log_mean + np.euler_gamma / shape)


def _guess_beta(moments: SampleMoments, low: float, high: float) -> Sequence[float]:
    mean, sd = (moments.mean - low) / (high - low), moments.sd / (high - low)
    total = max(mean * (1 - mean) / sd**2 - 1, 0.2)
    return mean * total, (1 - mean) * total


def _guess_stretched_beta(moments: SampleMoments) -> Sequence[float]:
    low, high = moments.low - moments.sd / 10, moments.high + moments.sd / 10
    return *_guess_beta(moments, low, high), low, high


def cut(family: Family, ends: Ends) -> Family:
    """Return the family truncated at ``min``, at ``max``, or at both."""
    names = [name for name, is_cut in zip(("min", "max"), ends, strict=True) if is_cut]
    fields = "".join(f", {name}={{{name}}}" for name in names)
    return Family(
        name=f"{family.name} with {' and '.join(names)}",
        parameters={**family.parameters, **dict.fromkeys(names, "real")},
        text=f"{family.text.removesuffix(')')}{fields})",
        probability=_condition_on(family.probability, ends),
        starts=family.starts,
        support=family.support,
        ends=ends,
        uncut=family,
    )


def _condition_on(measure: Probability, ends: Ends) -> Probability:
    """Return the probability, given that a value is between the ends.

    ``measure`` need not sum to 1.
    """

    def probability(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
        rest, low, high = split(parameters, ends)
        first, second = np.clip(lower, low, high), np.clip(upper, low, high)
        whole = measure(rest, np.array([low]), np.array([high]))
        return np.asarray(measure(rest, first, second) / np.maximum(whole, np.finfo(float).tiny))

    return probability


def split(parameters: Sequence[float], ends: Ends) -> tuple[Sequence[float], float, float]:
    """Split parameters into those of the family and the two ends; infinite if not truncated."""
    number = len(parameters) - sum(ends)
    last = iter(parameters[number:])
    low = next(last) if ends[0] else -math.inf
    high = next(last) if ends[1] else math.inf
    return parameters[:number], low, high


_FLAT = Family("flat", {}, "", _length, lambda _: [()])

FAMILIES: tuple[Family, ...] = (
    Family(
        "normal",
        {"mean": "real", "sd": "positive"},
        "normal(mean={mean}, sd={sd})",
        _normal,
        _start_once(_guess_normal),
    ),
    Family(
        "lognormal",
        {"median": "positive", "sigma": "positive"},
        "lognormal(median={median}, sigma={sigma})",
        _lognormal,
        _start_once(_guess_lognormal),
        support=(0.0, math.inf),
    ),
    Family(
        "exponential",
        {"rate": "positive"},
        "exponential(rate={rate})",
        _exponential,
        _start_once(lambda moments: (1 / moments.mean,)),
        support=(0.0, math.inf),
    ),
    Family(
        "gamma",
        {"shape": "positive", "scale": "positive"},
        "gamma(shape={shape}, scale={scale})",
        _gamma,
        _start_once(_guess_gamma),
        support=(0.0, math.inf),
    ),
    Family(
        "weibull",
        {"shape": "positive", "scale": "positive"},
        "weibull(shape={shape}, scale={scale})",
        _weibull,
        _start_once(_guess_weibull),
        support=(0.0, math.inf),
    ),
    Family(
        "uniform",
        {"low": "real", "high": "real"},
        "uniform(low={low}, high={high})",
        _condition_on(_length, (True, True)),
        _FLAT.starts,
        ends=(True, True),
        uncut=_FLAT,
    ),
    Family(
        "beta",
        {"alpha": "positive", "beta": "positive"},
        "beta(alpha={alpha}, beta={beta})",
        _unit_beta,
        _start_once(lambda moments: _guess_beta(moments, 0.0, 1.0)),
        support=(0.0, 1.0),
    ),
    Family(
        "stretched beta",
        {"alpha": "positive", "beta": "positive", "low": "real", "high": "real"},
        "beta(alpha={alpha}, beta={beta}, low={low}, high={high})",
        _beta,
        _start_once(_guess_stretched_beta),
    ),
    Family(
        "mixture of normals",
        {
            "weight": "share",
            "mean1": "real",
            "sd1": "positive",
            "mean2": "real",
            "sd2": "positive",
        },
        "mixture({weight}*normal(mean={mean1}, sd={sd1}), {rest}*normal(mean={mean2}, sd={sd2}))",
        _mix(_normal),
        _start_in_two_parts(_guess_normal),
    ),
    Family(
        "mixture of lognormals",
        {
            "weight": "share",
            "median1": "positive",
            "sigma1": "positive",
            "median2": "positive",
            "sigma2": "positive",
        },
        "mixture({weight}*lognormal(median={median1}, sigma={sigma1}),"
        " {rest}*lognormal(median={median2}, sigma={sigma2}))",
        _mix(_lognormal),
        _start_in_two_parts(_guess_lognormal),
        support=(0.0, math.inf),
    ),
)
"""The families to fit. The first beta lies in 0 to 1. A constant is one bin and needs no fit."""

CUTTABLE = ("normal", "lognormal", "exponential", "gamma", "weibull")
"""The families that are also fitted with ``min`` and ``max``, because they do not end there."""
