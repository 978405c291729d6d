"""One trial: break parts of the running layout, repair them, and hold it to its promises.

The promises, stated before any trial ran:

- Each of the two Prometheus, and Query, has counted each response that a client has exactly once.
  Only what a killed service had measured since its last export may be missing
  (``find_windows``). Nothing that stores or forwards numbers may lose one.
- An alert that fires in any Prometheus for longer than its waiting times reaches its receiver, with
  any one part broken. Two failovers between the Alertmanagers may make it ``FAILOVER`` s later.
- A notification comes twice only where a fault befell its way, and each alert at most
  ``DOUBLED`` times more than it fired: as often as there are other Alertmanagers.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.chaos.alerts import (
    ON_SPEED,
    AlertId,
    Episode,
    Inbox,
    Tally,
    Times,
    find_episodes,
    judge_alerts,
    read_times,
)
from benchmarks.chaos.books import Balance, Kind, Load, Window, compare, count_requests, settle
from benchmarks.chaos.chain import EXPORT_INTERVAL, Chain
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.trial import Event, break_parts
from benchmarks.chaos_ha.chain import LONG, QUERY, SOURCES
from randsvc.prometheus_api import Prometheus, PrometheusError
from randsvc.rules import DEMO
from randsvc.rules.service_alerts import WATCHDOG, select_settling
from randsvc.stack.programs import StackError
from randsvc.stack.supervisor import Stack

__all__ = (
    "Outcome",
    "Trials",
    "find_required_alerts",
    "find_windows",
    "merge_episodes",
)

QUIET_WITHIN = 180.0
"""Seconds from the repair until no alert fires and everything is up."""
QUIET_FOR = 2.5 * EXPORT_INTERVAL
"""Seconds for which that must hold."""
COUNTED_WITHIN = 120.0
"""Seconds until what was sent is counted: a clock that is a minute ahead hides it as long."""
STABLE = 4 * EXPORT_INTERVAL
"""Seconds without a change after which nothing more will be counted."""
SLACK = 1.5
"""Seconds that an export, and the death of a process, take on a busy machine."""
EXPORT_TIMEOUT = 12.0
"""Seconds after a repair for which an export may still hang."""
ANSWER_WITHIN = 10.0
"""Seconds that a source has to answer a query."""
FAILOVER = 10.0
"""Seconds that the third Alertmanager waits for the first two: --cluster.peer-timeout each."""
DOUBLED = 2
"""How often a notification may come again: each of the other Alertmanagers may send it."""
INSTANCES = {"randsvc": 2, "auth": 2}
"""How many processes of each job export."""
LIVE = f'asyncio_event_loop_lag_seconds_count{{job=~"{"|".join(INSTANCES)}"}}'
SEEN = f"count(count by (job, instance) (last_over_time({LIVE}[8s])))"
"""How many processes export, by PromQL."""


@dataclass(frozen=True)
class Outcome:
    """What a trial showed; ``problems`` are the promises that broke."""

    trial: int
    faults: tuple[str, ...]
    requests: int
    unanswered: int
    bound: int
    missing: Mapping[str, int]
    """Responses that were not counted, by source."""
    expected: int
    sent: tuple[str, ...]
    doubled: int
    seconds: float
    problems: tuple[str, ...]

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Outcome":
        """Read what ``to_json`` returned."""
        read: dict[str, Any] = json.loads(line)
        return cls(**{**read, **{key: tuple(read[key]) for key in ("faults", "sent", "problems")}})


class Trials:
    """Trials on a running layout under load, one after the other."""

    def __init__(self, chain: Chain, load: Load, report: Callable[[str], None]) -> None:
        self._chain = chain
        self._stack = chain.stack
        self._load = load
        self._report = report
        self._inbox = Inbox(chain.stack)
        self._began = time.time()
        self._times = {
            level: Times(times.wait + FAILOVER, times.interval + FAILOVER, times.repeat)
            for level, times in read_times().items()
        }
        self._unanswered: Counter[str] = Counter()
        self._clients = {source: connect(chain.stack, source) for source in SOURCES}
        self._counted: dict[str, Counter[Kind]] = {source: Counter() for source in SOURCES}

    def close(self) -> None:
        """Stop looking at the inbox."""
        self._inbox.close()

    def settle(self) -> None:
        """Wait for a layout that has just started; raises ``StackError``."""
        if unrest := self._wait_for_quiet():
            raise StackError(f"the layout does not come to rest: {unrest[0]}")
        self.balance(())
        self._load.resume()

    def run(self, trial: int, faults: Sequence[Fault], *, is_last: bool = False) -> Outcome:
        """Run one trial; the last one waits until all receivers know that all alerts are over."""
        return self.judge(
            trial,
            tuple(map(str, faults)),
            lambda: break_parts(self._chain, faults, self._report, self._inbox.read),
            is_last=is_last,
        )

    def judge(
        self,
        trial: int,
        names: tuple[str, ...],
        act: Callable[[], list[Event]],
        *,
        is_last: bool = False,
        outside: Sequence[AlertId] = (),
    ) -> Outcome:
        """Do something to the layout, and compare all books once it is over.

        ``outside`` are alerts that no Prometheus knows.
        """
        begun = time.time()
        earlier = len(self._inbox.notifications)
        problems: list[str] = []
        balances: Mapping[str, Balance] = {source: Balance() for source in SOURCES}
        tally = Tally()
        try:
            events = act()
            problems += self._wait_for_quiet(is_last)
            self._stack.check()
            self._report("comparing the books")
            balances = self.balance(find_windows(events))
            tally = self._judge_alerts(events, begun, earlier, outside)
            for source, balance in balances.items():
                problems += [f"{source}: {problem}" for problem in balance.problems]
            problems += tally.problems
            if not balances[QUERY].requests:
                problems.append("no client has had a response")
            self._load.resume()
        except (StackError, PrometheusError) as error:
            problems.append(str(error))
        one = balances[QUERY]
        return Outcome(
            trial=trial,
            faults=names,
            requests=one.requests,
            unanswered=one.unanswered,
            bound=one.bound,
            missing={source: balance.missing for source, balance in balances.items()},
            expected=tally.expected,
            sent=tally.sent,
            doubled=tally.doubled,
            seconds=round(time.time() - begun, 1),
            problems=tuple(problems),
        )

    def balance(self, windows: Sequence[Window]) -> dict[str, Balance]:
        """Close the books, wait until each source has counted everything, and compare."""
        books = self._load.close_books()
        seen, found = settle(
            self._count_all,
            lambda source, counted: compare(
                books, counted - self._counted[source], windows, self._unanswered
            ),
            within=COUNTED_WITHIN,
            stable_for=STABLE,
            every=0.5,
        )
        self._counted, self._unanswered = seen, books.unanswered
        return found

    def _count_all(self) -> dict[str, Counter[Kind]]:
        seconds = int(time.time() - self._began) + 60
        return {
            source: count_requests(client, INSTANCES, seconds)
            for source, client in self._clients.items()
        }

    def _wait_for_quiet(self, is_last: bool = False) -> list[str]:
        """Wait until everything has been as before for some time, or return what is not."""
        self._report("waiting until everything is as before")
        deadline = time.monotonic() + QUIET_WITHIN
        since = time.monotonic()
        while time.monotonic() - since < QUIET_FOR:
            if unrest := self._describe_unrest(is_last):
                if time.monotonic() > deadline:
                    return [f"{QUIET_WITHIN:g} s after the repair: {unrest}"]
                since = time.monotonic()
            time.sleep(0.5)
        return []

    def _describe_unrest(self, is_last: bool) -> str:
        """Say what is not as it was before the trial; empty if everything is."""
        try:
            for source, client in self._clients.items():
                instances = client.query(SEEN)
                seen = instances[0].values[-1][1] if instances else 0
                if seen != sum(INSTANCES.values()):
                    return f"{source} sees {seen:g} instances"
                if source == QUERY:
                    continue
                names = {alert["labels"]["alertname"] for alert in client.get("alerts")["alerts"]}
                if WATCHDOG not in names:
                    return f"{source} has evaluated no rule"
                if client.query(select_settling(DEMO)):
                    return f"{source} has just started, and alerts on what is down wait for it"
                if active := sorted(names - {WATCHDOG} - ON_SPEED):
                    return f"{', '.join(active)} fires or is pending in {source}"
                if down := client.query("up == 0"):
                    jobs = sorted(one.labels["job"] for one in down)
                    return f"{', '.join(jobs)} is not up for {source}"
        except PrometheusError as error:
            return str(error)
        unresolved = [
            alert for alert in self._inbox.find_unresolved() if is_last or alert.level != "minor"
        ]
        if unresolved:
            return f"nobody was notified that {', '.join(map(str, unresolved))} is over"
        return ""

    def _judge_alerts(
        self, events: Sequence[Event], since: float, earlier: int, outside: Sequence[AlertId]
    ) -> Tally:
        episodes = []
        for source, client in self._clients.items():
            if source != QUERY:
                blind = [(e.begin, e.end) for e in events if e.fault.befalls(source)]
                episodes += find_episodes(client, since, blind)
        episodes += [Episode(alert, since, since) for alert in outside]
        tally = judge_alerts(
            merge_episodes(episodes),
            self._inbox.notifications[earlier:],
            before=self._inbox.notifications[:earlier],
            required=find_required_alerts([event.fault for event in events]),
            # No single fault keeps a notification away for longer than a failover.
            broken=(),
            times=self._times,
            resend=0,
            may_double=any(_may_double(event.fault) for event in events),
        )
        most = DOUBLED * max(1, len(tally.sent))
        if tally.doubled > most:
            problem = f"{tally.doubled} notifications came again, at most {most} may"
            return Tally(tally.expected, tally.sent, tally.doubled, (*tally.problems, problem))
        return tally


def connect(stack: Stack, source: str) -> Prometheus:
    """Return the client of one of the ``SOURCES``."""
    return Prometheus(stack.url(SOURCES[source]), timeout=ANSWER_WITHIN)


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


def find_windows(events: Sequence[Event]) -> list[Window]:
    """Return the times whose responses may be missing, as what measured them was not handed over.

    A service that is killed has not handed over its last export interval. While its exports could
    reach no Collector, the time is longer; a Collector that ends too may have taken what a
    Prometheus had not scraped.
    """
    windows = []
    for event in events:
        fault = event.fault
        job = fault.target.rpartition("-")[0]
        if job not in INSTANCES or fault.kind not in ("kill", "restart"):
            continue
        broken = [
            other.begin
            for other in events
            if other.fault.target.startswith(("otel-collector", "balancer"))
            and other.begin <= event.end
            and other.end + EXPORT_TIMEOUT >= event.begin
        ]
        if fault.kind == "restart" and not broken:
            continue
        begin = min([event.begin, *broken]) - EXPORT_INTERVAL - SLACK
        if broken:
            begin -= EXPORT_INTERVAL
        windows.append(Window(job, begin, event.on + SLACK))
    return windows


def find_required_alerts(faults: Sequence[Fault]) -> dict[AlertId, str]:
    """Return the alerts that faults must raise, each with its fault.

    With two faults, one may take the sight of the other's part.
    """
    if len(faults) != 1:
        return {}
    (fault,) = faults
    if fault.kind not in ("kill", "freeze", "restart") or fault.lasts < LONG[0]:
        return {}
    name = "RandsvcCollectorDown" if "otel-collector" in fault.target else "RandsvcTargetsLost"
    return {AlertId(name, "major", "monitoring"): str(fault)}


def _may_double(fault: Fault) -> bool:
    """Whether a fault befalls what sends notifications, or says when an alert ends."""
    return fault.target.startswith(("alertmanager", "prometheus"))
