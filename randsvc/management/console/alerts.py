"""What is firing, as Prometheus says: no threshold is known here."""

from typing import Any

import aiohttp

__all__ = ("AlertsError", "fetch_alerts")

PATIENCE = 3.0
"""Seconds that Prometheus has for an answer."""


class AlertsError(Exception):
    """Prometheus gave no alerts: one line that says where and why."""


async def fetch_alerts(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    """The alerts of the Prometheus at ``url``, pending ones too, the latest first; as JSON.

    Raises ``AlertsError``. https://prometheus.io/docs/prometheus/latest/querying/api/#alerts
    """
    api = f"{url.rstrip('/')}/api/v1/alerts"
    try:
        async with session.get(api, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as response:
            response.raise_for_status()
            body = await response.json()
        alerts = [_described(alert) for alert in body["data"]["alerts"]]
    except TimeoutError as error:
        raise AlertsError(f"{api}: no answer within {PATIENCE:g} s") from error
    except aiohttp.ClientResponseError as error:
        raise AlertsError(f"{api}: {error.status} {error.message}") from error
    except aiohttp.ClientError as error:
        raise AlertsError(f"{api}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AlertsError(f"{api}: the answer is not that of a Prometheus") from error
    return sorted(alerts, key=lambda alert: str(alert["since"]), reverse=True)


def _described(alert: dict[str, Any]) -> dict[str, Any]:
    labels, annotations = alert["labels"], alert["annotations"]
    return {
        "name": labels["alertname"],
        "level": labels.get("level"),
        "service": labels.get("service"),
        "state": alert["state"],
        "since": alert["activeAt"],
        "summary": annotations.get("summary", ""),
        "runbook": annotations.get("runbook_url"),
    }
