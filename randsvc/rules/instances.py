"""Which instances have stopped reporting, although the Collector still shows their last values.

A counter of a dead instance adds nothing to a rate, but a gauge would count in sums until the
Collector drops it, three minutes later (``metric_expiration`` in otel/collector.yaml).
"""

from collections.abc import Iterator

from randsvc.rules.golden_signals import ANY_JOB, SILENT, Rule
from randsvc.rules.time_scale import TimeScale
from randsvc.telemetry.catalogue import EVENT_LOOP_LAG

__all__ = ("make_recordings",)


def make_recordings(scale: TimeScale) -> Iterator[Rule]:
    """Record an instance as silent when its count of event-loop timers stands still.

    That count grows several times a second in every live process, with or without requests. It is
    compared with the count from longer ago than a push interval.
    """
    timers = f"{EVENT_LOOP_LAG.prometheus_name}_count{{{ANY_JOB}}}"
    yield Rule(SILENT, f"group by (job, instance) ({timers} == {timers} offset {scale.unreported})")
