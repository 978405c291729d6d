"""The score of a game day: time to notice, right diagnosis, false alarms.

For each incident a team gets ``NOTICE_POINTS`` times the share of the time for reports that was
left at its first report, ``CAUSE_POINTS`` for the right cause and ``LEVEL_POINTS`` for the right
level in its last report. It gets ``HERRING_POINTS`` for each red herring that it reports as
harmless, and loses ``FALSE_ALARM_POINTS`` for each false alarm.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from randsvc.gameday.journal import NO_INCIDENT, Report
from randsvc.times import Span

__all__ = (
    "CAUSE_POINTS",
    "FALSE_ALARM_POINTS",
    "HERRING_POINTS",
    "LEVEL_POINTS",
    "NOTICE_POINTS",
    "Happened",
    "Result",
    "TeamScore",
    "score_teams",
)

NOTICE_POINTS = 40
CAUSE_POINTS = 40
LEVEL_POINTS = 20
HERRING_POINTS = 20
FALSE_ALARM_POINTS = 25


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What the teams could notice: a scenario, its level (None for a red herring), and its time.

    A report of it counts from the start of ``span`` to ``until``.
    """

    cause: str
    level: str | None
    span: Span
    until: float

    def is_open(self, at: float) -> bool:
        """Whether a report that is sent then can be about it."""
        return self.span.start <= at <= self.until


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a team made of an incident or red herring; ``report`` is None if it did not report it.

    ``noticed`` is the seconds from its start to the first report.
    """

    report: Report | None = None
    noticed: float | None = None
    cause_is_right: bool = False
    level_is_right: bool = False
    points: int = 0


@dataclass(frozen=True, kw_only=True)
class TeamScore:
    """The score of a team, with a result for each thing that happened, in their order.

    ``judged`` says of each report, in the order of their times, what was made of it.
    """

    team: str
    points: int
    best: int
    results: Sequence[Result]
    false_alarms: Sequence[Report]
    judged: Sequence[tuple[Report, str]] = field(default=())


def score_teams(
    teams: Iterable[str], happened: Sequence[Happened], reports: Iterable[Report]
) -> list[TeamScore]:
    """Score each team; the best one first."""
    all_reports = sorted(reports, key=lambda each: each.at)
    scores = [
        _score(team, happened, [each for each in all_reports if each.team == team])
        for team in teams
    ]
    return sorted(scores, key=lambda each: (-each.points, each.team))


def _score(team: str, happened: Sequence[Happened], reports: Sequence[Report]) -> TeamScore:
    about: dict[int, list[Report]] = {}
    false_alarms, judged = [], []
    for report in reports:
        index = _find(happened, report)
        if index is not None and (happened[index].level is None) == (report.level == NO_INCIDENT):
            about.setdefault(index, []).append(report)
            judged.append((report, _judge(happened[index], report)))
        elif report.level == NO_INCIDENT:
            judged.append((report, "says that nothing is wrong; no points"))
        else:
            false_alarms.append(report)
            why = "nothing was wrong" if index is None else "a red herring"
            judged.append((report, f"false alarm: {why}"))
    results = [_result(each, about.get(i, [])) for i, each in enumerate(happened)]
    points = sum(each.points for each in results) - FALSE_ALARM_POINTS * len(false_alarms)
    incident = NOTICE_POINTS + CAUSE_POINTS + LEVEL_POINTS
    best = sum(HERRING_POINTS if each.level is None else incident for each in happened)
    return TeamScore(
        team=team,
        points=points,
        best=best,
        results=results,
        false_alarms=false_alarms,
        judged=judged,
    )


def _find(happened: Sequence[Happened], report: Report) -> int | None:
    """Find what a report is about, among what was on when it was sent.

    It is what has the cause of the report, else what began nearest to the time that it states. A
    report that nothing is wrong can only be about the red herring of its cause.
    """
    on = [index for index, each in enumerate(happened) if each.is_open(report.at)]
    if same := [index for index in on if happened[index].cause == report.cause]:
        return same[0]
    if report.level == NO_INCIDENT:
        return None
    return min(on, key=lambda index: abs(happened[index].span.start - report.began), default=None)


def _result(happened: Happened, reports: Sequence[Report]) -> Result:
    if not reports:
        return Result()
    # The first report counts for the time, the last for the diagnosis: trying out every cause
    # ends with a wrong one.
    noticed, last = reports[0].at - happened.span.start, reports[-1]
    cause_is_right = last.cause == happened.cause
    level_is_right = last.level == (happened.level or NO_INCIDENT)
    if happened.level is None:
        points = HERRING_POINTS
    else:
        left = 1 - noticed / (happened.until - happened.span.start)
        points = (
            round(NOTICE_POINTS * left)
            + CAUSE_POINTS * cause_is_right
            + LEVEL_POINTS * level_is_right
        )
    return Result(
        report=last,
        noticed=noticed,
        cause_is_right=cause_is_right,
        level_is_right=level_is_right,
        points=points,
    )


def _judge(happened: Happened, report: Report) -> str:
    if happened.level is None:
        return "red herring recognised"
    cause = "right cause" if report.cause == happened.cause else "wrong cause"
    level = "right level" if report.level == happened.level else f"the level was {happened.level}"
    return f"{cause}, {level}"
