"""Links to logs, on the web page of VictoriaLogs.

A query is LogsQL: https://docs.victoriametrics.com/victorialogs/logsql/
"""

from urllib.parse import quote

__all__ = ("make_logs_path", "select_logs")


def select_logs(**fields: str) -> str:
    """Select the records whose fields have these values; ``__`` in a name is a dot.

    >>> select_logs(service__name="shop")
    'service.name:="shop"'
    """
    return " ".join(f'{name.replace("__", ".")}:="{value}"' for name, value in fields.items())


def make_logs_path(query: str, end: str, span: str) -> str:
    """Give the path that shows what ``query`` selects in the time ``span`` before ``end``.

    ``end`` is a time in ISO 8601. It and values in the query may be templates of Grafana; the
    former also of Prometheus.

    >>> make_logs_path('a:="${b}"', "2026-01-31T12:00:00Z", "5m")
    'select/vmui/#/?query=a%3A%3D%22${b}%22&g0.range_input=5m&g0.end_input=2026-01-31T12:00:00Z'
    """
    return (
        f"select/vmui/#/?query={quote(query, safe='*${}')}&g0.range_input={span}&g0.end_input={end}"
    )
