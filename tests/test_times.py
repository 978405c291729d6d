"""Times as people write them."""

import pytest

from randsvc.times import format_time, parse_duration, parse_time

NOW = 1_780_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-7d", NOW - 7 * 86400),
        ("-1h30m", NOW - 5400),
        ("1780000000", 1_780_000_000),
        ("2026-05-28T20:26:40", NOW),
        ("2026-05-28T20:26:40Z", NOW),
        ("2026-05-28T22:26:40+02:00", NOW),
        ("2026-05-28", NOW - 20 * 3600 - 26 * 60 - 40),
    ],
)
def test_a_moment_is_read(text: str, expected: float) -> None:
    assert parse_time(text, now=NOW) == expected


@pytest.mark.parametrize("text", ["", "-", "-7", "7d", "yesterday", "-0s", "2026-13-01"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected now, a time such as"):
        parse_time(text, now=NOW)


def test_units_add_up() -> None:
    assert parse_duration("1w1d1h1m1s500ms") == 694861.5


def test_a_time_is_formatted_without_seconds_if_there_are_none() -> None:
    assert (format_time(NOW), format_time(NOW - 40)) == ("2026-05-28 20:26:40", "2026-05-28 20:26")
