"""Which alerts fired, which notifications people received, and whether each came exactly once."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import yaml

from randsvc.levels import LEVELS
from randsvc.project import ROOT
from randsvc.prometheus_api import Prometheus
from randsvc.rules.service_alerts import WATCHDOG
from randsvc.stack.supervisor import Stack
from randsvc.times import parse_duration

__all__ = (
    "ON_SPEED",
    "AlertId",
    "Episode",
    "Inbox",
    "Notification",
    "Tally",
    "Times",
    "describe_history",
    "find_episodes",
    "find_unresolved",
    "judge_alerts",
    "merge_episodes",
    "read_times",
)

ON_SPEED = frozenset(
    {"RandsvcRandomSlow", "RandsvcLoginSlow", "RandsvcEventLoopBlocked", "RandsvcStrangeLoop"}
)
"""Alerts that also fire when the machine is busy with other programs. They are not judged."""
GAP = 7.0
"""Seconds between two samples of an alert that still fires: three evaluations, and a margin."""
READ_EVERY = 0.25
"""Seconds between two looks at the inbox."""
MARGIN = 4.0
"""Seconds that an alert takes through Prometheus and Alertmanager besides their waiting times."""


class AlertId(NamedTuple):
    """An alert, as its receiver can tell it from others."""

    name: str
    level: str
    service: str

    def __str__(self) -> str:
        return f"{self.name} ({self.level}, {self.service})"


Group = tuple[str, str, str]
"""The receiver, level and service of alerts that are notified together."""


class Notification(NamedTuple):
    """What a receiver was sent at once: the status of each alert; ``at`` is in Unix seconds."""

    at: float
    receiver: str
    alerts: tuple[tuple[AlertId, str], ...]


class Episode(NamedTuple):
    """A time, in Unix seconds, in which an alert fired."""

    alert: AlertId
    begin: float
    end: float


class Times(NamedTuple):
    """The times of Alertmanager for a level, in seconds."""

    wait: float
    interval: float
    repeat: float


@dataclass(frozen=True)
class Tally:
    """The alerts of a trial: how many had to be sent, were sent, and were sent twice."""

    expected: int = 0
    sent: tuple[str, ...] = ()
    doubled: int = 0
    problems: tuple[str, ...] = ()


class Inbox:
    """Copies what the inbox receives, as the inbox forgets it when it ends."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._seen: set[tuple[str, str, int]] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.notifications: list[Notification] = []
        threading.Thread(target=self._read_on, daemon=True).start()

    def read(self) -> None:
        """Copy what is new, if the inbox answers."""
        # A killed inbox may end a response in its middle.
        with self._lock, suppress(OSError, HTTPException, ValueError):
            # An inbox that was held up takes several in one millisecond.
            at_once: Counter[tuple[str, str]] = Counter()
            for each in reversed(json.loads(self._stack.get("inbox:9095", "/notifications"))):
                at = each["receiver"], each["at"]
                at_once[at] += 1
                self._take(each, (*at, at_once[at]))

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _read_on(self) -> None:
        while not self._closed.wait(READ_EVERY):
            self.read()

    def _take(self, each: Mapping[str, Any], key: tuple[str, str, int]) -> None:
        if key in self._seen or each["receiver"] == "watchdog":
            return
        self._seen.add(key)
        alerts = tuple(
            sorted(
                (AlertId(alert["name"], alert["level"], alert["service"]), alert["status"])
                for alert in each["alerts"]
            )
        )
        # Not the time that the inbox says: its clock may be wrong.
        self.notifications.append(Notification(time.time(), each["receiver"], alerts))


def find_episodes(
    prometheus: Prometheus, since: float, blind: Sequence[tuple[float, float]] = ()
) -> list[Episode]:
    """Ask Prometheus when which alerts fired; it saw nothing in the times that are ``blind``."""
    seconds = int(time.time() - since) + 1
    fired = prometheus.query(f'ALERTS{{alertstate="firing",alertname!="{WATCHDOG}"}}[{seconds}s]')
    found = []
    for series in fired:
        labels = series.labels
        alert = AlertId(labels["alertname"], labels.get("level", ""), labels.get("service", ""))
        times = [at for at, _ in series.values]
        begin = times[0]
        for one, following in pairwise([*times, float("inf")]):
            unseen = sum(max(0.0, min(end, following) - max(start, one)) for start, end in blind)
            if following - one - unseen > GAP:
                found.append(Episode(alert, begin, one))
                begin = following
    return sorted(found, key=lambda episode: episode.begin)


def find_unresolved(notifications: Iterable[Notification]) -> list[AlertId]:
    """Return the alerts that fire for all that their receivers know, except on speed."""
    last = {group: after for group, _, after in _follow(notifications)}
    return sorted(alert for alert in set().union(*last.values()) if alert.name not in ON_SPEED)


def merge_episodes(episodes: Sequence[Episode]) -> list[Episode]:
    """Join the overlapping episodes of an alert, which fired in more than one Prometheus."""
    merged: list[Episode] = []
    for episode in sorted(episodes):
        last = merged[-1] if merged else None
        if last and last.alert == episode.alert and episode.begin <= last.end:
            merged[-1] = last._replace(end=max(last.end, episode.end))
        else:
            merged.append(episode)
    return sorted(merged, key=lambda episode: episode.begin)


def describe_history(
    episodes: Sequence[Episode], notifications: Sequence[Notification], since: float
) -> list[str]:
    """Return a line for each alert that fired and each notification, with seconds ``since``."""
    lines = [
        (begin, f"to {end - since:.1f} s: {alert} fired in a Prometheus")
        for alert, begin, end in episodes
    ] + [
        (at, f"{receiver} was sent: {', '.join(f'{alert} is {how}' for alert, how in alerts)}")
        for at, receiver, alerts in notifications
    ]
    return [f"{at - since:.1f} s {what}" for at, what in sorted(lines)]


def read_times() -> dict[str, Times]:
    """Read the times of each level in the time scale ``demo`` from alertmanager.yml."""
    path = ROOT / "observability/alertmanager/alertmanager.yml"
    routes = yaml.safe_load(path.read_text())["route"]["routes"]
    return {
        level: Times(
            *(
                parse_duration(demo[f"group_{name}" if name != "repeat" else "repeat_interval"])
                for name in ("wait", "interval", "repeat")
            )
        )
        for level in LEVELS
        for route in routes
        if f'level="{level}"' in route["matchers"]
        for demo in route["routes"]
    }


def judge_alerts(
    episodes: Sequence[Episode],
    notifications: Sequence[Notification],
    *,
    before: Sequence[Notification] = (),
    required: Mapping[AlertId, str],
    broken: Sequence[tuple[float, float]],
    times: Mapping[str, Times],
    resend: float,
    may_double: float,
    may_forget: bool = False,
    required_are_sent: bool = False,
) -> Tally:
    """Judge the alerts of a trial.

    ``before`` holds the notifications of earlier trials. ``required`` has the alerts that the
    faults must raise, each with the fault. ``broken`` holds the times in which notifications could
    not arrive; ``resend`` is after how many seconds Prometheus sends a firing alert again. Each
    notification may come again ``may_double`` times; with ``may_forget`` Prometheus may have lost
    what it recorded of an alert. With ``required_are_sent``, what must fire must also be notified,
    however long it fired.
    """
    fired = {episode.alert for episode in episodes if episode.alert.name not in ON_SPEED}
    problems = [
        f"{alert} did not fire, but must ({fault})"
        for alert, fault in required.items()
        if alert not in fired
    ]
    begun = _count_beginnings([*before, *notifications]) - _count_beginnings(before)
    expected: Counter[AlertId] = Counter(
        episode.alert
        for episode in episodes
        if _must_be_sent(episode, episodes, broken, times, resend)
    )
    must_be_sent = expected.keys() | (required.keys() & fired if required_are_sent else set())
    problems += [
        f"{alert} fired, but nobody was notified"
        for alert in sorted(must_be_sent)
        if not begun[alert]
    ]
    problems += [
        f"{alert}: a notification came, but the alert did not fire"
        for alert in sorted(begun.keys() - fired)
        if alert.name not in ON_SPEED and not may_forget
    ]
    number = Counter(episode.alert for episode in episodes)
    again = {alert: max(0, begun[alert] - number[alert]) for alert in fired}
    doubled = sum(again.values()) + _count_repetitions(notifications, times)
    sent = [str(alert) for alert in sorted(begun.elements()) if alert.name not in ON_SPEED]
    if doubled > (most := may_double * max(1, len(sent))):
        problems.append(f"{doubled} notifications came again, at most {most:g} may")
    return Tally(expected.total(), tuple(sent), doubled, tuple(problems))


def _must_be_sent(
    episode: Episode,
    episodes: Sequence[Episode],
    broken: Sequence[tuple[float, float]],
    times: Mapping[str, Times],
    resend: float,
) -> bool:
    """Whether an alert fired for so long that a notification had to come."""
    alert = episode.alert
    if alert.level not in times or alert.name in ON_SPEED:
        return False
    rank = LEVELS.index(alert.level)
    mutes = any(
        other.alert.service == alert.service
        and other.alert != alert
        and other.alert.level in LEVELS
        and LEVELS.index(other.alert.level) <= rank
        and other.begin <= episode.end
        and other.end + MARGIN >= episode.begin
        for other in episodes
    )
    if mutes:
        return False
    known = episode.begin
    for begin, end in sorted(broken):
        if begin <= known + MARGIN + times[alert.level].wait and end >= episode.begin:
            known = max(known, end + resend)
    waits = max(times[alert.level].wait, times[alert.level].interval)
    return episode.end - known >= waits + MARGIN


def _follow(
    notifications: Iterable[Notification],
) -> Iterator[tuple[Group, set[AlertId], set[AlertId]]]:
    """Yield what a receiver knows to fire in a group before and after each of its notifications.

    If nothing in a notification fires, its whole group is over. It need not name each alert of the
    group: the Alertmanager that sent it may not have heard of one that only its peers know.
    """
    firing: dict[Group, set[AlertId]] = {}
    for each in notifications:
        group = _find_group(each)
        before = firing.get(group, set())
        fire = {alert for alert, status in each.alerts if status == "firing"}
        over = {alert for alert, _ in each.alerts} - fire
        firing[group] = (before - over) | fire if fire else set()
        yield group, before, firing[group]


def _find_group(notification: Notification) -> Group:
    """Return what alertmanager.yml groups by."""
    alert, _ = notification.alerts[0]
    return notification.receiver, alert.level, "" if alert.level == "minor" else alert.service


def _count_beginnings(notifications: Sequence[Notification]) -> Counter[AlertId]:
    """Count how often each alert began to fire, as its receivers see it."""
    begun: Counter[AlertId] = Counter()
    for _, before, after in _follow(notifications):
        begun.update(after - before)
    return begun


def _count_repetitions(notifications: Sequence[Notification], times: Mapping[str, Times]) -> int:
    """Count notifications that say what the one before said, earlier than a repetition is due."""
    found = 0
    ordered = sorted(notifications, key=lambda each: (_find_group(each), each.at))
    for (_, level, _), group in groupby(ordered, key=_find_group):
        due = times[level].repeat - MARGIN if level in times else 0
        for one, following in pairwise(group):
            found += one.alerts == following.alerts and following.at - one.at < due
    return found
