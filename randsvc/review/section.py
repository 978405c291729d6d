"""A part of a review, and what parts have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randsvc.histograms.windows import Labels
from randsvc.review.counts import Values
from randsvc.review.formatting import format_points
from randsvc.review.pictures import Picture
from randsvc.review.readings import Gauge, View
from randsvc.times import Span

__all__ = (
    "NOT_AVAILABLE",
    "Section",
    "Table",
    "describe_ranges",
    "explain_no_requests",
    "format_last",
    "list_holes",
    "summarise_gauge",
)

NOT_AVAILABLE = "n/a"
"""What is not known."""


@dataclass(frozen=True)
class Table:
    """Text by rows; the first cell of a row says what the row is about."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False
    """Whether its cells are words rather than numbers."""


@dataclass(frozen=True)
class Section:
    """``figures`` are the numbers behind it, for programs; ``key`` is their name."""

    key: str
    title: str
    says: Sequence[str]
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    short: str = ""
    """The sentence about it that stands at the top of the review."""
    unread: str = ""
    """Why there is nothing to say; empty if there is."""


def list_holes(view: View) -> list[Span]:
    """When at least one service was not seen, for pictures of several."""
    return sorted({hole for service in view.subject.jobs for hole in view.unseen(service)})


def explain_no_requests(view: View, job: str = "") -> str:
    """Why no request was counted, of one service or of any: there is no series, or no request."""
    wanted = (job,) if job else view.subject.jobs
    if any(dict(key).get("job") in wanted for key in view.readings.requests.series):
        return "no request was counted in this period"
    names = " or ".join(wanted)
    return f"Prometheus has no series {view.subject.metric}_bucket of job {names} in this period"


def describe_ranges(lines: Mapping[str, Values], unit: str, *, percent: bool = False) -> str:
    """What a line does, for who does not see it."""

    def said(x: float) -> str:
        return f"{x:.2%}" if percent else f"{x:.3g} {unit}".strip()

    known = {name: values[np.isfinite(values)] for name, values in lines.items()}
    return "; ".join(
        f"{name} from {said(each.min())} to {said(each.max())}".strip()
        for name, each in known.items()
        if len(each)
    )


def summarise_gauge(view: View, of: Gauge, key: Labels) -> tuple[float | None, float | None]:
    """Mean over the samples, and the greatest of them."""
    if key not in of.samples or not np.nansum(view.of(of.samples[key])):
        return None, None
    mean = np.nansum(view.of(of.total[key])) / np.nansum(view.of(of.samples[key]))
    return float(mean), float(np.nanmax(view.of(of.greatest[key])))


def format_last(values: Values) -> str:
    """The last that is known of a line, in percent."""
    known = values[np.isfinite(values)]
    return format_points(float(known[-1])) if len(known) else NOT_AVAILABLE
