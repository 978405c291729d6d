"""The post-mortem of one incident: what was measured, and the headings that are left to people.

The headings and the types of action items are those of the example in Site Reliability Engineering,
appendix D (https://sre.google/sre-book/example-postmortem/). Chapter 10 of the workbook says what
makes a good one (https://sre.google/workbook/postmortem-culture/).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from randsvc.errors import ConfigurationError
from randsvc.histograms.windows import WindowReader
from randsvc.incidents.scenario import AlertId
from randsvc.incidents.stack_api import Notification, Silence
from randsvc.levels import LEVELS
from randsvc.metrics import FAULT_ACTIVE, PREDICTIONS
from randsvc.prometheus_api import Prometheus, format_selector
from randsvc.review import counts, incidents, pictures
from randsvc.review.counts import Counts, Values
from randsvc.review.formatting import format_count, format_duration, format_share
from randsvc.review.incidents import Incident
from randsvc.review.page import Page
from randsvc.review.pictures import Band, Picture
from randsvc.review.quantiles import find_quantile, sum_buckets
from randsvc.review.runs import choose_resolution, find_resolution, find_runs
from randsvc.review.section import Section, Table, describe_ranges
from randsvc.review.sections.objectives import count_events, describe_objective
from randsvc.review.spans import choose_window_length, find_gaps
from randsvc.review.subject import Subject
from randsvc.times import Span, cut, format_time

__all__ = ("Findings", "choose_incident", "make_post_mortem", "read_findings", "read_incidents")

MARGIN = 300.0
"""Seconds before and after the incident that are shown, if the incident is shorter than that."""
NOTIFIED_WITHIN = 300.0
"""Seconds after the end of an alert in which a notification of it still belongs to the incident."""
SOURCE = "randsvc_source"
"""The label of predictions by the model and by the fallback."""
TO_WRITE = "To write:"
"""Begins what is left to people."""


@dataclass(frozen=True)
class Findings:
    """All that was read about an incident.

    ``trouble`` is from when it began, as far as that is known, to the last sample of its alert.
    ``around`` has a part before and after it, and ``requests`` has the windows of it. ``alerts``
    are those that fired in it, ``faults`` the times of the faults by service and name. ``budget``
    are the requests of the period, ``predictions`` those of ``trouble``. ``notifications`` and
    ``silences`` are None if unknown.
    """

    subject: Subject
    period: Span
    incident: Incident
    trouble: Span
    around: Span
    alerts: Sequence[Incident]
    faults: Mapping[tuple[str, str], Sequence[Span]]
    requests: Counts
    budget: Counts
    predictions: Counts
    notifications: Sequence[Notification] | None
    silences: Sequence[Silence] | None


def read_incidents(server: Prometheus, subject: Subject, period: Span) -> list[Incident]:
    """Read the incidents that began in a period; raises ``PrometheusError``."""
    reader = WindowReader(server)
    bin_ = _choose_bin(reader, period)
    recorded = find_runs(reader, "up", period, bin_).get(frozenset(), [])
    holes = find_gaps(period, recorded, longer=bin_)
    return list(incidents.read(reader, subject, period, bin_, holes).incidents)


def choose_incident(found: Sequence[Incident], alert: str | None, at: float | None) -> Incident:
    """Choose the incident of an alert, or at a Unix time; else the one of the highest level.

    Among several it is the last one. Raises ``ConfigurationError`` that lists what there is.
    """
    wanted = [
        each
        for each in found
        if (alert is None or each.alert == alert)
        and (at is None or (_begin(each) <= at <= each.span.end))
    ]
    if wanted:
        return min(wanted, key=lambda each: (LEVELS.index(each.level), -each.span.start))
    listed = ", ".join(
        f"{each.alert} ({each.level}) at {format_time(each.span.start)}" for each in found[-10:]
    )
    asked = [f"--alert {alert}" if alert else "", f"--at {format_time(at)}" if at else ""]
    raise ConfigurationError(
        f"no incident in the period{' with ' if any(asked) else ''}{' '.join(filter(None, asked))}"
        f"; incidents in the period: {listed or 'none'}"
    )


def read_findings(
    server: Prometheus,
    subject: Subject,
    period: Span,
    incident: Incident,
    found: Sequence[Incident],
    *,
    notifications: Sequence[Notification] | None,
    silences: Sequence[Silence] | None,
    read: Callable[[float], None] = lambda _: None,
) -> Findings:
    """Read what belongs to an incident among those ``found``; raises ``PrometheusError``."""
    reader = WindowReader(server, read)
    trouble = Span(_begin(incident), incident.span.end)
    margin = max(MARGIN, trouble.seconds)
    around = Span(max(period.start, trouble.start - margin), min(period.end, trouble.end + margin))
    bin_ = _choose_bin(reader, around)
    faults = find_runs(
        reader, FAULT_ACTIVE.prometheus_name, around, bin_, by=("job", "randsvc_fault"), least=1.0
    )
    borders = [time for time in (trouble.start, trouble.end) if around.start < time < around.end]
    windows = cut(around, choose_window_length(around, bin_), borders, least=bin_)
    whole = cut(period, choose_window_length(period, _choose_bin(reader, period)))
    alerts = [each for each in found if _touches(Span(_begin(each), each.span.end), trouble)]
    names = {AlertId(each.alert, each.level) for each in alerts}
    sent = notifications and [
        each
        for each in notifications
        if each.alert in names
        and each.at
        and trouble.start <= each.at.timestamp() <= trouble.end + NOTIFIED_WITHIN
    ]
    muting = silences and [
        each
        for each in silences
        if _touches(Span(each.start, each.end), trouble)
        and any(
            each.may_mute({"alertname": a.alert, "level": a.level, "service": a.service})
            for a in alerts
        )
    ]
    return Findings(
        subject=subject,
        period=period,
        incident=incident,
        trouble=trouble,
        around=around,
        alerts=alerts,
        faults={
            (dict(key).get("job", ""), dict(key).get("randsvc_fault", "")): spans
            for key, spans in faults.items()
        },
        requests=counts.read(reader, subject.buckets, windows),
        budget=counts.read(reader, subject.buckets, whole),
        predictions=counts.read(
            reader, format_selector(PREDICTIONS.prometheus_name, [subject.matcher]), [trouble]
        ),
        notifications=sent,
        silences=muting,
    )


def make_post_mortem(findings: Findings, prometheus: str, at: float) -> Page:
    """Make the document; ``prometheus`` is the URL that was read, ``at`` the Unix time of now."""
    incident, trouble = findings.incident, findings.trouble
    impact = _report_impact(findings)
    unread = [
        Section(name, title, [], unread=f"not known, as {program} did not respond.")
        for name, title, program, what in (
            ("notifications", "Notifications", "the inbox", findings.notifications),
            ("silences", "Silences", "Alertmanager", findings.silences),
        )
        if what is None
    ]
    return Page(
        title=f"Post-mortem: {incident.alert}",
        period=trouble,
        short=[
            f"{TO_WRITE} two sentences on what happened, for a reader who was not there.",
            f"{incident.alert} fired at level {incident.level} for "
            f"{format_duration(incident.span.seconds)}"
            + ("." if incident.cleared else ", and its end was not seen."),
            *impact.says[:1],
        ],
        sections=[
            _head(findings, at),
            impact,
            _ask(
                "root-causes",
                "Root causes",
                "why it could happen. Ask why until a system is the answer, not a person.",
            ),
            _report_trigger(findings),
            _report_resolution(findings),
            _report_detection(findings),
            _list_actions(),
            _ask(
                "went-well",
                "Lessons learned: what went well",
                "what helped: an alert, a fallback, a runbook.",
            ),
            _ask(
                "went-wrong", "Lessons learned: what went wrong", "what made it worse, or longer."
            ),
            _ask("luck", "Lessons learned: where we got lucky", "what would have made it worse."),
            _report_time_line(findings),
            Section(
                "supporting",
                "Supporting information",
                ["The incident is shaded. Counts are exact; times are those of samples."],
                pictures=_draw_signals(findings),
            ),
        ],
        unread=unread,
        maker="randsvc review post-mortem",
        prometheus=prometheus,
        at=at,
    )


def _head(findings: Findings, at: float) -> Section:
    incident = findings.incident
    rows = [
        ["Date", format_time(findings.trouble.start)[:10]],
        ["Level", incident.level],
        ["Service", incident.service or "not named by the alert"],
        ["Authors", f"{TO_WRITE} names"],
        [
            "Status",
            f"Draft of {format_time(at)}; {TO_WRITE.lower()} reviewed by, action items agreed",
        ],
    ]
    table = Table("This document", ("field", "value"), rows, words=True)
    return Section("document", "Document", [], [table])


def _report_impact(findings: Findings) -> Section:
    """Requests and error budget, in whole numbers."""
    subject, incident = findings.subject, findings.incident
    during = np.array([findings.trouble.covers(each) for each in findings.requests.windows])
    rows, spent = [], []
    for objective in subject.objectives:
        if incident.service and objective.job != incident.service:
            continue
        total, bad = count_events(findings.requests, subject, objective)
        whole, _ = count_events(findings.budget, subject, objective)
        number, failed = round(total[during].sum()), round(bad[during].sum())
        budget = objective.budget * whole.sum()
        share = failed / budget if budget else None
        rows.append(
            [
                describe_objective(subject, objective),
                format_count(number),
                format_count(failed),
                format_share(failed / number if number else None, digits=1),
                format_count(np.floor(budget)),
                format_share(share, digits=1),
            ]
        )
        spent.append((share or 0.0, failed, number, describe_objective(subject, objective)))
    requests = round(_count_all(findings.requests)[during].sum())
    says = [
        f"{format_count(requests)} requests arrived during the incident."
        if not spent
        else _describe_worst(*max(spent)),
        *_describe_fallback(findings.predictions),
        f"The incident is counted from {format_time(findings.trouble.start)} to "
        f"{format_time(findings.trouble.end)}. The error budget is what the objective allows of "
        f"the requests from {format_time(findings.period.start)} to "
        f"{format_time(findings.period.end)}. A service that is down counts no requests.",
        f"{TO_WRITE} what users could not do, and how many of them; what it cost.",
    ]
    head = (
        "objective",
        "requests in the incident",
        "bad",
        "share",
        "budget, in requests",
        "budget spent",
    )
    return Section(
        "impact", "Impact", says, [Table("Requests and error budget", head, rows)] if rows else []
    )


def _describe_worst(share: float, bad: int, number: int, what: str) -> str:
    return (
        f"{format_count(bad)} of {format_count(number)} requests were bad ({what}): "
        f"{format_share(share, digits=1)} of the error budget of the period."
    )


def _describe_fallback(predictions: Counts) -> list[str]:
    by_source = {source: count.sum() for (source,), count in predictions.by(SOURCE).items()}
    replaced = by_source.get("fallback", 0)
    if not replaced:
        return []
    return [
        f"The fallback made {format_count(replaced)} of {format_count(sum(by_source.values()))} "
        "predictions."
    ]


def _report_trigger(findings: Findings) -> Section:
    known = [
        f"The fault {name} of {job} was on from {format_time(span.start)} to "
        f"{format_time(span.end)}."
        for (job, name), spans in findings.faults.items()
        for span in spans
        if _touches(span, findings.trouble)
    ]
    asked = (
        f"{TO_WRITE} what set it off: a release, a change of the configuration, a peak of traffic."
    )
    return Section("trigger", "Trigger", [*known, asked])


def _report_resolution(findings: Findings) -> Section:
    incident = findings.incident
    end = format_time(incident.span.end)
    known = (
        f"The alert fired for the last time at {end}, "
        f"{format_duration(findings.trouble.seconds)} after the start."
        if incident.cleared
        else f"The alert still fired at {end}, the end of the data."
    )
    return Section(
        "resolution",
        "Resolution",
        [known, f"{TO_WRITE} what was done, by whom, and what of it helped."],
    )


def _report_detection(findings: Findings) -> Section:
    incident = findings.incident
    began = (
        f"the fault {incident.fault} was set"
        if incident.fault
        else "the condition of the alert first held"
    )
    says = [
        f"{incident.alert} detected it {format_duration(incident.to_detect)} after {began}."
        if incident.to_detect is not None
        else f"{incident.alert} detected it. When the trouble began is not known."
    ]
    first: dict[str, float] = {}
    for each in findings.notifications or ():
        if each.status == "firing" and each.at and each.alert.name == incident.alert:
            first.setdefault(each.receiver, each.at.timestamp())
    says += [
        f"The receiver {receiver} was notified "
        f"{format_duration(max(0.0, time - findings.trouble.start))} after the start."
        for receiver, time in first.items()
    ]
    if findings.notifications is not None and not first:
        says.append("No notification of it was seen.")
    return Section(
        "detection",
        "Detection",
        [*says, f"{TO_WRITE} who noticed it first, and what would have shown it sooner."],
    )


def _list_actions() -> Section:
    kinds = ("mitigate", "prevent", "process", "other")
    rows = [[kind, TO_WRITE, "", ""] for kind in kinds]
    table = Table("Action items", ("type", "action", "owner", "ticket"), rows, words=True)
    return Section("actions", "Action items", ["Each item has one owner and a ticket."], [table])


def _report_time_line(findings: Findings) -> Section:
    events: list[tuple[float, str]] = []
    rows: dict[str, list[Band]] = {}
    for (job, name), spans in findings.faults.items():
        for span in spans:
            events.append((span.start, f"The fault {name} of {job} is set."))
            if span.end < findings.around.end:
                events.append((span.end, f"The fault {name} of {job} is seen for the last time."))
            rows.setdefault(f"fault {name}", []).append(Band(span))
    for each in findings.alerts:
        label = f"{each.alert} ({each.level})"
        if each.pending is not None:
            events.append((each.pending, f"The condition of {label} holds."))
        events.append((each.span.start, f"{label} fires."))
        if each.cleared:
            events.append((each.span.end, f"{label} fires for the last time."))
        rows.setdefault(label, []).append(Band(each.span, each.level))
    for sent in findings.notifications or ():
        if sent.at:
            at = sent.at.timestamp()
            events.append(
                (at, f"The receiver {sent.receiver} is notified: {sent.alert} is {sent.status}.")
            )
            rows.setdefault(f"sent to {sent.receiver}", []).append(
                Band(Span(at, at), sent.alert.level)
            )
    for silence in findings.silences or ():
        said = f"A silence by {silence.author} begins: {silence.comment}"
        events.append((silence.start, said))
        if silence.end <= findings.around.end:
            events.append((silence.end, f"The silence by {silence.author} ends."))
        rows.setdefault("silence", []).append(
            Band(
                Span(
                    max(silence.start, findings.around.start), min(silence.end, findings.around.end)
                )
            )
        )
    listed = [[_clock(time), what] for time, what in sorted(events)]
    drawn = pictures.draw_timeline(
        "Time line", f"{len(listed)} events; the table lists them.", findings.around, rows
    )
    table = Table("All times are UTC", ("time", "event"), listed, words=True)
    asked = f"{TO_WRITE} what people did in between, and when."
    return Section("time-line", "Time line", [asked], [table], [drawn])


def _draw_signals(findings: Findings) -> list[Picture]:
    requests, subject = findings.requests, findings.subject
    windows = requests.windows
    service = findings.incident.service
    own = requests.only(lambda label: not service or label.get("job") == service)
    total = _count_all(own)
    bad = _count_all(own.only(subject.is_failed))
    seconds = np.array([each.seconds for each in windows])
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(total > 0, bad / total, np.nan)
    bounds, rising = sum_buckets(own.only(lambda label: not subject.is_failed(label)))
    quantiles = {
        name: np.array([find_quantile(q, bounds, column).value or np.nan for column in rising.T])
        for name, q in (("median", 0.5), ("p99", 0.99))
        if len(bounds)
    }

    def draw(title: str, lines: Mapping[str, Values], unit: str, percent: bool = False) -> Picture:
        return pictures.draw_lines(
            title,
            f"{title}: {describe_ranges(lines, unit, percent=percent)}",
            windows,
            lines,
            unit=unit,
            percent=percent,
            incidents=[findings.trouble],
        )

    return [
        draw("Traffic", {"requests": total / seconds}, "requests/s"),
        draw("Errors", {"failed requests": share}, "share of requests", percent=True),
        *([draw("Latency", quantiles, "seconds")] if quantiles else []),
    ]


def _count_all(requests: Counts) -> Values:
    """All requests by window: those of the last bucket."""
    return requests.where(lambda label: label.get("le") == "+Inf")


def _ask(key: str, title: str, what: str) -> Section:
    return Section(key, title, [f"{TO_WRITE} {what}"])


def _choose_bin(reader: WindowReader, span: Span) -> float:
    return find_resolution(WindowReader(reader.server), "up", span) or choose_resolution(span)


def _begin(incident: Incident) -> float:
    return incident.span.start if incident.began is None else incident.began


def _touches(one: Span, other: Span) -> bool:
    return one.start <= other.end and other.start <= one.end


def _clock(at: float) -> str:
    text = format_time(at)
    return text[11:] if len(text) > 16 else f"{text[11:]}:00"
