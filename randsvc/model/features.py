"""The features of a request for a prediction: their schema, and how they are read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = (
    "FEATURES",
    "LARGEST_AMOUNT",
    "NO_FEATURES",
    "REASONS",
    "SCHEMA",
    "SEGMENTS",
    "FeatureError",
    "Features",
    "parse_features",
)

SEGMENTS: Mapping[str, float] = {"new": 0.2, "regular": 0.5, "premium": 0.3}
"""The segments of customers, with the expected share of the requests of each.

Simulated users have these shares. Monitoring compares the mix of the segments with them.
"""
LARGEST_AMOUNT = 10_000.0

SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "features of GET /random",
    "description": "Query parameters. Each is optional, and allowed once.",
    "type": "object",
    "properties": {
        "segment": {"description": "kind of customer", "enum": list(SEGMENTS)},
        "amount": {
            "description": "amount that the customer wants to spend",
            "type": "number",
            "minimum": 0,
            "maximum": LARGEST_AMOUNT,
        },
    },
    "additionalProperties": False,
}
FEATURES = tuple(SCHEMA["properties"])

Reason = Literal["unknown_feature", "unknown_segment", "not_a_number", "out_of_range", "repeated"]
REASONS: tuple[Reason, ...] = get_args(Reason)


class FeatureError(ValueError):
    """Invalid features: one line for the client, and a ``reason`` from a fixed list for metrics."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Features:
    """The features of a request; None for a feature that the request does not have."""

    segment: str | None = None
    amount: float | None = None


NO_FEATURES = Features()


def parse_features(given: Mapping[str, list[str]]) -> Features:
    """Parse the texts given for each name; raises ``FeatureError`` for the first invalid one."""
    for name, texts in given.items():
        if name not in FEATURES:
            raise FeatureError(
                "unknown_feature",
                f"unknown feature {name[:80]!r}, expected {' or '.join(FEATURES)}",
            )
        if len(texts) > 1:
            raise FeatureError("repeated", f"{name} is given {len(texts)} times, expected once")
    return Features(
        segment=_parse_segment(given["segment"][0]) if "segment" in given else None,
        amount=_parse_amount(given["amount"][0]) if "amount" in given else None,
    )


def _parse_segment(text: str) -> str:
    if text not in SEGMENTS:
        raise FeatureError(
            "unknown_segment", f"segment={text[:80]!r}, expected one of {', '.join(SEGMENTS)}"
        )
    return text


def _parse_amount(text: str) -> float:
    expected = f"expected a number from 0 to {LARGEST_AMOUNT:g}"
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if math.isnan(amount):
        raise FeatureError("not_a_number", f"amount={text[:80]!r}, {expected}")
    if not 0 <= amount <= LARGEST_AMOUNT:
        raise FeatureError("out_of_range", f"amount={text[:80]!r}, {expected}")
    return amount
