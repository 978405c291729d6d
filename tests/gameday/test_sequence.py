"""The sequence of a game day: the same for the same seed, and every kind of incident in it."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randsvc.gameday.sequence import GRACE, KINDS, draw_sequence, read_pool
from randsvc.incidents.scenario import ScenarioError, SetFault, StopProgram

POOL = read_pool()
LENGTH = 45 * 60.0


def test_the_sequence_of_the_documentation_does_not_change() -> None:
    drawn = draw_sequence(5, LENGTH, POOL, stops=True)
    assert [(each.scenario.name, each.start, each.end) for each in drawn] == [
        ("one-failure-in-a-thousand", 85, 257),
        ("model-down", 344, 482),
        ("model-frozen", 570, 700),
        ("auth-down", 630, 752),
        ("value-shift-small", 891, 1127),
        ("quiet-night", 1315, 1447),
        ("concept-drift", 1545, 1711),
        ("error-burst", 1578, 1729),
        ("feedback-stopped", 1860, 2089),
        ("telemetry-path-down", 2238, 2397),
    ]


def test_another_seed_gives_another_sequence() -> None:
    assert draw_sequence(5, LENGTH, POOL, stops=True) != draw_sequence(6, LENGTH, POOL, stops=True)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(), stops=st.booleans())
def test_each_game_day_of_45_minutes_has_every_kind_with_time_between(
    seed: int, stops: bool
) -> None:
    drawn = draw_sequence(seed, LENGTH, POOL, stops=stops)
    assert drawn == draw_sequence(seed, LENGTH, reversed(POOL), stops=stops)
    assert {each.kind for each in drawn} == set(KINDS)
    assert drawn[-1].end + GRACE <= LENGTH
    names = [each.scenario.name for each in drawn]
    assert len(set(names)) == len(names)
    for one, other in pairwise(drawn):
        if one.kind == other.kind == "overlapping" and other.start < one.end:
            steps = [*one.scenario.steps, *other.scenario.steps]
            assert all(isinstance(step, SetFault) for step in steps)
        else:
            assert other.start >= one.end + GRACE
    for each in drawn:
        expected = each.scenario.expected
        assert (each.scenario.level is None) == (each.kind == "red herring")
        assert (each.scenario.level == "minor") == (each.kind == "quiet") or (
            each.kind == "overlapping"
        )
        if expected:
            assert each.end - each.start > expected.fires_within + GRACE


@given(seed=st.integers())
@settings(max_examples=30, deadline=None)
def test_without_permission_no_program_is_stopped(seed: int) -> None:
    steps = [
        step
        for each in draw_sequence(seed, LENGTH, POOL, stops=False)
        for step in each.scenario.steps
    ]
    assert not any(isinstance(step, StopProgram) for step in steps)


def test_a_game_day_that_is_too_short_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"^1 minutes are too short .* expected 9 minutes"):
        draw_sequence(5, 60, POOL, stops=True)


@given(seed=st.integers())
@settings(max_examples=50, deadline=None)
def test_nine_minutes_are_enough_for_one_incident(seed: int) -> None:
    assert draw_sequence(seed, 9 * 60, POOL, stops=True)
