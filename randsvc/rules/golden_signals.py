"""The recording rules of Prometheus, as data.

``python -m randsvc.generate`` writes them to observability/prometheus/rules/. Names are
``level:metric:operations`` as https://prometheus.io/docs/practices/rules/ has them: the labels that
are left, the metric without ``_total``, what was done to it and over which window.

Pushed and pulled series are served by the same rules. The distributions are native histograms when
pushed; when pulled they are classic ones, which Prometheus turns into native histograms with the
same bounds where the scrape says ``convert_classic_histograms_to_nhcb: true``. Both paths must
carry ``job="randsvc"``. The golden signals are recorded for every job that has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from randsvc.metrics import DELAY, FEEDBACK_STORED, FEEDBACK_STORED_LIMIT, VALUE
from randsvc.telemetry.catalogue import (
    ACTIVE_REQUESTS,
    CLIENT_LEFT,
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_LIMIT,
    PROCESS_MEMORY_USAGE,
    PROCESS_OPEN_FILES,
    PROCESS_OPEN_FILES_LIMIT,
    REQUEST_DURATION,
    Metric,
)

JOB = 'job="randsvc"'
"""The service, however many workers and replicas it has."""
ANY_JOB = 'job!=""'
"""Every service that has the metric: golden signals are the same of all of them."""
FAILED = f'error_type!~"|{CLIENT_LEFT}"'
"""Requests in which the service failed. A status of 5xx alone would miss a stream that fails after
its headers, whose status is 200, and a response that cannot be sent, which has none."""
NOT_FAILED = FAILED.replace("!~", "=~")
DISCONNECT = f'error_type="{CLIENT_LEFT}"'
"""Requests whose client left before it was served, which is no failure of the service."""
WINDOW = "1m"
"""Of the golden signals: thirty scrapes at 2 s, short enough to see an incident as it happens."""
DISTRIBUTION_WINDOW = "5m"
"""Of value and delay: at 10 requests/s 3000 observations.

A share of 10% is then within 1.1 points of the truth (two standard errors of a binomial share).
"""
LATENCY_QUANTILES = (0.5, 0.9, 0.99)
DISTRIBUTION_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
DISTRIBUTIONS = (VALUE, DELAY)
LIMITED = (
    ("memory", PROCESS_MEMORY_USAGE, PROCESS_MEMORY_LIMIT),
    ("file descriptors", PROCESS_OPEN_FILES, PROCESS_OPEN_FILES_LIMIT),
    ("feedback store", FEEDBACK_STORED, FEEDBACK_STORED_LIMIT),
)
"""Resources of an instance that have a limit: what is used, and the limit."""
SHARE_OF_LIMIT = "job_instance_resource:used_per_limit:ratio"
"""Of these resources, and of Prometheus' own storage."""
SILENT = "job_instance:silent:bool"
"""1 for an instance that has stopped reporting; recorded by ``randsvc.rules.instances``."""


@dataclass(frozen=True)
class Rule:
    """A recording rule: the series ``record`` with ``labels`` added is the result of ``expr``."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Rules evaluated one after the other, at one timestamp: each may use those before it."""

    name: str
    rules: tuple[Rule, ...]


def make_groups() -> tuple[Group, ...]:
    """Give all groups, each of which is a file of its name."""
    return (
        Group("golden-signals", tuple(_record_golden_signals())),
        Group(
            "distributions",
            tuple(r for metric in DISTRIBUTIONS for r in _record_distribution(metric)),
        ),
    )


def rate(
    metric: str, *matchers: str, by: Sequence[str] = (), window: str = WINDOW, job: str = JOB
) -> str:
    """Give the sum of per-second rates of counters or histograms that match, the service's own.

    >>> rate("x_total", by=["job"])
    'sum by (job) (rate(x_total{job="randsvc"}[1m]))'
    """
    return f"{sum_by(by)} (rate({metric}{{{','.join((job, *matchers))}}}[{window}]))"


def increase(metric: str, *matchers: str, by: Sequence[str] = ("job",), window: str) -> str:
    """Give the sum of what the service's own counters or histograms counted in the window.

    >>> increase("x_total", window="5m")
    'sum by (job) (increase(x_total{job="randsvc"}[5m] anchored))'
    """
    series = f"{metric}{{{','.join((JOB, *matchers))}}}"
    return f"{sum_by(by)} ({count_events(series, window)})"


def count_events(series: str, window: str) -> str:
    """Give what each series counted in the window: a whole number, from sample to sample.

    ``anchored`` takes the last sample before the window, up to 5 minutes old, where ``increase``
    alone extrapolates. It needs Prometheus 3.16. The engines of Thanos refuse it, so the rules are
    evaluated in Prometheus, and a distributed store gets what they record.
    https://prometheus.io/docs/prometheus/latest/querying/basics/#extended-range-selectors

    >>> count_events("x_total", "5m")
    'increase(x_total[5m] anchored)'
    """
    return f"increase({series}[{window}] anchored)"


def reporting(series: str) -> str:
    """Give the series of the instances that still report; all of them where none is recorded.

    >>> reporting("limit")
    '(limit unless on (job, instance) job_instance:silent:bool)'
    """
    return f"({series} unless on (job, instance) {SILENT})"


def sum_by(by: Sequence[str]) -> str:
    """Give ``sum by (...)``; without labels ``sum``, which leaves none."""
    return f"sum by ({', '.join(by)})" if by else "sum"


def format_bound(edge: float) -> str:
    """Give a bound of a bin in PromQL, and in the ``le`` label of what is recorded here.

    >>> format_bound(0.25), format_bound(10000), format_bound(inf)
    ('0.25', '10000', '+Inf')
    """
    return "+Inf" if edge == inf else f"{edge:g}"


def _record_golden_signals() -> Iterator[Rule]:
    duration = REQUEST_DURATION.prometheus_name
    for by in (("job",), ("job", "http_route"), ("job", "instance")):
        level = "_".join(by)
        requests = f"{level}:{duration}_count:rate{WINDOW}"
        yield Rule(requests, rate(f"{duration}_count", by=by, job=ANY_JOB))
        for name, which in (("errors", FAILED), ("disconnects", DISCONNECT)):
            some = rate(f"{duration}_count", which, by=by, job=ANY_JOB)
            # Such a series exists only once one has happened; until then the share is 0.
            yield Rule(
                f"{level}:http_server_{name}_per_request:ratio_rate{WINDOW}",
                f"({some} or 0 * {requests}) / {requests}",
            )
        yield from _record_classic_quantiles(REQUEST_DURATION, LATENCY_QUANTILES, by)
    for by in (("job",), ("job", "instance")):
        active, limit = (
            f"{sum_by(by)} {reporting(f'{metric.prometheus_name}{{{ANY_JOB}}}')}"
            for metric in (ACTIVE_REQUESTS, CONCURRENCY_LIMIT)
        )
        # A service that has had no request yet has a limit, and nothing in it.
        yield Rule(
            f"{'_'.join(by)}:http_server_active_requests_per_limit:ratio",
            f"({active} or 0 * {limit}) / {limit}",
        )
    yield from _record_shares_of_limits()
    instance = ("job", "instance")
    yield from _record_classic_quantiles(EVENT_LOOP_LAG, (0.99,), instance)
    cpu = PROCESS_CPU_TIME.prometheus_name
    # Seconds of CPU a second: 1 is all that one event loop can use.
    yield Rule(
        f"job_instance:{cpu.removesuffix('_total')}:rate{WINDOW}",
        rate(cpu, by=instance, job=ANY_JOB),
    )


def _record_shares_of_limits() -> Iterator[Rule]:
    by = sum_by(("job", "instance"))
    for resource, usage, limit in LIMITED:
        used, allowed = (
            reporting(f"{metric.prometheus_name}{{{ANY_JOB}}}") for metric in (usage, limit)
        )
        yield Rule(SHARE_OF_LIMIT, f"{by} {used} / {by} {allowed}", {"resource": resource})
    used, allowed = (
        f"prometheus_tsdb_{name}_bytes{{{ANY_JOB}}}"
        for name in ("storage_blocks", "retention_limit")
    )
    # Without a limit on the size, which is 0, there is no share.
    yield Rule(SHARE_OF_LIMIT, f"{by} ({used}) / ({by} ({allowed}) > 0)", {"resource": "storage"})


def _record_classic_quantiles(
    metric: Metric, quantiles: Sequence[float], by: Sequence[str]
) -> Iterator[Rule]:
    name = metric.prometheus_name
    buckets = rate(f"{name}_bucket", by=(*by, "le"), job=ANY_JOB)
    for q in quantiles:
        yield Rule(
            f"{'_'.join(by)}_quantile:{name}:histogram_quantile_rate{WINDOW}",
            f"histogram_quantile({q:g}, {buckets})",
            {"quantile": f"{q:g}"},
        )


def _record_distribution(metric: Metric) -> Iterator[Rule]:
    """Describe a native histogram by numbers, for alerts and for a Grafana that can't draw one."""
    name, window = metric.prometheus_name, f"rate{DISTRIBUTION_WINDOW}"
    histogram = f"job:{name}:{window}"
    yield Rule(histogram, rate(name, by=("job",), window=DISTRIBUTION_WINDOW))
    yield Rule(f"job:{name}:count_{window}", f"histogram_count({histogram})")
    yield Rule(f"job:{name}:avg_{window}", f"histogram_avg({histogram})")
    yield Rule(f"job:{name}:stddev_{window}", f"histogram_stddev({histogram})")
    for q in DISTRIBUTION_QUANTILES:
        yield Rule(
            f"job_quantile:{name}:histogram_quantile_{window}",
            f"histogram_quantile({q:g}, {histogram})",
            {"quantile": f"{q:g}"},
        )
    # Cumulative with `le`, as a classic histogram's buckets: what every Grafana draws as a heatmap.
    for edge in (*metric.buckets, inf):
        yield Rule(
            f"job_le:{name}:histogram_fraction_{window}",
            f"histogram_fraction(-Inf, {format_bound(edge)}, {histogram})",
            {"le": format_bound(edge)},
        )
    # The share in the bin that ends at `le`, over its width, so that unequal bins compare.
    for low, high in pairwise(metric.buckets):
        share = f"histogram_fraction({format_bound(low)}, {format_bound(high)}, {histogram})"
        yield Rule(
            f"job_le:{name}:density_{window}",
            f"{share} / {high - low:g}",
            {"le": format_bound(high)},
        )
