"""An alert, and what it says to people and to Alertmanager."""

from dataclasses import dataclass
from typing import Literal
from zlib import crc32

from randsvc.rules.log_links import link_traces, make_logs_path, select_logs
from randsvc.rules.time_scale import SEVERITY, Level, TimeScale

__all__ = ("VALUE", "Alert", "make_panel_id")

VALUE = "level_service:alert_condition:value"
"""The value of each alert's condition, which ``ALERTS`` does not tell; NaN while it does not hold.

Its labels lead to what explains the alert: the unit of the value, a dashboard and a panel of it."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert; ``summary`` and ``description`` are Go templates, ``$value`` is that of ``expr``.

    ``unit`` is the unit of the value; a value whose unit is ``%`` is a share, from 0 to 1.
    ``dashboard`` and ``panel`` are the name and the title of what explains the alert. ``wait`` is
    for how long ``expr`` must hold before the alert fires, ``hold`` for how long it stays after.
    """

    name: str
    level: Level | Literal["none"]
    service: str
    expr: str
    unit: str
    summary: str
    description: str
    panel: str
    dashboard: str = "golden-signals"
    wait: str = ""
    hold: str = ""

    def make_labels(self, scale: TimeScale) -> dict[str, str]:
        """Give the labels that the rule adds; Alertmanager takes its times by ``time_scale``."""
        severity = "none" if self.level == "none" else SEVERITY[self.level]
        return {
            "level": self.level,
            "severity": severity,
            "service": self.service,
            "time_scale": scale.name,
        }

    def make_annotations(self, scale: TimeScale) -> dict[str, str]:
        """Give what a message says.

        Where runbooks and dashboards are published is a setting of Prometheus, its external labels
        ``runbooks_url``, ``grafana_url``, ``logs_url`` and ``traces_url``; without one there is no
        such link.
        """
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": _below("runbooks_url", self.name),
            "dashboard_url": _below("grafana_url", f"d/{self._dashboard_path(scale)}"),
            "logs_url": _below("logs_url", self._logs_path(scale)),
        }

    def make_value_labels(self) -> dict[str, str]:
        """Give the labels of the alert's series of ``VALUE``."""
        return {
            "alertname": self.name,
            "level": self.level,
            "service": self.service,
            "unit": self.unit,
            "dashboard": f"randsvc-{self.dashboard}",
            "panel": self.panel,
            "panel_id": str(make_panel_id(self.panel)),
        }

    def _dashboard_path(self, scale: TimeScale) -> str:
        # A service is chosen where the dashboard has services to choose from.
        service = f"var-job={self.service}&" if self.dashboard == "golden-signals" else ""
        since = scale.find_lookback(self.level)
        return f"randsvc-{self.dashboard}?{service}from=now-{since}&to=now"

    def _logs_path(self, scale: TimeScale) -> str:
        # An alert on the monitoring is about the logs of all services.
        selected = "*" if self.service == "monitoring" else select_logs(service__name=self.service)
        linked = f" {link_traces('{{ . }}')}"
        query = f"{selected}{{{{ with $externalLabels.traces_url }}}}{linked}{{{{ end }}}}"
        evaluated = '{{ (toTime now).UTC.Format "2006-01-02T15:04:05Z" }}'
        return make_logs_path(query, evaluated, scale.find_lookback(self.level))


def make_panel_id(title: str) -> int:
    """Give the id of a panel: made from its title, so that a link to it survives a new layout."""
    return crc32(title.encode()) % 1_000_000 + 1


def _below(label: str, path: str) -> str:
    return f"{{{{ with $externalLabels.{label} }}}}{{{{ . }}}}/{path}{{{{ end }}}}"
