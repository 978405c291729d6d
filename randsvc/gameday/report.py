"""The report of a game day: scores, time line, and the solution, as one page to hand out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median

import numpy as np

from randsvc.gameday.journal import NO_INCIDENT, Journal
from randsvc.gameday.score import (
    CAUSE_POINTS,
    FALSE_ALARM_POINTS,
    HERRING_POINTS,
    LEVEL_POINTS,
    NOTICE_POINTS,
    Happened,
    Result,
    TeamScore,
    score_teams,
)
from randsvc.gameday.sequence import GRACE, Incident
from randsvc.histograms.windows import WindowReader
from randsvc.incidents.stack_api import Addresses, Notification
from randsvc.levels import LEVELS
from randsvc.prometheus_api import Prometheus, PrometheusError, redact_url
from randsvc.review import incidents, pictures
from randsvc.review.formatting import format_duration
from randsvc.review.notifications import fetch_notifications
from randsvc.review.page import Page
from randsvc.review.pictures import Band, Picture
from randsvc.review.section import NOT_AVAILABLE, Section, Table, describe_ranges
from randsvc.review.subject import load_subject
from randsvc.telemetry.catalogue import REQUEST_DURATION
from randsvc.times import Span

__all__ = ("list_happened", "make_report")

STEP = 10.0
"""Seconds between two points of a graph."""
BIN = 30.0
"""Seconds that an alert may be interrupted without being counted twice."""
SIGNALS: Sequence[tuple[str, str, Mapping[str, str]]] = (
    (
        "Traffic",
        "requests/s",
        {"requests": 'sum (rate({metric}_count{{job="randsvc"}}[30s]))'},
    ),
    (
        "Errors",
        "share of requests",
        {
            "failed requests": "(sum (rate({metric}_count{{"
            'job="randsvc",http_response_status_code=~"5.."}}[30s])) or vector(0)) '
            '/ sum (rate({metric}_count{{job="randsvc"}}[30s]))',
            "failed logins": "(sum (rate({metric}_count{{"
            'job="auth",http_response_status_code=~"5.."}}[30s])) or vector(0)) '
            '/ sum (rate({metric}_count{{job="auth"}}[30s]))',
        },
    ),
    (
        "Latency of /random",
        "seconds",
        {
            name: f"histogram_quantile({quantile}, sum by (le) (rate("
            '{metric}_bucket{{job="randsvc",http_route="/random"}}[30s])))'
            for name, quantile in (("median", 0.5), ("p99", 0.99))
        },
    ),
)
"""What every page about the service shows too; what the model does is for the teams to find."""


def list_happened(journal: Journal, sequence: Sequence[Incident]) -> dict[int, Happened]:
    """What was really on, by its place in the sequence."""
    found = {}
    for index, incident in enumerate(sequence):
        if index not in journal.begun:
            continue
        start = journal.begun[index]
        end = journal.ended.get(index, start + incident.end - incident.start)
        found[index] = Happened(
            cause=incident.scenario.name,
            level=incident.scenario.level,
            span=Span(start, end),
            until=end + GRACE,
        )
    return found


def make_report(
    journal: Journal,
    sequence: Sequence[Incident],
    titles: Mapping[str, str],
    addresses: Addresses,
    at: float,
) -> Page:
    """Make the report; ``titles`` are those of all causes. It holds no link of a team.

    Alerts, notifications and graphs are left out where the stack cannot be reached any more.
    """
    started = journal.started or at
    period = Span(started, started + journal.seconds)
    happened = list_happened(journal, sequence)
    scores = score_teams(journal.setup.teams, list(happened.values()), journal.reports)
    server = Prometheus(addresses.prometheus)
    notifications = fetch_notifications(addresses.inbox, period.start)
    unread = []
    graphs: list[Picture] = []
    alerts: Sequence[incidents.Incident] = ()
    try:
        server.check()
        reader = WindowReader(server)
        alerts = incidents.read(reader, load_subject(None, ()), period, BIN, ()).incidents
        spans = [each.span for each in happened.values() if each.level is not None]
        graphs = [_draw(server, period, spans, *signal) for signal in SIGNALS]
    except PrometheusError as error:
        unread.append(Section("signals", "Alerts and graphs", [], unread=f"{error}."))
    if notifications is None:
        reason = f"cannot reach the inbox at {redact_url(addresses.inbox)}."
        unread.append(Section("notifications", "Notifications", [], unread=reason))
    return Page(
        title="Game day",
        period=period,
        about=f", seed {journal.setup.seed}",
        short=_summarise(journal, sequence, happened, scores),
        sections=[
            _report_scores(scores, happened),
            _draw_time_line(period, happened, alerts, scores, graphs),
            *(
                _solve(place, sequence[index], each, alerts, notifications or (), scores)
                for place, (index, each) in enumerate(happened.items())
            ),
            _list_reports(scores, titles),
        ],
        unread=unread,
        maker="randsvc gameday",
        prometheus=server.shown_url,
        at=at,
    )


def _summarise(
    journal: Journal,
    sequence: Sequence[Incident],
    happened: Mapping[int, Happened],
    scores: Sequence[TeamScore],
) -> list[str]:
    herrings = sum(each.level is None for each in happened.values())
    lines = [
        f"{each.team}: {each.points} of {each.best} points, "
        f"{_count_noticed(each, happened)} of {len(happened) - herrings} incidents noticed, "
        f"{_count(len(each.false_alarms), 'false alarm')}."
        for each in scores
    ]
    lines.append(
        f"{_count(len(happened) - herrings, 'incident')} and {_count(herrings, 'red herring')} in "
        f"{format_duration(journal.seconds)}; {_count(journal.setup.hints, 'hint')} shown."
    )
    lines += [
        f"{sequence[index].scenario.title}: could not be caused, and does not count: {why}"
        for index, why in journal.failed.items()
    ]
    return lines


def _report_scores(scores: Sequence[TeamScore], happened: Mapping[int, Happened]) -> Section:
    number = sum(each.level is not None for each in happened.values())
    rows = []
    for each in scores:
        real = [
            result
            for result, what in zip(each.results, happened.values(), strict=True)
            if what.level is not None
        ]
        times = [result.noticed for result in real if result.noticed is not None]
        recognised = sum(
            result.report is not None
            for result, what in zip(each.results, happened.values(), strict=True)
            if what.level is None
        )
        rows.append(
            [
                each.team,
                f"{each.points} of {each.best}",
                f"{len(times)} of {number}",
                format_duration(median(times)) if times else NOT_AVAILABLE,
                str(sum(result.cause_is_right for result in real)),
                str(sum(result.level_is_right for result in real)),
                str(recognised),
                str(len(each.false_alarms)),
            ]
        )
    head = (
        "team",
        "points",
        "noticed",
        "time to notice, median",
        "right cause",
        "right level",
        "red herrings recognised",
        "false alarms",
    )
    says = [
        f"For each incident: {NOTICE_POINTS} points times the share of the time for reports that "
        f"was left at the first report, {CAUSE_POINTS} points for the right cause, "
        f"{LEVEL_POINTS} for the right level.",
        f"The time for reports ends {GRACE:g} s after the incident. The last report about an "
        f"incident decides on cause and level. A red herring that is reported as harmless gives "
        f"{HERRING_POINTS} points. Each false alarm costs {FALSE_ALARM_POINTS}: a report of an "
        "incident while nothing was wrong, or of a red herring. A report is about what was on and "
        "has its cause, else about what began nearest to the time that the report states.",
    ]
    return Section("scores", "Scores", says, [Table("Scores", head, rows)])


def _draw_time_line(
    period: Span,
    happened: Mapping[int, Happened],
    alerts: Sequence[incidents.Incident],
    scores: Sequence[TeamScore],
    graphs: Sequence[Picture],
) -> Section:
    rows: dict[str, list[Band]] = {}
    for place, each in enumerate(happened.values(), 1):
        rows[f"incident {place}"] = [Band(each.span, each.level or "")]
    for level in LEVELS:
        rows[f"alerts, {level}"] = [
            Band(each.span, level) for each in alerts if each.level == level
        ]
    for score in sorted(scores, key=lambda each: each.team):
        rows[f"reports, {score.team}"] = [
            Band(Span(each.at, each.at), each.level) for each, _ in score.judged
        ]
    colours = (
        "The incidents have the numbers of the solution below. A band has the colour of its level: "
        "critical, major, minor; a red herring, and a report of no incident, is grey."
    )
    picture = pictures.draw_timeline(
        "What was on, what fired, what was reported", colours, period, rows
    )
    return Section("time-line", "Time line", [colours], pictures=[picture, *graphs])


def _solve(
    place: int,
    incident: Incident,
    happened: Happened,
    alerts: Sequence[incidents.Incident],
    notifications: Sequence[Notification],
    scores: Sequence[TeamScore],
) -> Section:
    """What one incident was, how the monitoring showed it, and what the teams made of it."""
    scenario = incident.scenario
    start, end = _clock(happened.span.start), _clock(happened.span.end)
    level = scenario.level or "none: a red herring"
    says = [scenario.story, f"From {start} to {end} UTC. Level: {level}. Kind: {incident.kind}."]
    fired = [each for each in alerts if happened.is_open(each.span.start)]
    sent = [
        each
        for each in notifications
        if each.status == "firing" and each.at and happened.is_open(each.at.timestamp())
    ]
    if expected := scenario.expected:
        says.append(
            f"The alert {expected.alert} shows it, and the receiver {expected.receiver} is "
            "notified. " + _say_when(happened, expected.alert, level, fired, sent)
        )
    others = sorted(
        {f"{each.alert} ({each.level})" for each in fired}
        - {f"{scenario.expected.alert} ({level})" if scenario.expected else ""}
    )
    if others:
        says.append(f"Other alerts that began to fire in this time: {', '.join(others)}.")
    elif not scenario.expected:
        says.append("No alert began to fire in this time.")
    rows = [[each.team, *_describe(each.results[place])] for each in scores]
    head = ("team", "noticed after", "cause", "level", "points")
    table = Table("What the teams made of it", head, rows, words=True)
    return Section(f"incident-{place + 1}", f"{place + 1}. {scenario.title}", says, [table])


def _say_when(
    happened: Happened,
    alert: str,
    level: str,
    fired: Sequence[incidents.Incident],
    sent: Sequence[Notification],
) -> str:
    start = happened.span.start
    first = [each.span.start for each in fired if (each.alert, each.level) == (alert, level)]
    told = [
        each.at.timestamp()
        for each in sent
        if each.at and (each.alert.name, each.alert.level) == (alert, level)
    ]
    if not first:
        return "On this game day it was not seen to fire."
    said = f"On this game day it fired {format_duration(min(first) - start)} after the start"
    if not told:
        return f"{said}; no notification of it was seen."
    return f"{said}, and the notification arrived {format_duration(min(told) - start)} after it."


def _list_reports(scores: Sequence[TeamScore], titles: Mapping[str, str]) -> Section:
    judged = sorted(
        ((report, what) for score in scores for report, what in score.judged),
        key=lambda each: each[0].at,
    )
    if not judged:
        return Section("reports", "Reports", ["No team has sent a report."])
    head = ("sent (UTC)", "team", "level", "cause", "began", "judged as", "text")
    rows = [
        [
            _clock(report.at),
            report.team,
            "no incident" if report.level == NO_INCIDENT else report.level,
            titles.get(report.cause, report.cause),
            _clock(report.began),
            what,
            report.what,
        ]
        for report, what in judged
    ]
    return Section("reports", "Reports", [], [Table("All reports", head, rows, words=True)])


def _describe(result: Result) -> list[str]:
    if result.report is None or result.noticed is None:
        return ["not reported", "", "", str(result.points)]
    return [
        format_duration(result.noticed),
        "right" if result.cause_is_right else "wrong",
        "right" if result.level_is_right else "wrong",
        str(result.points),
    ]


def _count_noticed(score: TeamScore, happened: Mapping[int, Happened]) -> int:
    pairs = zip(score.results, happened.values(), strict=True)
    return sum(each.report is not None and what.level is not None for each, what in pairs)


def _draw(
    server: Prometheus,
    period: Span,
    spans: Sequence[Span],
    title: str,
    unit: str,
    queries: Mapping[str, str],
) -> Picture:
    number = round(period.seconds / STEP)
    ends = [period.start + STEP * (i + 1) for i in range(number)]
    windows = [Span(end - STEP, end) for end in ends]
    lines = {}
    for name, template in queries.items():
        values = np.full(number, np.nan)
        promql = template.format(metric=REQUEST_DURATION.prometheus_name)
        for piece in server.range(promql, ends[0], ends[-1], STEP):
            for series in piece[:1]:
                for time, value in series.values:
                    values[round((time - ends[0]) / STEP)] = value
        lines[name] = values
    return pictures.draw_lines(
        title,
        f"{title}: {describe_ranges(lines, unit)}",
        windows,
        lines,
        unit=unit,
        percent=unit.startswith("share"),
        incidents=spans,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"
