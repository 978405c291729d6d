"""An alert, and what it says to people and to Alertmanager."""

from dataclasses import dataclass
from typing import Literal

from randsvc.rules.time_scale import SEVERITY, Level, TimeScale

__all__ = ("RUNBOOKS", "Alert")

RUNBOOKS = "docs/runbooks"
"""What ``runbook_url`` begins with: a folder of the project, or the address that publishes it."""
GRAFANA = "http://localhost:3000"
"""What the links to dashboards begin with: the address that docker compose publishes."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert; ``summary`` and ``description`` are Go templates, ``$value`` is that of ``expr``.

    ``service`` is empty where the series say it. ``wait`` is for how long ``expr`` must hold.
    """

    name: str
    level: Level | Literal["none"]
    service: str
    expr: str
    summary: str
    description: str
    dashboard: str = "golden-signals"
    wait: str = ""
    hold: str = ""

    def labels(self, scale: TimeScale) -> dict[str, str]:
        """Give the labels that the rule adds; by ``time_scale`` Alertmanager knows how long."""
        severity = "none" if self.level == "none" else SEVERITY[self.level]
        service = {"service": self.service} if self.service else {}
        return {"level": self.level, "severity": severity, **service, "time_scale": scale.name}

    def annotations(self) -> dict[str, str]:
        """Give what a message says."""
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{RUNBOOKS}/{self.name}.md",
            "dashboard_url": f"{GRAFANA}/d/randsvc-{self.dashboard}",
        }
