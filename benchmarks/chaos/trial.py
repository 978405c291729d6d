"""One trial: break parts of a running system, repair them, and hold it to its promises."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from benchmarks.chaos.alerts import (
    ON_SPEED,
    AlertId,
    Episode,
    Inbox,
    Tally,
    Times,
    describe_history,
    find_episodes,
    find_unresolved,
    judge_alerts,
    merge_episodes,
    read_times,
)
from benchmarks.chaos.books import (
    Balance,
    Kind,
    Load,
    Window,
    compare,
    count_requests,
    list_differences,
    settle,
)
from benchmarks.chaos.chain import EXPORT_INTERVAL, Chain
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.footprint import Footprint, list_growth, measure_footprint
from benchmarks.chaos.inject import inject
from randsvc.prometheus_api import Prometheus, PrometheusError
from randsvc.rules import DEMO
from randsvc.rules.service_alerts import WATCHDOG, select_settling
from randsvc.stack.programs import StackError
from randsvc.stack.supervisor import Stack

__all__ = ("Event", "Outcome", "System", "Trials", "break_parts", "connect", "find_windows")

QUIET_WITHIN = 180.0
"""Seconds from the repair until no alert fires, everything is up and dead instances are gone."""
QUIET_FOR = 2.5 * EXPORT_INTERVAL
"""Seconds for which that must hold: a process that has just started is not in the series yet."""
COUNTED_WITHIN = 120.0
"""Seconds until what was sent is counted: an export that hangs takes 10 s, and pauses as long; a
clock that is a minute ahead hides what was counted for that minute."""
STABLE = 4 * EXPORT_INTERVAL
"""Seconds without a change after which nothing more will be counted."""
SLACK = 1.5
"""Seconds that an export, and the death of a process, take on a busy machine."""
EXPORT_TIMEOUT = 12.0
"""Seconds after a repair for which an export may still hang: OTEL_EXPORTER_OTLP_TIMEOUT is 10 s."""
ANSWER_WITHIN = 10.0
"""Seconds that a source has to answer a query."""
LIVE = "asyncio_event_loop_lag_seconds_count"
"""A series that each process exports as long as it lives."""


@dataclass(frozen=True, kw_only=True)
class System:
    """What is broken, where its numbers are asked for, and what is promised of it."""

    run: Callable[[], AbstractContextManager[Chain]]
    draw: Callable[[int, int, Sequence[str]], tuple[Fault, ...]]
    """Draws the faults by the seed, the trial, and what the machine offers."""
    sources: Mapping[str, str]
    """What must count as the books do: names, and addresses that answer as Prometheus does."""
    evaluating: Sequence[str]
    """The sources that evaluate the rules."""
    instances: Mapping[str, int]
    """How many processes of each job export."""
    management: Sequence[str]
    """The management ports of all services."""
    measured: Sequence[str] = ()
    """The programs whose footprint must return to where it was."""
    find_required: Callable[[Sequence[Fault]], Mapping[AlertId, str]]
    """Returns the alerts that faults must raise, each with its fault."""
    required_are_sent: bool = False
    """Whether these last long enough for a notification."""
    delivery: Sequence[str] = ()
    """What each notification passes: while it is broken, none arrives."""
    doubling: Sequence[str] | None
    """What may let a notification come again; None where anything may."""
    doubled: float = inf
    """How often each notification may come again then."""
    failover: float = 0.0
    """Seconds that a notification takes longer where others take over."""
    resend: float = 0.0
    """Seconds until Prometheus sends a firing alert again."""


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
    unanswered: int
    bound: int
    counted: Mapping[str, int]
    """Requests that were counted, by source."""
    missing: Mapping[str, int]
    """Responses that were not counted, by source."""
    expected: int
    sent: tuple[str, ...]
    doubled: int
    seconds: float
    problems: tuple[str, ...]
    history: tuple[str, ...] = ()
    """Where a promise broke: which alerts fired when, which notifications said what, and which
    series differ between the sources."""

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Outcome":
        """Read what ``to_json`` returned."""
        read: dict[str, Any] = json.loads(line)
        lists = ("faults", "sent", "problems", "history")
        return cls(**{**read, **{key: tuple(read.get(key, ())) for key in lists}})


class Trials:
    """Trials on a running system under load, one after the other."""

    def __init__(
        self, system: System, chain: Chain, load: Load, report: Callable[[str], None]
    ) -> None:
        self._system = system
        self._chain = chain
        self._stack = chain.stack
        self._load = load
        self._report = report
        self._inbox = Inbox(chain.stack)
        self._began = time.time()
        self._times = {
            level: Times(
                times.wait + system.failover, times.interval + system.failover, times.repeat
            )
            for level, times in read_times().items()
        }
        self._before: Footprint | None = None
        self._unanswered: Counter[str] = Counter()
        self._clients = {name: connect(chain.stack, at) for name, at in system.sources.items()}
        self._counted: dict[str, Counter[Kind]] = {name: Counter() for name in system.sources}

    def close(self) -> None:
        """Stop looking at the inbox."""
        self._inbox.close()

    def settle(self) -> None:
        """Wait for a system that has just started; raises ``StackError``."""
        if unrest := self._wait_for_quiet():
            raise StackError(f"the system does not come to rest: {unrest[0]}")
        self.balance(())
        if self._system.measured:
            self._before = measure_footprint(self._stack, self._system.measured)
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
        """Do something to the system, and compare all books once it is over.

        ``outside`` are alerts that no Prometheus knows.
        """
        begun = time.time()
        earlier = len(self._inbox.notifications)
        problems: list[str] = []
        balances: Mapping[str, Balance] = {name: Balance() for name in self._system.sources}
        history: list[str] = []
        tally = Tally()
        try:
            events = act()
            problems += self._wait_for_quiet(is_last)
            self._stack.check()
            self._report("comparing the books")
            balances = self.balance(find_windows(events))
            episodes = [Episode(alert, begun, begun) for alert in outside]
            episodes += self._find_episodes(events, begun)
            tally = self._judge_alerts(episodes, events, earlier)
            history = describe_history(episodes, self._inbox.notifications[earlier:], begun)
            for source, balance in balances.items():
                problems += [f"{source}: {problem}" for problem in balance.problems]
            problems += tally.problems
            problems += self._list_hidden_ends(events, begun)
            if not all(balance.requests for balance in balances.values()):
                problems.append("no client has had a response")
            if self._before:
                now = measure_footprint(self._stack, self._system.measured)
                problems += list_growth(self._before, now)
            # Last, as a source that does not answer ends it.
            if problems:
                jobs = self._system.instances
                history += list_differences(self._clients, jobs, self._seconds())
            self._load.resume()
        except (StackError, PrometheusError) as error:
            problems.append(str(error))
        books = next(iter(balances.values()))
        return Outcome(
            trial=trial,
            faults=names,
            requests=books.requests,
            unanswered=books.unanswered,
            bound=books.bound,
            counted={source: balance.counted for source, balance in balances.items()},
            missing={source: balance.missing for source, balance in balances.items()},
            expected=tally.expected,
            sent=tally.sent,
            doubled=tally.doubled,
            seconds=round(time.time() - begun, 1),
            problems=tuple(problems),
            history=tuple(history) if problems else (),
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
        """Return what each source has counted since the start, ended processes included."""
        seconds = self._seconds()
        return {
            source: count_requests(client, self._system.instances, seconds)
            for source, client in self._clients.items()
        }

    def _seconds(self) -> int:
        """Return a time, in seconds, in which all processes have exported, ended ones included."""
        return int(time.time() - self._began) + 60

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
        expected = sum(self._system.instances.values())
        try:
            for source, client in self._clients.items():
                # In the last scrapes, as a Prometheus that was restarted shows for five minutes
                # what its predecessor scraped.
                if (seen := _count_processes(client, self._system.instances, 8)) != expected:
                    return f"{source} sees {seen} processes, not {expected}"
                if source in self._system.evaluating and (unrest := _describe_rules(client)):
                    return f"{source}: {unrest}"
        except PrometheusError as error:
            return str(error)
        # A killed worker is shown for some time: its replacement may not be there yet.
        for address in self._system.management:
            try:
                self._stack.get(address, "/readyz")
            except OSError:
                return f"not all processes at {address} serve"
        # Minor alerts are notified once a minute: the last trial looks at those of all.
        unresolved = [
            alert
            for alert in find_unresolved(self._inbox.notifications)
            if is_last or alert.level != "minor"
        ]
        if unresolved:
            return f"nobody was notified that {', '.join(map(str, unresolved))} is over"
        return ""

    def _list_hidden_ends(self, events: Sequence[Event], since: float) -> list[str]:
        """Return a line for each job whose series do not show that processes of it ended."""
        problems = []
        # A little longer, as a process may have ended as soon as the trial began.
        seconds = int(time.time() - since + QUIET_FOR)
        for source, client in self._clients.items():
            for job, running in self._system.instances.items():
                ended = sum(_count_ended(event.fault, job, running) for event in events)
                seen = _count_processes(client, [job], seconds)
                if seen < running + ended:
                    problems.append(
                        f"{source}: {job}: the series show {seen} processes, but {running} run, "
                        f"and {ended} ended"
                    )
        return problems

    def _find_episodes(self, events: Sequence[Event], since: float) -> list[Episode]:
        """Return when which alerts fired in any Prometheus that was not broken itself."""
        found = []
        for source in self._system.evaluating:
            blind = [(e.begin, e.end) for e in events if e.fault.befalls(source)]
            found += find_episodes(self._clients[source], since, blind)
        return found

    def _judge_alerts(
        self, episodes: Sequence[Episode], events: Sequence[Event], earlier: int
    ) -> Tally:
        system = self._system
        return judge_alerts(
            merge_episodes(episodes),
            self._inbox.notifications[earlier:],
            before=self._inbox.notifications[:earlier],
            required=system.find_required([event.fault for event in events]),
            broken=[(e.begin, e.end) for e in events if e.fault.befalls(*system.delivery)],
            times=self._times,
            resend=system.resend,
            may_double=(
                system.doubled
                if system.doubling is None
                or any(event.fault.befalls(*system.doubling) for event in events)
                else 0
            ),
            # What Prometheus could not write, it forgets as it is restarted.
            may_forget=any(event.fault.kind == "full disk" for event in events),
            required_are_sent=system.required_are_sent,
        )


def connect(stack: Stack, address: str) -> Prometheus:
    """Return the client of what answers at an address as Prometheus does."""
    return Prometheus(stack.url(address), timeout=ANSWER_WITHIN)


def _count_processes(client: Prometheus, jobs: Iterable[str], seconds: int) -> int:
    """Return how many processes of some jobs have exported in so many seconds."""
    live = f'{LIVE}{{job=~"{"|".join(jobs)}"}}'
    found = client.query(f"count(count by (job, instance) (last_over_time({live}[{seconds}s])))")
    return int(found[0].values[-1][1]) if found else 0


def _describe_rules(client: Prometheus) -> str:
    """Say what a Prometheus with rules still has to wait for; empty if nothing."""
    names = {alert["labels"]["alertname"] for alert in client.get("alerts")["alerts"]}
    if WATCHDOG not in names:
        return "no rule has been evaluated"
    if client.query(select_settling(DEMO)):
        return "it has just started, and alerts on what is down wait for it"
    if active := sorted(names - {WATCHDOG} - ON_SPEED):
        return f"{', '.join(active)} fires or is pending"
    if down := client.query("up == 0"):
        return f"{', '.join(sorted(one.labels['job'] for one in down))} is not up"
    return ""


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


def _count_ended(fault: Fault, job: str, running: int) -> int:
    """Return how many processes of a job a fault ended."""
    if not fault.befalls(job) or fault.kind not in ("kill", "restart", "kill worker"):
        return 0
    return 1 if fault.kind == "kill worker" or fault.target != fault.part else running


def find_windows(events: Sequence[Event]) -> list[Window]:
    """Return the times whose responses may be missing, as what measured them was not handed over.

    A process that is killed has not handed over its last export interval. While it could not hand
    over anything, the time is longer. Where a Collector ends too, it may have taken what
    Prometheus had not scraped.
    """
    windows = []
    for event in events:
        fault = event.fault
        for job in ("randsvc", "auth"):
            if not fault.kind.startswith(("kill", "restart")) or not fault.befalls(job):
                continue
            broken = [
                other.begin
                for other in events
                if other.fault.befalls(f"{job} to otel-collector", *EXPORTING)
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


EXPORTING = ("otel-collector", "balancer", "balancer to otel-collector")
"""What the exports of every service pass."""
