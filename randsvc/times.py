"""Times and durations as people write them; a time without a zone is UTC."""

import re
from datetime import UTC, datetime

__all__ = ("format_time", "parse_duration", "parse_time")

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_YEAR_9999 = 253_370_764_800.0
_DURATION = re.compile(r"(?:\d{1,9}(?:ms|[smhdwy]))+")


def parse_duration(text: str) -> float:
    """The seconds of a Prometheus duration above 0; raises ``ValueError``.

    >>> parse_duration("1h30m")
    5400
    """
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text) if _DURATION.fullmatch(text) else []
    total = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not total > 0:
        raise ValueError("expected a duration such as 30m or 1h30m")
    return total


def parse_time(text: str, *, now: float) -> float:
    """Unix seconds of ``now``, ``-7d``, an ISO 8601 time or Unix seconds; raises ``ValueError``.

    >>> parse_time("-1h", now=7200), parse_time("1970-01-01T00:01", now=0)
    (3600, 60.0)
    """
    try:
        found = _unix_seconds(text, now)
        if not 0 <= found < _YEAR_9999:
            raise ValueError("outside of what a time can be")
    except (ValueError, OverflowError):
        raise ValueError(
            "expected now, a time such as 2026-11-24T10:00:00Z, a time before now such as -7d, or "
            "Unix seconds"
        ) from None
    return found


def _unix_seconds(text: str, now: float) -> float:
    if text == "now":
        return now
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if text.startswith("-"):
        return now - parse_duration(text[1:])
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def format_time(at: float) -> str:
    """A Unix time for people, in UTC; without seconds if they are 0.

    >>> format_time(60), format_time(61)
    ('1970-01-01 00:01', '1970-01-01 00:01:01')
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}".removesuffix(":00")
