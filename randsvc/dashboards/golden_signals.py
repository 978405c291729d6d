"""The home dashboard: traffic, latency, errors and saturation of the service."""

from randsvc.dashboards.panels import (
    Dashboard,
    Levels,
    Panel,
    Query,
    Row,
    Variable,
    density_map,
    lines,
    number,
    rows_of,
)
from randsvc.rules.golden_signals import DISCONNECT, SERVER_ERROR, WINDOW, rate
from randsvc.telemetry.catalogue import (
    ACTIVE_REQUESTS,
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_OPEN_FILES,
    REQUEST_DURATION,
)

DURATION = REQUEST_DURATION.prometheus_name
LAG = EVENT_LOOP_LAG.prometheus_name
JOB = 'job="$job"'
INSTANCE = 'instance=~"$instance"'
ROUTE = 'http_route=~"$route"'
NO_ERROR = "no error of this kind has happened"

ERROR_LEVELS: Levels = ("green", (0.01, "orange"), (0.05, "red"))
LATENCY_LEVELS: Levels = ("green", (0.25, "orange"), (1, "red"))
SATURATION_LEVELS: Levels = ("green", (0.7, "orange"), (0.9, "red"))
# A timer that is late by 50 ms is the whole median delay of a request; by 250 ms a person notices.
LAG_LEVELS: Levels = ("green", (0.05, "orange"), (0.25, "red"))


def dashboard() -> Dashboard:
    """Give the dashboard, of one service, filtered by route and instance."""
    return Dashboard(
        uid="randsvc-golden-signals",
        title="Golden signals",
        description="What is asked for, how long it takes, what fails, how full the service is.",
        variables=(
            Variable("job", "Service", f"{DURATION}_count", "job", chosen="randsvc"),
            Variable("route", "Route", f"{DURATION}_count{{{JOB}}}", "http_route"),
            Variable(
                "instance", "Instance", f"{PROCESS_CPU_TIME.prometheus_name}{{{JOB}}}", "instance"
            ),
        ),
        rows=(
            Row("", _summary()),
            Row("Traffic", _traffic()),
            Row("Latency", _latency()),
            Row("Errors", _errors()),
            Row("Saturation", _saturation()),
            Row("By route and by instance", _tables()),
        ),
    )


def _summary() -> tuple[Panel, ...]:
    return (
        number(
            "Requests",
            "Requests answered, or given up on, each second.",
            "reqps",
            Query(expr=_requests()),
        ),
        number(
            "Errors",
            "Share of requests answered with a 5xx status. Orange from 1%, red from 5%.",
            "percentunit",
            Query(expr=_error_share()),
            levels=ERROR_LEVELS,
            decimals=2,
        ),
        number(
            "Median latency",
            "Half of all requests took at most this long.",
            "s",
            Query(expr=_quantile(0.5)),
            levels=LATENCY_LEVELS,
        ),
        number(
            "p99 latency",
            "One request in a hundred took longer. Orange from 250 ms, red from 1 s.",
            "s",
            Query(expr=_quantile(0.99)),
            levels=LATENCY_LEVELS,
        ),
        number(
            "Saturation",
            "Requests in a handler now, as a share of the limit at which more are answered 503. "
            "Orange from 70%, red from 90%.",
            "percentunit",
            Query(expr=_saturation_share()),
            levels=SATURATION_LEVELS,
            decimals=1,
        ),
        number(
            "Up",
            "Share of the management ports that answer Prometheus. Green only when all do.",
            "percentunit",
            Query(expr='avg(up{job=~"$job(-management)?"})'),
            levels=("red", (0.5, "orange"), (1, "green")),
            none="not watched",
            decimals=0,
        ),
    )


def _traffic() -> tuple[Panel, ...]:
    return (
        lines(
            "Requests by route",
            "Requests each second. What matched no route has an empty name.",
            "reqps",
            Query(expr=_requests(by="http_route"), legend="{{http_route}}"),
            stacked=True,
        ),
        lines(
            "Requests by status",
            "Requests each second. Without a status: the client went away before there was one.",
            "reqps",
            Query(
                expr=_requests(by="http_response_status_code"),
                legend="{{http_response_status_code}}",
            ),
            stacked=True,
        ),
    )


def _latency() -> tuple[Panel, ...]:
    return (
        lines(
            "Latency",
            "Of all requests: half took at most p50, 90% p90, 99% p99. A point is a traced "
            "request; a click on it opens the trace.",
            "s",
            *(
                Query(expr=_quantile(q), legend=f"p{q * 100:g}", exemplar=q == 0.99)
                for q in (0.5, 0.9, 0.99)
            ),
            levels=LATENCY_LEVELS,
        ),
        density_map(
            "Latency heatmap",
            "Requests each second by how long they took. Two bands are two kinds of request, "
            "which no quantile shows.",
            "s",
            Query(expr=_buckets("le"), legend="{{le}}", exemplar=True),
            cell_unit="reqps",
        ),
        lines(
            "p99 by route",
            "One request in a hundred of the route took longer. A point is a traced request.",
            "s",
            Query(
                expr=f"histogram_quantile(0.99, {_buckets('http_route', 'le')})",
                legend="{{http_route}}",
                exemplar=True,
            ),
        ),
        lines(
            "p99 of successes and of failures",
            "Failures have a latency of their own: shed requests are fast, time-outs are slow.",
            "s",
            Query(expr=_quantile(0.99, 'error_type=""'), legend="answered"),
            Query(expr=_quantile(0.99, 'error_type!=""'), legend="failed", empty=NO_ERROR),
        ),
    )


def _errors() -> tuple[Panel, ...]:
    return (
        lines(
            "Errors by route",
            "Share of the route's requests answered with a 5xx status. Lines at 1% and 5%.",
            "percentunit",
            Query(expr=_error_share(by="http_route"), legend="{{http_route}}"),
            levels=ERROR_LEVELS,
        ),
        lines(
            "Errors by type",
            "Failures each second: exceptions by their class, other 5xx answers by their status, "
            "and, without a status, requests whose client went away.",
            "reqps",
            Query(
                expr=_requests(SERVER_ERROR, by="error_type"),
                legend="{{error_type}}",
                empty=NO_ERROR,
            ),
            Query(
                expr=_requests(DISCONNECT, by="error_type"),
                legend="{{error_type}} (client gone)",
                empty=NO_ERROR,
            ),
            none="no errors",
            stacked=True,
        ),
    )


def _saturation() -> tuple[Panel, ...]:
    return (
        lines(
            "Requests in a handler",
            "Against the limit at which more are answered 503.",
            "short",
            Query(expr=_active(), legend="active"),
            Query(expr=_limit(), legend="limit"),
            dashed=("limit",),
            width=8,
        ),
        lines(
            "Event-loop lag",
            "How much later than asked a timer ran: what every request waits for in addition. "
            "Lines at 50 ms and 250 ms.",
            "s",
            *(
                Query(
                    expr=f"histogram_quantile({q:g}, {_lag()})",
                    legend=f"p{q * 100:g}",
                )
                for q in (0.5, 0.99)
            ),
            levels=LAG_LEVELS,
            width=8,
        ),
        lines(
            "CPU",
            "CPU used by each instance. An event loop can use one CPU: at 100% it is full.",
            "percentunit",
            Query(
                expr=rate(
                    PROCESS_CPU_TIME.prometheus_name,
                    INSTANCE,
                    by=["instance"],
                    window="$__rate_interval",
                    job=JOB,
                ),
                legend="{{instance}}",
            ),
            levels=SATURATION_LEVELS,
            ceiling=1,
            width=8,
        ),
        lines(
            "Memory",
            "Physical memory in use by each instance. It should level off.",
            "bytes",
            Query(
                expr=f"sum by (instance) ({_own(PROCESS_MEMORY_USAGE.prometheus_name)})",
                legend="{{instance}}",
            ),
        ),
        lines(
            "Open files",
            "Files and sockets open in each instance. It follows the connections, and comes back.",
            "short",
            Query(
                expr=f"sum by (instance) ({_own(PROCESS_OPEN_FILES.prometheus_name)})",
                legend="{{instance}}",
            ),
        ),
    )


def _tables() -> tuple[Panel, ...]:
    return (
        rows_of(
            "Routes",
            f"Each route over the last {WINDOW}: requests, share of 5xx, latency.",
            {"http_route": "Route"},
            _columns("http_route", ROUTE),
        ),
        rows_of(
            "Instances",
            f"Each worker or replica over the last {WINDOW}: one that differs needs a look.",
            {"instance": "Instance"},
            _columns("instance", INSTANCE),
        ),
    )


def _columns(by: str, chosen: str) -> dict[str, tuple[str, Query]]:
    """Give the recorded golden signals of a table's rows."""

    def recorded(series: str, *matchers: str) -> Query:
        return Query(expr=f"sum by ({by}) ({series}{{{','.join((JOB, chosen, *matchers))}}})")

    quantile = f"job_{by}_quantile:{DURATION}:histogram_quantile_rate{WINDOW}"
    return {
        "Requests": ("reqps", recorded(f"job_{by}:{DURATION}_count:rate{WINDOW}")),
        "Errors": (
            "percentunit",
            recorded(f"job_{by}:http_server_errors_per_request:ratio_rate{WINDOW}"),
        ),
        "p50": ("s", recorded(quantile, 'quantile="0.5"')),
        "p99": ("s", recorded(quantile, 'quantile="0.99"')),
    }


def _requests(*matchers: str, by: str = "") -> str:
    return rate(
        f"{DURATION}_count",
        ROUTE,
        INSTANCE,
        *matchers,
        by=[by] if by else [],
        window="$__rate_interval",
        job=JOB,
    )


def _error_share(by: str = "") -> str:
    # Until the first error there is no series of one, and their share is 0.
    requests = _requests(by=by)
    return f"({_requests(SERVER_ERROR, by=by)} or 0 * {requests}) / {requests}"


def _buckets(*by: str) -> str:
    return rate(f"{DURATION}_bucket", ROUTE, INSTANCE, by=by, window="$__rate_interval", job=JOB)


def _quantile(q: float, *matchers: str) -> str:
    buckets = rate(
        f"{DURATION}_bucket",
        ROUTE,
        INSTANCE,
        *matchers,
        by=["le"],
        window="$__rate_interval",
        job=JOB,
    )
    return f"histogram_quantile({q:g}, {buckets})"


def _lag() -> str:
    return rate(f"{LAG}_bucket", INSTANCE, by=["le"], window="$__rate_interval", job=JOB)


def _own(metric: str) -> str:
    return f"{metric}{{{JOB},{INSTANCE}}}"


def _limit() -> str:
    return f"sum ({_own(CONCURRENCY_LIMIT.prometheus_name)})"


def _active() -> str:
    # A service that has had no request yet has a limit, and nothing in it.
    return f"sum ({_own(ACTIVE_REQUESTS.prometheus_name)}) or 0 * {_limit()}"


def _saturation_share() -> str:
    return f"({_active()}) / {_limit()}"
