"""What is read of distributions."""

from collections.abc import Iterator

import pytest

from randsvc.histograms.windows import WindowReader
from randsvc.prometheus_api import NativeHistogram, Prometheus, Series
from randsvc.review import readings
from randsvc.times import Span, cut

WINDOWS = cut(Span(0, 200), 100)


class Native(Prometheus):
    """Its values are native histograms."""

    def range(self, promql: str, start: float, end: float, step: float) -> Iterator[list[Series]]:
        assert promql == 'sum (increase(randsvc_value{job="randsvc"}[100000ms]))'
        yield [Series({}, histograms=[(100.0, NativeHistogram(60.0, ((10.0, 20.0, 5.0),)))])]


class Classic(Prometheus):
    """Its values are counted in explicit buckets."""

    def range(self, promql: str, start: float, end: float, step: float) -> Iterator[list[Series]]:
        if "_bucket" not in promql:
            yield []
            return
        for le, count in (("10", 2.0), ("20", 5.0), ("+Inf", 5.0)):
            yield [Series({"le": le}, [(200.0, count)])]


def test_native_histograms_are_read_by_window() -> None:
    first, second = readings._read_values(WindowReader(Native("")), 'job="randsvc"', WINDOWS)
    assert (first.bins, first.sum) == (((10, 20, 5),), 60)
    assert second.bins == ()


def test_without_them_explicit_buckets_are() -> None:
    seen: list[float] = []
    first, second = readings._read_values(
        WindowReader(Classic(""), seen.append), 'job="randsvc"', WINDOWS
    )
    assert first.bins == ()
    assert [(bin_.upper, bin_.count) for bin_ in second.bins] == [(10, 2), (20, 3)]
    assert sum(seen) == pytest.approx(2 * 200)
