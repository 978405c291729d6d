"""What a batch of measurements becomes: a sum, a last value, or a histogram.

Folding a sorted batch into a histogram takes one binary search a bucket instead of one a value, so
its cost hardly grows with traffic.
"""

import math
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    Buckets,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
)
from opentelemetry.util.types import Attributes

from .otlp import fit_number

__all__ = (
    "MAX_BUCKETS",
    "MAX_SCALE",
    "Aggregate",
    "DataPoint",
    "ExplicitAggregate",
    "ExponentialAggregate",
    "LastValue",
    "Sum",
    "compute_upper_bound",
    "find_bucket_index",
)

MAX_BUCKETS = 160
"""Buckets of each sign before the resolution is halved; the default of the specification.

https://opentelemetry.io/docs/specs/otel/metrics/sdk/#base2-exponential-bucket-histogram-aggregation
"""
MAX_SCALE = 20

DataPoint = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint


class Aggregate(Protocol):
    """The state of one series for one way of reading it."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was folded yet."""

    def fold(self, values: Sequence[float]) -> None:
        """Add finite ``values``, at least one; a histogram takes them sorted ascending."""

    def point(
        self, attributes: Attributes, start: int, now: int, exemplars: Sequence[Exemplar] = ()
    ) -> DataPoint:
        """The data point; ``start`` and ``now`` are in Unix nanoseconds."""


class Sum:
    """The sum of all values; an integer as long as all of them are."""

    def __init__(self) -> None:
        self.is_empty = True
        self.value: float = 0

    def fold(self, values: Sequence[float]) -> None:
        """Add finite ``values``, at least one."""
        self.is_empty = False
        self.value = _add(self.value, values)

    def point(
        self, attributes: Attributes, start: int, now: int, exemplars: Sequence[Exemplar] = ()
    ) -> NumberDataPoint:
        """The data point; ``start`` and ``now`` are in Unix nanoseconds."""
        return NumberDataPoint(attributes, start, now, fit_number(self.value), exemplars)


class LastValue:
    """The last of all values."""

    def __init__(self) -> None:
        self.is_empty = True
        self.value: float = 0

    def fold(self, values: Sequence[float]) -> None:
        """Take the last of ``values``, which are in the order of their recording."""
        self.is_empty = False
        self.value = values[-1]

    def point(
        self, attributes: Attributes, start: int, now: int, exemplars: Sequence[Exemplar] = ()
    ) -> NumberDataPoint:
        """The data point at ``now`` (Unix ns); a gauge has no start."""
        # The SDK's own points have None here too, whatever its annotations say.
        value = fit_number(self.value)
        return NumberDataPoint(attributes, None, now, value, exemplars)  # type: ignore[arg-type]


class _Distribution:
    """Count, sum, minimum and maximum of all values folded so far."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.min = math.inf
        self.max = -math.inf

    @property
    def is_empty(self) -> bool:
        """Whether nothing was folded yet."""
        return not self.count

    def fold(self, values: Sequence[float]) -> None:
        """Add finite ``values``, sorted ascending, at least one."""
        self.count += len(values)
        self.sum = _add(self.sum, values)
        self.min = min(self.min, values[0])
        self.max = max(self.max, values[-1])
        self._count(values)

    def _count(self, values: Sequence[float]) -> None:
        raise NotImplementedError


class ExplicitAggregate(_Distribution):
    """Counts between explicit bounds; a value on a bound belongs below it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        super().__init__()
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)

    def _count(self, values: Sequence[float]) -> None:
        below = 0
        for i in range(bisect_left(self.bounds, values[0]), len(self.bounds)):
            upto = bisect_right(values, self.bounds[i], below)
            self.counts[i] += upto - below
            below = upto
            if below == len(values):
                return
        self.counts[-1] += len(values) - below

    def point(
        self, attributes: Attributes, start: int, now: int, exemplars: Sequence[Exemplar] = ()
    ) -> HistogramDataPoint:
        """The data point; ``start`` and ``now`` are in Unix nanoseconds."""
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=start,
            time_unix_nano=now,
            count=self.count,
            sum=self.sum,
            bucket_counts=tuple(self.counts),
            explicit_bounds=self.bounds,
            min=self.min,
            max=self.max,
            exemplars=exemplars,
        )


class ExponentialAggregate(_Distribution):
    """Counts in buckets (base^i, base^(i+1)] for each sign, base = 2^(2^-scale), and of zeros.

    The scale starts at its finest and falls until the range of the values fits ``max_buckets``.
    https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
    """

    def __init__(self, max_buckets: int = MAX_BUCKETS, max_scale: int = MAX_SCALE) -> None:
        super().__init__()
        self.max_buckets = max_buckets
        self.scale = max_scale
        self.zeros = 0
        self.positive: dict[int, int] = {}
        self.negative: dict[int, int] = {}

    def _count(self, values: Sequence[float]) -> None:
        negatives = bisect_left(values, 0.0)
        positives = bisect_right(values, 0.0, negatives)
        self.zeros += positives - negatives
        self._count_magnitudes(self.negative, [-value for value in reversed(values[:negatives])])
        self._count_magnitudes(self.positive, values[positives:])

    def _count_magnitudes(self, buckets: dict[int, int], values: Sequence[float]) -> None:
        if not values:
            return
        self._make_room(buckets, values[0], values[-1])
        start = 0
        while start < len(values):
            index = find_bucket_index(values[start], self.scale)
            end = bisect_right(values, compute_upper_bound(index, self.scale), start + 1)
            buckets[index] = buckets.get(index, 0) + end - start
            start = end

    def _make_room(self, buckets: dict[int, int], smallest: float, largest: float) -> None:
        low = min(find_bucket_index(smallest, self.scale), min(buckets, default=2**63))
        high = max(find_bucket_index(largest, self.scale), max(buckets, default=-(2**63)))
        shift = 0
        while (high >> shift) - (low >> shift) >= self.max_buckets:
            shift += 1
        if shift:
            self.scale -= shift
            for each in (self.positive, self.negative):
                finer = dict(each)
                each.clear()
                for index, count in finer.items():
                    each[index >> shift] = each.get(index >> shift, 0) + count

    def point(
        self, attributes: Attributes, start: int, now: int, exemplars: Sequence[Exemplar] = ()
    ) -> ExponentialHistogramDataPoint:
        """The data point; ``start`` and ``now`` are in Unix nanoseconds."""
        return ExponentialHistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=start,
            time_unix_nano=now,
            count=self.count,
            sum=self.sum,
            scale=self.scale,
            zero_count=self.zeros,
            positive=_dense(self.positive),
            negative=_dense(self.negative),
            flags=0,
            min=self.min,
            max=self.max,
            exemplars=exemplars,
        )


def find_bucket_index(value: float, scale: int) -> int:
    """The index of the bucket that holds ``value`` > 0, exact at powers of two.

    https://opentelemetry.io/docs/specs/otel/metrics/data-model/#producer-expectations
    """
    mantissa, exponent = math.frexp(value)
    if scale > 0:
        return math.ceil(math.ldexp(math.log2(mantissa), scale)) + (exponent << scale) - 1
    return (exponent - 1 - (mantissa == 0.5)) >> -scale  # 0.5 marks a power of two, exactly


def compute_upper_bound(index: int, scale: int) -> float:
    """The inclusive upper bound of bucket ``index``; infinite past the largest float."""
    power = math.ldexp(index + 1, -scale)
    return math.exp2(power) if power < 1024 else math.inf


def _add(total: float, values: Sequence[float]) -> float:
    """The sum of finite numbers; one that leaves the range of a float stays at its end.

    Infinity would be every later sum, and an integer that is no float fails to be exported.
    """
    try:
        added = total + sum(values)
        if math.isfinite(added):
            return added
    except OverflowError:
        pass
    exact = sum(map(Fraction, values), Fraction(total))
    largest = sys.float_info.max
    return float(max(Fraction(-largest), min(exact, Fraction(largest))))


def _dense(counts: dict[int, int]) -> Buckets:
    if not counts:
        return Buckets(offset=0, bucket_counts=[])
    low, high = min(counts), max(counts)
    return Buckets(offset=low, bucket_counts=[counts.get(i, 0) for i in range(low, high + 1)])
