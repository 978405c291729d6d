"""Every metric of the service, declared once, and the instruments that measure it.

Those that every service has are declared in ``randsvc.telemetry.catalogue``. The reference in
docs/metrics.md, the rules and the dashboards are tested against the declarations. Names stand under
``randsvc.``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Observation

from randsvc.telemetry import catalogue
from randsvc.telemetry.catalogue import Metric

if TYPE_CHECKING:  # rules and dashboards need the declarations, and not the SDK
    from randsvc.telemetry.instruments import Counter, Histogram
    from randsvc.telemetry.provider import Meter

Record = Callable[[float], None]

SOURCES = ("model", "fallback")
"""Values of ``randsvc.source``: where a prediction can come from."""

VALUE = Metric(
    name="randsvc.value",
    kind="exponential_histogram",
    unit="{value}",
    description="Values of responses, by source: the model or its fallback.",
    attributes=("randsvc.source",),
    # Bins of half a standard deviation of the default normal(mean=50, sd=10), coarse above.
    buckets=(*range(0, 100, 5), *(100, 110, 120, 130, 140, 150, 200, 500, 1000, 10000)),
)
DELAY = Metric(
    name="randsvc.delay",
    kind="exponential_histogram",
    unit="s",
    description="Drawn delays, without the time of the event loop and the handler.",
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
    description="Predictions, by source: the model or its fallback.",
    attributes=("randsvc.source",),
)
MODEL_ERRORS = Metric(
    name="randsvc.model.errors",
    kind="counter",
    unit="{error}",
    description="Failed predictions of the model, by exception or timeout.",
    attributes=("error.type",),
)
MODEL_DURATION = Metric(
    name="randsvc.model.duration",
    kind="histogram",
    unit="s",
    description="Duration of the model's predictions, including failed ones and timeouts.",
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
    description="Requests with valid features, by segment; missing means no segment.",
    attributes=("randsvc.segment",),
)
INPUTS_MISSING = Metric(
    name="randsvc.inputs.missing",
    kind="counter",
    unit="{feature}",
    description="Features missing in requests with valid features.",
    attributes=("randsvc.feature",),
)
INPUTS_REFUSED = Metric(
    name="randsvc.inputs.refused",
    kind="counter",
    unit="{request}",
    description="Requests refused with 422 because of their features, by reason.",
    attributes=("randsvc.reason",),
)
FEEDBACK = Metric(
    name="randsvc.feedback",
    kind="counter",
    unit="{feedback}",
    description="Feedback requests, by outcome.",
    attributes=("randsvc.outcome",),
)
FEEDBACK_ERROR = Metric(
    name="randsvc.feedback.error",
    kind="exponential_histogram",
    unit="{value}",
    description="Prediction error reported by feedback: prediction minus true value.",
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
    description="Absolute prediction error reported by feedback.",
    attributes=("randsvc.source",),
    # The healthy model's lie around 1.6: the sd of 2 times sqrt(2 / pi).
    buckets=(0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 50, 100, 1000),
)
FEEDBACK_DELAY = Metric(
    name="randsvc.feedback.delay",
    kind="histogram",
    unit="s",
    description="Time from a prediction to its feedback.",
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 300, 900, 3600, 14400, 86400),
)
FEEDBACK_STORED = Metric(
    name="randsvc.feedback.store.answers",
    kind="gauge",
    unit="{answer}",
    description="Answers whose feedback is remembered, as of the last feedback.",
)
FEEDBACK_STORED_LIMIT = Metric(
    name="randsvc.feedback.store.limit",
    kind="gauge",
    unit="{answer}",
    description="Answers whose feedback can be remembered: above it, the earliest are forgotten.",
)
BASELINE_EDGE = Metric(
    name="randsvc.baseline.edge",
    kind="gauge",
    unit="{value}",
    description="Upper bound of each bin of the baseline; the last bin has none.",
    attributes=("randsvc.distribution", "randsvc.bin"),
)
BASELINE_SHARE = Metric(
    name="randsvc.baseline.share",
    kind="gauge",
    unit="{share}",
    description="Share of the baseline in each bin.",
    attributes=("randsvc.distribution", "randsvc.bin"),
)
BASELINE_QUANTILE = Metric(
    name="randsvc.baseline.quantile",
    kind="gauge",
    unit="{value}",
    description="Quantiles of the baseline.",
    attributes=("randsvc.distribution", "randsvc.quantile"),
)
BASELINE_STATISTIC = Metric(
    name="randsvc.baseline.statistic",
    kind="gauge",
    unit="{value}",
    description="Statistics of the baseline: count, mean, stddev, low and high bound, and the "
    "noise of the distance of a sample from it.",
    attributes=("randsvc.distribution", "randsvc.statistic"),
)
FAULT_ACTIVE = Metric(
    name="randsvc.fault.active",
    kind="gauge",
    unit="{fault}",
    description="1 while a fault is active, 0 afterwards; no series before a fault is first set.",
    attributes=("randsvc.fault",),
)

METRICS: tuple[Metric, ...] = (
    *catalogue.METRICS,
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
    FEEDBACK_STORED,
    FEEDBACK_STORED_LIMIT,
    BASELINE_EDGE,
    BASELINE_SHARE,
    BASELINE_QUANTILE,
    BASELINE_STATISTIC,
    FAULT_ACTIVE,
)


class ServiceMetrics:
    """The instruments of one worker of the service, each named after its metric."""

    def __init__(self, meter: "Meter") -> None:
        histogram, counter, gauge = meter.create_histogram, meter.create_counter, meter.create_gauge
        self.value = histogram(**VALUE.arguments)
        self.delay = histogram(**DELAY.arguments)
        self.predictions = counter(**PREDICTIONS.arguments)
        self.model_errors = counter(**MODEL_ERRORS.arguments)
        self.model_duration = histogram(**MODEL_DURATION.arguments)
        self.inputs = counter(**INPUTS.arguments)
        self.inputs_missing = counter(**INPUTS_MISSING.arguments)
        self.inputs_refused = counter(**INPUTS_REFUSED.arguments)
        self.feedback = counter(**FEEDBACK.arguments)
        self.feedback_error = histogram(**FEEDBACK_ERROR.arguments)
        self.feedback_absolute_error = histogram(**FEEDBACK_ABSOLUTE_ERROR.arguments)
        self.feedback_delay = histogram(**FEEDBACK_DELAY.arguments)
        self.feedback_stored = gauge(**FEEDBACK_STORED.arguments)
        self.feedback_stored_limit = gauge(**FEEDBACK_STORED_LIMIT.arguments)
        self.baseline_edge = gauge(**BASELINE_EDGE.arguments)
        self.baseline_share = gauge(**BASELINE_SHARE.arguments)
        self.baseline_quantile = gauge(**BASELINE_QUANTILE.arguments)
        self.baseline_statistic = gauge(**BASELINE_STATISTIC.arguments)


def observe_faults(meter: "Meter", states: Callable[[], Mapping[str, bool]]) -> None:
    """Observe whether each fault is on; ``states`` has those that ever were."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(on), {"randsvc.fault": name}) for name, on in states().items()]

    meter.create_observable_gauge(callbacks=[observe], **FAULT_ACTIVE.arguments)


def record_by(histogram: "Histogram", attribute: str, values: Iterable[str]) -> dict[str, Record]:
    """What records into a histogram, by the value of an attribute.

    Running telemetry folds what was recorded ten times a second, so that no call needs to.
    """
    return {value: histogram.series({attribute: value}).observe for value in values}


def count_by(counter: "Counter", attribute: str, values: Iterable[str]) -> dict[str, Record]:
    """What adds to a counter, by the value of an attribute; each series begins at 0.

    A series that appears with its first event has no value before it, so that Prometheus sees no
    increase.
    """
    counts = {value: counter.series({attribute: value}).observe for value in values}
    for count in counts.values():
        count(0)
    return counts
