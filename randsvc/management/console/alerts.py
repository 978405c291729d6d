"""The alerts that Prometheus reports, for the page; only Prometheus knows the thresholds."""

from typing import Any

from randsvc.prometheus_api import Alert, AsyncPrometheus

__all__ = ("TIMEOUT", "fetch_alerts")

TIMEOUT = 3.0
"""Seconds within which Prometheus must respond."""


async def fetch_alerts(prometheus: AsyncPrometheus) -> list[dict[str, Any]]:
    """Return the pending and firing alerts as JSON, the latest first.

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
