"""When something was there."""

import pytest

from randsvc.histograms.windows import WindowReader
from randsvc.review.runs import find_resolution, find_runs
from randsvc.times import Span
from tests.support.recorded import Recorded


def every(step: float, start: float, end: float, value: float = 1.0) -> list[tuple[float, float]]:
    return [(start + step * i, value) for i in range(int((end - start) / step) + 1)]


def found(samples: list[tuple[float, float]], least: float = 0.0) -> list[Span]:
    server = Recorded(series=[({"__name__": "x"}, samples)])
    return find_runs(WindowReader(server), "x", Span(0, 3600), 60, least=least).get(frozenset(), [])


def test_a_run_ends_with_its_samples() -> None:
    samples = [*every(15, 65, 500), *every(15, 1507, 2000)]
    assert found(samples) == [Span(65, 500), Span(1507, 1987 + 15 * 0)]


def test_a_gap_shorter_than_a_bin_is_no_interruption() -> None:
    assert found([*every(15, 60, 500), *every(15, 545, 1000)]) == [Span(60, 995)]


def test_samples_below_the_least_do_not_count() -> None:
    samples = [*every(15, 0, 600, 0.0), *every(15, 615, 900), *every(15, 915, 1200, 0.0)]
    assert found(samples, least=1.0) == [Span(615, 900)]


def test_samples_after_the_span_are_not_seen() -> None:
    assert found(every(15, 3000, 9000)) == [Span(3000, 3600)]


def test_series_are_grouped_by_the_labels_that_are_asked_for() -> None:
    series = [
        ({"__name__": "x", "job": job, "instance": instance}, every(15, start, start + 300))
        for job, instance, start in (("a", "1", 0.0), ("a", "2", 300.0), ("b", "1", 900.0))
    ]
    both = find_runs(WindowReader(Recorded(series=series)), "x", Span(0, 3600), 60, by=("job",))
    assert both == {
        frozenset({("job", "a")}): [Span(15, 600)],
        frozenset({("job", "b")}): [Span(900, 1200)],
    }


@pytest.mark.parametrize(
    ("interval", "hours", "seconds"),
    # Short periods in detail, long ones in bins of 10 minutes, and two samples in each bin.
    [(2, 0.5, 30), (15, 24, 288), (15, 90 * 24, 600), (300, 90 * 24, 750), (60, 0.5, 150)],
)
def test_a_bin_holds_samples(interval: float, hours: float, seconds: float) -> None:
    samples = every(interval, 0, min(hours, 200) * 3600)
    server = Recorded(series=[({"__name__": "x"}, samples)])
    bin_ = find_resolution(WindowReader(server), "x", Span(0, hours * 3600))
    assert bin_ is not None
    assert bin_ == pytest.approx(seconds, rel=0.2)
    assert bin_ >= 2 * interval
