"""Incidents of a period, from the alerts that Prometheus recorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from randsvc.histograms.windows import Labels, WindowReader
from randsvc.incidents.stack_api import WATCHDOG_SUFFIX
from randsvc.levels import LEVELS
from randsvc.metrics import FAULT_ACTIVE
from randsvc.review.runs import find_runs
from randsvc.review.spans import measure_overlap
from randsvc.review.subject import Subject
from randsvc.times import Span, cut

__all__ = ("QUERIES", "Found", "Incident", "read")

SEVERITIES = {
    **{level: level for level in LEVELS},
    "warning": "major",
    "info": "minor",
}
"""The level of an alert by its label ``severity``, as Prometheus' own mixins use it."""
QUERIES = 6
"""How many times every window is read."""


@dataclass(frozen=True)
class Incident:
    """An alert that fired, from its first sample to its last; all times in Unix seconds.

    ``began`` is when trouble began: when the fault was switched on that was on then (``fault`` is
    its name), else when the alert's condition first held (``pending``); None where neither is
    known.
    ``cleared`` is false where nobody saw it end: it goes on, or the data ends with it.
    """

    alert: str
    level: str
    service: str
    span: Span
    began: float | None
    fault: str | None
    cleared: bool
    pending: float | None = None

    @property
    def to_detect(self) -> float | None:
        """Seconds from the beginning of trouble to the alert."""
        return None if self.began is None else self.span.start - self.began

    @property
    def to_clear(self) -> float | None:
        """Seconds from the alert's first sample to its last."""
        return self.span.seconds if self.cleared else None


@dataclass(frozen=True)
class Found:
    """The incidents of a span in time order.

    ``alerting`` is whether Prometheus has alerting rules, or recorded any alert. ``unclassified``
    are the alerts that fired and whose labels give no level.
    """

    incidents: Sequence[Incident]
    alerting: bool
    unclassified: Sequence[str]


def read(
    reader: WindowReader, subject: Subject, span: Span, bin_: float, holes: Sequence[Span]
) -> Found:
    """Read all that fired in a span. ``holes`` are times without any data.

    The level of an alert is its label ``level``, or what ``SEVERITIES`` makes of ``severity``.
    Raises ``PrometheusError``.
    """
    firing, pending = (_read_alerts(reader, state, span, bin_) for state in ("firing", "pending"))
    label = "randsvc_fault"
    faults = find_runs(
        reader, FAULT_ACTIVE.prometheus_name, span, bin_, by=("job", label), least=1.0
    )
    about = {key: each for key, each in firing.items() if _is_about(subject, key)}
    found = [
        _make_incident(key, run, pending.get(key, []), faults, bin_)
        for key, each in about.items()
        if key.level
        for run in _join(each, holes, bin_)
    ]
    return Found(
        incidents=sorted(
            (
                replace(each, cleared=_is_seen_to_end(each.span, span, holes, bin_))
                for each in found
            ),
            key=lambda each: (each.span, each.alert, LEVELS.index(each.level)),
        ),
        alerting=bool(firing or pending) or _is_alerting(reader, span),
        unclassified=sorted({key.alert for key in about if not key.level}),
    )


class _Alert(NamedTuple):
    """An alert; the level is empty where its labels give none."""

    alert: str
    level: str
    service: str


def _read_alerts(
    reader: WindowReader, state: str, span: Span, bin_: float
) -> dict[_Alert, list[Span]]:
    levels = "|".join(LEVELS)
    found: dict[_Alert, list[Span]] = {}
    own = f'ALERTS{{alertstate="{state}",level=~"{levels}"}}'
    others = f'ALERTS{{alertstate="{state}",level!~"{levels}",alertname!~".*{WATCHDOG_SUFFIX}"}}'
    for selector, by in (
        (own, ("alertname", "level", "service")),
        (others, ("alertname", "severity", "service", "job")),
    ):
        for key, each in find_runs(reader, selector, span, bin_, by=by).items():
            labels = dict(key)
            level = labels.get("level") or SEVERITIES.get(labels.get("severity", "").lower(), "")
            service = labels.get("service") or labels.get("job", "")
            alert = _Alert(labels.get("alertname", ""), level, service)
            found.setdefault(alert, []).extend(each)
    return {alert: sorted(each) for alert, each in found.items()}


def _is_about(subject: Subject, alert: _Alert) -> bool:
    return not subject.only_jobs or not alert.service or alert.service in subject.jobs


def _is_alerting(reader: WindowReader, span: Span) -> bool:
    """Whether any alert was recorded, or there are alerting rules now.

    The alert that always fires shows that rules are evaluated.
    """
    pieces = cut(span, span.seconds / 12)
    counted = reader.each(lambda window: f"max (count_over_time(ALERTS[{window}]))", pieces)
    return any(True for _ in counted) or reader.server.has_alerting_rules()


def _make_incident(
    key: _Alert,
    run: Span,
    pending: Iterable[Span],
    faults: Mapping[Labels, list[Span]],
    bin_: float,
) -> Incident:
    held = [each.start for each in pending if each.start < run.start <= each.end + bin_]
    sign = max(held, default=run.start)
    on = [
        (fault.start, dict(labels).get("randsvc_fault", ""))
        for labels, each in faults.items()
        if dict(labels).get("job") == key.service
        for fault in each
        if fault.start <= sign <= fault.end + bin_
    ]
    began, name = max(on) if on else (sign if held else None, None)
    return Incident(
        key.alert,
        key.level,
        key.service,
        run,
        began,
        name,
        cleared=True,
        pending=sign if held else None,
    )


def _join(each: Sequence[Span], holes: Sequence[Span], bin_: float) -> list[Span]:
    """Runs with nothing but a hole in the data between them are one."""
    joined = list(each[:1])
    for earlier, later in pairwise(each):
        between = Span(earlier.end, later.start)
        if between.seconds - measure_overlap(between, holes) <= bin_:
            joined[-1] = Span(joined[-1].start, later.end)
        else:
            joined.append(later)
    return joined


def _is_seen_to_end(run: Span, span: Span, holes: Sequence[Span], bin_: float) -> bool:
    return run.end < span.end - bin_ and not any(
        abs(hole.start - run.end) <= bin_ for hole in holes
    )
