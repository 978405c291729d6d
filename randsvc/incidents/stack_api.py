"""The HTTP APIs of a running stack, as a scenario uses them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from randsvc.incidents.scenario import AlertId, ScenarioError, SetFault
from randsvc.prometheus_api import AsyncPrometheus, PrometheusError, format_duration

__all__ = ("Addresses", "Notification", "Silence", "StackApi")

WATCHDOG_SUFFIX = "Watchdog"
"""Name suffix of the always-firing alert, which proves that notifications reach people."""

NO_LEVEL = "none"


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """URLs of the programs; faults are set at the management ports."""

    prometheus: str
    alertmanager: str
    inbox: str
    service: str
    management: str
    auth_management: str

    def find_management(self, service: str) -> str:
        """Return the URL of a service's management port."""
        url = self.auth_management if service == "auth" else self.management
        return url.rstrip("/")


@dataclass(frozen=True)
class Notification:
    """One alert in a notification; ``status`` is firing or resolved, ``at`` is when it arrived."""

    receiver: str
    alert: AlertId
    status: str
    at: datetime | None = None


@dataclass(frozen=True)
class Silence:
    """A silence of Alertmanager; times are Unix seconds.

    ``matchers`` are (label, value, is a regular expression, is negated).
    """

    author: str
    comment: str
    start: float
    end: float
    matchers: tuple[tuple[str, str, bool, bool], ...]

    def may_mute(self, labels: Mapping[str, str]) -> bool:
        """Whether it mutes an alert, as far as these of its labels tell."""
        return all(
            (re.fullmatch(value, labels[name]) is not None if regex else labels[name] == value)
            != negated
            for name, value, regex, negated in self.matchers
            if name in labels
        )


@dataclass(frozen=True)
class ActiveAlerts:
    """The alerts that are pending or firing now, without the Watchdog."""

    pending: frozenset[AlertId]
    firing: frozenset[AlertId]
    has_watchdog: bool


class StackApi:
    """Programs may be unreachable, as some scenarios stop them: a method then returns None."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        addresses: Addresses,
        *,
        timeout: float,
        token: str | None = None,
    ) -> None:
        self.addresses = addresses
        self._session = session
        self._prometheus = AsyncPrometheus(addresses.prometheus, timeout=timeout)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def expect_demo_rules(self) -> None:
        """Raise ``ScenarioError`` unless Prometheus responds and has no production rules."""
        try:
            files = await self._prometheus.rule_files()
        except PrometheusError as error:
            raise ScenarioError(f"--prometheus: {error}") from error
        if any("/rules/production/" in file for file in files):
            raise ScenarioError(
                f"--prometheus {self._prometheus.shown_url} has loaded the rules of the time scale "
                "production, whose alerts fire too late for a scenario: load rules/demo/*.yml "
                "instead of rules/production/*.yml"
            )

    async def get_alerts(self) -> ActiveAlerts | None:
        """Return the active alerts of Prometheus."""
        try:
            alerts = await self._prometheus.alerts()
        except PrometheusError:
            return None
        found: dict[str, set[AlertId]] = {"pending": set(), "firing": set()}
        for alert in alerts:
            found.setdefault(alert.state, set()).add(_identify(alert.labels))
        watchdogs = {alert for alert in found["firing"] if _is_watchdog(alert)}
        return ActiveAlerts(
            frozenset(alert for alert in found["pending"] if not _is_watchdog(alert)),
            frozenset(found["firing"] - watchdogs),
            has_watchdog=bool(watchdogs),
        )

    async def query_fired(self, seconds: float) -> set[AlertId]:
        """Return the alerts that fired at any evaluation of the last ``seconds``.

        Raises ``ScenarioError``.
        """
        fired = f'ALERTS{{alertstate="firing",alertname!~".*{WATCHDOG_SUFFIX}"}}'
        window = format_duration(seconds)
        query = f"count by (alertname, level) (present_over_time({fired}[{window}]))"
        try:
            return {_identify(series.labels) for series in await self._prometheus.query(query)}
        except PrometheusError as error:
            raise ScenarioError(f"--prometheus: {error}") from error

    async def query_number(self, promql: str) -> float | None:
        """Return the value of the first series of an instant query; None without a series."""
        try:
            found = await self._prometheus.query(promql)
        except PrometheusError:
            return None
        return found[0].values[-1][1] if found and found[0].values else None

    async def get_notifications(self, since: datetime) -> list[Notification] | None:
        """Return what the inbox has received since then, in order, without the Watchdog."""
        answer = await self._get(self.addresses.inbox, "/notifications")
        if answer is None:
            return None
        found = [
            Notification(
                notification["receiver"], AlertId(each["name"], each["level"]), each["status"], at
            )
            for notification in reversed(answer)  # the newest is first
            if (at := datetime.fromisoformat(notification["at"])) >= since
            for each in notification["alerts"]
        ]
        return [each for each in found if not _is_watchdog(each.alert)]

    async def get_silences(self) -> list[Silence] | None:
        """Return the silences of Alertmanager, which keeps those that ended for some days.

        https://prometheus.io/docs/alerting/latest/alerts_api/
        """
        answer = await self._get(self.addresses.alertmanager, "/api/v2/silences")
        try:
            return None if answer is None else [_read_silence(each) for each in answer]
        except (ValueError, TypeError, LookupError):
            return None

    async def find_mute_reason(self, alert: AlertId) -> str:
        """Return why Alertmanager sends no notification of an alert; empty if it is not muted."""
        for each in await self._get(self.addresses.alertmanager, "/api/v2/alerts") or ():
            if _identify(each["labels"]) == alert:
                if each["status"]["silencedBy"]:
                    return "a silence in Alertmanager mutes it"
                if each["status"]["inhibitedBy"]:
                    return "another alert inhibits it"
        return ""

    async def get_active_faults(self, service: str) -> list[str] | None:
        """Return the names of the faults of a service that are on."""
        answer = await self._get(self.addresses.find_management(service), "/faults")
        return None if answer is None else list(answer["on"])

    async def set_fault(self, step: SetFault, duration: float) -> None:
        """Set a fault for ``duration`` seconds; raises ``ScenarioError``."""
        url = f"{self.addresses.find_management(step.service)}/faults/{step.name}"
        body = {**step.parameters, "duration": duration}
        try:
            async with self._session.put(url, json=body, headers=self._headers) as response:
                if response.status >= 300:
                    detail = _read_detail(await response.text(errors="replace"))
                    raise ScenarioError(f"{url}: {response.status} {response.reason}: {detail}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ScenarioError(f"cannot reach {url}: {error!s}") from error

    async def clear_fault(self, step: SetFault) -> bool:
        """Clear a fault; return whether the service has confirmed it."""
        url = f"{self.addresses.find_management(step.service)}/faults/{step.name}"
        try:
            async with self._session.delete(url, headers=self._headers) as response:
                return response.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _get(self, base: str, path: str) -> Any:
        try:
            async with self._session.get(base.rstrip("/") + path) as response:
                return await response.json() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def _read_detail(body: str) -> str:
    """Return the detail of a problem document, or the first line of another body."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body.strip().partition("\n")[0][:200] or "no reason given"


def _identify(labels: Mapping[str, str]) -> AlertId:
    return AlertId(labels["alertname"], labels.get("level", NO_LEVEL))


def _read_silence(node: Mapping[str, Any]) -> Silence:
    return Silence(
        author=str(node["createdBy"]),
        comment=str(node["comment"]),
        start=datetime.fromisoformat(node["startsAt"]).timestamp(),
        end=datetime.fromisoformat(node["endsAt"]).timestamp(),
        matchers=tuple(
            (each["name"], each["value"], bool(each["isRegex"]), not each.get("isEqual", True))
            for each in node["matchers"]
        ),
    )


def _is_watchdog(alert: AlertId) -> bool:
    return alert.name.endswith(WATCHDOG_SUFFIX)
