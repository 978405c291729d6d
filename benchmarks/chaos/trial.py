"""One trial: break parts of a running chain, repair them, and hold the chain to its promises."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.chaos.alerts import (
    ON_SPEED,
    AlertId,
    Inbox,
    Tally,
    find_episodes,
    judge_alerts,
    read_times,
)
from benchmarks.chaos.books import Balance, Kind, Load, Window, compare, count_requests, settle
from benchmarks.chaos.chain import EXPORT_INTERVAL, Chain
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.footprint import Footprint, list_growth, measure_footprint
from benchmarks.chaos.inject import inject
from randsvc.prometheus_api import PrometheusError
from randsvc.rules import DEMO
from randsvc.rules.service_alerts import WATCHDOG, select_settling
from randsvc.stack.programs import StackError

__all__ = ("Event", "Outcome", "Trials", "break_parts", "find_required_alerts", "find_windows")

QUIET_WITHIN = 150.0
"""Seconds from the repair until no alert fires, everything is up and dead instances are gone."""
QUIET_FOR = 2.5 * EXPORT_INTERVAL
"""Seconds for which that must hold: a process that has just started is not in the series yet."""
COUNTED_WITHIN = 60.0
"""Seconds until what was sent is counted: an export that hangs takes 10 s, and pauses as long."""
STABLE = 4 * EXPORT_INTERVAL
"""Seconds without a change after which nothing more will be counted."""
SLACK = 1.5
"""Seconds that an export, and the death of a process, take on a busy machine."""
EXPORT_TIMEOUT = 12.0
"""Seconds after a repair for which an export may still hang: OTEL_EXPORTER_OTLP_TIMEOUT is 10 s."""
RESEND = 10.0
"""Seconds until Prometheus sends a firing alert again: the first evaluation after its delay."""
JOBS = {"randsvc": 2, "auth": 1}
"""How many processes of each job export: each worker is an instance."""
MANAGEMENT = {"randsvc": "randsvc:9464", "auth": "auth:9465"}
"""The management port of each job, in the compose network."""
INSTANCES = 'count(count by (job, instance) (last_over_time(target_info{job=~"randsvc|auth"}[6s])))'
"""How many processes the Collector shows, by PromQL: in the last scrapes, as a Prometheus that was
restarted shows for five minutes what its predecessor scraped."""
REQUIRED = {
    "randsvc": AlertId("RandsvcServiceDown", "critical", "randsvc"),
    "auth": AlertId("RandsvcServiceDown", "critical", "auth"),
    "otel-collector": AlertId("RandsvcCollectorDown", "major", "monitoring"),
    "alertmanager": AlertId("RandsvcTargetsLost", "major", "monitoring"),
}
"""The alert that each part must raise that is not seen for long."""
SEEN_AFTER = {"critical": 15.0, "major": 23.0}
"""Seconds of an outage after which an alert of a level must fire: its wait, a scrape and its
time-out, an evaluation, and what a busy machine adds."""


@dataclass(frozen=True)
class Event:
    """A fault that has happened, in Unix seconds."""

    fault: Fault
    begin: float
    on: float
    """When the part was broken: a program that is asked to end takes its time."""
    end: float


@dataclass(frozen=True)
class Outcome:
    """What a trial showed; ``problems`` are the promises that broke."""

    trial: int
    faults: tuple[str, ...]
    requests: int
    counted: int
    missing: int
    bound: int
    unanswered: int
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
    """Trials on a running chain under load, one after the other."""

    def __init__(self, chain: Chain, load: Load, report: Callable[[str], None]) -> None:
        self._chain = chain
        self._stack = chain.stack
        self._load = load
        self._report = report
        self._inbox = Inbox(chain.stack)
        self._began = time.time()
        self._times = read_times()
        self._before: Footprint | None = None
        self._counted: Counter[Kind] = Counter()
        self._unanswered: Counter[str] = Counter()

    def close(self) -> None:
        """Stop looking at the inbox."""
        self._inbox.close()

    def settle(self) -> None:
        """Wait for a chain that has just started; raises ``StackError``."""
        if unrest := self._wait_for_quiet():
            raise StackError(f"the chain does not come to rest: {unrest[0]}")
        self._balance(())
        self._before = measure_footprint(self._stack)
        self._load.resume()

    def run(self, trial: int, faults: Sequence[Fault], *, is_last: bool = False) -> Outcome:
        """Run one trial; the last one waits until all receivers know that all alerts are over."""
        begun = time.time()
        earlier = len(self._inbox.notifications)
        problems: list[str] = []
        balance, tally = Balance(), Tally()
        try:
            events = break_parts(self._chain, faults, self._report, self._inbox.read)
            problems += self._wait_for_quiet(is_last)
            self._stack.check()
            self._report("comparing the books")
            balance = self._balance(find_windows(events))
            tally = self._judge_alerts(events, begun, earlier)
            problems += [*balance.problems, *tally.problems]
            problems += self._list_hidden_ends(events, begun)
            if not balance.requests:
                problems.append("no client has had a response")
            if self._before:
                problems += list_growth(self._before, measure_footprint(self._stack))
            self._load.resume()
        except StackError as error:
            problems.append(str(error))
        return Outcome(
            trial=trial,
            faults=tuple(map(str, faults)),
            requests=balance.requests,
            counted=balance.counted,
            missing=balance.missing,
            bound=balance.bound,
            unanswered=balance.unanswered,
            expected=tally.expected,
            sent=tally.sent,
            doubled=tally.doubled,
            seconds=round(time.time() - begun, 1),
            problems=tuple(problems),
        )

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
            alerts = self._stack.prometheus.get("alerts")["alerts"]
            names = {alert["labels"]["alertname"] for alert in alerts}
            if WATCHDOG not in names:
                return "no rule has been evaluated"
            if self._stack.query(select_settling(DEMO)):
                return "Prometheus has just started, and alerts on what is down wait for it"
            if active := sorted(names - {WATCHDOG} - ON_SPEED):
                return f"{', '.join(active)} fires or is pending"
            if down := self._stack.query("up == 0"):
                return f"{', '.join(sorted(one.labels['job'] for one in down))} is not up"
            instances = self._stack.number(INSTANCES) or 0
            expected = sum(JOBS.values())
            if instances != expected:
                return f"the Collector shows {instances:g} instances, not {expected}"
            # A killed worker is shown for some time: its replacement may not be there yet.
            for name, address in MANAGEMENT.items():
                if not self._is_ready(address):
                    return f"not all processes of {name} serve"
        except PrometheusError as error:
            return str(error)
        # Minor alerts are notified once a minute: the last trial looks at those of all.
        unresolved = [
            alert for alert in self._inbox.find_unresolved() if is_last or alert.level != "minor"
        ]
        if unresolved:
            return f"nobody was notified that {', '.join(map(str, unresolved))} is over"
        return ""

    def _is_ready(self, address: str) -> bool:
        try:
            self._stack.get(address, "/readyz")
        except OSError:
            return False
        return True

    def _balance(self, windows: Sequence[Window]) -> Balance:
        """Close the books, wait until everything is counted, and compare; the load is paused."""
        books = self._load.close_books()
        seen, balances = settle(
            lambda: {"prometheus": self._count()},
            lambda _, counted: compare(books, counted - self._counted, windows, self._unanswered),
            within=COUNTED_WITHIN,
            stable_for=STABLE,
            every=0.25,
        )
        self._counted, self._unanswered = seen["prometheus"], books.unanswered
        return balances["prometheus"]

    def _count(self) -> Counter[Kind]:
        """Return what Prometheus has counted since the start, ended processes included."""
        seconds = int(time.time() - self._began) + 60
        return count_requests(self._stack.prometheus, JOBS, seconds)

    def _list_hidden_ends(self, events: Sequence[Event], since: float) -> list[str]:
        """Return a line for each job whose series do not show that processes of it ended."""
        problems = []
        # A little longer, as a process may have ended as soon as the trial began.
        seconds = int(time.time() - since + QUIET_FOR)
        for job, running in JOBS.items():
            ended = sum(_count_ended(event.fault, job) for event in events)
            seen = self._stack.number(
                f'count(count by (instance) (max_over_time(target_info{{job="{job}"}}'
                f"[{seconds}s])))"
            )
            if (seen or 0) < running + ended:
                problems.append(
                    f"{job}: the series show {seen or 0:g} processes, but {running} run, and "
                    f"{ended} ended"
                )
        return problems

    def _judge_alerts(self, events: Sequence[Event], since: float, earlier: int) -> Tally:
        blind = [(e.begin, e.end) for e in events if e.fault.befalls("prometheus")]
        return judge_alerts(
            find_episodes(self._stack.prometheus, since, blind),
            self._inbox.notifications[earlier:],
            before=self._inbox.notifications[:earlier],
            required=find_required_alerts([event.fault for event in events]),
            broken=[(e.begin, e.end) for e in events if e.fault.befalls(*DELIVERY)],
            times=self._times,
            resend=RESEND,
            may_double=_may_double(events),
        )


def break_parts(
    chain: Chain,
    faults: Sequence[Fault],
    report: Callable[[str], None],
    before_end: Callable[[], None],
) -> list[Event]:
    """Break and repair what the faults say, and return when that was.

    ``report`` is told what is broken; ``before_end`` is called before the inbox ends.
    """
    start = time.monotonic()
    steps = sorted(
        [(fault.after, True, fault) for fault in faults]
        + [(fault.until, False, fault) for fault in faults],
        key=lambda step: step[0],
    )
    broken: dict[Fault, tuple[float, float]] = {}
    events = []
    with ExitStack() as cleanup:
        running: dict[Fault, ExitStack] = {}
        for at, begins, fault in steps:
            time.sleep(max(0.0, start + at - time.monotonic()))
            if begins:
                report(f"{fault}, for {fault.lasts:g} s")
                running[fault] = cleanup.enter_context(ExitStack())
                began = time.time()
                running[fault].enter_context(inject(chain, fault, before_end))
                broken[fault] = (began, time.time())
            else:
                running[fault].close()
                events.append(Event(fault, *broken[fault], time.time()))
    return events


DELIVERY = (
    "prometheus",
    "prometheus to alertmanager",
    "alertmanager",
    "alertmanager to inbox",
    "inbox",
)
"""What a notification passes."""
DOUBLING = DELIVERY[2:]
"""Alertmanager sends again what it does not know to have arrived, or to have sent."""


def _count_ended(fault: Fault, job: str) -> int:
    """Return how many processes of a job a fault ended."""
    if not fault.befalls(job):
        return 0
    return {"kill": JOBS[job], "restart": JOBS[job], "kill worker": 1}.get(fault.kind, 0)


def _may_double(events: Sequence[Event]) -> bool:
    return any(event.fault.befalls(*DOUBLING) for event in events)


def find_windows(events: Sequence[Event]) -> list[Window]:
    """Return the times whose responses may be missing, as what measured them was not handed over.

    A process that is killed has not handed over its last export interval. While it could not hand
    over anything, the time is longer. Where the Collector ends too, it may have taken what
    Prometheus had not scraped.
    """
    windows = []
    for event in events:
        fault = event.fault
        for job in JOBS:
            if not fault.kind.startswith(("kill", "restart")) or not fault.befalls(job):
                continue
            broken = [
                other.begin
                for other in events
                if other.fault.befalls(f"{job} to otel-collector", "otel-collector")
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
    """Return the alerts that faults must raise, each with its fault."""
    if any(fault.befalls("prometheus") for fault in faults):
        return {}
    return {
        alert: str(fault)
        for fault in faults
        if fault.kind in ("kill", "freeze", "restart", "cut", "blackhole")
        for part, alert in REQUIRED.items()
        if fault.befalls(part, f"prometheus to {part}")
        if fault.lasts >= SEEN_AFTER[alert.level]
    }
