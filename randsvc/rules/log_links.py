"""Links to logs, on the web page of VictoriaLogs.

A query is LogsQL: https://docs.victoriametrics.com/victorialogs/logsql/
"""

import re
from urllib.parse import quote

__all__ = ("link_traces", "make_logs_path", "select_logs")


def select_logs(**fields: str) -> str:
    """Select the records whose fields have these values; ``__`` in a name is a dot.

    >>> select_logs(service__name="shop")
    'service.name:="shop"'
    """
    return " ".join(f'{name.replace("__", ".")}:="{value}"' for name, value in fields.items())


def link_traces(jaeger: str) -> str:
    """Give each selected record the field ``trace_url``, which opens its trace in ``jaeger``.

    It stands after a selection. Records of no trace, or of one that was not sampled, get an empty
    field or a trace that Jaeger does not know.

    >>> link_traces("http://localhost:16686")
    '| format if (trace_id:*) "http://localhost:16686/trace/<trace_id>" as trace_url'
    """
    return f'| format if (trace_id:*) "{jaeger}/trace/<trace_id>" as trace_url'


def make_logs_path(query: str, end: str, span: str) -> str:
    """Give the path that shows what ``query`` selects in the time ``span`` before ``end``.

    ``end`` is a time in ISO 8601. It and values in the query may be templates of Grafana, which
    have no spaces, or of Prometheus, in double braces.

    >>> make_logs_path('a:="${b}"', "2026-01-31T12:00:00Z", "5m")
    'select/vmui/#/?query=a%3A%3D%22${b}%22&g0.range_input=5m&g0.end_input=2026-01-31T12:00:00Z'
    """
    parts = re.split(r"({{.*?}})", query)
    asked = "".join(p if p.startswith("{{") else quote(p, safe="*${}") for p in parts)
    return f"select/vmui/#/?query={asked}&g0.range_input={span}&g0.end_input={end}"
