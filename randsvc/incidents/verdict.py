"""The verdict on a scenario: what was observed against what was expected."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from randsvc.incidents.scenario import AlertId, Scenario
from randsvc.incidents.stack_api import Notification
from randsvc.levels import LEVELS

__all__ = ("Observations", "Verdict", "is_notified", "judge")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of a scenario; ``problems`` lists how it differs from the expected one.

    ``fired`` and ``notified`` are seconds from the last step, ``cleared`` from the end of the
    incident; None if it did not happen. ``others`` are further alerts that fired.
    """

    scenario: Scenario
    fired: float | None = None
    notified: float | None = None
    receivers: tuple[str, ...] = ()
    cleared: float | None = None
    others: tuple[AlertId, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the outcome is the expected one."""
        return not self.problems


@dataclass
class Observations:
    """What a run has observed so far; times as in ``Verdict``."""

    fired: float | None = None
    notified: float | None = None
    cleared: float | None = None
    problems: list[str] = field(default_factory=list)


def judge(
    scenario: Scenario,
    observed: Observations,
    fired: Collection[AlertId],
    notifications: Sequence[Notification],
) -> Verdict:
    """Judge a run by its observations, all alerts that fired, and all notifications in order."""
    wanted = scenario.expected_alert
    problems = list(observed.problems)
    others = sorted(alert for alert in fired if alert != wanted)
    problems += [f"{alert} fired too" for alert in others if alert.name not in scenario.may_fire]
    receivers = []
    for receiver, alert in sorted(
        {(each.receiver, each.alert) for each in notifications if each.status == "firing"}
    ):
        if alert == wanted:
            receivers.append(receiver)
        elif alert.name not in scenario.may_fire or _is_higher(alert.level, scenario.level):
            problems.append(f"{receiver} was notified of {alert}")
    if scenario.expected:
        right = scenario.expected.receiver
        problems += [f"{name} was notified too" for name in receivers if name != right]
        times = _count_incidents(scenario, notifications)
        if times > 1:
            problems.append(f"{right} was notified of {times} separate incidents")
    return Verdict(
        scenario=scenario,
        fired=observed.fired,
        notified=observed.notified,
        receivers=tuple(receivers),
        cleared=observed.cleared,
        others=tuple(others),
        problems=tuple(problems),
    )


def is_notified(scenario: Scenario, status: str, notifications: Sequence[Notification]) -> bool:
    """Whether the last notification of the expected alert to its receiver has this status."""
    return _list_statuses(scenario, notifications)[-1:] == [status]


def _count_incidents(scenario: Scenario, notifications: Sequence[Notification]) -> int:
    """Count how often the expected alert began to fire, as its receiver sees it.

    A repeated notification counts once, and so does one for another alert of the group.
    """
    statuses = ["resolved", *_list_statuses(scenario, notifications)]
    return sum(pair == ("resolved", "firing") for pair in pairwise(statuses))


def _list_statuses(scenario: Scenario, notifications: Sequence[Notification]) -> list[str]:
    receiver = scenario.expected.receiver if scenario.expected else None
    return [
        each.status
        for each in notifications
        if (each.receiver, each.alert) == (receiver, scenario.expected_alert)
    ]


def _is_higher(level: str, than: str | None) -> bool:
    return level in LEVELS and than in LEVELS and LEVELS.index(level) < LEVELS.index(than)
