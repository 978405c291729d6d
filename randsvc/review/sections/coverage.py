"""The share of the period for which there are data."""

from collections.abc import Sequence
from typing import Any

from randsvc.review.formatting import format_duration, format_share
from randsvc.review.readings import View
from randsvc.review.section import Section, Table
from randsvc.times import Span, format_time

__all__ = ("report_coverage",)


def report_coverage(now: View, _: View) -> Section:
    """Report the share of the period for which Prometheus has data, and each gap."""
    rows = []
    figures: dict[str, Any] = {}
    for service in now.subject.jobs:
        holes = now.unseen(service)
        seen = now.seen(service) / now.span.seconds
        figures[service] = {
            "seen": seen,
            "gaps": [{"start": hole.start, "end": hole.end} for hole in holes],
        }
        rows += [
            [
                service,
                format_time(hole.start),
                format_duration(hole.seconds),
                _explain_gap(hole, now.unrecorded),
            ]
            for hole in holes
        ]
    seen_by = ", ".join(
        f"{name} {format_share(each['seen'], digits=1)}" for name, each in figures.items()
    )
    short = f"Share of the period with data: {seen_by}."
    says = [
        short,
        f"Gaps shorter than {format_duration(now.readings.bin_)} are not detected.",
    ]
    tables = (
        [Table("Gaps in the data", ("service", "from", "for", "why"), rows, words=True)]
        if rows
        else []
    )
    return Section("coverage", "Data coverage", says, tables, (), figures, short)


def _explain_gap(hole: Span, unrecorded: Sequence[Span]) -> str:
    if sum(hole.overlap(each) for each in unrecorded) > hole.seconds / 2:
        return "Prometheus has no data of anything"
    return "the service was down, or its metrics did not arrive"
