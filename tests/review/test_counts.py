"""What counters counted, window by window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from randsvc.histograms.increases import RAW_SECONDS
from randsvc.histograms.windows import WindowReader
from randsvc.review import counts
from randsvc.times import Span, cut
from tests.support.recorded import Recorded, Samples

LABELS = {"__name__": "x_total", "job": "a"}


def counted(samples: Samples, windows: tuple[Span, ...]) -> list[float]:
    server = Recorded(series=[(LABELS, samples)])
    read = counts.read(WindowReader(server), "x_total", windows)
    return list(read.where(lambda _: True))


def test_a_count_is_the_difference_of_the_last_samples() -> None:
    samples = [(-10.0, 5.0), (50.0, 7.0), (90.0, 9.0), (150.0, 20.0)]
    assert counted(samples, cut(Span(0, 200), 100)) == [4, 11]


def test_a_series_that_begins_in_the_period_counts_from_nothing() -> None:
    assert counted([(50.0, 7.0)], cut(Span(0, 200), 100)) == [7, 0]


def test_a_restart_between_windows_is_seen() -> None:
    assert counted([(50.0, 7.0), (150.0, 3.0)], cut(Span(0, 200), 100)) == [7, 3]


def test_a_restart_within_a_window_is_seen_though_the_ends_do_not_show_it() -> None:
    samples = [(-1.0, 5.0), (30.0, 7.0), (60.0, 1.0), (90.0, 12.0)]
    assert counted(samples, cut(Span(0, 100), 100)) == [2 + 12]


def test_a_count_in_a_gap_is_in_the_window_that_holds_it() -> None:
    samples = [(100.0, 10.0), (700.0, 60.0), (800.0, 61.0)]
    assert counted(samples, cut(Span(0, 900), 900, [100, 700])) == [10, 50, 1]


events = st.lists(
    st.tuples(st.integers(1, 4000), st.integers(0, 9), st.booleans()), min_size=1, max_size=40
)


@given(events, st.integers(500, 30_000))
def test_every_step_is_counted_once_whatever_the_windows(
    steps: list[tuple[int, int, bool]], length: int
) -> None:
    time, value, expected, samples = 0.0, 0.0, 0.0, []
    for seconds, more, restart in steps:
        time += seconds
        # A restart is told by a count that goes back.
        value = 0.0 if restart else value + more
        expected += 0 if restart else more
        samples.append((time, value))
    windows = cut(Span(0.0, time + 1), length)
    grown = counted(samples, windows)
    assert sum(grown) == expected
    assert min(grown) >= 0


@pytest.mark.parametrize("more", [-1.0, 0.0, 0.001, 1.0, 700.0, 3600.0])
def test_a_restart_in_a_window_of_about_the_raw_length_is_counted(more: float) -> None:
    length = RAW_SECONDS + more
    samples = [(100.0, 10.0), (200.0, 3.0), (length - 1, 5.0)]
    assert counted(samples, (Span(0.0, length),)) == [15]


def test_sums_are_by_labels() -> None:
    windows = (Span(0, 100),)
    series = [
        ({"__name__": "x_total", "source": source, "instance": instance}, [(50.0, value)])
        for source, instance, value in (("m", "1", 2.0), ("m", "2", 3.0), ("f", "1", 4.0))
    ]
    read = counts.read(WindowReader(Recorded(series=series)), "x_total", windows)
    assert {key: list(each) for key, each in read.by("source").items()} == {
        ("m",): [5],
        ("f",): [4],
    }


def test_no_series_is_no_count() -> None:
    read = counts.read(WindowReader(Recorded()), "x_total", (Span(0, 100),))
    assert read.where(lambda _: True) == pytest.approx(np.zeros(1))
