"""Grafana's dashboards as code; ``python -m randsvc.generate`` writes their JSON."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from randsvc.dashboards import distributions, golden_signals, incidents, ml, pipeline
from randsvc.dashboards.panels import ANNOTATION_TITLES, Dashboard

__all__ = ("DASHBOARDS", "Query", "list_queries", "to_json")

DASHBOARDS: Mapping[str, Dashboard] = {
    "golden-signals": golden_signals.make_dashboard(),
    "distributions": distributions.make_dashboard(),
    "incidents": incidents.make_dashboard(),
    "ml": ml.make_dashboard(),
    "pipeline": pipeline.make_dashboard(),
}
"""Every dashboard by the name of its file."""


@dataclass(frozen=True)
class Query:
    """A query as Prometheus gets it; ``empty`` says why a healthy system may answer nothing."""

    dashboard: str
    panel: str
    expr: str
    empty: str = ""


def list_queries(rate_interval: str = "8s", service: str = "randsvc") -> list[Query]:
    """Give every query of every panel, for a service with all its routes and instances chosen.

    ``rate_interval`` is what Grafana makes of ``$__rate_interval``; 8s is its value at the
    shortest range with the data source's interval of 2s. What is compared with something earlier
    is compared with 10 s ago, so that there is something after a short while.
    """
    return [
        Query(name, panel, _chosen(query.expr, rate_interval, service), query.empty)
        for name, dashboard in DASHBOARDS.items()
        for panel, query in dashboard.list_queries()
    ]


def to_json(dashboard: Dashboard) -> str:
    """Give the JSON that Grafana provisions."""
    board = json.loads(json.dumps(dashboard.build().build(), cls=JSONEncoder))
    for variable in board["templating"]["list"]:
        # The SDK gives all one id, and Grafana 9 keeps one variable of an id.
        variable.pop("id", None)
    for annotation in board["annotations"]["list"]:
        # A field of the Prometheus data source, which the SDK has no word for.
        annotation["titleFormat"] = ANNOTATION_TITLES[annotation["name"]]
    return json.dumps(board, indent=2) + "\n"


def _chosen(expr: str, rate_interval: str, service: str) -> str:
    variables = {"$__rate_interval": rate_interval, "$earlier": "10s", "$job": service}
    for variable, value in variables.items():
        expr = expr.replace(variable, value)
    return re.sub(r"\$(route|instance)\b", ".*", expr)
