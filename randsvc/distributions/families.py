"""The families of distributions: one function each, with moments in closed form.

Parameters have their usual names in statistics. An impossible value raises ``ParameterError``. The
parser checks that each number is finite and not too large. Shapes and ``sigma`` are limited to the
range in which double precision suffices for the mean, the variance and the cdf.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from randsvc.distributions.special import normal_cdf, regularised_beta, regularised_gamma

# E[(X - about)^k; low <= X <= high] for k = 0, 1, 2; the first is the probability of the interval.
Moments = tuple[float, float, float]
# From (about, low, high), ends included. Truncations and mixtures are computed from these, so that
# nothing is integrated numerically.
MomentsBetween = Callable[[float, float, float], Moments]
# From (about, x): the moments of what lies up to x.
_MomentsBelow = Callable[[float, float], Moments]
# Made once from a source of randomness; each call then draws one number.
Sampler = Callable[[], float]

_NOTHING: Moments = (0.0, 0.0, 0.0)
_FAR = 100.0  # standard deviations: at most 1 in 10,000 lies beyond (Chebyshev)
_SHAPES = (0.05, 1000.0)  # draws of less underflow to 0; more is a normal to three digits
_SIGMAS = (0.001, 10.0)  # less is a normal; the variance of more nears the largest float


@dataclass(frozen=True)
class Distribution:
    """A distribution of a random number, without a unit.

    ``text`` is the canonical text, which parses to an equal distribution. ``support`` is a closed
    interval that contains every draw. ``moments`` and ``sampler`` compute moments and make a
    function that draws.
    """

    text: str
    mean: float = field(compare=False)
    variance: float = field(compare=False)
    support: tuple[float, float] = field(compare=False)
    moments: MomentsBetween = field(compare=False, repr=False)
    sampler: Callable[[random.Random], Sampler] = field(compare=False, repr=False)

    def cdf(self, x: float) -> float:
        """Return P(X <= x)."""
        return min(self.moments(0.0, -math.inf, x)[0], 1.0)

    def quantile(self, share: float) -> float:
        """Return the smallest x with P(X <= x) >= ``share``, 0 < ``share`` < 1, by bisection."""
        deviation = math.sqrt(self.variance)
        low = max(self.support[0], self.mean - _FAR * deviation)
        high = min(self.support[1], self.mean + _FAR * deviation)
        if self.cdf(low) >= share:
            return low
        while low < (middle := (low + high) / 2) < high:
            low, high = (middle, high) if self.cdf(middle) < share else (low, middle)
        return high

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Callable[[str], "Distribution"], tuple[str]]:
        # To another process it travels as its text, as closures cannot.
        from randsvc.distributions.parse import parse

        return parse, (self.text,)


class ParameterError(ValueError):
    """An impossible parameter; ``parameter`` is its name."""

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(problem)
        self.parameter = parameter


def constant(value: float) -> Distribution:
    """Return the distribution that is always ``value``."""

    def moments(about: float, low: float, high: float) -> Moments:
        return _affine((1.0, 0.0, 0.0), value - about) if low <= value <= high else _NOTHING

    return Distribution(
        text=_text("constant", value=value),
        mean=value,
        variance=0.0,
        support=(value, value),
        moments=moments,
        sampler=lambda _: lambda: value,
    )


def uniform(low: float, high: float) -> Distribution:
    """Return the uniform distribution from ``low`` to ``high``."""
    _require_order(low, high)
    width = high - low

    def below(about: float, x: float) -> Moments:
        u = _fraction(x, low, high)
        return _affine((u, u**2 / 2, u**3 / 3), low - about, width)

    def sampler(rng: random.Random) -> Sampler:
        draw = rng.random
        # Never above high: u < 1, so width * u rounds to less than the exact width.
        return lambda: low + width * draw()

    return Distribution(
        text=_text("uniform", low=low, high=high),
        mean=low + width / 2,
        variance=width**2 / 12,
        support=(low, high),
        moments=_between(below),
        sampler=sampler,
    )


def normal(mean: float, sd: float) -> Distribution:
    """Return the normal distribution with standard deviation ``sd`` > 0."""
    _require_positive("sd", sd, instead=mean)

    def below(about: float, x: float) -> Moments:
        # Beyond 40 standard deviations nothing is left, and infinity times zero would be no number.
        z = max(-40.0, min((x - mean) / sd, 40.0))
        p, density = normal_cdf(z), math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return _affine((p, -density, p - z * density), mean - about, sd)

    return Distribution(
        text=_text("normal", mean=mean, sd=sd),
        mean=mean,
        variance=sd**2,
        support=(-math.inf, math.inf),
        moments=_between(below),
        sampler=lambda rng: partial(rng.gauss, mean, sd),
    )


def lognormal(median: float, sigma: float) -> Distribution:
    """Return the lognormal distribution: log(X) is normal(mean=log(``median``), sd=``sigma``)."""
    _require_positive("median", median)
    _require_positive("sigma", sigma, instead=median)
    _require_between("sigma", sigma, _SIGMAS)
    mu, exp = math.log(median), math.exp
    mean = median * exp(sigma**2 / 2)

    def below(about: float, x: float) -> Moments:
        if x <= 0:
            return _NOTHING
        z = (math.log(x) - mu) / sigma
        p, first, second = (exp((k * sigma) ** 2 / 2) * normal_cdf(z - k * sigma) for k in range(3))
        return _affine((p, first, second), -about, median)

    def sampler(rng: random.Random) -> Sampler:
        gauss = rng.gauss
        return lambda: exp(gauss(mu, sigma))

    return Distribution(
        text=_text("lognormal", median=median, sigma=sigma),
        mean=mean,
        variance=mean**2 * math.expm1(sigma**2),
        support=(0.0, math.inf),
        moments=_between(below),
        sampler=sampler,
    )


def exponential(rate: float) -> Distribution:
    """Return the exponential distribution with mean 1 / ``rate``."""
    _require_positive("rate", rate)
    return Distribution(
        text=_text("exponential", rate=rate),
        mean=1 / rate,
        variance=1 / rate**2,
        support=(0.0, math.inf),
        moments=gamma(1.0, 1 / rate).moments,
        sampler=lambda rng: partial(rng.expovariate, rate),
    )


def gamma(shape: float, scale: float) -> Distribution:
    """Return the gamma distribution with mean ``shape`` * ``scale``."""
    _require_between("shape", shape, _SHAPES)
    _require_positive("scale", scale)

    def below(about: float, x: float) -> Moments:
        p, first, second = (regularised_gamma(shape + k, x / scale) for k in range(3))
        return _affine((p, shape * first, shape * (shape + 1) * second), -about, scale)

    return Distribution(
        text=_text("gamma", shape=shape, scale=scale),
        mean=shape * scale,
        variance=shape * scale**2,
        support=(0.0, math.inf),
        moments=_between(below),
        sampler=lambda rng: partial(rng.gammavariate, shape, scale),
    )


def weibull(shape: float, scale: float) -> Distribution:
    """Return the Weibull distribution: (X / ``scale``) ^ ``shape`` is exponential with rate 1."""
    _require_between("shape", shape, _SHAPES)
    _require_positive("scale", scale)
    log_first, log_second = (math.lgamma(1 + k / shape) for k in (1, 2))

    def below(about: float, x: float) -> Moments:
        if x <= 0:
            return _NOTHING
        # Capped where the power would overflow: no probability is left out there.
        t = math.exp(min(shape * (math.log(x) - math.log(scale)), 700.0))
        p, first, second = (
            math.gamma(1 + k / shape) * regularised_gamma(1 + k / shape, t) for k in range(3)
        )
        return _affine((p, first, second), -about, scale)

    return Distribution(
        text=_text("weibull", shape=shape, scale=scale),
        mean=scale * math.gamma(1 + 1 / shape),
        # E[X^2] - mean^2, written so that it does not cancel away when the shape is large.
        variance=scale**2 * math.exp(log_second) * -math.expm1(2 * log_first - log_second),
        support=(0.0, math.inf),
        moments=_between(below),
        sampler=lambda rng: partial(rng.weibullvariate, scale, shape),
    )


def beta(alpha: float, beta: float, low: float = 0.0, high: float = 1.0) -> Distribution:
    """Return the beta distribution with shapes ``alpha`` and ``beta`` from ``low`` to ``high``."""
    _require_between("alpha", alpha, _SHAPES)
    _require_between("beta", beta, _SHAPES)
    _require_order(low, high)
    width, total = high - low, alpha + beta
    raw_moments = 1.0, alpha / total, alpha * (alpha + 1) / (total * (total + 1))

    def below(about: float, x: float) -> Moments:
        u = _fraction(x, low, high)
        p, first, second = (
            raw * regularised_beta(alpha + k, beta, u) for k, raw in enumerate(raw_moments)
        )
        return _affine((p, first, second), low - about, width)

    def sampler(rng: random.Random) -> Sampler:
        draw = rng.betavariate
        # A draw can be 1, and low + width can round to just above high.
        return lambda: min(low + width * draw(alpha, beta), high)

    return Distribution(
        text=_text("beta", alpha=alpha, beta=beta, low=low, high=high),
        mean=low + width * alpha / total,
        variance=width**2 * alpha * beta / (total**2 * (total + 1)),
        support=(low, high),
        moments=_between(below),
        sampler=sampler,
    )


FAMILIES: Mapping[str, Callable[..., Distribution]] = {
    family.__name__: family
    for family in (beta, constant, exponential, gamma, lognormal, normal, uniform, weibull)
}


def format_number(x: float) -> str:
    """Return the shortest text that parses to ``x``."""
    return repr(float(x)).removesuffix(".0")


def _text(family: str, **parameters: float) -> str:
    listed = (f"{name}={format_number(value)}" for name, value in parameters.items())
    return f"{family}({', '.join(listed)})"


def _between(below: _MomentsBelow) -> MomentsBetween:
    def moments(about: float, low: float, high: float) -> Moments:
        if low >= high:
            return _NOTHING
        upper, lower = below(about, high), below(about, low)
        return upper[0] - lower[0], upper[1] - lower[1], upper[2] - lower[2]

    return moments


def _affine(moments: Moments, shift: float, scale: float = 1.0) -> Moments:
    """Return the moments of shift + scale * X from those of X."""
    p, first, second = moments
    return (
        p,
        shift * p + scale * first,
        shift**2 * p + 2 * shift * scale * first + scale**2 * second,
    )


def _fraction(x: float, low: float, high: float) -> float:
    """Return the position of ``x`` between ``low`` and ``high``, from 0 to 1."""
    return max(0.0, min((x - low) / (high - low), 1.0))


def _require_positive(parameter: str, value: float, instead: float | None = None) -> None:
    if not value > 0:
        hint = (
            ""
            if value or instead is None
            else f": for a value that never varies, use {constant(instead)}"
        )
        raise ParameterError(
            parameter, f"{parameter} must be above 0, not {format_number(value)}{hint}"
        )


def _require_between(parameter: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:
        allowed = f"from {format_number(low)} to {format_number(high)}"
        raise ParameterError(
            parameter, f"{parameter} must be {allowed}, not {format_number(value)}"
        )


def _require_order(low: float, high: float) -> None:
    if not low < high:
        limit = f"low, which is {format_number(low)}"
        raise ParameterError("high", f"high must be above {limit}, not {format_number(high)}")
