"""The metrics that every service has, each declared once: HTTP, the event loop, the process.

Instruments are made from these declarations. Names, units and attributes follow the OpenTelemetry
semantic conventions where they have a word for the thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["counter", "updowncounter", "gauge", "histogram", "exponential_histogram"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    ``unit`` is UCUM. A dimensionless metric has an annotation such as ``{request}``: the plain
    ``1`` becomes ``_ratio`` through the Collector and nothing through the Python Prometheus
    exporter. ``buckets`` are upper bounds, inclusive, ascending; an exponential histogram has them
    for the pull path, whose text format cannot carry it.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """What the meter's ``create_...`` of this kind takes."""
        named = {"name": self.name, "unit": self.unit, "description": self.description}
        if not self.buckets:
            return named
        return {
            **named,
            "explicit_bucket_boundaries_advisory": self.buckets,
            "exponential": self.kind == "exponential_histogram",
        }

    @property
    def prometheus_name(self) -> str:
        """The name in Prometheus, without the suffixes of a histogram's series."""
        return prometheus_name(self.name, self.unit, monotonic=self.kind == "counter")


_UNIT_SUFFIXES: Mapping[str, str] = {"s": "_seconds", "ms": "_milliseconds", "By": "_bytes"}


def prometheus_name(name: str, unit: str, *, monotonic: bool) -> str:
    """What Prometheus calls a metric of OpenTelemetry; a ``monotonic`` sum is a counter.

    https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#metric-metadata-1
    """
    return name.replace(".", "_") + _UNIT_SUFFIXES.get(unit, "") + ("_total" if monotonic else "")


# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
_SEMCONV_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

CLIENT_LEFT = "ClientConnectionResetError"
"""The ``error.type`` of a request whose client left before it was served."""

REQUEST_DURATION = Metric(
    name="http.server.request.duration",
    kind="histogram",
    unit="s",
    description="Duration of HTTP server requests.",
    attributes=(
        "http.request.method",
        "url.scheme",
        "http.route",
        "http.response.status_code",
        "error.type",
        "network.protocol.version",
    ),
    buckets=_SEMCONV_SECONDS,
)
ACTIVE_REQUESTS = Metric(
    name="http.server.active_requests",
    kind="updowncounter",
    unit="{request}",
    description="Number of requests in progress.",
    attributes=("http.request.method", "url.scheme"),
)
# The semantic conventions have no word for these two, nor for the limits of a process. A limit is
# named as they name one, https://opentelemetry.io/docs/specs/semconv/general/naming/#instrument-naming,
# the lag after what prom-client calls it in Node.js, nodejs_eventloop_lag_seconds.
CONCURRENCY_LIMIT = Metric(
    name="http.server.concurrency.limit",
    kind="gauge",
    unit="{request}",
    description="Concurrency limit: above it, requests are refused with 503.",
)
EVENT_LOOP_LAG = Metric(
    name="asyncio.event_loop.lag",
    kind="histogram",
    unit="s",
    description="Event loop lag: delay of a timer beyond its due time.",
    # A healthy loop is late by well under 1 ms; a blocked one by as long as the block lasts.
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PROCESS_CPU_TIME = Metric(
    name="process.cpu.time",
    kind="counter",
    unit="s",
    description="Total CPU seconds of the process.",
    attributes=("cpu.mode",),
)
PROCESS_MEMORY_USAGE = Metric(
    name="process.memory.usage",
    kind="updowncounter",
    unit="By",
    description="The amount of physical memory in use.",
)
PROCESS_MEMORY_LIMIT = Metric(
    name="process.memory.limit",
    kind="gauge",
    unit="By",
    description="Physical memory that the process can use at most: its container's, or all.",
)
PROCESS_OPEN_FILES = Metric(
    name="process.unix.file_descriptor.count",
    kind="updowncounter",
    unit="{file_descriptor}",
    description="Number of file descriptors in use by the process.",
)
PROCESS_OPEN_FILES_LIMIT = Metric(
    name="process.unix.file_descriptor.limit",
    kind="gauge",
    unit="{file_descriptor}",
    description="Number of file descriptors that the process can use at most.",
)
REFUSED_MEASUREMENTS = Metric(
    name="telemetry.measurements.refused",
    kind="counter",
    unit="{measurement}",
    description="Measurements that were refused as invalid, by metric and reason.",
    attributes=("otel.metric.name", "error.type"),
)
DROPPED_LOGS = Metric(
    name="telemetry.logs.dropped",
    kind="counter",
    unit="{log_record}",
    description="Log records that were dropped, by reason: too many of one kind "
    "(rate_limited), too many that wait (queue_full), or taken by nobody (refused).",
    attributes=("error.type",),
)

METRICS: tuple[Metric, ...] = (
    REQUEST_DURATION,
    ACTIVE_REQUESTS,
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_MEMORY_LIMIT,
    PROCESS_OPEN_FILES,
    PROCESS_OPEN_FILES_LIMIT,
    REFUSED_MEASUREMENTS,
    DROPPED_LOGS,
)
