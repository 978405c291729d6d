"""What a histogram in Prometheus counted in a window, exactly: see ``increases``."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Self

from randsvc.errors import RecoveryError
from randsvc.histograms.binned import EMPTY, Bin, Binned
from randsvc.histograms.increases import LOOKBACK, ByWindow, Cumulative, count_increases
from randsvc.histograms.windows import Labels, WindowReader
from randsvc.prometheus_api import (
    NativeHistogram,
    Prometheus,
    PrometheusError,
    Series,
    format_duration,
    format_matcher,
    format_selector,
)
from randsvc.times import Span, format_time

__all__ = ("parse_bound", "read", "to_binned")

_ZERO = 1e-30


def read(
    server: Prometheus, metric: str, matchers: Sequence[str], *, end: float, window: float
) -> Binned:
    """What the series of a histogram counted in ``window`` seconds up to ``end`` (Unix seconds).

    ``metric`` is the name without the suffixes of a classic histogram, ``matchers`` are PromQL's,
    such as ``job="shop"``. Reads native histograms where there are any, else the explicit buckets
    of a classic histogram, and adds up all series. Raises ``RecoveryError`` where there is no
    series, ``PrometheusError`` where there is no answer.
    """
    reader = WindowReader(server)
    for kind in (_Native, _Classic):
        increases = count_increases(kind(reader, metric, matchers), [Span(end - window, end)])
        if increases:
            return reduce(Binned.__add__, (each[0] for each in increases.values()), EMPTY)
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


@dataclass(frozen=True)
class _Histograms(Cumulative[Binned]):
    """The histograms of a metric, as cumulative series."""

    reader: WindowReader
    metric: str
    matchers: Sequence[str]
    zero: Binned = EMPTY

    def before(self, at: float) -> dict[Labels, Binned]:
        found = self.last([Span(at - LOOKBACK, at)])
        return {labels: samples[0] for labels, samples in found.items()}

    def first(self, windows: Sequence[Span]) -> ByWindow[Binned]:
        # PromQL has no first sample: ``restarted`` looks before each window instead.
        return {}

    def difference(self, later: Binned, earlier: Binned) -> Binned | None:
        return later.since(earlier)

    def total(self, parts: Sequence[Binned]) -> Binned:
        return reduce(Binned.__add__, parts, EMPTY)

    def quiet(self) -> Self:
        return replace(self, reader=WindowReader(self.reader.server))

    def _restarted(self, name: str, windows: Sequence[Span]) -> set[tuple[Labels, int]]:
        """The series of ``name`` that began anew in a window or in the ``LOOKBACK`` before it."""
        selector = format_selector(name, self.matchers)
        return {
            (_labels(series), index)
            for index, window in enumerate(windows)
            for series in self.reader.server.query(
                f"resets({selector}[{format_duration(window.seconds + LOOKBACK)}]) > 0", window.end
            )
        }


class _Native(_Histograms):
    def last(self, windows: Sequence[Span]) -> ByWindow[Binned]:
        selector = format_selector(self.metric, self.matchers)
        found: ByWindow[Binned] = {}
        for series, index in self.reader.each_series(
            lambda window: f"last_over_time({selector}[{window}])", windows
        ):
            for time, histogram in series.histograms:
                found.setdefault(_labels(series), {})[index(time)] = to_binned(histogram)
        return found

    def restarted(self, windows: Sequence[Span]) -> set[tuple[Labels, int]]:
        return self._restarted(self.metric, windows)

    def samples(self, window: Span) -> dict[Labels, list[Binned]]:
        selector = format_selector(self.metric, self.matchers)
        promql = f"{selector}[{format_duration(window.seconds)}]"
        return {
            _labels(series): [to_binned(each) for _, each in series.histograms]
            for series in self.reader.server.query(promql, window.end)
        }


class _Classic(_Histograms):
    def last(self, windows: Sequence[Span]) -> ByWindow[Binned]:
        # Buckets and sum in one query, so that they are of one moment. last_over_time keeps the
        # name, by which a sum differs from a bucket.
        parts: dict[tuple[Labels, int], dict[str, float]] = {}
        for series, index in self.reader.each_series(
            lambda window: f"last_over_time({self._selector}[{window}])", windows
        ):
            for time, value in series.values:
                le = series.labels.get("le", "")
                parts.setdefault((_labels(series), index(time)), {})[le] = value
        found: ByWindow[Binned] = {}
        for (labels, number), cumulative in parts.items():
            if set(cumulative) - {""}:
                found.setdefault(labels, {})[number] = _explicit(cumulative)
        return found

    def restarted(self, windows: Sequence[Span]) -> set[tuple[Labels, int]]:
        return self._restarted(f"{self.metric}_count", windows)

    def samples(self, window: Span) -> dict[Labels, list[Binned]]:
        promql = f"{self._selector}[{format_duration(window.seconds)}]"
        moments: dict[Labels, dict[float, dict[str, float]]] = {}
        for series in self.reader.server.query(promql, window.end):
            for time, value in series.values:
                at = moments.setdefault(_labels(series), {}).setdefault(time, {})
                at[series.labels.get("le", "")] = value
        return {
            labels: [_explicit(parts) for _, parts in sorted(each.items()) if set(parts) - {""}]
            for labels, each in moments.items()
        }

    @property
    def _selector(self) -> str:
        name = format_matcher("__name__", f"{re.escape(self.metric)}_(bucket|sum)", "=~")
        return f"{{{', '.join((name, *self.matchers))}}}"


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
