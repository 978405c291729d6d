"""The HTTP APIs of a running stack, as a scenario uses them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from yarl import URL

from randsvc.incidents.scenario import AlertId, ScenarioError, SetFault

__all__ = ("Addresses", "Notification", "StackApi")

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
    """One alert in a notification; ``status`` is firing or resolved."""

    receiver: str
    alert: AlertId
    status: str


@dataclass(frozen=True)
class ActiveAlerts:
    """The alerts that are pending or firing now, without the Watchdog."""

    pending: frozenset[AlertId]
    firing: frozenset[AlertId]
    has_watchdog: bool


class StackApi:
    """Programs may be unreachable, as some scenarios stop them: a method then returns None."""

    def __init__(
        self, session: aiohttp.ClientSession, addresses: Addresses, token: str | None
    ) -> None:
        self.addresses = addresses
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def get_alerts(self) -> ActiveAlerts | None:
        """Return the active alerts of Prometheus.

        https://prometheus.io/docs/prometheus/latest/querying/api/#alerts
        """
        answer = await self._get(self.addresses.prometheus, "/api/v1/alerts")
        if answer is None:
            return None
        found: dict[str, set[AlertId]] = {"pending": set(), "firing": set()}
        for alert in answer["data"]["alerts"]:
            found.setdefault(alert["state"], set()).add(_identify(alert["labels"]))
        watchdogs = {alert for alert in found["firing"] if _is_watchdog(alert)}
        return ActiveAlerts(
            frozenset(alert for alert in found["pending"] if not _is_watchdog(alert)),
            frozenset(found["firing"] - watchdogs),
            has_watchdog=bool(watchdogs),
        )

    async def get_rule_files(self) -> list[str] | None:
        """Return the paths of the rule files that Prometheus has loaded."""
        answer = await self._get(self.addresses.prometheus, "/api/v1/rules?type=alert")
        return None if answer is None else [group["file"] for group in answer["data"]["groups"]]

    async def query_fired(self, seconds: float) -> set[AlertId] | None:
        """Return the alerts that fired at any evaluation of the last ``seconds``."""
        fired = f'ALERTS{{alertstate="firing",alertname!~".*{WATCHDOG_SUFFIX}"}}'
        window = f"{seconds * 1000:.0f}ms"
        answer = await self._query(
            f"count by (alertname, level) (present_over_time({fired}[{window}]))"
        )
        return None if answer is None else {_identify(series["metric"]) for series in answer}

    async def query_number(self, promql: str) -> float | None:
        """Return the value of the first series of an instant query; None without a series."""
        answer = await self._query(promql)
        return float(answer[0]["value"][1]) if answer else None

    async def get_notifications(self, since: datetime) -> list[Notification] | None:
        """Return what the inbox has received since then, in order, without the Watchdog."""
        answer = await self._get(self.addresses.inbox, "/notifications")
        if answer is None:
            return None
        found = [
            Notification(
                notification["receiver"], AlertId(each["name"], each["level"]), each["status"]
            )
            for notification in reversed(answer)  # the newest is first
            if datetime.fromisoformat(notification["at"]) >= since
            for each in notification["alerts"]
        ]
        return [each for each in found if not _is_watchdog(each.alert)]

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

    async def _query(self, promql: str) -> list[dict[str, Any]] | None:
        path = str(URL("/api/v1/query").with_query(query=promql))
        answer = await self._get(self.addresses.prometheus, path)
        if answer is None:
            return None
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

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


def _is_watchdog(alert: AlertId) -> bool:
    return alert.name.endswith(WATCHDOG_SUFFIX)
