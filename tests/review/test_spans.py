"""Periods, and the windows that they are cut into."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from randsvc.review.spans import choose_window_length, find_gaps, measure_overlap
from randsvc.times import Span, cut

times = st.integers(0, 10_000).map(float)


@given(st.lists(times, max_size=6), st.integers(1, 3000), st.integers(0, 500))
def test_windows_follow_one_another_from_end_to_end(
    borders: list[float], length: int, least: int
) -> None:
    span = Span(100.0, 9000.0)
    windows = cut(span, length, borders, least=least)
    assert (windows[0].start, windows[-1].end) == (span.start, span.end)
    assert all(a.end == b.start for a, b in pairwise(windows))
    edges = {window.start for window in windows}
    assert {border for border in borders if span.start < border < span.end} <= edges


def test_a_cut_beside_a_border_gives_way_to_it() -> None:
    windows = cut(Span(0, 300), 100, [95], least=10)
    assert [window.end for window in windows] == [95, 200, 300]


@pytest.mark.parametrize(
    ("days", "seconds"), [(1 / 24, 10), (1, 300), (7, 3600), (90, 86400), (365, 86400)]
)
def test_windows_are_as_long_as_people_count(days: float, seconds: float) -> None:
    assert choose_window_length(Span(0, days * 86400), least=1) == seconds


def test_a_window_is_long_enough_for_a_sample() -> None:
    assert choose_window_length(Span(0, 3600), least=45) == 60


@given(st.lists(times, min_size=2, max_size=8, unique=True))
def test_the_rest_and_the_holes_are_the_whole(ends: list[float]) -> None:
    ordered = sorted(ends)
    holes = [Span(a, b) for a, b in list(pairwise(ordered))[::2]]
    span = Span(2000.0, 8000.0)
    left = find_gaps(span, holes)
    assert sum(each.seconds for each in left) + measure_overlap(span, holes) == pytest.approx(6000)
    assert not any(measure_overlap(each, holes) for each in left)


def test_a_short_rest_is_left_out() -> None:
    there = [Span(10, 40), Span(45, 100)]
    assert find_gaps(Span(0, 120), there, longer=8) == [Span(0, 10), Span(100, 120)]
