"""A review as a self-contained page, as Markdown, and as JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from randsvc.review.page import Page
from randsvc.review.readings import Readings, View
from randsvc.review.section import Section
from randsvc.review.sections import build_sections
from randsvc.times import format_time

__all__ = ("make_sections", "to_html", "to_json", "to_markdown")


def make_sections(readings: Readings) -> list[Section]:
    """Make all sections from the readings."""
    return build_sections(View(readings, readings.period), View(readings, readings.before))


def to_html(readings: Readings, said: Sequence[Section], prometheus: str, at: float) -> str:
    """A page; ``prometheus`` is the URL that was read, ``at`` the Unix time of the review."""
    return _make_page(readings, said, prometheus, at).to_html()


def to_markdown(readings: Readings, said: Sequence[Section], prometheus: str, at: float) -> str:
    """The review as Markdown; a picture is a line of block characters."""
    return _make_page(readings, said, prometheus, at).to_markdown()


def to_json(readings: Readings, said: Sequence[Section], prometheus: str) -> dict[str, Any]:
    """The figures by section; times are Unix seconds, unknown numbers are null."""
    content: dict[str, Any] = _plain(
        {
            "version": 1,
            "prometheus": prometheus,
            "period": {"start": readings.period.start, "end": readings.period.end},
            "before": {"start": readings.before.start, "end": readings.before.end},
            "sections": {section.key: section.figures for section in said},
        }
    )
    return content


_ALWAYS = ("objectives", "incidents", "coverage")
"""The sections that are shown even if there is nothing to read; others are listed at the end."""


def _make_page(readings: Readings, said: Sequence[Section], prometheus: str, at: float) -> Page:
    before = f"{format_time(readings.before.start)} to {format_time(readings.before.end)}"
    return Page(
        title="Performance review",
        period=readings.period,
        about=f", compared with {before}",
        short=[section.short for section in said if section.short],
        sections=[each for each in said if each.key in _ALWAYS or not each.unread],
        unread=[each for each in said if each.key not in _ALWAYS and each.unread],
        maker="randsvc review",
        prometheus=prometheus,
        at=at,
    )


def _plain(node: Any) -> Any:
    """Plain JSON: no numbers of numpy, and null for NaN and infinity."""
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, str | bool | None):
        return node
    number = float(node)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number
