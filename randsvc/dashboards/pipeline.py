"""Is the monitoring itself well: from the Collector to the message that reaches a person."""

from randsvc.dashboards.panels import Dashboard, Levels, Panel, Query, Row, lines, number

NOTHING_FAILED = "the series exists only once something has failed"
NO_TRACES = "traces are off unless OTEL_TRACES_EXPORTER=otlp"
NO_QUEUE = "only an exporter that sends has a queue; the one that Prometheus pulls from has none"
NO_ALERT = "nothing fires while all is well"

COLLECTOR = 'job="otel-collector-telemetry"'
PROMETHEUS = 'job="prometheus"'
ALERTMANAGER = 'job="alertmanager"'

ANY_IS_BAD: Levels = ("green", (1e-9, "red"))


def dashboard() -> Dashboard:
    """Give the dashboard, in the order that a measurement travels."""
    return Dashboard(
        uid="randsvc-pipeline",
        title="Pipeline",
        description="Whether the monitoring itself is well. If it is not, believe no other "
        "dashboard.",
        rows=(
            Row("", _summary()),
            Row("Collector: receives what is pushed", _collector()),
            Row("Prometheus: pulls", _scrapes()),
            Row("Prometheus: rules and storage", _rules()),
            Row("Alertmanager: tells people", _alerts()),
        ),
    )


def _rate(metric: str, matcher: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{matcher}}}[$__rate_interval]))"


def _or_none(metric: str, while_: str, matcher: str = COLLECTOR) -> str:
    """Give the rate of a counter that exists only once it has counted: 0 while its peer exists."""
    return f"({_rate(metric, matcher)} or 0 * {_rate(while_, matcher)})"


def _lost() -> str:
    """Give what the Collector did not pass on, of metrics: refused, failed, not exported."""
    accepted = "otelcol_receiver_accepted_metric_points_total"
    return " + ".join(
        _or_none(metric, accepted)
        for metric in (
            "otelcol_receiver_refused_metric_points_total",
            "otelcol_receiver_failed_metric_points_total",
            "otelcol_exporter_send_failed_metric_points_total",
            "otelcol_exporter_enqueue_failed_metric_points_total",
        )
    )


def _summary() -> tuple[Panel, ...]:
    return (
        number(
            "Targets up",
            "Share of all targets whose last scrape worked. Green only when all did.",
            "percentunit",
            Query(expr="avg(up)"),
            levels=("red", (0.5, "orange"), (1, "green")),
            decimals=0,
        ),
        number(
            "Points received",
            "Points of metrics that the Collector accepted, each second. Red: nobody pushes.",
            "cps",
            Query(expr=_rate("otelcol_receiver_accepted_metric_points_total", COLLECTOR)),
            levels=("red", (1e-9, "green")),
        ),
        number(
            "Points lost",
            "Points of metrics that the Collector refused, or failed to pass on, each second.",
            "cps",
            Query(expr=_lost()),
            levels=ANY_IS_BAD,
        ),
        number(
            "Slowest scrape",
            "Of the last round. From 1 s on orange; at the interval, 2 s, samples are missed.",
            "s",
            Query(expr="max(scrape_duration_seconds)"),
            levels=("green", (1, "orange"), (2, "red")),
        ),
        number(
            "Failing rules",
            "Evaluations that failed, each second: what they would say is not known.",
            "cps",
            Query(expr=_rate("prometheus_rule_evaluation_failures_total", PROMETHEUS)),
            levels=ANY_IS_BAD,
        ),
        number(
            "Alerts lost",
            "Alerts that did not reach Alertmanager, and messages that did not leave it, each "
            "second.",
            "cps",
            Query(
                expr=f"{_rate('prometheus_notifications_errors_total', PROMETHEUS)}"
                f" + {_rate('prometheus_notifications_dropped_total', PROMETHEUS)}"
                f" + {_rate('alertmanager_notifications_failed_total', ALERTMANAGER)}"
            ),
            levels=ANY_IS_BAD,
        ),
    )


def _collector() -> tuple[Panel, ...]:
    accepted = "otelcol_receiver_accepted_metric_points_total"
    sent = "otelcol_exporter_sent_metric_points_total"
    return (
        lines(
            "Accepted",
            "What the Collector took in, each second. Steady, as services push at an interval.",
            "cps",
            Query(expr=_rate(accepted, COLLECTOR, "transport"), legend="points, {{transport}}"),
            Query(
                expr=_rate("otelcol_receiver_accepted_spans_total", COLLECTOR, "transport"),
                legend="spans, {{transport}}",
                empty=NO_TRACES,
            ),
        ),
        lines(
            "Refused, failed and dropped",
            "Each second. Refused: the memory limit is reached, the sender tries again. Failed: an "
            "error inside. Dropped: taken in, but a processor did not pass it on.",
            "cps",
            Query(
                expr=_rate("otelcol_receiver_refused_metric_points_total", COLLECTOR),
                legend="points refused",
            ),
            Query(
                expr=_rate("otelcol_receiver_failed_metric_points_total", COLLECTOR),
                legend="points failed",
            ),
            Query(
                expr=f"clamp_min({_rate('otelcol_processor_incoming_items_total', COLLECTOR)}"
                f" - {_rate('otelcol_processor_outgoing_items_total', COLLECTOR)}, 0)",
                legend="dropped",
            ),
            Query(
                expr=_rate("otelcol_receiver_refused_spans_total", COLLECTOR),
                legend="spans refused",
                empty=NO_TRACES,
            ),
        ),
        lines(
            "Exported",
            "What exporters passed on, each second, and what they could not. Sent should equal "
            "accepted.",
            "cps",
            Query(expr=_rate(sent, COLLECTOR, "exporter"), legend="points, {{exporter}}"),
            Query(
                expr=_or_none("otelcol_exporter_send_failed_metric_points_total", sent),
                legend="points failed",
            ),
            Query(
                expr=_or_none("otelcol_exporter_enqueue_failed_metric_points_total", sent),
                legend="points, queue full",
            ),
            Query(
                expr=_rate("otelcol_exporter_sent_spans_total", COLLECTOR, "exporter"),
                legend="spans, {{exporter}}",
                empty=NO_TRACES,
            ),
            Query(
                expr=_rate("otelcol_exporter_send_failed_spans_total", COLLECTOR, "exporter"),
                legend="spans failed, {{exporter}}",
                empty=NOTHING_FAILED,
            ),
        ),
        lines(
            "Waiting to be exported",
            "Requests under way, and queues of the exporters that have one, against the "
            "capacity. A queue that grows is a receiver that is slow or away.",
            "short",
            Query(
                expr=f"sum by (exporter) (otelcol_exporter_in_flight_requests{{{COLLECTOR}}})",
                legend="under way, {{exporter}}",
            ),
            Query(
                expr=f"sum by (exporter) (otelcol_exporter_queue_size{{{COLLECTOR}}})",
                legend="queue, {{exporter}}",
                empty=NO_QUEUE,
            ),
            Query(
                expr=f"sum by (exporter) (otelcol_exporter_queue_capacity{{{COLLECTOR}}})",
                legend="capacity, {{exporter}}",
                empty=NO_QUEUE,
            ),
        ),
        lines(
            "Collector: memory",
            "Physical memory. The Collector refuses data before it runs out.",
            "bytes",
            Query(
                expr=f"sum by (instance) (otelcol_process_memory_rss_bytes{{{COLLECTOR}}})",
                legend="{{instance}}",
            ),
        ),
        lines(
            "Collector: CPU",
            "100% is one CPU.",
            "percentunit",
            Query(
                expr=_rate("otelcol_process_cpu_seconds_total", COLLECTOR, "instance"),
                legend="{{instance}}",
            ),
        ),
    )


def _scrapes() -> tuple[Panel, ...]:
    return (
        lines(
            "Targets by job",
            "1 while every target of the job answers, 0 while one of them does not.",
            "short",
            Query(expr="min by (job) (up)", legend="{{job}}"),
            steps=True,
            ceiling=1,
            width=8,
        ),
        lines(
            "Scrape duration",
            "The slowest target of each job. At the interval of 2 s samples are missed.",
            "s",
            Query(expr="max by (job) (scrape_duration_seconds)", legend="{{job}}"),
            levels=("green", (1, "orange"), (2, "red")),
            width=8,
        ),
        lines(
            "Samples in a scrape",
            "How many series each job gives. Growth that does not end is a label with too many "
            "values.",
            "short",
            Query(expr="sum by (job) (scrape_samples_scraped)", legend="{{job}}"),
            width=8,
        ),
    )


def _rules() -> tuple[Panel, ...]:
    # The group is "path;name"; the path is no use in a legend.
    named = 'label_replace({}, "group", "$1", "rule_group", ".*;(.*)")'
    seconds = f"prometheus_rule_group_last_duration_seconds{{{PROMETHEUS}}}"
    interval = f"prometheus_rule_group_interval_seconds{{{PROMETHEUS}}}"
    return (
        lines(
            "Rule evaluation",
            "How long each group of rules took, as a share of its interval. At 100% evaluations "
            "are missed.",
            "percentunit",
            Query(
                expr=named.format(
                    f"sum by (rule_group) ({seconds}) / sum by (rule_group) ({interval})"
                ),
                legend="{{group}}",
            ),
            levels=("green", (0.5, "orange"), (1, "red")),
        ),
        lines(
            "Rules that failed or were missed",
            "Each second. Failed: an error, such as two series where one was expected. Missed: "
            "the round before took too long.",
            "cps",
            Query(
                expr=_rate("prometheus_rule_evaluation_failures_total", PROMETHEUS),
                legend="failed",
            ),
            Query(
                expr=_rate("prometheus_rule_group_iterations_missed_total", PROMETHEUS),
                legend="missed",
            ),
        ),
        lines(
            "Series",
            "In Prometheus's memory. Its need of memory follows them.",
            "short",
            Query(expr=f"sum (prometheus_tsdb_head_series{{{PROMETHEUS}}})", legend="series"),
        ),
        lines(
            "Samples stored",
            "Each second, of all targets and rules.",
            "cps",
            Query(
                expr=_rate("prometheus_tsdb_head_samples_appended_total", PROMETHEUS, "type"),
                legend="{{type}}",
            ),
        ),
    )


def _alerts() -> tuple[Panel, ...]:
    return (
        lines(
            "Prometheus to Alertmanager",
            "Alerts each second: sent, not delivered, and dropped as none could be delivered.",
            "cps",
            *(
                Query(
                    expr=_rate(f"prometheus_notifications_{metric}_total", PROMETHEUS),
                    legend=legend,
                )
                for metric, legend in (
                    ("sent", "sent"),
                    ("errors", "failed"),
                    ("dropped", "dropped"),
                )
            ),
            width=8,
        ),
        lines(
            "Alertmanager to people",
            "Messages each second, by way. None is sent while nothing fires.",
            "cps",
            Query(
                expr=_rate("alertmanager_notifications_total", ALERTMANAGER, "integration")
                + " > 0",
                legend="{{integration}}",
                empty=NO_ALERT,
            ),
            Query(
                expr=_rate("alertmanager_notifications_failed_total", ALERTMANAGER),
                legend="failed",
            ),
            width=8,
        ),
        lines(
            "Alerts held",
            "Alerts that Alertmanager holds now. Suppressed: silenced, or inhibited by a worse "
            "one.",
            "short",
            Query(
                expr=f"sum by (state) (alertmanager_alerts{{{ALERTMANAGER}}})", legend="{{state}}"
            ),
            steps=True,
            width=8,
        ),
    )
