"""The alerts of a Prometheus, for the page: no threshold is known here."""

from typing import Any

from randsvc.prometheus_api import Alert, AsyncPrometheus

__all__ = ("TIMEOUT", "fetch_alerts")

TIMEOUT = 3.0
"""Seconds that Prometheus has for an answer."""


async def fetch_alerts(prometheus: AsyncPrometheus) -> list[dict[str, Any]]:
    """The pending and firing alerts as JSON, the latest first.

    Raises ``PrometheusError``.
    """
    alerts = sorted(await prometheus.alerts(), key=lambda alert: alert.active_at, reverse=True)
    return [_describe(alert) for alert in alerts]


def _describe(alert: Alert) -> dict[str, Any]:
    return {
        "name": alert.labels["alertname"],
        "level": alert.labels.get("level"),
        "service": alert.labels.get("service"),
        "state": alert.state,
        "since": alert.active_at,
        "summary": alert.annotations.get("summary", ""),
        "runbook": alert.annotations.get("runbook_url"),
    }
