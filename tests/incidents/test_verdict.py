"""The verdict on a run, from what was observed."""

import pytest

from randsvc.incidents.scenario import AlertId, Expected, Scenario
from randsvc.incidents.stack_api import Notification
from randsvc.incidents.verdict import Observations, is_notified, judge

WANTED = AlertId("RandsvcX", "major")
ALLOWED = AlertId("RandsvcY", "minor")
SCENARIO = Scenario(
    name="some",
    title="Something breaks",
    story="It breaks.",
    level="major",
    steps=(),
    expected=Expected(alert="RandsvcX", receiver="ticket", fires_within=40, clears_within=60),
    watched_for=0,
    may_fire={"RandsvcY": "it follows"},
)


def notify(receiver: str, alert: AlertId, *statuses: str) -> list[Notification]:
    return [Notification(receiver, alert, status) for status in statuses]


GOOD = notify("ticket", WANTED, "firing", "resolved")


def judge_run(
    *notifications: Notification, fired: tuple[AlertId, ...] = (WANTED,), problem: str = ""
) -> tuple[str, ...]:
    observed = Observations(fired=3, notified=5, cleared=9, problems=[problem] if problem else [])
    return judge(SCENARIO, observed, fired, notifications).problems


def test_the_expected_alert_to_the_expected_receiver_passes() -> None:
    verdict = judge(SCENARIO, Observations(fired=3, notified=5, cleared=9), [WANTED], GOOD)
    assert verdict.passed
    assert verdict.receivers == ("ticket",)
    assert (verdict.fired, verdict.notified, verdict.cleared) == (3, 5, 9)


def test_an_observed_problem_fails_the_run() -> None:
    assert judge_run(*GOOD, problem="it did not clear") == ("it did not clear",)


def test_another_alert_fails_the_run_unless_it_may_fire() -> None:
    other = AlertId("RandsvcZ", "major")
    assert judge_run(*GOOD, fired=(WANTED, ALLOWED)) == ()
    assert judge_run(*GOOD, fired=(WANTED, other)) == ("RandsvcZ (major) fired too",)


def test_a_notification_of_another_alert_fails_the_run_unless_it_may_fire() -> None:
    other = notify("digest", AlertId("RandsvcZ", "minor"), "firing")
    assert judge_run(*GOOD, *notify("digest", ALLOWED, "firing")) == ()
    assert judge_run(*GOOD, *other) == ("digest was notified of RandsvcZ (minor)",)


def test_an_alert_that_may_fire_may_not_notify_at_a_higher_level() -> None:
    higher = notify("pager", AlertId("RandsvcY", "critical"), "firing")
    assert judge_run(*GOOD, *higher) == ("pager was notified of RandsvcY (critical)",)


def test_a_second_receiver_fails_the_run() -> None:
    assert judge_run(*GOOD, *notify("pager", WANTED, "firing")) == ("pager was notified too",)


def test_an_incident_that_is_notified_twice_fails_the_run() -> None:
    again = notify("ticket", WANTED, "firing", "resolved")
    assert judge_run(*GOOD, *again) == ("ticket was notified of 2 separate incidents",)


def test_a_repeated_notification_is_one_incident() -> None:
    assert judge_run(*notify("ticket", WANTED, "firing", "firing", "resolved")) == ()


@pytest.mark.parametrize(
    ("statuses", "firing"), [((), False), (("firing",), True), (("firing", "resolved"), False)]
)
def test_the_last_notification_counts(statuses: tuple[str, ...], firing: bool) -> None:
    found = [*notify("ticket", WANTED, *statuses), *notify("pager", WANTED, "resolved")]
    assert is_notified(SCENARIO, "firing", found) is firing
