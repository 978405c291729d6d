"""The home dashboard: traffic, latency, errors and saturation of the service."""

from randsvc.dashboards.colours import ERRORS, PERCENTILES, STATUS
from randsvc.dashboards.panels import (
    Column,
    Dashboard,
    Panel,
    Query,
    Row,
    Text,
    Thresholds,
    Variable,
    draw_heatmap,
    draw_lines,
    drop_nan,
    or_named,
    show_number,
    tabulate,
)
from randsvc.rules.golden_signals import (
    DISCONNECT,
    FAILED,
    SHARE_OF_LIMIT,
    WINDOW,
    rate,
    reporting,
)
from randsvc.rules.log_links import link_traces, make_logs_path, select_logs
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

ERROR_THRESHOLDS: Thresholds = ("green", (0.01, "orange"), (0.05, "red"))
LATENCY_THRESHOLDS: Thresholds = ("green", (0.25, "orange"), (1, "red"))
SATURATION_THRESHOLDS: Thresholds = ("green", (0.7, "orange"), (0.9, "red"))
# A timer that is late by 50 ms is the whole median delay of a request; by 250 ms a person notices.
LAG_THRESHOLDS: Thresholds = ("green", (0.05, "orange"), (0.25, "red"))


def make_dashboard() -> Dashboard:
    """Give the dashboard, of one service, filtered by route and instance."""
    return Dashboard(
        uid="randsvc-golden-signals",
        title="Golden signals",
        description="Traffic, latency, errors and saturation of one service.",
        variables=(
            Variable("job", "Service", f"{DURATION}_count", "job", chosen="randsvc"),
            Variable("route", "Route", f"{DURATION}_count{{{JOB}}}", "http_route"),
            Variable(
                "instance", "Instance", f"{PROCESS_CPU_TIME.prometheus_name}{{{JOB}}}", "instance"
            ),
            # The address of docker compose and of `make stack`, with LOGS=1.
            Text("logs", "Logs at", "http://localhost:9428"),
            Text("traces", "Traces at", "http://localhost:16686"),
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
        show_number(
            "Requests",
            "Requests per second, including those that the client gave up on.",
            "reqps",
            Query(expr=_requests()),
        ),
        show_number(
            "Errors",
            "Share of requests in which the service failed. Orange from 1%, red from 5%.",
            "percentunit",
            Query(expr=_error_share()),
            thresholds=ERROR_THRESHOLDS,
            decimals=2,
        ),
        show_number(
            "Median latency",
            "Half of all requests took at most this long.",
            "s",
            Query(expr=_quantile(0.5)),
            thresholds=LATENCY_THRESHOLDS,
        ),
        show_number(
            "p99 latency",
            "1% of requests took longer than this. Orange from 250 ms, red from 1 s.",
            "s",
            Query(expr=_quantile(0.99)),
            thresholds=LATENCY_THRESHOLDS,
        ),
        show_number(
            "Saturation",
            "Requests in a handler now, as a share of the concurrency limit. Requests above the "
            "limit are rejected with 503. Orange from 70%, red from 90%.",
            "percentunit",
            Query(expr=_saturation_share()),
            thresholds=SATURATION_THRESHOLDS,
            decimals=1,
        ),
        show_number(
            "Up",
            "Share of the management ports that Prometheus can scrape. Green only at 100%.",
            "percentunit",
            Query(expr='avg(up{job=~"$job(-management)?"})'),
            thresholds=("red", (0.5, "orange"), (1, "green")),
            none="not scraped",
            decimals=0,
        ),
    )


def _traffic() -> tuple[Panel, ...]:
    return (
        draw_lines(
            "Requests by route",
            "Requests per second. A request whose path matches no route has no route.",
            "reqps",
            Query(
                expr=_name_missing(_requests(by="http_route"), "http_route", "no route"),
                legend="{{http_route}}",
            ),
            stacked=True,
        ),
        draw_lines(
            "Requests by status",
            "Requests per second. A client that left got no status.",
            "reqps",
            Query(
                expr=_name_missing(
                    _requests(by="http_response_status_code"),
                    "http_response_status_code",
                    "client left",
                ),
                legend="{{http_response_status_code}}",
            ),
            colours=STATUS,
            stacked=True,
        ),
    )


def _latency() -> tuple[Panel, ...]:
    return (
        draw_lines(
            "Latency",
            "Half of all requests took at most p50, 90% p90, 99% p99. A point is a traced request: "
            "click it to open its trace.",
            "s",
            *(
                Query(expr=_quantile(q), legend=f"p{q * 100:g}", exemplar=q == 0.99)
                for q in (0.5, 0.9, 0.99)
            ),
            colours=PERCENTILES,
            thresholds=LATENCY_THRESHOLDS,
        ),
        draw_heatmap(
            "Latency heatmap",
            "Requests per second by latency. Two bands are two kinds of request, which no "
            "percentile shows.",
            "s",
            Query(expr=_buckets("le"), legend="{{le}}", exemplar=True),
            cell_unit="reqps",
        ),
        draw_lines(
            "p99 latency by route",
            "1% of the requests of a route took longer than this. A point is a traced request.",
            "s",
            Query(
                expr=_name_missing(
                    drop_nan(f"histogram_quantile(0.99, {_buckets('http_route', 'le')})"),
                    "http_route",
                    "no route",
                ),
                legend="{{http_route}}",
                exemplar=True,
            ),
        ),
        draw_lines(
            "p99 latency of successes and of failures",
            "Failures have a latency of their own: rejected requests are fast, timeouts are slow.",
            "s",
            Query(expr=_quantile(0.99, 'error_type=""'), legend="successes"),
            Query(expr=_quantile(0.99, 'error_type!=""'), legend="failures", empty=NO_ERROR),
            colours={"successes": "green", "failures": "red"},
        ),
    )


def _errors() -> tuple[Panel, ...]:
    return (
        draw_lines(
            "Errors by route",
            "Share of a route's requests in which the service failed. Lines at 1% and 5%.",
            "percentunit",
            Query(
                expr=_name_missing(_error_share(by="http_route"), "http_route", "no route"),
                legend="{{http_route}}",
            ),
            thresholds=ERROR_THRESHOLDS,
        ),
        draw_lines(
            "Errors by type",
            "Failed requests per second: exceptions by class, other 5xx responses by status, and "
            "requests whose client left.",
            "reqps",
            Query(
                expr=or_named(_requests(FAILED, by="error_type"), "error_type", "no errors"),
                legend="{{error_type}}",
            ),
            Query(
                expr=_requests(DISCONNECT, by="error_type"),
                legend="{{error_type}} (client left)",
                empty=NO_ERROR,
            ),
            colours=ERRORS,
            stacked=True,
            link=("Open the logs of this error type (with LOGS=1)", _logs_of_error()),
        ),
    )


def _logs_of_error() -> str:
    query = select_logs(service__name="${job}", error__type="${__field.labels.error_type}")
    query += f" {link_traces('${traces}')}"
    return "${logs}/" + make_logs_path(query, "${__to:date:iso}", "1h")


def _saturation() -> tuple[Panel, ...]:
    return (
        draw_lines(
            "Requests in a handler",
            "Active requests against the concurrency limit. Requests above the limit are rejected "
            "with 503.",
            "short",
            Query(expr=_active(), legend="active"),
            Query(expr=_limit(), legend="limit"),
            colours={"active": "blue", "limit": "red"},
            dashed=("limit",),
            width=8,
        ),
        draw_lines(
            "Event-loop lag",
            "Delay of the event loop's timers. Every request waits this long in addition. Lines at "
            "50 ms and 250 ms.",
            "s",
            *(
                Query(
                    expr=f"histogram_quantile({q:g}, {_lag()})",
                    legend=f"p{q * 100:g}",
                )
                for q in (0.5, 0.99)
            ),
            colours=PERCENTILES,
            thresholds=LAG_THRESHOLDS,
            width=8,
        ),
        draw_lines(
            "CPU",
            "CPU time of each instance. An event loop can use one CPU: at 100% it is full.",
            "percentunit",
            Query(
                expr=reporting(
                    rate(
                        PROCESS_CPU_TIME.prometheus_name,
                        INSTANCE,
                        by=["job", "instance"],
                        window="$__rate_interval",
                        job=JOB,
                    )
                ),
                legend="{{instance}}",
            ),
            thresholds=SATURATION_THRESHOLDS,
            ceiling=1,
            width=8,
        ),
        draw_lines(
            "Memory",
            "Physical memory of each instance. It should level off.",
            "bytes",
            Query(
                expr=f"sum by (instance) {_own(PROCESS_MEMORY_USAGE.prometheus_name)}",
                legend="{{instance}}",
            ),
            width=8,
        ),
        draw_lines(
            "Open files",
            "Open files and sockets of each instance. They follow the connections.",
            "short",
            Query(
                expr=f"sum by (instance) {_own(PROCESS_OPEN_FILES.prometheus_name)}",
                legend="{{instance}}",
            ),
            width=8,
        ),
        draw_lines(
            "Used shares of limits",
            "Share of each limit that an instance uses. A line that rises to 100% is an outage to "
            "come.",
            "percentunit",
            Query(
                expr=f"max by (instance, resource) ({SHARE_OF_LIMIT}{{{JOB},{INSTANCE}}})",
                legend="{{resource}} of {{instance}}",
            ),
            thresholds=SATURATION_THRESHOLDS,
            ceiling=1,
            width=8,
        ),
    )


def _tables() -> tuple[Panel, ...]:
    return (
        tabulate(
            "Routes",
            f"Each route over the last {WINDOW}: requests, share of failed requests, latency.",
            (Column("http_route", "Route"), *_COLUMNS),
            _signals("http_route", ROUTE),
            sort_by="Route",
        ),
        tabulate(
            "Instances",
            f"Each worker or replica over the last {WINDOW}. Look at one that differs.",
            (Column("instance", "Instance"), *_COLUMNS),
            _signals("instance", INSTANCE),
            sort_by="Instance",
        ),
    )


_COLUMNS = (
    Column("Requests", "Requests", "reqps", width=110),
    Column("Errors", "Errors", "percentunit", width=90),
    Column("p50", "p50", "s", width=90),
    Column("p99", "p99", "s", width=90),
)


def _signals(by: str, chosen: str) -> dict[str, Query]:
    """Give the recorded golden signals of a table's rows."""

    def select(series: str, *matchers: str) -> Query:
        selected = f"{series}{{{','.join((JOB, chosen, *matchers))}}}"
        if by == "instance":
            selected = reporting(selected)
        return Query(expr=_name_missing(f"sum by ({by}) ({selected})", by, "no route"))

    quantile = f"job_{by}_quantile:{DURATION}:histogram_quantile_rate{WINDOW}"
    return {
        "Requests": select(f"job_{by}:{DURATION}_count:rate{WINDOW}"),
        "Errors": select(f"job_{by}:http_server_errors_per_request:ratio_rate{WINDOW}"),
        "p50": select(quantile, 'quantile="0.5"'),
        "p99": select(quantile, 'quantile="0.99"'),
    }


def _name_missing(expr: str, label: str, name: str) -> str:
    """Give series without the label a value of it, or their legend would be "Value"."""
    return f'label_replace({expr}, "{label}", "{name}", "{label}", "")'


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
    return f"({_requests(FAILED, by=by)} or 0 * {requests}) / {requests}"


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
    return drop_nan(f"histogram_quantile({q:g}, {buckets})")


def _lag() -> str:
    return rate(f"{LAG}_bucket", INSTANCE, by=["le"], window="$__rate_interval", job=JOB)


def _own(metric: str) -> str:
    return reporting(f"{metric}{{{JOB},{INSTANCE}}}")


def _limit() -> str:
    return f"sum {_own(CONCURRENCY_LIMIT.prometheus_name)}"


def _active() -> str:
    # A service that has had no request yet has a limit, and nothing in it.
    return f"sum {_own(ACTIVE_REQUESTS.prometheus_name)} or 0 * {_limit()}"


def _saturation_share() -> str:
    return f"({_active()}) / {_limit()}"
