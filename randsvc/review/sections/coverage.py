"""How much of the period was seen."""

from collections.abc import Sequence
from typing import Any

from randsvc.review.readings import View
from randsvc.review.section import Section, Table
from randsvc.review.words import lasting, share
from randsvc.times import Span, format_time

__all__ = ("coverage",)


def coverage(now: View, _: View) -> Section:
    """How much was seen, and when nothing was."""
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
            [service, format_time(hole.start), lasting(hole.seconds), _why(hole, now.unrecorded)]
            for hole in holes
        ]
    seen_by = ", ".join(f"{name} {share(each['seen'], digits=1)}" for name, each in figures.items())
    short = f"Seen of the period's time: {seen_by}."
    says = [short, f"What is missing for less than {lasting(now.readings.bin_)} is not looked for."]
    tables = (
        [Table("Gaps in the data", ("service", "from", "for", "why"), rows, words=True)]
        if rows
        else []
    )
    return Section("coverage", "What was seen", says, tables, (), figures, short)


def _why(hole: Span, unrecorded: Sequence[Span]) -> str:
    if sum(hole.overlap(each) for each in unrecorded) > hole.seconds / 2:
        return "Prometheus recorded nothing at all"
    return "the service was down, or its measurements did not arrive"
