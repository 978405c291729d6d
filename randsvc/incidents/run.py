"""Run a scenario against a running stack: break it, see who is told what, mend it, see it clear.

All that is seen is read from the HTTP APIs of Prometheus, of Alertmanager and of the inbox, as a
person would see it; they may be away for a while, as some scenarios stop them.
"""

import asyncio
import contextlib
import ipaddress
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import aiohttp
from yarl import URL

from randsvc.incidents.scenario import (
    LEVELS,
    Load,
    Scenario,
    ScenarioError,
    SetFault,
    Step,
    StopProgram,
)
from randsvc.simulation.customers import draw_features

__all__ = ("Addresses", "Programs", "Verdict", "run")

ALWAYS_FIRING = "Watchdog"
"""Ends the name of the alert that fires all the time, which proves the way to the person."""

QUIET_WITHIN = 60.0
"""Seconds that alerts of before have to clear."""
TOLD_WITHIN = 70.0
"""Seconds from when an alert fires or clears until its receiver has to know: a group_interval of
the slowest route of the time scale demo, and some."""
AT_ONCE = 200
"""Requests of a load that may be in flight."""
POLL = 0.25
"""Seconds between two looks."""

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """URLs of what a scenario needs; the management ports are where faults are set."""

    prometheus: str
    alertmanager: str
    inbox: str
    service: str
    management: str
    auth_management: str


class Programs(Protocol):
    """Who can stop a program of the stack and start it again."""

    def stop(self, name: str) -> None:
        """Stop it; it is gone when this returns."""

    def start(self, name: str) -> None:
        """Start it; it can be used when this returns."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a scenario: seconds after the last step, and after the mending; None for never.

    ``problems`` are the ways in which that is not what was expected.
    """

    scenario: Scenario
    fired: float | None = None
    told: float | None = None
    receivers: tuple[str, ...] = ()
    cleared: float | None = None
    others: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.problems


async def run(
    scenario: Scenario,
    addresses: Addresses,
    *,
    programs: Programs,
    say: Say,
    token: str | None = None,
) -> Verdict:
    """Run a scenario; ``say`` is told what happens, ``token`` is that of the management ports.

    Raises ``ScenarioError`` where it cannot be run. Whatever happens, all is mended at the end.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        stack = _Stack(session, addresses, token)
        await _expect_quiet(stack, say)
        begun = datetime.now(UTC)
        async with contextlib.AsyncExitStack() as broken:
            for step in scenario.steps:
                await broken.enter_async_context(_done(step, scenario, stack, programs, say))
            seen = _Seen(time.monotonic())
            if scenario.expected is None:
                say(f"watching for {scenario.watched_for:g} s: nothing may fire")
                await asyncio.sleep(scenario.watched_for)
            else:
                await _watch_it_fire(scenario, stack, begun, seen, say)
        mended = time.monotonic()
        if scenario.expected and seen.fired is not None:
            await _watch_it_clear(scenario, stack, begun, mended, seen, say)
        return await _judged(scenario, stack, begun, seen)


@dataclass
class _Seen:
    """What was seen so far; seconds as in ``Verdict``."""

    broken_at: float
    fired: float | None = None
    told: float | None = None
    cleared: float | None = None
    problems: list[str] = field(default_factory=list)


async def _expect_quiet(stack: "_Stack", say: Say) -> None:
    async def restless() -> list[str] | None:
        found = await stack.alerts()
        if found is None:
            return None
        titles = {_title(alert["labels"]) for alert in found}
        always = {title for title in titles if _name(title).endswith(ALWAYS_FIRING)}
        return sorted(titles - always) if always else ["no rule has been evaluated yet"]

    names = await restless()
    if names is None:
        raise ScenarioError(f"cannot reach --prometheus {stack.addresses.prometheus}")
    if await stack.notifications() is None:
        raise ScenarioError(f"cannot reach --inbox {stack.addresses.inbox}")
    if names:
        # Pending ones too: a stack that has just been started has seen nothing of the service yet.
        say(f"waiting until nothing fires, nor is about to: {', '.join(names)}")

        async def quiet() -> bool:
            return await restless() == []

        if not await _until(quiet, QUIET_WITHIN):
            restless_still = ", ".join(await restless() or names)
            raise ScenarioError(f"{restless_still}: firing before anything is, or about to")


async def _watch_it_fire(
    scenario: Scenario, stack: "_Stack", begun: datetime, seen: _Seen, say: Say
) -> None:
    expected = scenario.expected
    assert expected  # noqa: S101 - asked before
    say(f"waiting for {expected.alert}, at most {expected.fires_within:g} s")

    async def levels() -> list[str]:
        # An alert on a budget is there for each level; the lesser ones may fire before.
        return [
            str(alert["labels"].get("level"))
            for alert in await stack.firing() or ()
            if alert["labels"]["alertname"] == expected.alert
        ]

    async def fired() -> bool:
        return scenario.level in await levels()

    if not await _until(fired, expected.fires_within):
        instead = "".join(f", only at level {level}" for level in await levels())
        seen.problems.append(
            f"{expected.alert} did not fire within {expected.fires_within:g} s{instead}"
        )
        return
    seen.fired = time.monotonic() - seen.broken_at
    say(f"{expected.alert} fires, level {scenario.level}, after {seen.fired:.1f} s")
    if await _until(lambda: stack.is_told(scenario, "firing", begun), TOLD_WITHIN):
        seen.told = time.monotonic() - seen.broken_at
        say(f"{expected.receiver} was told after {seen.told:.1f} s")
    else:
        why = await stack.muted(expected.alert)
        seen.problems.append(
            f"{expected.receiver} was not told within {TOLD_WITHIN:g} s{f': {why}' if why else ''}"
        )


async def _watch_it_clear(
    scenario: Scenario, stack: "_Stack", begun: datetime, mended: float, seen: _Seen, say: Say
) -> None:
    expected = scenario.expected
    assert expected  # noqa: S101 - asked before
    say(f"mended; waiting for it to clear, at most {expected.clears_within:g} s")

    async def still() -> list[str]:
        found = await stack.firing()
        return ["?"] if found is None else sorted({_title(alert["labels"]) for alert in found})

    async def expected_cleared() -> bool:
        return _titled(expected.alert, scenario.level) not in await still()

    async def all_cleared() -> bool:
        return not await still()

    if await _until(expected_cleared, expected.clears_within):
        seen.cleared = time.monotonic() - mended
        say(f"cleared after {seen.cleared:.1f} s")
    if not await _until(all_cleared, mended + expected.clears_within - time.monotonic()):
        seen.problems.append(
            f"{', '.join(await still())} still fires {expected.clears_within:g} s after the mending"
        )
        return
    if await _until(lambda: stack.is_told(scenario, "resolved", begun), TOLD_WITHIN):
        say(f"{expected.receiver} was told that it is over")
    else:
        seen.problems.append(f"{expected.receiver} was not told that it is over")


async def _judged(scenario: Scenario, stack: "_Stack", begun: datetime, seen: _Seen) -> Verdict:
    expected = scenario.expected
    problems = list(seen.problems)
    fired = await stack.have_fired((datetime.now(UTC) - begun).total_seconds())
    others = sorted(fired - {_titled(expected.alert, scenario.level)} if expected else fired)
    problems += [f"{title} fired too" for title in others if _name(title) not in scenario.may_fire]
    receivers = []
    for receiver, title in sorted(await stack.told(begun)):
        if expected and title == _titled(expected.alert, scenario.level):
            receivers.append(receiver)
        elif _name(title) not in scenario.may_fire or _worse(title, scenario):
            problems.append(f"{receiver} was told of {title}")
    if expected:
        problems += [f"{name} was told too" for name in receivers if name != expected.receiver]
        times = await stack.incidents(scenario, begun)
        if times > 1:
            problems.append(f"{expected.receiver} was told {times} times that it began")
    return Verdict(
        scenario=scenario,
        fired=seen.fired,
        told=seen.told,
        receivers=tuple(receivers),
        cleared=seen.cleared,
        others=tuple(others),
        problems=tuple(problems),
    )


def _title(labels: Mapping[str, str]) -> str:
    return _titled(labels["alertname"], labels.get("level"))


def _name(title: str) -> str:
    return title.split()[0]


def _worse(title: str, scenario: Scenario) -> bool:
    """Whether an alert is of a higher level than a scenario."""
    return scenario.level in LEVELS and any(
        title.endswith(f"({level})") for level in LEVELS[: LEVELS.index(scenario.level)]
    )


def _titled(alert: str, level: str | None) -> str:
    """An alert as people are told of it: one name may be there at each level."""
    return f"{alert} ({level})"


async def _until(holds: Callable[[], Awaitable[T]], within: float) -> T | None:
    """What ``holds`` gives once it is true; None after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (found := await holds()):
        if time.monotonic() > deadline:
            return None
        await asyncio.sleep(POLL)
    return found


@contextlib.asynccontextmanager
async def _done(
    step: Step, scenario: Scenario, stack: "_Stack", programs: Programs, say: Say
) -> AsyncIterator[None]:
    """Do a step inside, and undo it at the end."""
    match step:
        case SetFault():
            expected = scenario.expected
            # Should nobody be left to mend it.
            longest = (expected.fires_within + TOLD_WITHIN) if expected else scenario.watched_for
            await stack.set_fault(step, longest + 10)
            say(f"{step.service}: fault {step.name} is on")
            try:
                yield
            finally:
                if await stack.clear_fault(step):
                    say(f"{step.service}: fault {step.name} is off")
                else:
                    say(f"{step.service} does not answer; fault {step.name} ends by itself")
        case StopProgram():
            programs.stop(step.program)
            say(f"{step.program} is stopped")
            try:
                yield
            finally:
                programs.start(step.program)
                say(f"{step.program} runs again")
        case Load():
            async with _sent(step, stack, say):
                yield


@contextlib.asynccontextmanager
async def _sent(load: Load, stack: "_Stack", say: Say) -> AsyncIterator[None]:
    url = f"{stack.addresses.service.rstrip('/')}/random"
    _refuse_public(url)
    if load.of_limit is not None:
        limit = await stack.number('sum(http_server_concurrency_limit{job="randsvc"})')
        if not limit:
            raise ScenarioError(
                "Prometheus knows no http_server_concurrency_limit: no load to aim at"
            )
        at_once = min(AT_ONCE, round(load.of_limit * limit))
        say(f"{at_once} requests are always in flight")
    else:
        at_once = 0
        say(f"{load.requests_per_second:g} requests/s are sent")
    # Not the session of the looks: these would wait for a free connection.
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session,
        asyncio.TaskGroup() as group,
    ):

        async def ask() -> None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url, params=draw_features()) as answer:
                    await answer.read()
                    if answer.status == 503:  # shed: a client that does not wait would only spin
                        await asyncio.sleep(0.1)

        async def again_and_again() -> None:
            while True:
                await ask()

        async def at_a_rate(rate: float) -> None:
            while True:
                await asyncio.sleep(random.expovariate(rate))
                asking.add(task := group.create_task(ask()))
                task.add_done_callback(asking.discard)

        asking: set[asyncio.Task[None]] = set()
        sending = [group.create_task(again_and_again()) for _ in range(at_once)]
        if load.requests_per_second is not None:
            sending.append(group.create_task(at_a_rate(load.requests_per_second)))
        try:
            yield
        finally:
            for task in (*sending, *asking):
                task.cancel()
            say("the load has ended")


def _refuse_public(url: str) -> None:
    """Raise ``ScenarioError`` unless a URL is of this machine or of a private network."""
    host = URL(url).host or ""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError as error:
        raise ScenarioError(f"--service {url}: {host!r}: {error.strerror}") from error
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_private:
            raise ScenarioError(
                f"--service {url}: {address[0]} is public; load is sent to this machine or a "
                "private network only"
            )


class _Stack:
    """The HTTP APIs of a running stack; None is the answer of one that is away."""

    def __init__(
        self, session: aiohttp.ClientSession, addresses: Addresses, token: str | None
    ) -> None:
        self.addresses = addresses
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def alerts(self) -> list[dict[str, Any]] | None:
        """The alerts that fire or are pending now.

        https://prometheus.io/docs/prometheus/latest/querying/api/#alerts
        """
        answer = await self._get(self.addresses.prometheus, "/api/v1/alerts")
        if answer is None:
            return None
        found: list[dict[str, Any]] = answer["data"]["alerts"]
        return found

    async def firing(self) -> list[dict[str, Any]] | None:
        """The alerts that fire now, but for the one that always does."""
        alerts = await self.alerts()
        if alerts is None:
            return None
        return [
            alert
            for alert in alerts
            if alert["state"] == "firing"
            and not alert["labels"]["alertname"].endswith(ALWAYS_FIRING)
        ]

    async def have_fired(self, seconds: float) -> set[str]:
        """The alerts that fired at any evaluation of the last ``seconds``."""
        fired = f'ALERTS{{alertstate="firing",alertname!~".*{ALWAYS_FIRING}"}}'
        window = f"{seconds * 1000:.0f}ms"
        query = f"count by (alertname, level) (present_over_time({fired}[{window}]))"
        answer = await self._query(query)
        if answer is None:
            raise ScenarioError(f"--prometheus {self.addresses.prometheus} has gone away")
        return {_title(series["metric"]) for series in answer}

    async def number(self, query: str) -> float | None:
        """One number of Prometheus; None where there is none."""
        answer = await self._query(query)
        return float(answer[0]["value"][1]) if answer else None

    async def notifications(self) -> list[dict[str, Any]] | None:
        """What the inbox lists, the newest first."""
        listed: list[dict[str, Any]] | None = await self._get(
            self.addresses.inbox, "/notifications"
        )
        return listed

    async def told(self, since: datetime) -> set[tuple[str, str]]:
        """Who was told since then that something fires: receiver and alert."""
        return {
            (receiver, title)
            for receiver, title, status in await self._told(since)
            if status == "firing"
        }

    async def is_told(self, scenario: Scenario, status: str, since: datetime) -> bool:
        """Whether the right receiver was told last that the expected alert is firing, or over."""
        statuses = await self._statuses(scenario, since)
        return bool(statuses) and statuses[-1] == status

    async def incidents(self, scenario: Scenario, since: datetime) -> int:
        """How often the expected alert began to fire, as its receiver would count it.

        Repeats, and notifications for another alert of the group, are none.
        """
        statuses = ["resolved", *await self._statuses(scenario, since)]
        return sum(pair == ("resolved", "firing") for pair in pairwise(statuses))

    async def _statuses(self, scenario: Scenario, since: datetime) -> list[str]:
        expected = scenario.expected
        assert expected  # noqa: S101 - asked where one is
        wanted = (expected.receiver, _titled(expected.alert, scenario.level))
        return [
            status
            for receiver, title, status in await self._told(since)
            if (receiver, title) == wanted
        ]

    async def _told(self, since: datetime) -> list[tuple[str, str, str]]:
        """Receiver, alert and status of all that anybody was told, in order."""
        return [
            (notification["receiver"], _titled(each["name"], each["level"]), each["status"])
            for notification in reversed(await self.notifications() or ())
            if datetime.fromisoformat(notification["at"]) >= since
            for each in notification["alerts"]
            if not each["name"].endswith(ALWAYS_FIRING)
        ]

    async def muted(self, alert: str) -> str:
        """Why Alertmanager tells nobody of an alert; empty where it knows no reason."""
        found = await self._get(self.addresses.alertmanager, "/api/v2/alerts")
        for each in found or ():
            if each["labels"]["alertname"] == alert:
                if each["status"]["silencedBy"]:
                    return "a silence in Alertmanager mutes it"
                if each["status"]["inhibitedBy"]:
                    return "another alert inhibits it"
        return ""

    async def set_fault(self, step: SetFault, duration: float) -> None:
        """Set a fault; raises ``ScenarioError``."""
        url = f"{self._management(step)}/faults/{step.name}"
        body = {**step.parameters, "duration": duration}
        try:
            async with self._session.put(url, json=body, headers=self._headers) as answer:
                if answer.status >= 300:
                    detail = (await answer.json(content_type=None)).get("detail")
                    raise ScenarioError(f"{url}: {answer.status} {answer.reason}: {detail}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ScenarioError(f"cannot reach {url}: {error!s}") from error

    async def clear_fault(self, step: SetFault) -> bool:
        """Clear a fault; whether that was possible."""
        url = f"{self._management(step)}/faults/{step.name}"
        try:
            async with self._session.delete(url, headers=self._headers) as answer:
                return answer.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _management(self, step: SetFault) -> str:
        auth = step.service == "auth"
        url = self.addresses.auth_management if auth else self.addresses.management
        return url.rstrip("/")

    async def _query(self, promql: str) -> list[dict[str, Any]] | None:
        path = str(URL("/api/v1/query").with_query(query=promql))
        answer = await self._get(self.addresses.prometheus, path)
        if answer is None:
            return None
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    async def _get(self, base: str, path: str) -> Any:
        try:
            async with self._session.get(base.rstrip("/") + path) as answer:
                return await answer.json() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
