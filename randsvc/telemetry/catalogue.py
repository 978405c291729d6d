"""Every metric of the service, declared once.

Instruments are made from these declarations; the reference in docs/metrics.md, the rules and the
dashboards are tested against them. Names, units and attributes follow the OpenTelemetry semantic
conventions where they have a word for the thing, and stand under ``randsvc.`` where they have none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
    def prometheus_name(self) -> str:
        """The name in Prometheus, without the suffixes of a histogram's series."""
        return prometheus_name(self.name, self.unit, monotonic=self.kind == "counter")


_UNIT_SUFFIXES: Mapping[str, str] = {"s": "_seconds", "ms": "_milliseconds", "By": "_bytes"}


def prometheus_name(name: str, unit: str, *, monotonic: bool) -> str:
    """What Prometheus calls a metric of OpenTelemetry; a ``monotonic`` sum is a counter.

    https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#metric-metadata-1
    """
    return name.replace(".", "_") + _UNIT_SUFFIXES.get(unit, "") + ("_total" if monotonic else "")


SOURCES = ("model", "fallback")
"""Where a prediction can come from: what ``randsvc.source`` can be."""

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
_SEMCONV_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

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
    description="Number of requests in a handler now.",
    attributes=("http.request.method", "url.scheme"),
)
# The semantic conventions have no word for these two. The first is named as they name a limit,
# https://opentelemetry.io/docs/specs/semconv/general/naming/#instrument-naming, the second after
# what prom-client calls it in Node.js, nodejs_eventloop_lag_seconds.
CONCURRENCY_LIMIT = Metric(
    name="http.server.concurrency.limit",
    kind="gauge",
    unit="{request}",
    description="Number of requests in a handler at which more are shed with 503.",
)
EVENT_LOOP_LAG = Metric(
    name="asyncio.event_loop.lag",
    kind="histogram",
    unit="s",
    description="How much later than asked a timer of the event loop ran.",
    # A healthy loop is late by well under 1 ms; a blocked one by as long as the block lasts.
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
VALUE = Metric(
    name="randsvc.value",
    kind="exponential_histogram",
    unit="{value}",
    description="Values that were answered, by the model or the fallback that stands in.",
    attributes=("randsvc.source",),
    # Bins of half a standard deviation of the default normal(mean=50, sd=10), coarse above.
    buckets=(*range(0, 100, 5), *(100, 110, 120, 130, 140, 150, 200, 500, 1000, 10000)),
)
DELAY = Metric(
    name="randsvc.delay",
    kind="exponential_histogram",
    unit="s",
    description="Delays that were drawn, before the event loop and the handler added theirs.",
    # Finest from 10 ms to 250 ms, where the default lognormal(median=0.05, sigma=0.5) lies.
    buckets=(
        *(0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.15, 0.25),
        *(0.5, 1, 2.5, 5, 10),
    ),
)
PREDICTIONS = Metric(
    name="randsvc.predictions",
    kind="counter",
    unit="{prediction}",
    description="Predictions that were answered, by the model or the fallback that stands in.",
    attributes=("randsvc.source",),
)
MODEL_ERRORS = Metric(
    name="randsvc.model.errors",
    kind="counter",
    unit="{error}",
    description="Predictions that the model failed to make, by exception, or timeout.",
    attributes=("error.type",),
)
MODEL_DURATION = Metric(
    name="randsvc.model.duration",
    kind="histogram",
    unit="s",
    description="Time that the model took, also where it failed or overran its budget.",
    # A healthy model takes microseconds; past the default budget of 0.1 s there is nothing.
    buckets=(
        *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025),
        *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    ),
)
INPUTS = Metric(
    name="randsvc.inputs",
    kind="counter",
    unit="{input}",
    description="Requests for a prediction whose features could be used, by segment, or missing.",
    attributes=("randsvc.segment",),
)
INPUTS_MISSING = Metric(
    name="randsvc.inputs.missing",
    kind="counter",
    unit="{feature}",
    description="Features that such a request did not have.",
    attributes=("randsvc.feature",),
)
INPUTS_REFUSED = Metric(
    name="randsvc.inputs.refused",
    kind="counter",
    unit="{request}",
    description="Requests whose features were refused (422), by the first thing wrong with them.",
    attributes=("randsvc.reason",),
)
FEEDBACK = Metric(
    name="randsvc.feedback",
    kind="counter",
    unit="{feedback}",
    description="Reports of what turned out to be true, each once, by what became of it.",
    attributes=("randsvc.outcome",),
)
FEEDBACK_ERROR = Metric(
    name="randsvc.feedback.error",
    kind="exponential_histogram",
    unit="{value}",
    description="Prediction minus what turned out to be true.",
    attributes=("randsvc.source",),
    # The healthy model's have an sd of 2, a fifth of that of the default value.
    buckets=(
        *(-1000, -100, -50, -20, -10, -7.5, -5, -4, -3, -2, -1, 0),
        *(1, 2, 3, 4, 5, 7.5, 10, 20, 50, 100, 1000),
    ),
)
FEEDBACK_ABSOLUTE_ERROR = Metric(
    name="randsvc.feedback.absolute_error",
    kind="exponential_histogram",
    unit="{value}",
    description="The same without its sign.",
    attributes=("randsvc.source",),
    # The healthy model's lie around 1.6: the sd of 2 times sqrt(2 / pi).
    buckets=(0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 50, 100, 1000),
)
FEEDBACK_DELAY = Metric(
    name="randsvc.feedback.delay",
    kind="histogram",
    unit="s",
    description="Time from a prediction to the report of what turned out to be true.",
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 300, 900, 3600, 14400, 86400),
)
BASELINE_EDGE = Metric(
    name="randsvc.baseline.edge",
    kind="gauge",
    unit="{value}",
    description="Upper bound of a bin of the baseline; the last bin has none.",
    attributes=("randsvc.distribution", "randsvc.bin"),
)
BASELINE_SHARE = Metric(
    name="randsvc.baseline.share",
    kind="gauge",
    unit="{share}",
    description="Share of the baseline that lies in a bin.",
    attributes=("randsvc.distribution", "randsvc.bin"),
)
BASELINE_QUANTILE = Metric(
    name="randsvc.baseline.quantile",
    kind="gauge",
    unit="{value}",
    description="A quantile of the baseline.",
    attributes=("randsvc.distribution", "randsvc.quantile"),
)
BASELINE_STATISTIC = Metric(
    name="randsvc.baseline.statistic",
    kind="gauge",
    unit="{value}",
    description="A number that describes the baseline: its count, mean, stddev, low and high end, "
    "and the noise that the distance of a sample from it has.",
    attributes=("randsvc.distribution", "randsvc.statistic"),
)
FAULT_ACTIVE = Metric(
    name="randsvc.fault.active",
    kind="gauge",
    unit="{fault}",
    description="1 while a fault is on, and 0 from then on; none before it was ever set.",
    attributes=("randsvc.fault",),
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
PROCESS_OPEN_FILES = Metric(
    name="process.unix.file_descriptor.count",
    kind="updowncounter",
    unit="{file_descriptor}",
    description="Number of file descriptors in use by the process.",
)

METRICS: tuple[Metric, ...] = (
    REQUEST_DURATION,
    ACTIVE_REQUESTS,
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    VALUE,
    DELAY,
    PREDICTIONS,
    MODEL_ERRORS,
    MODEL_DURATION,
    INPUTS,
    INPUTS_MISSING,
    INPUTS_REFUSED,
    FEEDBACK,
    FEEDBACK_ERROR,
    FEEDBACK_ABSOLUTE_ERROR,
    FEEDBACK_DELAY,
    BASELINE_EDGE,
    BASELINE_SHARE,
    BASELINE_QUANTILE,
    BASELINE_STATISTIC,
    FAULT_ACTIVE,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_OPEN_FILES,
)
