"""One meaning, one colour, on every dashboard: by regular expressions of legends."""

from collections.abc import Mapping

__all__ = ("DISTANCE", "ERRORS", "LEVELS", "MODEL", "OUTCOMES", "PERCENTILES", "STATUS")

STATUS: Mapping[str, str] = {
    "1..": "purple",
    "2..": "green",
    "3..": "blue",
    "4..": "yellow",
    "5..": "red",
    "client left": "#a0a0a0",
}
"""By the class of the status; a client that left got none."""

ERRORS: Mapping[str, str] = {
    "no errors": "green",
    ".*client left.*": "#a0a0a0",
    "(?!no errors|.*client left).*": "red",
}
"""Errors of the service, and clients that left."""

LEVELS: Mapping[str, str] = {"critical": "red", "major": "orange", "minor": "yellow"}
"""By the level of an alert."""

MODEL: Mapping[str, str] = {"model.*": "blue", "fallback.*": "orange"}
"""By what gave the answer."""

OUTCOMES: Mapping[str, str] = {
    "accepted|sent|points sent.*|accepted .*": "green",
    "duplicate|expired|unavailable": "yellow",
    "forged|malformed|.*refused|.*failed.*|.*dropped|.*missed|.*full": "red",
}
"""By what became of something."""

PERCENTILES: Mapping[str, str] = {
    "p1|p5": "#c0d8ff",
    "p25|p50": "#8ab8ff",
    "p75|p90": "#5794f2",
    "p95|p99": "#b877d9",
}
"""The higher, the darker, and purple at the end."""

DISTANCE: Mapping[str, str] = {"distance": "blue", "floor": "#a0a0a0"}
"""A distance and the noise floor below which chance explains it."""
