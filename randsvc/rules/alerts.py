"""The alerts of Prometheus, as data, for a time scale.

``python -m randsvc.generate`` writes them to observability/prometheus/rules/, with a table in
docs/alerts.md. Levels and routes: observability/alertmanager/alertmanager.yml.

``service`` says whom an alert is about: randsvc, auth or monitoring. By it Alertmanager lets what
is worse mute what follows from it.
"""

from collections.abc import Iterator, Sequence

from randsvc.rules.alert import RUNBOOKS, Alert
from randsvc.rules.golden_signals import JOB, SERVER_ERROR
from randsvc.rules.ml_alerts import ml_alerts
from randsvc.rules.slo import BAD_EVENTS, BURN_RATE, SLOS, Slo
from randsvc.rules.time_scale import SEVERITY, Burn, TimeScale
from randsvc.telemetry.catalogue import (
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    PREDICTIONS,
    REQUEST_DURATION,
)
from randsvc.times import seconds

__all__ = ("RUNBOOKS", "WATCHDOG", "Alert", "alerts", "burn_alerts", "other_alerts")

WATCHDOG = "RandsvcWatchdog"
SERVICES = ("randsvc", "auth")

FALLBACK_SHARE = 0.05
"""A model that fails now and then is what a fallback is for."""
SHED_SHARE = 0.01
FULL = 0.8
"""Of the limit of concurrent requests: above it a burst of the usual size is shed."""
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


def alerts(scale: TimeScale) -> list[Alert]:
    """Give every alert."""
    return [*burn_alerts(scale), *other_alerts(scale), *ml_alerts(scale)]


def burn_alerts(scale: TimeScale, slos: Sequence[Slo] = SLOS) -> Iterator[Alert]:
    """Give the alerts on error budgets: one for each objective and level."""
    for slo in slos:
        for level in SEVERITY:
            burns = [burn for burn in scale.burns if burn.level == level]
            (wait,) = {burn.wait for burn in burns}
            bad = "fail" if slo.within is None else f"take longer than {slo.within:g} s"
            lasting = " or ".join(f"{burn.long} and {burn.short}" for burn in burns)
            yield Alert(
                name=slo.alert,
                level=level,
                service=slo.service,
                expr=" or ".join(f"({_burns(slo, burn)} >= {scale.min_bad})" for burn in burns),
                summary=f'{slo.route}: too many requests {bad}, {{{{ printf "%.1f" $value }}}} '
                "times what the objective allows",
                description=f"{slo.objective * 100:g}% of the requests for {slo.route} must not "
                f"{bad}. So many do over the last {lasting} that the budget of {scale.budget} "
                f"will be spent within {_spent_within(scale, burns)}.",
                dashboard="incidents",
                wait=wait,
                hold=scale.hold,
            )


def _spent_within(scale: TimeScale, burns: Sequence[Burn]) -> str:
    hours = seconds(scale.budget) / min(burn.factor for burn in burns) / 3600
    return f"{hours:.0f} hours" if hours > 2 else f"{hours * 60:.0f} minutes"


def _burns(slo: Slo, burn: Burn) -> str:
    """Give the condition of one burn, up to the number of bad events that it takes."""

    def recorded(series: str, window: str) -> str:
        return f'max without (window) ({series}{{slo="{slo.name}",window="{window}"}})'

    return (
        f"{recorded(BURN_RATE, burn.long)} > {burn.factor:g}"
        f" and {recorded(BURN_RATE, burn.short)} > {burn.factor:g}"
        f" and {recorded(BAD_EVENTS, burn.long)}"
    )


def other_alerts(scale: TimeScale) -> Iterator[Alert]:
    """Give those on the service and its monitoring, in the order of their levels."""
    for service in SERVICES:
        yield from _unseen(service, scale)
    yield _nobody_can_log_in(scale)
    yield from _service(scale)
    yield from _monitoring(scale)
    yield Alert(
        name=WATCHDOG,
        level="none",
        service="monitoring",
        expr="vector(1)",
        summary="The way from the rules to people works",
        description="This always fires. Where it no longer arrives, no other alert does either: "
        "let something outside this system notice.",
        dashboard="pipeline",
    )


def _up(service: str) -> str:
    # Pulled, a service's job has its name; pushed, the job of its management port only has `up`.
    return f'up{{job=~"{service}(-management)?"}}'


def _unseen(service: str, scale: TimeScale) -> Iterator[Alert]:
    yield Alert(
        name="RandsvcServiceDown",
        level="critical",
        service=service,
        expr=f"max ({_up(service)}) == 0 or absent({_up(service)})",
        summary=f"{service} is down: 0 of its processes have answered for {scale.unseen}",
        description=f"Prometheus reaches no management port of {service}, or is not told of one. "
        "Nobody is served.",
        dashboard="pipeline",
        wait=scale.unseen,
        hold=scale.hold,
    )
    path = {"randsvc": "/random", "auth": "/login"}[service]
    yield Alert(
        name="RandsvcNotAnswering",
        level="critical",
        service=service,
        expr=f'max (probe_success{{job="blackbox",service="{service}"}}) == 0',
        summary=f"{service} does not answer {path}: 0 probes have succeeded for {scale.probe}",
        description=f"A probe asks for {path} as a user does, and gets no answer or a wrong one.",
        wait=scale.probe,
        hold=scale.hold,
    )
    limit = f'{CONCURRENCY_LIMIT.prometheus_name}{{job="{service}"}}'
    yield Alert(
        name="RandsvcNotReporting",
        level="critical",
        service=service,
        # A Collector that is down has an alert of its own, and so has a service.
        expr=f'absent({limit}) and on () max (up{{job="otel-collector"}}) == 1'
        f" and on () max ({_up(service)}) == 1",
        summary=f"{service} is not seen: it runs, but has sent 0 measurements for "
        f"{scale.unreported}",
        description=f"{service} and the Collector run, yet nothing that {service} pushes arrives. "
        "Whether its users are served, only the probe knows.",
        dashboard="pipeline",
        wait=scale.unreported,
        hold=scale.hold,
    )


def _nobody_can_log_in(scale: TimeScale) -> Alert:
    def logins(matcher: str) -> str:
        return f"sum (increase({_DURATION}_count{{{_LOGIN},{matcher}}}[{scale.logins}]))"

    # Wrong passwords (4xx) are no sign that others cannot log in.
    attempts = logins('http_response_status_code!~"4.."')
    succeeded = logins('http_response_status_code="200"')
    return Alert(
        name="RandsvcNobodyCanLogIn",
        level="critical",
        service="auth",
        expr=f"{attempts} >= {scale.min_logins} unless {succeeded} > 0",
        summary='Nobody can log in: {{ printf "%.0f" $value }} attempts in the last '
        f"{scale.logins}, 0 succeeded",
        description="Users that have no token, or whose token expires, are locked out.",
        dashboard="incidents",
        hold=scale.hold,
    )


def _service(scale: TimeScale) -> Iterator[Alert]:
    window = scale.window

    def rate(metric: str, matchers: str, over: str = window) -> str:
        return f"sum (rate({metric}{{{matchers}}}[{over}]))"

    def increase(metric: str, matchers: str, over: str = window) -> str:
        return f"sum (increase({metric}{{{matchers}}}[{over}]))"

    predictions, requests = PREDICTIONS.prometheus_name, f"{_DURATION}_count"
    fallback = f'{JOB},randsvc_source="fallback"'
    yield Alert(
        name="RandsvcModelReplaced",
        level="major",
        service="randsvc",
        expr=f"{rate(predictions, fallback)} / {rate(predictions, JOB)} > {FALLBACK_SHARE:g}"
        f" and {increase(predictions, JOB)} >= {scale.min_events}",
        summary="The fallback gives {{ $value | humanizePercentage }} of the predictions",
        description="The model fails or takes longer than its budget. Users get the answers of "
        f"the fallback, which are worse; more than {FALLBACK_SHARE:.0%} of them since "
        f"{scale.wait} or longer.",
        wait=scale.wait,
        hold=scale.hold,
    )
    shed = f'{_RANDOM},http_response_status_code="503"'
    yield Alert(
        name="RandsvcSheddingLoad",
        level="major",
        service="randsvc",
        expr=f"{rate(requests, shed)} / {rate(requests, _RANDOM)} > {SHED_SHARE:g}"
        f" and {increase(requests, _RANDOM)} >= {scale.min_events}",
        summary="{{ $value | humanizePercentage }} of the requests are turned away (503)",
        description="The service is at its limit of concurrent requests and sheds what is above "
        "it. The others are served as fast as ever.",
        wait=scale.wait,
        hold=scale.hold,
    )
    yield Alert(
        name="RandsvcNearItsLimit",
        level="major",
        service="randsvc",
        expr=f"avg_over_time(job:http_server_active_requests_per_limit:ratio{{{JOB}}}[{window}])"
        f" > {FULL:g}",
        summary="{{ $value | humanizePercentage }} of the concurrent requests that are allowed are "
        "under way",
        description=f"More than {FULL:.0%} on average of {window}: a burst would be turned away.",
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
        summary='The event loop is blocked for {{ printf "%.2f" $value }} s',
        description=f"One timer in a hundred is more than {LAG:g} s late: a handler computes, or "
        "calls something that blocks, and every request of that process waits for it.",
        wait=scale.wait,
        hold=scale.hold,
    )
    served = f"{_RANDOM},{SERVER_ERROR.replace('=~', '!~')}"
    buckets = f"sum by (le) (rate({_DURATION}_bucket{{{served}}}[{scale.tail}]))"
    yield Alert(
        name="RandsvcStrangeLoop",
        level="minor",
        service="randsvc",
        expr=f"histogram_quantile({TAIL_QUANTILE:g}, {buckets})"
        f" / histogram_quantile(0.5, {buckets}) > {TAIL_FACTOR:g}"
        f" and {increase(requests, served, scale.tail)} >= {scale.min_tail}",
        summary='Some users wait {{ printf "%.0f" $value }} times as long as most',
        description=f"{1 - TAIL_QUANTILE:.1%} of the requests of the last {scale.tail} took more "
        f"than {TAIL_FACTOR} times the median, which is as ever: something rare is slow.",
        hold=scale.hold,
    )


def _monitoring(scale: TimeScale) -> Iterator[Alert]:
    def counted(metric: str, matcher: str) -> str:
        return f"sum (increase({metric}{{{matcher}}}[{scale.window}])) > 0"

    def broken(name: str, expr: str, summary: str, description: str, wait: str = "") -> Alert:
        return Alert(
            name=name,
            level="major",
            service="monitoring",
            expr=expr,
            summary=summary,
            description=description,
            dashboard="pipeline",
            wait=wait,
            hold=scale.hold,
        )

    yield broken(
        "RandsvcCollectorDown",
        'min (up{job=~"otel-collector(-telemetry)?"}) == 0 or absent(up{job="otel-collector"})',
        f"The Collector is down: 0 of its measurements were read for {scale.wait}",
        "What the services push arrives nowhere. Nobody sees their errors and latency; whether "
        "they are up, and the probes, go on.",
        scale.wait,
    )
    services = "|".join(SERVICES)
    yield broken(
        "RandsvcTargetsLost",
        # The Collector, and a service of which nothing is left, have alerts of their own.
        f'avg by (job) (up{{job!~"otel-collector.*"}}) < 1 unless '
        f'avg by (job) (up{{job=~"({services})(-management)?"}}) == 0',
        "Only {{ $value | humanizePercentage }} of the targets of {{ $labels.job }} answer",
        "Prometheus does not reach what it should watch. What it would tell is not known.",
        scale.wait,
    )
    yield broken(
        "RandsvcRulesFailing",
        counted("prometheus_rule_evaluation_failures_total", 'job="prometheus"'),
        f'{{{{ printf "%.0f" $value }}}} evaluations of rules failed in the last {scale.window}',
        "What these rules would say is not known: an alert may be missing.",
    )
    yield broken(
        "RandsvcMeasurementsLost",
        " or ".join(
            counted(f"otelcol_{what}_metric_points_total", _COLLECTOR)
            for what in (
                "receiver_refused",
                "receiver_failed",
                "exporter_send_failed",
                "exporter_enqueue_failed",
            )
        ),
        f'The Collector lost {{{{ printf "%.0f" $value }}}} points in the last {scale.window}',
        "It refused them, or could not pass them on. Rates and shares may be wrong.",
        scale.wait,
    )
    yield broken(
        "RandsvcNotificationsFailing",
        " or ".join(
            (
                counted("prometheus_notifications_errors_total", 'job="prometheus"'),
                counted("prometheus_notifications_dropped_total", 'job="prometheus"'),
                counted("alertmanager_notifications_failed_total", 'job="alertmanager"'),
            )
        ),
        f'{{{{ printf "%.0f" $value }}}} notifications failed in the last {scale.window}',
        "Prometheus does not reach Alertmanager, or Alertmanager not the receivers. People may "
        "not have been told of something.",
        scale.wait,
    )
