"""The alerts on the services and on their monitoring, as data, for a time scale.

``python -m randsvc.generate`` writes them to observability/prometheus/rules/, with a table in
docs/alerts.md. Levels and routes: observability/alertmanager/alertmanager.yml.

``service`` says whom an alert is about: randsvc, auth or monitoring. By it Alertmanager lets what
is worse mute what follows from it.
"""

from collections.abc import Iterator
from dataclasses import replace

from randsvc.metrics import PREDICTIONS
from randsvc.rules.alert import Alert
from randsvc.rules.golden_signals import (
    FAILED,
    JOB,
    NOT_FAILED,
    SHARE_OF_LIMIT,
    count_events,
    reporting,
)
from randsvc.rules.time_scale import TimeScale, spell, spell_last
from randsvc.telemetry.catalogue import (
    CONCURRENCY_LIMIT,
    DROPPED_LOGS,
    EVENT_LOOP_LAG,
    REQUEST_DURATION,
)
from randsvc.times import parse_duration

__all__ = ("WATCHDOG", "make_service_alerts", "select_settling")

WATCHDOG = "RandsvcWatchdog"
SERVICES = ("randsvc", "auth")
PATHS = {"randsvc": "/random", "auth": "/login"}
"""What the probe of each service requests."""

PARTIAL_OUTAGE = 0.25, 0.8
"""Shares of failed requests between which all probes of a while may fail by chance. At a quarter
six probes in a row fail once in 4,096 times, at a half once in 64. Above the other one nearly all
requests fail."""
FALLBACK_SHARE = 0.05
"""A model that fails now and then is what a fallback is for."""
SHED_SHARE = 0.01
HALF = 0.5
"""Of a limit: below it a trend is the warm-up after a start."""
FULL = 0.8
"""Of the concurrency limit: above it a burst of the usual size is shed."""
LAG = 0.25
"""Seconds; a person notices. The default delay is a fifth of it."""
TAIL_QUANTILE = 0.995
TAIL_FACTOR = 10
"""The slowest half percent against the median: a strange loop that hits 1% moves it, while the
healthy delay, lognormal(sigma=0.5), has 4 of it, or 5 as its buckets show it."""

_DURATION = REQUEST_DURATION.prometheus_name
_RANDOM = f'{JOB},http_route="/random"'
_LOGIN = 'job="auth",http_route="/login"'
_COLLECTOR = 'job="otel-collector-telemetry"'


def make_service_alerts(scale: TimeScale) -> Iterator[Alert]:
    """Give those on the services and their monitoring, in the order of their levels."""
    for service in SERVICES:
        yield from _alert_on_absence(service, scale)
    yield _alert_on_logins(scale)
    for service in (*SERVICES, "monitoring"):
        yield _alert_on_saturation(service, scale)
    yield from _alert_on_service(scale)
    yield from _alert_on_monitoring(scale)
    yield Alert(
        name=WATCHDOG,
        level="none",
        service="monitoring",
        expr="vector(1)",
        unit="",
        summary="The path from alert rules to people works",
        description="This alert always fires. When it stops arriving, no other alert arrives "
        "either: let a system outside this one notice.",
        dashboard="pipeline",
        panel="Alerts held by Alertmanager",
    )


def _once_settled(expr: str, scale: TimeScale) -> str:
    """Give the condition without what Prometheus sees just after its own start.

    Where no such job is scraped, the condition alone remains.
    """
    return f"({expr}) unless on () {select_settling(scale)}"


def select_settling(scale: TimeScale) -> str:
    """Give the seconds since the start of Prometheus while alerts on what is down wait for it."""
    age = 'time() - process_start_time_seconds{job="prometheus"}'
    return f"{age} < {parse_duration(scale.settling):g}"


def _select_up(service: str) -> str:
    # Pulled, a service's job has its name; pushed, the job of its management port only has `up`.
    return f'up{{job=~"{service}(-management)?"}}'


def _alert_on_absence(service: str, scale: TimeScale) -> Iterator[Alert]:
    up = _select_up(service)
    yield Alert(
        name="RandsvcServiceDown",
        level="critical",
        service=service,
        expr=_once_settled(f"max ({up}) == 0 or absent({up})", scale),
        unit="",
        summary=f"{service} is down: no management port has answered for {spell(scale.unseen)}",
        description=f"Prometheus cannot scrape any {service} management port, or has no such "
        "target. Users are not being served.",
        dashboard="pipeline",
        panel="Targets up by job",
        wait=scale.unseen,
        hold=scale.hold,
    )
    path = PATHS[service]
    probe = f'probe_success{{job="blackbox",service="{service}"}}'
    window, wait = scale.probe
    # A service that has just been installed is given as long as one that was there before.
    failed = f"max (max_over_time({probe}[{window}]) and {probe} offset {window}) == 0"
    yield Alert(
        name="RandsvcNotAnswering",
        level="critical",
        service=service,
        expr=_once_settled(
            f"{failed} unless on () {_partial_outage(service, scale.answered)}", scale
        ),
        unit="",
        summary=f"Users get no answer from {service}: every probe of {path} has failed for "
        f"{sum(map(parse_duration, scale.probe)):g} seconds",
        description=f"A probe requests {path} as a user does. It gets no response, or a wrong one.",
        panel="Requests by status",
        wait=wait,
        hold=scale.hold,
    )
    limit = f'{CONCURRENCY_LIMIT.prometheus_name}{{job="{service}"}}'
    yield Alert(
        name="RandsvcNotReporting",
        level="critical",
        service=service,
        # A Collector that is down has an alert of its own, and so has a service.
        expr=_once_settled(
            f'absent({reporting(limit)}) and on () max (up{{job="otel-collector"}}) == 1'
            f" and on () max ({up}) == 1",
            scale,
        ),
        unit="",
        summary=f"No metrics have arrived from {service} for {spell(scale.unreported)}, although "
        "the process is up",
        description=f"{service} and the Collector are up, but no metric that {service} pushes "
        "arrives. Only the probe knows whether users are served.",
        dashboard="pipeline",
        panel="Data points accepted",
        wait=scale.unreported,
        hold=scale.hold,
    )


def _partial_outage(service: str, window: str) -> str:
    """Give the share of failed requests where the service itself counts that others succeed.

    All probes may fail by chance then, and the alert on the error budget tells how many users do.
    """
    some, nearly_all = PARTIAL_OUTAGE
    requests = f'{_DURATION}_count{{job="{service}",http_route="{PATHS[service]}"'
    failed = f"sum ({count_events(f'{requests},{FAILED}}}', window)})"
    total = f"sum ({count_events(f'{requests}}}', window)})"
    return f"({failed} / {total} > {some:g} < {nearly_all:g})"


def _alert_on_logins(scale: TimeScale) -> Alert:
    def logins(matcher: str) -> str:
        series = f"{_DURATION}_count{{{_LOGIN},{matcher}}}"
        return f"sum ({count_events(series, scale.logins)})"

    # Wrong passwords (4xx) are no sign that others cannot log in.
    attempts = logins('http_response_status_code!~"4.."')
    succeeded = logins('http_response_status_code="200"')
    return Alert(
        name="RandsvcNobodyCanLogIn",
        level="critical",
        service="auth",
        expr=f"{attempts} >= {scale.min_logins} unless {succeeded} > 0",
        unit="attempts",
        summary='Nobody can log in: all {{ printf "%.0f" $value }} attempts of the '
        f"{spell_last(scale.logins)} failed",
        description="Users without a valid token are locked out. Users who are already logged in "
        "can continue until their token expires.",
        panel="Requests by status",
        hold=scale.hold,
    )


def _alert_on_saturation(service: str, scale: TimeScale) -> Alert:
    job = "prometheus" if service == "monitoring" else service
    share = f'{SHARE_OF_LIMIT}{{job="{job}"}}'
    ahead = f"predict_linear({share}[{scale.trend}], {parse_duration(scale.horizon):g})"
    return Alert(
        name="RandsvcFillingUp",
        level="major",
        service=service,
        expr=f"{share} > {HALF:g} and {ahead} > 1",
        unit="%",
        summary=f"{job}: {{{{ $value | humanizePercentage }}}} of the {{{{ $labels.resource }}}} "
        f"limit is used, and the trend reaches 100% within {spell(scale.horizon)}",
        description=f"This is the trend of the {spell_last(scale.trend)} of the instance "
        "{{ $labels.instance }}. At the limit it fails, or forgets what is old.",
        panel="Used shares of limits",
        dashboard="pipeline" if service == "monitoring" else "golden-signals",
        wait=scale.wait,
        hold=scale.hold,
    )


def _alert_on_service(scale: TimeScale) -> Iterator[Alert]:
    window = scale.window

    def rate(metric: str, matchers: str, over: str = window) -> str:
        return f"sum (rate({metric}{{{matchers}}}[{over}]))"

    def count(metric: str, matchers: str, over: str = window) -> str:
        return f"sum ({count_events(f'{metric}{{{matchers}}}', over)})"

    predictions, requests = PREDICTIONS.prometheus_name, f"{_DURATION}_count"
    fallback = f'{JOB},randsvc_source="fallback"'
    yield Alert(
        name="RandsvcModelReplaced",
        level="major",
        service="randsvc",
        expr=f"{rate(predictions, fallback)} / {rate(predictions, JOB)} > {FALLBACK_SHARE:g}"
        f" and {count(predictions, JOB)} >= {scale.min_events}",
        unit="%",
        summary="/random: {{ $value | humanizePercentage }} of predictions come from the fallback "
        f"(alert above {FALLBACK_SHARE:.0%})",
        description="The model fails, or takes longer than its time budget. The fallback answers "
        "in its place; its answers are less accurate.",
        dashboard="ml",
        panel="Predictions by source",
        wait=scale.wait,
        hold=scale.hold,
    )
    shed = f'{_RANDOM},http_response_status_code="503"'
    yield Alert(
        name="RandsvcSheddingLoad",
        level="major",
        service="randsvc",
        expr=f"{rate(requests, shed)} / {rate(requests, _RANDOM)} > {SHED_SHARE:g}"
        f" and {count(requests, _RANDOM)} >= {scale.min_events}",
        unit="%",
        summary="/random: {{ $value | humanizePercentage }} of requests are rejected with 503 "
        f"(alert above {SHED_SHARE:.0%})",
        description="randsvc is at its concurrency limit and rejects the requests above it. The "
        "other requests are served at the usual speed.",
        panel="Requests by status",
        wait=scale.wait,
        hold=scale.hold,
    )
    yield Alert(
        name="RandsvcNearItsLimit",
        level="major",
        service="randsvc",
        expr=f"avg_over_time(job:http_server_active_requests_per_limit:ratio{{{JOB}}}[{window}])"
        f" > {FULL:g}",
        unit="%",
        summary="randsvc is at {{ $value | humanizePercentage }} of its concurrency limit",
        description=f"The average of the {spell_last(window)} is above {FULL:.0%}. A burst of "
        "requests would be rejected with 503.",
        panel="Requests in a handler",
        wait=scale.wait,
        hold=scale.hold,
    )
    lag = (
        f"sum by (instance, le) (rate({EVENT_LOOP_LAG.prometheus_name}_bucket{{{JOB}}}[{window}]))"
    )
    yield Alert(
        name="RandsvcEventLoopBlocked",
        # Not critical: users wait, but are answered; where too many wait too long, their latency
        # objective says so. Not minor: everything in the process waits, and it ends in an outage.
        level="major",
        service="randsvc",
        expr=f"max (histogram_quantile(0.99, {lag})) > {LAG:g}",
        unit="s",
        summary='/random: requests wait up to {{ printf "%.2f" $value }} s for a blocked event '
        "loop (99th percentile)",
        description=f"A handler computes, or makes a blocking call, for more than {LAG:g} s. Every "
        "request of that process waits for it.",
        panel="Event-loop lag",
        wait=scale.wait,
        hold=scale.hold,
    )
    served = f"{_RANDOM},{NOT_FAILED}"
    buckets = f"sum by (le) (rate({_DURATION}_bucket{{{served}}}[{scale.tail}]))"
    yield Alert(
        name="RandsvcStrangeLoop",
        level="minor",
        service="randsvc",
        expr=f"histogram_quantile({TAIL_QUANTILE:g}, {buckets})"
        f" / histogram_quantile(0.5, {buckets}) > {TAIL_FACTOR:g}"
        f" and {count(requests, served, scale.tail)} >= {scale.min_tail}",
        unit="times",
        summary=f"/random: the slowest {1 - TAIL_QUANTILE:.1%} of requests take "
        '{{ printf "%.0f" $value }} times the median latency, or longer',
        description=f"Measured over the {spell_last(scale.tail)}. Above {TAIL_FACTOR} times the "
        "median a small group of requests meets something rare and slow.",
        panel="Latency heatmap",
        hold=scale.hold,
    )


def _alert_on_monitoring(scale: TimeScale) -> Iterator[Alert]:
    window = spell_last(scale.window)

    def count(metric: str, matcher: str) -> str:
        return f"sum ({count_events(f'{metric}{{{matcher}}}', scale.window)}) > 0"

    def make(
        name: str, unit: str, expr: str, summary: str, description: str, panel: str, wait: str = ""
    ) -> Alert:
        return Alert(
            name=name,
            level="major",
            service="monitoring",
            expr=expr,
            unit=unit,
            summary=summary,
            description=description,
            dashboard="pipeline",
            panel=panel,
            wait=wait,
            hold=scale.hold,
        )

    yield make(
        "RandsvcCollectorDown",
        "",
        _once_settled(
            'min (up{job=~"otel-collector(-telemetry)?"}) == 0 or absent(up{job="otel-collector"})',
            scale,
        ),
        f"The Collector is down: Prometheus has not scraped it for {spell(scale.window)}",
        "Metrics that services push are lost, so error rates and latencies are unknown. Probes, "
        "and the alerts on services that are down, still work.",
        "Targets up by job",
        scale.window,
    )
    services = "|".join(SERVICES)
    yield make(
        "RandsvcTargetsLost",
        "%",
        # The Collector, and a service of which nothing is left, have alerts of their own.
        _once_settled(
            f'avg by (job) (up{{job!~"otel-collector.*"}}) < 1 unless '
            f'avg by (job) (up{{job=~"({services})(-management)?"}}) == 0',
            scale,
        ),
        "Prometheus can scrape only {{ $value | humanizePercentage }} of the {{ $labels.job }} "
        "targets",
        "The other targets do not answer. Their metrics are missing from dashboards and alerts.",
        "Targets up by job",
        scale.window,
    )
    yield make(
        "RandsvcRulesFailing",
        "evaluations",
        count("prometheus_rule_evaluation_failures_total", 'job="prometheus"'),
        f'{{{{ printf "%.0f" $value }}}} rule evaluations failed in the {window}',
        "The results of these rules are missing, so an alert may be missing too.",
        "Rule evaluations failed or missed",
    )
    yield make(
        "RandsvcStorageFailing",
        "writes",
        # Until Prometheus ends: it repairs its write-ahead log at its start.
        'sum by (instance) (prometheus_tsdb_wal_writes_failed_total{job="prometheus"}) > 0',
        '{{ printf "%.0f" $value }} writes of Prometheus ({{ $labels.instance }}) to its disk '
        "failed",
        "When it ends, it loses everything since the first failure, even if the disk has space "
        "again. Restart it as soon as the disk does.",
        "Failed writes",
    )
    yield make(
        "RandsvcMeasurementsLost",
        "data points",
        " or ".join(
            count(f"otelcol_{what}_metric_points_total", _COLLECTOR)
            for what in (
                "receiver_refused",
                "receiver_failed",
                "exporter_send_failed",
                "exporter_enqueue_failed",
            )
        ),
        f'The Collector lost {{{{ printf "%.0f" $value }}}} metric data points in the {window}',
        "It refused them, or could not export them. Rates and shares may be wrong.",
        "Data points refused, failed and dropped",
        scale.window,
    )
    dropped = make(
        "RandsvcLogsDropped",
        "records",
        count(DROPPED_LOGS.prometheus_name, f'job=~"{services}"'),
        f'{{{{ printf "%.0f" $value }}}} log records were dropped in the {window}',
        "A statement logs far too often, or the records wait for a Collector that does not take "
        "them. What people look for may be among them.",
        "Log records dropped",
        scale.window,
    )
    yield replace(dropped, level="minor")
    yield make(
        "RandsvcNotificationsFailing",
        "notifications",
        _once_settled(
            " or ".join(
                (
                    count("prometheus_notifications_errors_total", 'job="prometheus"'),
                    count("prometheus_notifications_dropped_total", 'job="prometheus"'),
                    count("alertmanager_notifications_failed_total", 'job="alertmanager"'),
                )
            ),
            scale,
        ),
        f'{{{{ printf "%.0f" $value }}}} notifications failed in the {window}',
        "Prometheus cannot reach Alertmanager, or Alertmanager cannot reach a receiver. People may "
        "have missed an alert.",
        "Notifications sent by Alertmanager",
        scale.window,
    )
