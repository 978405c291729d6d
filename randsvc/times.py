"""Times and lengths of time as people write them; all without a zone are UTC."""

import re
from datetime import UTC, datetime

__all__ = ("iso", "moment", "seconds")

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")


def seconds(text: str) -> float:
    """The seconds of a Prometheus duration; raises ``ValueError`` for what is none, or is 0.

    >>> seconds("1h30m")
    5400
    """
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text) if _DURATION.fullmatch(text) else []
    total = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not total > 0:
        raise ValueError("expected a duration such as 30m or 1h30m")
    return total


def moment(text: str, *, now: float) -> float:
    """Unix seconds of ``now``, ``-7d``, an ISO 8601 time or Unix seconds; raises ``ValueError``.

    >>> moment("-1h", now=7200), moment("1970-01-01T00:01", now=0)
    (3600, 60.0)
    """
    if text == "now":
        return now
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        if text.startswith("-"):
            return now - seconds(text[1:])
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            "expected now, a time such as 2026-11-24T10:00:00Z, one before now such as -7d, or "
            "Unix seconds"
        ) from None


def iso(at: float) -> str:
    """A moment for people, in UTC; without seconds where there are none.

    >>> iso(60), iso(61)
    ('1970-01-01 00:01', '1970-01-01 00:01:01')
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}".removesuffix(":00")
