"""Incidents of a period, by what the alerts of Prometheus said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from randsvc.levels import LEVELS
from randsvc.metrics import FAULT_ACTIVE
from randsvc.review.runs import runs
from randsvc.review.source import Labels, Source
from randsvc.review.spans import Span, overlap

__all__ = ("QUERIES", "Incident", "read")

QUERIES = 3
"""That are asked of every window."""
_BY = ("alertname", "level", "service")


@dataclass(frozen=True)
class Incident:
    """An alert that fired, from its first sample to its last; all times in Unix seconds.

    ``began`` is when trouble began: when the fault was switched on that was on then (``fault`` is
    its name), else when the alert's condition first held; None where neither is known.
    ``cleared`` is false where nobody saw it end: it goes on, or the data ends with it.
    """

    alert: str
    level: str
    service: str
    span: Span
    began: float | None
    fault: str | None
    cleared: bool

    @property
    def to_detect(self) -> float | None:
        """Seconds from the beginning of trouble to the alert."""
        return None if self.began is None else self.span.start - self.began

    @property
    def to_clear(self) -> float | None:
        """Seconds from the alert's first sample to its last."""
        return self.span.seconds if self.cleared else None


def read(source: Source, span: Span, bin_: float, holes: Sequence[Span]) -> list[Incident]:
    """All that fired in a span, in time order. ``holes`` are times of which nothing is known."""
    levels = f'level=~"{"|".join(LEVELS)}"'

    def alerts(state: str) -> dict[Labels, list[Span]]:
        selector = f'ALERTS{{alertstate="{state}",{levels}}}'
        return runs(source, selector, span, bin_, by=_BY)

    firing, pending = alerts("firing"), alerts("pending")
    label = "randsvc_fault"
    faults = runs(source, FAULT_ACTIVE.prometheus_name, span, bin_, by=("job", label), least=1.0)
    found = [
        _incident(dict(key), run, pending.get(key, []), faults, bin_)
        for key, each in firing.items()
        for run in _joined(each, holes, bin_)
    ]
    return sorted(
        (replace(each, cleared=_seen_to_end(each.span, span, holes, bin_)) for each in found),
        key=lambda each: (each.span, each.alert, LEVELS.index(each.level)),
    )


def _incident(
    key: Mapping[str, str],
    run: Span,
    pending: Iterable[Span],
    faults: Mapping[Labels, list[Span]],
    bin_: float,
) -> Incident:
    held = [each.start for each in pending if each.start < run.start <= each.end + bin_]
    sign = max(held, default=run.start)
    on = [
        (fault.start, dict(labels)["randsvc_fault"])
        for labels, each in faults.items()
        if dict(labels).get("job") == key.get("service")
        for fault in each
        if fault.start <= sign <= fault.end + bin_
    ]
    began, name = max(on) if on else (sign if held else None, None)
    return Incident(
        key["alertname"], key["level"], key.get("service", ""), run, began, name, cleared=True
    )


def _joined(each: Sequence[Span], holes: Sequence[Span], bin_: float) -> list[Span]:
    """Runs with nothing but a hole in the data between them are one."""
    joined = list(each[:1])
    for earlier, later in pairwise(each):
        between = Span(earlier.end, later.start)
        if between.seconds - overlap(between, holes) <= bin_:
            joined[-1] = Span(joined[-1].start, later.end)
        else:
            joined.append(later)
    return joined


def _seen_to_end(run: Span, span: Span, holes: Sequence[Span], bin_: float) -> bool:
    return run.end < span.end - bin_ and not any(
        abs(hole.start - run.end) <= bin_ for hole in holes
    )
