"""Whether the monitoring itself works: from the Collector to the notification of a person."""

from randsvc.dashboards.colours import OUTCOMES
from randsvc.dashboards.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    Thresholds,
    draw_lines,
    show_number,
)
from randsvc.rules.golden_signals import SHARE_OF_LIMIT
from randsvc.telemetry.catalogue import DROPPED_LOGS

NOTHING_FAILED = "the series exists only once something has failed"
NO_TRACES = "traces are off unless OTEL_TRACES_EXPORTER=otlp"
NO_LOGS = "logs are not exported unless OTEL_LOGS_EXPORTER=otlp"
NO_QUEUE = "only an exporter that sends has a queue; the one that Prometheus pulls from has none"
NO_ALERT = "no alert fires in a healthy system"

COLLECTOR = 'job="otel-collector-telemetry"'
PROMETHEUS = 'job="prometheus"'
ALERTMANAGER = 'job="alertmanager"'

ANY_IS_BAD: Thresholds = ("green", (1e-9, "red"))


def make_dashboard() -> Dashboard:
    """Give the dashboard, in the order that a measurement travels."""
    return Dashboard(
        uid="randsvc-pipeline",
        title="Pipeline",
        description="Whether the monitoring itself works. If it does not, the other dashboards "
        "may be wrong.",
        rows=(
            Row("", _summary()),
            Row("Collector: receives pushed data", _collector()),
            Row("Prometheus: scrapes", _scrapes()),
            Row("Prometheus: rules and storage", _rules()),
            Row("Alertmanager: notifies people", _alerts()),
        ),
    )


def _rate(metric: str, matcher: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{matcher}}}[$__rate_interval]))"


def _or_none(metric: str, while_: str, matcher: str = COLLECTOR) -> str:
    """Give the rate of a counter that exists only once it has counted: 0 while its peer exists."""
    return f"({_rate(metric, matcher)} or 0 * {_rate(while_, matcher)})"


def _lost() -> str:
    """Give the data points that the Collector refused, failed on, or did not export."""
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
        show_number(
            "Targets up",
            "Share of all targets whose last scrape succeeded. Green only at 100%.",
            "percentunit",
            Query(expr="avg(up)"),
            thresholds=("red", (0.5, "orange"), (1, "green")),
            decimals=0,
        ),
        show_number(
            "Data points received",
            "Metric data points that the Collector accepted. Red: no service pushes.",
            "count:points/s",
            Query(expr=_rate("otelcol_receiver_accepted_metric_points_total", COLLECTOR)),
            thresholds=("red", (1e-9, "green")),
        ),
        show_number(
            "Data points lost",
            "Metric data points that the Collector refused, or could not export.",
            "count:points/s",
            Query(expr=_lost()),
            thresholds=ANY_IS_BAD,
        ),
        show_number(
            "Slowest scrape",
            "Duration of the slowest of the last scrapes. Orange from 1 s. At the interval of 2 s, "
            "samples are missed.",
            "s",
            Query(expr="max(scrape_duration_seconds)"),
            thresholds=("green", (1, "orange"), (2, "red")),
        ),
        show_number(
            "Failing rules",
            "Rule evaluations that failed. Their results are missing.",
            "count:evals/s",
            Query(expr=_rate("prometheus_rule_evaluation_failures_total", PROMETHEUS)),
            thresholds=ANY_IS_BAD,
        ),
        show_number(
            "Alerts lost",
            "Alerts that did not reach Alertmanager, and notifications that it could not send.",
            "count:alerts/s",
            Query(
                expr=f"{_rate('prometheus_notifications_errors_total', PROMETHEUS)}"
                f" + {_rate('prometheus_notifications_dropped_total', PROMETHEUS)}"
                f" + {_rate('alertmanager_notifications_failed_total', ALERTMANAGER)}"
            ),
            thresholds=ANY_IS_BAD,
        ),
    )


def _collector() -> tuple[Panel, ...]:
    accepted = "otelcol_receiver_accepted_metric_points_total"
    sent = "otelcol_exporter_sent_metric_points_total"
    return (
        draw_lines(
            "Data points accepted",
            "Data points, spans and log records that the Collector accepted. Points are steady, "
            "as services push at an interval.",
            "count:items/s",
            Query(expr=_rate(accepted, COLLECTOR, "transport"), legend="points, {{transport}}"),
            Query(
                expr=_rate("otelcol_receiver_accepted_spans_total", COLLECTOR, "transport"),
                legend="spans, {{transport}}",
                empty=NO_TRACES,
            ),
            Query(
                expr=_rate("otelcol_receiver_accepted_log_records_total", COLLECTOR, "transport"),
                legend="log records, {{transport}}",
                empty=NO_LOGS,
            ),
            colours=OUTCOMES,
        ),
        draw_lines(
            "Data points refused, failed and dropped",
            "Refused: the memory limit is reached, and the sender tries again. Failed: an internal "
            "error. Dropped: accepted, but a processor did not pass it on.",
            "count:items/s",
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
            colours=OUTCOMES,
        ),
        draw_lines(
            "Data points exported",
            "Data points, spans and log records that the exporters sent, or could not send. "
            "Sent should equal accepted.",
            "count:items/s",
            Query(expr=_rate(sent, COLLECTOR, "exporter"), legend="points sent, {{exporter}}"),
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
                expr=_rate("otelcol_exporter_sent_log_records_total", COLLECTOR, "exporter"),
                legend="log records, {{exporter}}",
                empty=NO_LOGS,
            ),
            Query(
                expr=_rate("otelcol_exporter_send_failed_spans_total", COLLECTOR, "exporter"),
                legend="spans failed, {{exporter}}",
                empty=NOTHING_FAILED,
            ),
            colours=OUTCOMES,
        ),
        draw_lines(
            "Export queues",
            "Requests in flight, and the queue of each exporter against its capacity. A queue "
            "grows when its receiver is slow or unreachable.",
            "short",
            Query(
                expr=f"sum by (exporter) (otelcol_exporter_in_flight_requests{{{COLLECTOR}}})",
                legend="in flight, {{exporter}}",
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
        draw_lines(
            "Log records dropped",
            "Log records that a service dropped: too many of one statement (rate_limited), or more "
            "than can wait for the Collector (queue_full).",
            "count:records/s",
            Query(
                expr="sum by (job, error_type) "
                f"(rate({DROPPED_LOGS.prometheus_name}[$__rate_interval]))",
                legend="{{job}}, {{error_type}}",
            ),
            width=24,
        ),
        draw_lines(
            "Collector: memory",
            "Physical memory. The Collector refuses data before it runs out.",
            "bytes",
            Query(
                expr=f"sum by (instance) (otelcol_process_memory_rss_bytes{{{COLLECTOR}}})",
                legend="{{instance}}",
            ),
        ),
        draw_lines(
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
        draw_lines(
            "Targets up by job",
            "100% while Prometheus can scrape every target of the job.",
            "percentunit",
            Query(expr="avg by (job) (up)", legend="{{job}}"),
            steps=True,
            ceiling=1,
            width=8,
        ),
        draw_lines(
            "Scrape duration",
            "The slowest target of each job. At the interval of 2 s, samples are missed.",
            "s",
            Query(expr="max by (job) (scrape_duration_seconds)", legend="{{job}}"),
            thresholds=("green", (1, "orange"), (2, "red")),
            width=8,
        ),
        draw_lines(
            "Samples per scrape",
            "Number of series of each job. Endless growth means a label with too many values.",
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
        draw_lines(
            "Rule evaluation",
            "Duration of each rule group, as a share of its interval. At 100%, evaluations "
            "are missed.",
            "percentunit",
            Query(
                expr=named.format(
                    f"sum by (rule_group) ({seconds}) / sum by (rule_group) ({interval})"
                ),
                legend="{{group}}",
            ),
            thresholds=("green", (0.5, "orange"), (1, "red")),
            width=8,
        ),
        draw_lines(
            "Rule evaluations failed or missed",
            "Failed: an error, such as two series where one was expected. Missed: the evaluation "
            "before took too long.",
            "count:evals/s",
            Query(
                expr=_rate("prometheus_rule_evaluation_failures_total", PROMETHEUS),
                legend="failed",
            ),
            Query(
                expr=_rate("prometheus_rule_group_iterations_missed_total", PROMETHEUS),
                legend="missed",
            ),
            colours=OUTCOMES,
            width=8,
        ),
        draw_lines(
            "Failed writes",
            "Writes to the write-ahead log that failed since the start of Prometheus, mostly as "
            "the disk is full. After one, the next start loses everything that came later.",
            "short",
            Query(
                expr=f"sum by (instance) (prometheus_tsdb_wal_writes_failed_total{{{PROMETHEUS}}})",
                legend="{{instance}}",
            ),
            width=8,
        ),
        draw_lines(
            "Series",
            "Series in the memory of Prometheus, which grows with them.",
            "short",
            Query(expr=f"sum (prometheus_tsdb_head_series{{{PROMETHEUS}}})", legend="series"),
            width=8,
        ),
        draw_lines(
            "Used shares of limits",
            "Share of the size limit that the stored blocks of Prometheus use. At 100% it deletes "
            "the oldest data, before their time.",
            "percentunit",
            Query(
                expr=f"max by (resource) ({SHARE_OF_LIMIT}{{{PROMETHEUS}}})", legend="{{resource}}"
            ),
            ceiling=1,
            width=8,
        ),
        draw_lines(
            "Samples stored",
            "Samples of all targets and rules.",
            "count:samples/s",
            Query(
                expr=_rate("prometheus_tsdb_head_samples_appended_total", PROMETHEUS, "type"),
                legend="{{type}}",
            ),
            width=8,
        ),
    )


def _alerts() -> tuple[Panel, ...]:
    return (
        draw_lines(
            "Alerts sent by Prometheus",
            "Alerts sent to Alertmanager, failed, and dropped because the queue was full.",
            "count:alerts/s",
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
            colours=OUTCOMES,
        ),
        draw_lines(
            "Notifications sent by Alertmanager",
            "Notifications by integration. Only the Watchdog's are sent while no alert fires.",
            "count:messages/s",
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
            colours=OUTCOMES,
        ),
        draw_lines(
            "Alerts held by Alertmanager",
            "Alerts that Alertmanager holds now. Suppressed: silenced, or inhibited by a "
            "worse one.",
            "short",
            Query(
                expr=f"sum by (state) (alertmanager_alerts{{{ALERTMANAGER}}})", legend="{{state}}"
            ),
            steps=True,
            width=8,
            colours={"active": "red", "suppressed": "#a0a0a0", "unprocessed": "yellow"},
        ),
    )
