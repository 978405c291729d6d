"""The families of ``randsvc.distributions`` as arrays: the probability of every bin at once.

A parameter is searched for on a scale without limits: the logarithm where it is positive, the
log-odds where it is a share. Its interval is made there too, and so never leaves what is possible.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from randsvc.distributions import Distribution, parse
from randsvc.distributions.families import format_number
from randsvc.histograms.binned import Binned

__all__ = (
    "CUTTABLE",
    "FAMILIES",
    "LEAST_KEPT",
    "Array",
    "Ends",
    "Family",
    "Rough",
    "Scale",
    "cut",
    "split",
)

Array = npt.NDArray[np.float64]
Scale = Literal["real", "positive", "share"]
# From values of the parameters, and the lower and upper ends of bins.
Probability = Callable[[Sequence[float], Array, Array], Array]
Ends = tuple[bool, bool]
_Guess = Callable[["Rough"], Sequence[float]]
_Starts = Callable[[Binned], list[Sequence[float]]]

LEAST_KEPT = 0.01
"""Of a distribution, between the ends at which it is cut, as ``randsvc.distributions`` has it."""
_LIMITS: Mapping[str, tuple[float, float]] = {
    # As randsvc.distributions.families has them.
    "shape": (0.05, 1000.0),
    "alpha": (0.05, 1000.0),
    "beta": (0.05, 1000.0),
    "sigma": (0.001, 10.0),
    # A part of a mixture that is rarer is not told from a few values that lie apart.
    "weight": (0.001, 0.999),
}


@dataclass(frozen=True)
class Rough:
    """First guesses of a sample or of a part of one: moments of the values and their logarithms.

    ``low`` and ``high`` are the ends of the bins that hold something.
    """

    mean: float
    sd: float
    log_mean: float
    log_sd: float
    low: float
    high: float

    @classmethod
    def of(cls, binned: Binned, first: float = 0.0, last: float = 1.0) -> "Rough":
        """Guess from the values between two quantiles."""
        counts = np.array([bin_.count for bin_ in binned.bins])
        ends = np.cumsum(counts) / counts.sum()
        starts = ends - counts / counts.sum()
        weights = np.clip(np.minimum(ends, last) - np.maximum(starts, first), 0.0, None)
        middles = np.array([bin_.middle for bin_ in binned.bins])
        widths = np.array([bin_.width for bin_ in binned.bins])
        mean, sd = _moments(middles, weights, widths)
        smallest = np.finfo(float).tiny
        log_widths = widths / np.maximum(np.abs(middles), smallest)
        log_mean, log_sd = _moments(
            np.log(np.maximum(middles, smallest)), weights, np.minimum(log_widths, 1.0)
        )
        low, high = binned.bins[0].lower, binned.bins[-1].upper
        if math.isinf(low):
            low = binned.bins[0].middle
        if math.isinf(high):
            high = binned.bins[-1].middle
        return cls(mean, sd, log_mean, log_sd, low, high)


def _moments(values: Array, weights: Array, widths: Array) -> tuple[float, float]:
    weights = weights / weights.sum()
    mean = float(weights @ values)
    # Values that share a bin still differ.
    return mean, math.sqrt(float(weights @ ((values - mean) ** 2 + widths**2 / 12)))


@dataclass(frozen=True)
class Family:
    """A family with ``parameters`` by name, each with its scale.

    ``starts`` are points from which to search. ``text`` is what ``randsvc.distributions`` parses,
    with a replacement field for each parameter. ``support`` is an interval that
    no value leaves. Where ``ends`` are cut, the lower one and the upper one, they are the last
    parameters, and ``uncut`` is the family without them.
    """

    name: str
    parameters: Mapping[str, Scale]
    text: str
    probability: Probability
    starts: Callable[[Binned], list[Sequence[float]]]
    support: tuple[float, float] = (-math.inf, math.inf)
    ends: Ends = (False, False)
    uncut: "Family | None" = None

    def possible(self, binned: Binned) -> bool:
        """Whether the family has values wherever the sample has."""
        low, high = self.support
        # Two ways to compute one bound may differ in the last digit.
        if self.ends != (False, False) and not math.isfinite(
            binned.bins[-1].upper - binned.bins[0].lower
        ):
            # A bin without an end does not say where in it the values stop.
            return False
        return binned.bins[0].upper > low and binned.bins[-1].upper <= high * (1 + 1e-9)

    def limits(self, name: str) -> tuple[float, float]:
        """What a parameter can be."""
        return _LIMITS.get(name.rstrip("0123456789"), (-math.inf, math.inf))

    def described(self, values: Sequence[float], digits: int | None = None) -> str:
        """The distribution with these parameters, as a text."""
        numbers = [format_number(v if digits is None else float(f"{v:.{digits}g}")) for v in values]
        fields = dict(zip(self.parameters, numbers, strict=True))
        if "weight" in fields:
            fields["rest"] = format_number(float(f"{1 - float(fields['weight']):.12g}"))
        return self.text.format(**fields)

    def filled(self, texts: Mapping[str, str]) -> str:
        """The distribution with a text for each parameter."""
        return self.text.format(**texts, rest="the rest")

    def distribution(self, values: Sequence[float]) -> Distribution:
        """The distribution with these parameters; raises ``DistributionError``."""
        return parse(self.described(values))


def _normal(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
    mean, sd = parameters
    return _normal_between((lower - mean) / sd, (upper - mean) / sd)


def _normal_between(lower: Array, upper: Array) -> Array:
    # On the side where both tails are small, so that their difference keeps its digits.
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


def _mixture(part: Probability) -> Probability:
    def probability(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
        weight, *rest = parameters
        return weight * part(rest[:2], lower, upper) + (1 - weight) * part(rest[2:], lower, upper)

    return probability


def _log(x: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.maximum(x, 0.0)))


def _one_start(guess: _Guess) -> _Starts:
    return lambda binned: [guess(Rough.of(binned))]


def _two_parts(guess: _Guess) -> _Starts:
    """Starts with the sample cut in two at some quantile, or with a wide part under a narrow."""

    def starts(binned: Binned) -> list[Sequence[float]]:
        found: list[Sequence[float]] = []
        for cut in (0.1, 0.3, 0.5, 0.7, 0.9):
            parts = guess(Rough.of(binned, 0.0, cut)), guess(Rough.of(binned, cut, 1.0))
            found.append((cut, *parts[0], *parts[1]))
        place, spread = guess(Rough.of(binned))
        found.append((0.7, place, spread / 2, place, spread * 1.5))
        return found

    return starts


def _normal_start(rough: Rough) -> Sequence[float]:
    return rough.mean, rough.sd


def _lognormal_start(rough: Rough) -> Sequence[float]:
    return math.exp(rough.log_mean), rough.log_sd


def _gamma_start(rough: Rough) -> Sequence[float]:
    shape = (rough.mean / rough.sd) ** 2
    return shape, rough.mean / shape


def _weibull_start(rough: Rough) -> Sequence[float]:
    # The logarithm of a Weibull is a Gumbel: sd pi / sqrt(6) / shape, mean below log(scale) by
    # Euler's constant / shape.
    shape = math.pi / math.sqrt(6) / rough.log_sd
    return shape, math.exp(rough.log_mean + np.euler_gamma / shape)


def _beta_start(rough: Rough, low: float, high: float) -> Sequence[float]:
    mean, sd = (rough.mean - low) / (high - low), rough.sd / (high - low)
    total = max(mean * (1 - mean) / sd**2 - 1, 0.2)
    return mean * total, (1 - mean) * total


def _stretched_beta_start(rough: Rough) -> Sequence[float]:
    low, high = rough.low - rough.sd / 10, rough.high + rough.sd / 10
    return *_beta_start(rough, low, high), low, high


def cut(family: Family, ends: Ends) -> Family:
    """The family given that values fall from ``min`` to ``max``, or on one side of one of them."""
    names = [name for name, is_cut in zip(("min", "max"), ends, strict=True) if is_cut]
    fields = "".join(f", {name}={{{name}}}" for name in names)
    return Family(
        name=f"{family.name} with {' and '.join(names)}",
        parameters={**family.parameters, **dict.fromkeys(names, "real")},
        text=f"{family.text.removesuffix(')')}{fields})",
        probability=_given_inside(family.probability, ends),
        starts=family.starts,
        support=family.support,
        ends=ends,
        uncut=family,
    )


def _given_inside(measure: Probability, ends: Ends) -> Probability:
    """What is inside of the ends, as shares of all that is; ``measure`` need not sum to 1."""

    def probability(parameters: Sequence[float], lower: Array, upper: Array) -> Array:
        rest, low, high = split(parameters, ends)
        first, second = np.clip(lower, low, high), np.clip(upper, low, high)
        whole = measure(rest, np.array([low]), np.array([high]))
        return np.asarray(measure(rest, first, second) / np.maximum(whole, np.finfo(float).tiny))

    return probability


def split(parameters: Sequence[float], ends: Ends) -> tuple[Sequence[float], float, float]:
    """The parameters without the ends, and the ends; infinite where there is no cut."""
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
        _one_start(_normal_start),
    ),
    Family(
        "lognormal",
        {"median": "positive", "sigma": "positive"},
        "lognormal(median={median}, sigma={sigma})",
        _lognormal,
        _one_start(_lognormal_start),
        support=(0.0, math.inf),
    ),
    Family(
        "exponential",
        {"rate": "positive"},
        "exponential(rate={rate})",
        _exponential,
        _one_start(lambda rough: (1 / rough.mean,)),
        support=(0.0, math.inf),
    ),
    Family(
        "gamma",
        {"shape": "positive", "scale": "positive"},
        "gamma(shape={shape}, scale={scale})",
        _gamma,
        _one_start(_gamma_start),
        support=(0.0, math.inf),
    ),
    Family(
        "weibull",
        {"shape": "positive", "scale": "positive"},
        "weibull(shape={shape}, scale={scale})",
        _weibull,
        _one_start(_weibull_start),
        support=(0.0, math.inf),
    ),
    Family(
        "uniform",
        {"low": "real", "high": "real"},
        "uniform(low={low}, high={high})",
        _given_inside(_length, (True, True)),
        _FLAT.starts,
        ends=(True, True),
        uncut=_FLAT,
    ),
    Family(
        "beta",
        {"alpha": "positive", "beta": "positive"},
        "beta(alpha={alpha}, beta={beta})",
        _unit_beta,
        _one_start(lambda rough: _beta_start(rough, 0.0, 1.0)),
        support=(0.0, 1.0),
    ),
    Family(
        "stretched beta",
        {"alpha": "positive", "beta": "positive", "low": "real", "high": "real"},
        "beta(alpha={alpha}, beta={beta}, low={low}, high={high})",
        _beta,
        _one_start(_stretched_beta_start),
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
        _mixture(_normal),
        _two_parts(_normal_start),
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
        _mixture(_lognormal),
        _two_parts(_lognormal_start),
        support=(0.0, math.inf),
    ),
)
"""All that are tried. A constant is one bin, and not fitted. The first beta lies in 0 to 1."""

CUTTABLE = ("normal", "lognormal", "exponential", "gamma", "weibull")
"""What is tried with ``min`` and ``max`` as well: all that have no end there by themselves."""
