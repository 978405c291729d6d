"""The score: time to notice, right diagnosis, false alarms."""

from randsvc.gameday.journal import NO_INCIDENT, Report
from randsvc.gameday.score import Happened, TeamScore, score_teams
from randsvc.times import Span

# Reports of it count for 200 s.
DOWN = Happened(cause="auth-down", level="critical", span=Span(1000, 1140), until=1200)
DRIFT = Happened(cause="concept-drift", level="major", span=Span(1100, 1240), until=1300)
HERRING = Happened(cause="no-drift", level=None, span=Span(2000, 2100), until=2160)


def report(
    at: float, cause: str, level: str, *, began: float | None = None, team: str = "team-1"
) -> Report:
    return Report(
        team=team, at=at, began=at if began is None else began, level=level, cause=cause, what=""
    )


def score(*reports: Report, happened: tuple[Happened, ...] = (DOWN, HERRING)) -> TeamScore:
    return score_teams(["team-1"], happened, reports)[0]


def test_a_right_report_at_half_of_the_time_has_80_of_100_points() -> None:
    found = score(report(1100, "auth-down", "critical"))
    assert (found.points, found.best) == (80, 120)
    assert found.results[0].noticed == 100


def test_a_wrong_level_costs_20_and_a_wrong_cause_40() -> None:
    assert score(report(1100, "auth-down", "minor")).points == 60
    assert score(report(1100, "error-burst", "critical")).points == 40


def test_the_first_report_counts_for_the_time_and_the_last_for_the_diagnosis() -> None:
    early, late = report(1000, "error-burst", "minor"), report(1190, "auth-down", "critical")
    assert score(early, late).points == 100
    # Trying out one cause after the other does not help.
    assert score(report(1000, "auth-down", "critical"), report(1001, "x", "critical")).points == 60


def test_a_report_while_nothing_is_wrong_is_a_false_alarm() -> None:
    for at in (999.0, 1201.0):
        found = score(report(at, "auth-down", "critical"))
        assert found.points == -25
        assert found.judged[0][1] == "false alarm: nothing was wrong"


def test_a_red_herring_gives_points_only_as_harmless_and_with_its_cause() -> None:
    assert score(report(2050, "no-drift", NO_INCIDENT)).points == 20
    assert score(report(2050, "no-drift", "minor")).points == -25
    assert score(report(2050, "error-burst", "critical")).points == -25
    assert score(report(2050, "error-burst", NO_INCIDENT)).points == 0


def test_that_nothing_is_wrong_is_never_a_false_alarm_and_notices_no_incident() -> None:
    found = score(report(1100, "auth-down", NO_INCIDENT))
    assert (found.points, found.results[0].report) == (0, None)


def test_two_incidents_at_a_time_are_told_apart_by_cause_then_by_the_stated_time() -> None:
    both = (DOWN, DRIFT)
    right = score(
        report(1110, "concept-drift", "major", began=1000),
        report(1120, "auth-down", "critical", began=1000),
        happened=both,
    )
    assert [each.noticed for each in right.results] == [120, 10]
    wrong = score(report(1150, "error-burst", "major", began=1095), happened=both)
    assert [each.noticed for each in wrong.results] == [None, 50]


def test_teams_are_in_the_order_of_their_points() -> None:
    scores = score_teams(
        ["team-1", "team-2"], [DOWN], [report(1100, "auth-down", "critical", team="team-2")]
    )
    assert [(each.team, each.points) for each in scores] == [("team-2", 80), ("team-1", 0)]
