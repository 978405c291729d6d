"""What a histogram in Prometheus counted in a window, exactly.

``rate`` and ``increase`` extrapolate to the ends of the window, so that their counts are no counts.
Here the last sample in the window is taken, and the last one before the window taken off it, series
by series. Where a series began anew in between (a restart), its samples are gone through one by
one. A series without a sample in the hour before the window began in the window: all counts.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

from randsvc.errors import RecoveryError
from randsvc.histograms.binned import EMPTY, Bin, Binned
from randsvc.prometheus_api import (
    NativeHistogram,
    Prometheus,
    PrometheusError,
    Series,
    format_duration,
    format_matcher,
    format_selector,
)
from randsvc.times import format_time

__all__ = ("parse_bound", "read", "to_binned")

LOOKBACK = 3600.0
"""Seconds before the window in which the last sample before it is looked for."""
PIECE = 600.0
"""Seconds of samples that are asked for at once, where all of them are needed."""

_ZERO = 1e-30

Labels = frozenset[tuple[str, str]]


def read(
    server: Prometheus, metric: str, matchers: Sequence[str], *, end: float, window: float
) -> Binned:
    """What the series of a histogram counted in ``window`` seconds up to ``end`` (Unix seconds).

    ``metric`` is the name without the suffixes of a classic histogram, ``matchers`` are PromQL's,
    such as ``job="shop"``. Reads native histograms where there are any, else the explicit buckets
    of a classic histogram, and adds up all series. Raises ``RecoveryError`` where there is no
    series, ``PrometheusError`` where there is no answer.
    """
    for source in (_Native(server, metric, matchers), _Classic(server, metric, matchers)):
        latest = source.last(end, window)
        if latest:
            grown = _increases(source, latest, end - window, end)
            return reduce(Binned.__add__, grown, EMPTY)
    raise RecoveryError(
        f"Prometheus at {server.shown_url} has no histogram "
        f"{format_selector(metric, matchers)} with a sample in the {window:g} s before "
        f"{format_time(end)} UTC: expected the name and the labels of a series that it scrapes"
    )


def to_binned(histogram: NativeHistogram) -> Binned:
    """A native histogram as bins."""
    bins = (Bin(*bucket) for bucket in histogram.buckets)
    filled = tuple(sorted(_bounded(bin_) for bin_ in bins if bin_.count))
    return Binned(filled, histogram.sum)


class _Source(Protocol):
    """A kind of histogram; times in Unix seconds, ``within`` in seconds before."""

    def last(self, at: float, within: float) -> dict[Labels, Binned]:
        """The last sample of each series."""

    def restarted(self, at: float, within: float) -> set[Labels]:
        """The series that began anew."""

    def samples(self, labels: Labels, at: float, within: float) -> Iterator[Binned]:
        """All samples of a series, in time order."""


def _increases(
    source: _Source, latest: Mapping[Labels, Binned], start: float, end: float
) -> Iterator[Binned]:
    before = source.last(start, LOOKBACK)
    restarted = source.restarted(end, end - start + LOOKBACK)
    for labels, sample in latest.items():
        earlier = before.get(labels, EMPTY)
        grown = None if labels in restarted else sample.since(earlier)
        yield _step_by_step(source, labels, earlier, start, end) if grown is None else grown


def _step_by_step(
    source: _Source, labels: Labels, earlier: Binned, start: float, end: float
) -> Binned:
    total = EMPTY
    pieces = math.ceil((end - start) / PIECE)
    for number in range(1, pieces + 1):
        at = min(start + number * PIECE, end)
        for sample in source.samples(labels, at, at - start - (number - 1) * PIECE):
            grown = sample.since(earlier)
            total += sample if grown is None else grown
            earlier = sample
    return total


@dataclass(frozen=True)
class _Native:
    server: Prometheus
    metric: str
    matchers: Sequence[str]

    def last(self, at: float, within: float) -> dict[Labels, Binned]:
        selector = format_selector(self.metric, self.matchers)
        promql = f"last_over_time({selector}[{format_duration(within)}])"
        return {
            _labels(series): to_binned(series.histograms[-1][1])
            for series in self.server.query(promql, at)
            if series.histograms
        }

    def restarted(self, at: float, within: float) -> set[Labels]:
        return _restarted(self.server, self.metric, self.matchers, at, within)

    def samples(self, labels: Labels, at: float, within: float) -> Iterator[Binned]:
        selector = format_selector(self.metric, _exactly(labels))
        promql = f"{selector}[{format_duration(within)}]"
        for series in self.server.query(promql, at):
            if _labels(series) == labels:
                yield from (to_binned(each) for _, each in series.histograms)


@dataclass(frozen=True)
class _Classic:
    server: Prometheus
    metric: str
    matchers: Sequence[str]

    def last(self, at: float, within: float) -> dict[Labels, Binned]:
        # Buckets and sum in one query, so that they are of one moment.
        # last_over_time keeps the name, by which a sum is told from a bucket.
        selector = self._selector(self.matchers)
        found = self.server.query(f"last_over_time({selector}[{format_duration(within)}])", at)
        return {
            labels: _explicit({le: s.values[-1][1] for le, s in parts.items()})
            for labels, parts in self._parts(found).items()
        }

    def restarted(self, at: float, within: float) -> set[Labels]:
        return _restarted(self.server, f"{self.metric}_count", self.matchers, at, within)

    def samples(self, labels: Labels, at: float, within: float) -> Iterator[Binned]:
        selector = self._selector(_exactly(labels))
        found = self.server.query(f"{selector}[{format_duration(within)}]", at)
        moments: dict[float, dict[str, float]] = {}
        for le, series in self._parts(found).get(labels, {}).items():
            for time, value in series.values:
                moments.setdefault(time, {})[le] = value
        for _, parts in sorted(moments.items()):
            yield _explicit(parts)

    def _selector(self, matchers: Sequence[str]) -> str:
        name = format_matcher("__name__", f"{re.escape(self.metric)}_(bucket|sum)", "=~")
        return f"{{{', '.join((name, *matchers))}}}"

    def _parts(self, found: Sequence[Series]) -> dict[Labels, dict[str, Series]]:
        """Series by the labels of their histogram, then by ``le``, which is empty for the sum."""
        parts: dict[Labels, dict[str, Series]] = {}
        for series in found:
            if series.values:
                parts.setdefault(_labels(series), {})[series.labels.get("le", "")] = series
        return {labels: each for labels, each in parts.items() if set(each) - {""}}


def _restarted(
    server: Prometheus, name: str, matchers: Sequence[str], at: float, within: float
) -> set[Labels]:
    """The series of ``name`` whose counts went back."""
    selector = format_selector(name, matchers)
    found = server.query(f"resets({selector}[{format_duration(within)}]) > 0", at)
    return {_labels(series) for series in found}


def _explicit(parts: Mapping[str, float]) -> Binned:
    """Explicit buckets, cumulative by ``le``, and the sum by the empty text."""
    bins, lower, below = [], -math.inf, 0.0
    for upper, upto in sorted((parse_bound(le), upto) for le, upto in parts.items() if le):
        if upto > below:
            bins.append(_bounded(Bin(lower, upper, upto - below)))
        lower, below = upper, upto
    return Binned(tuple(bins), parts.get(""))


def parse_bound(le: str) -> float:
    """The upper bound of a bucket, as the label ``le`` has it; raises ``PrometheusError``."""
    try:
        bound = float(le)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise PrometheusError(f"a bucket has le={le!r}: expected its upper bound, a number")
    return bound


def _bounded(bin_: Bin) -> Bin:
    """A bin without a lower end begins at 0 if it ends above, as it does for histogram_quantile.

    The bucket of zeros is a little wide, for other numbers' sake; what we count there is zero.
    """
    if math.isinf(bin_.lower) and bin_.upper > 0:
        return bin_._replace(lower=0.0)
    return Bin(0.0, 0.0, bin_.count) if max(-bin_.lower, bin_.upper) < _ZERO else bin_


def _labels(series: Series) -> Labels:
    return frozenset(
        (name, value) for name, value in series.labels.items() if name not in ("__name__", "le")
    )


def _exactly(labels: Labels) -> list[str]:
    return [format_matcher(name, value) for name, value in sorted(labels)]
