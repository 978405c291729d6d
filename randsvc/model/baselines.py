"""What outputs and inputs are compared with, as numbers that monitoring can hold."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path

from randsvc.errors import ConfigurationError, RecoveryError
from randsvc.histograms.baseline_file import Baseline, load
from randsvc.histograms.binned import Bin, Binned, estimate_quantile, make_equiprobable
from randsvc.metrics import ServiceMetrics
from randsvc.model.features import SEGMENTS
from randsvc.settings import Settings

__all__ = (
    "BINS",
    "QUANTILE_LEVELS",
    "BaselineNumbers",
    "describe",
    "export_baselines",
    "load_baselines",
)

_logger = logging.getLogger(__name__)

BINS = 10
"""Of about the same probability, as is usual for a population stability index."""
QUANTILE_LEVELS = tuple((2 * k + 1) / (2 * BINS) for k in range(BINS))
"""The levels of the quantiles: the middle of each bin's share."""

_FOLDER = Path(__file__).parent / "baseline"
"""Of the committed baselines: those of the default settings."""


@dataclass(frozen=True, kw_only=True)
class BaselineNumbers:
    """A baseline in numbers.

    ``edges`` are the inner bounds by the bin below them, ``shares`` are by bin, ``quantiles`` by
    level. ``statistics`` are ``count``, ``mean``, ``stddev``, the ``low`` and ``high`` end of what
    is expected, and ``noise``: the integral of sqrt(F(1-F)), in the unit of the values.

    Its square root law: a sample of n values has an expected Wasserstein-1 distance from what it is
    drawn from of at most noise / sqrt(n). S. Bobkov, M. Ledoux: One-dimensional empirical
    measures, order statistics, and Kantorovich transport distances, Memoirs of the AMS 1259 (2019),
    chapter 3.
    """

    shares: Mapping[str, float]
    statistics: Mapping[str, float]
    edges: Mapping[str, float] = field(default_factory=dict)
    quantiles: Mapping[str, float] = field(default_factory=dict)


def load_baselines(settings: Settings) -> dict[str, BaselineNumbers]:
    """The baselines of a service by distribution: ``value``, ``delay`` and ``segment``.

    A value or delay that is not the default one has none unless a file is set. Raises
    ``ConfigurationError`` for a file that is no baseline.
    """
    default = Settings()
    found = {"segment": _describe_mix(SEGMENTS)}
    for name, given, is_default in (
        ("value", settings.value_baseline, settings.value == default.value),
        ("delay", settings.delay_baseline, settings.delay == default.delay),
    ):
        if given is None and not is_default:
            _logger.info(
                "no drift of the %s is measured: it is not the default one, and "
                "RANDSVC_%s_BASELINE is not set",
                name,
                name.upper(),
            )
            continue
        try:
            found[name] = describe(load(given or _FOLDER / f"{name}.json"))
        except RecoveryError as error:
            raise ConfigurationError(f"RANDSVC_{name.upper()}_BASELINE: {error}") from error
    return found


def export_baselines(baselines: Mapping[str, BaselineNumbers], metrics: ServiceMetrics) -> None:
    """Let ``metrics`` show the baselines."""
    for name, it in baselines.items():
        for gauge, attribute, numbers in (
            (metrics.baseline_edge, "randsvc.bin", it.edges),
            (metrics.baseline_share, "randsvc.bin", it.shares),
            (metrics.baseline_quantile, "randsvc.quantile", it.quantiles),
            (metrics.baseline_statistic, "randsvc.statistic", it.statistics),
        ):
            for key, number in numbers.items():
                gauge.set(number, {"randsvc.distribution": name, attribute: key})


def describe(baseline: Baseline) -> BaselineNumbers:
    """A baseline in numbers; within a bin its values are taken to lie evenly."""
    bins, count = tuple(map(_bound, baseline.bins)), baseline.count
    total = baseline.sum
    if total is None:
        total = sum(b.middle * b.count for b in bins)
    mean = total / count
    variance = sum(b.count * ((b.middle - mean) ** 2 + b.width**2 / 12) for b in bins) / count
    tenths = make_equiprobable(Binned(bins), BINS)
    names = [f"{k:02}" for k in range(1, len(tenths) + 1)]
    return BaselineNumbers(
        edges={name: b.upper for name, b in zip(names, tenths[:-1], strict=False)},
        shares={name: b.count / count for name, b in zip(names, tenths, strict=True)},
        quantiles={f"{level:g}": _quantile(bins, level) for level in QUANTILE_LEVELS},
        statistics={
            "count": count,
            "mean": mean,
            "stddev": math.sqrt(variance),
            "low": bins[0].lower,
            "high": bins[-1].upper,
            "noise": _compute_noise(bins, count),
        },
    )


def _bound(bin_: Bin) -> Bin:
    """The bin itself; one without an end, as if all of it lay at its other."""
    lower, upper, count = bin_
    if math.isinf(lower) and math.isinf(upper):
        raise RecoveryError("a baseline whose only bin has no ends tells nothing")
    return Bin(upper if math.isinf(lower) else lower, lower if math.isinf(upper) else upper, count)


def _describe_mix(shares: Mapping[str, float]) -> BaselineNumbers:
    # Not counted anywhere: as if so often that only the sample is uncertain.
    return BaselineNumbers(shares=shares, statistics={"count": 1e9})


def _quantile(bins: tuple[Bin, ...], level: float) -> float:
    found = estimate_quantile(bins, level)
    if found is None or found.value is None:
        raise RecoveryError("a baseline without values has no quantiles")
    return found.value


def _compute_noise(bins: tuple[Bin, ...], count: int) -> float:
    """The integral of sqrt(F(1-F)), of an F that is linear in each bin and level between them."""
    cumulated = [0.0, *(c / count for c in accumulate(b.count for b in bins))]
    inside = (
        b.width * _mean_root(low, min(high, 1.0))
        for b, (low, high) in zip(bins, pairwise(cumulated), strict=True)
    )
    between = (
        (right.lower - left.upper) * math.sqrt(share * (1 - share))
        for (left, right), share in zip(pairwise(bins), cumulated[1:-1], strict=True)
    )
    return sum(inside) + sum(between)


def _mean_root(low: float, high: float) -> float:
    """The mean of sqrt(u(1-u)) from ``low`` to ``high``."""
    if low == high:
        return math.sqrt(low * (1 - low))

    def integral(u: float) -> float:
        return (2 * u - 1) * math.sqrt(u * (1 - u)) / 4 + math.asin(2 * u - 1) / 8

    return (integral(high) - integral(low)) / (high - low)
