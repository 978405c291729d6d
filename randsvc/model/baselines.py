"""The baselines of outputs and inputs, as numbers that a metric can have."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path

from randsvc.errors import ConfigurationError, RecoveryError
from randsvc.histograms.baseline_file import Baseline, load
from randsvc.histograms.binned import Bin, Binned, estimate_quantile, make_equiprobable
from randsvc.metrics import DELAY, VALUE, ServiceMetrics
from randsvc.model.features import SEGMENTS
from randsvc.settings import Settings

__all__ = (
    "BINS",
    "EDGE_LEVELS",
    "QUANTILE_LEVELS",
    "BaselineNumbers",
    "describe",
    "export_baselines",
    "load_baselines",
)

_logger = logging.getLogger(__name__)

BINS = 10
"""Bins of about equal probability, as is usual for a population stability index."""
QUANTILE_LEVELS = tuple((2 * k + 1) / (2 * BINS) for k in range(BINS))
"""The levels of the quantiles: the middle of each bin's share."""
_TAIL_LEVELS = (0.0001, 0.001, 0.01, 0.99, 0.999, 0.9999)
"""Levels of the tails, where a change of the spread shows: ten bins contain about half of the
information about it, and the bins between all levels nine tenths."""
EDGE_LEVELS = tuple(sorted((*QUANTILE_LEVELS, *_TAIL_LEVELS)))
"""The levels of all quantiles; ``randsvc.rules.cusum`` counts the values between them."""

_FOLDER = Path(__file__).parent / "baseline"
"""The folder of the baseline files for the default settings."""


@dataclass(frozen=True, kw_only=True)
class BaselineNumbers:
    """A baseline in numbers.

    ``edges`` has the upper bound of each bin but the last, by bin; ``shares`` is by bin,
    ``quantiles`` by level. ``tails`` has the quantiles at the other ``EDGE_LEVELS``, or nothing if
    two quantiles are equal, because nearly all values are. ``statistics`` has ``count``, ``mean``
    and ``stddev``, ``low`` and ``high`` (the ends of the expected range), and ``noise``: the
    integral of sqrt(F(1-F)), in the unit of the values.

    A sample of n values has an expected Wasserstein-1 distance of at most noise / sqrt(n) from its
    own distribution. S. Bobkov, M. Ledoux: One-dimensional empirical measures, order statistics,
    and Kantorovich transport distances, Memoirs of the AMS 1259 (2019), chapter 3.
    """

    shares: Mapping[str, float]
    statistics: Mapping[str, float]
    edges: Mapping[str, float] = field(default_factory=dict)
    quantiles: Mapping[str, float] = field(default_factory=dict)
    tails: Mapping[str, float] = field(default_factory=dict)


def load_baselines(settings: Settings, *, is_pulled: bool = False) -> dict[str, BaselineNumbers]:
    """Return the baselines of a service by distribution: ``value``, ``delay`` and ``segment``.

    A service that ``is_pulled`` exports explicit buckets, which are coarser; quantiles are then as
    Prometheus finds them in such buckets.

    If the distribution of the value or of the delay is not the default, it has a baseline only if a
    file is set. Raises ``ConfigurationError`` for a file that is not a baseline.
    """
    default = Settings()
    found = {"segment": _describe_mix(SEGMENTS)}
    for name, metric, given, is_default in (
        ("value", VALUE, settings.value_baseline, settings.value == default.value),
        ("delay", DELAY, settings.delay_baseline, settings.delay == default.delay),
    ):
        if given is None and not is_default:
            _logger.info(
                "drift of the %s is not measured: its distribution is not the default, and "
                "RANDSVC_%s_BASELINE is not set",
                name,
                name.upper(),
            )
            continue
        try:
            baseline = load(given or _FOLDER / f"{name}.json")
            found[name] = describe(baseline, metric.buckets if is_pulled else ())
        except RecoveryError as error:
            raise ConfigurationError(f"RANDSVC_{name.upper()}_BASELINE: {error}") from error
    return found


def export_baselines(baselines: Mapping[str, BaselineNumbers], metrics: ServiceMetrics) -> None:
    """Set the gauges of ``metrics`` to the baselines."""
    for name, it in baselines.items():
        for gauge, attribute, numbers in (
            (metrics.baseline_edge, "randsvc.bin", it.edges),
            (metrics.baseline_share, "randsvc.bin", it.shares),
            (metrics.baseline_quantile, "randsvc.quantile", {**it.quantiles, **it.tails}),
            (metrics.baseline_statistic, "randsvc.statistic", it.statistics),
        ):
            for key, number in numbers.items():
                gauge.set(number, {"randsvc.distribution": name, attribute: key})


def describe(baseline: Baseline, buckets: Sequence[float] = ()) -> BaselineNumbers:
    """Return a baseline in numbers; values are assumed to be uniform within a bin.

    With ``buckets``, their upper bounds, quantiles are those of the values counted in them.
    """
    bins, count = tuple(map(_close_bin, baseline.bins)), baseline.count
    total = baseline.sum
    if total is None:
        total = sum(b.middle * b.count for b in bins)
    mean = total / count
    variance = sum(b.count * ((b.middle - mean) ** 2 + b.width**2 / 12) for b in bins) / count
    tenths = make_equiprobable(Binned(bins), BINS)
    names = [f"{k:02}" for k in range(1, len(tenths) + 1)]
    seen = _count_in_buckets(Binned(bins), buckets) if buckets else bins
    described = BaselineNumbers(
        edges={name: b.upper for name, b in zip(names, tenths[:-1], strict=False)},
        shares={name: b.count / count for name, b in zip(names, tenths, strict=True)},
        quantiles={f"{level:g}": _estimate_quantile(seen, level) for level in QUANTILE_LEVELS},
        tails=_describe_tails(seen),
        statistics={
            "count": count,
            "mean": mean,
            "stddev": math.sqrt(variance),
            "low": bins[0].lower,
            "high": bins[-1].upper,
            "noise": _compute_noise(bins, count),
        },
    )
    if not all(map(math.isfinite, described.statistics.values())):
        raise RecoveryError("a baseline of values this large has no standard deviation")
    return described


def _close_bin(bin_: Bin) -> Bin:
    """Return the bin; if one end is infinite, all of its values count at the other end."""
    lower, upper, count = bin_
    if math.isinf(lower) and math.isinf(upper):
        raise RecoveryError(
            "the only bin of the baseline is infinite on both sides: expected a finite bound"
        )
    return Bin(upper if math.isinf(lower) else lower, lower if math.isinf(upper) else upper, count)


def _describe_mix(shares: Mapping[str, float]) -> BaselineNumbers:
    # The mix is not a sample. With this count, only the sample compared with it is uncertain.
    return BaselineNumbers(shares=shares, statistics={"count": 1e9})


def _estimate_quantile(bins: tuple[Bin, ...], level: float) -> float:
    found = estimate_quantile(bins, level)
    if found is None or found.value is None:
        raise RecoveryError("a baseline without values has no quantiles")
    return found.value


def _count_in_buckets(binned: Binned, buckets: Sequence[float]) -> tuple[Bin, ...]:
    ends = (-math.inf, *buckets, math.inf)
    below = [0.0, *map(binned.below, buckets), 1.0]
    counts = [(high - low) * binned.count for low, high in pairwise(below)]
    return tuple(
        _close_bin(Bin(low, high, count))
        for (low, high), count in zip(pairwise(ends), counts, strict=True)
        if count > 0
    )


def _describe_tails(bins: tuple[Bin, ...]) -> dict[str, float]:
    edges = [_estimate_quantile(bins, level) for level in EDGE_LEVELS]
    if any(low >= high for low, high in pairwise(edges)):
        return {}
    return {f"{level:g}": _estimate_quantile(bins, level) for level in _TAIL_LEVELS}


def _compute_noise(bins: tuple[Bin, ...], count: int) -> float:
    """Integrate sqrt(F(1-F)), with an F that is linear in each bin and constant between bins."""
    cumulated = [0.0, *(c / count for c in accumulate(b.count for b in bins))]
    inside = (
        b.width * _average_root(low, min(high, 1.0))
        for b, (low, high) in zip(bins, pairwise(cumulated), strict=True)
    )
    between = (
        (right.lower - left.upper) * math.sqrt(share * (1 - share))
        for (left, right), share in zip(pairwise(bins), cumulated[1:-1], strict=True)
    )
    return sum(inside) + sum(between)


def _average_root(low: float, high: float) -> float:
    """Return the mean of sqrt(u(1-u)) from ``low`` to ``high``."""
    if low == high:
        return math.sqrt(low * (1 - low))

    def integrate(u: float) -> float:
        return (2 * u - 1) * math.sqrt(u * (1 - u)) / 4 + math.asin(2 * u - 1) / 8

    return (integrate(high) - integrate(low)) / (high - low)
