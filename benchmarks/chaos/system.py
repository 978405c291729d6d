"""The native chain of one machine as what is broken, and what is promised of it."""

from collections.abc import Sequence

from benchmarks.chaos.alerts import AlertId
from benchmarks.chaos.chain import PROGRAMS, run_chain
from benchmarks.chaos.faults import Fault, draw_faults
from benchmarks.chaos.trial import System

__all__ = ("SYSTEM", "find_required_alerts")

REQUIRED = {
    "randsvc": AlertId("RandsvcServiceDown", "critical", "randsvc"),
    "auth": AlertId("RandsvcServiceDown", "critical", "auth"),
    "otel-collector": AlertId("RandsvcCollectorDown", "major", "monitoring"),
    "alertmanager": AlertId("RandsvcTargetsLost", "major", "monitoring"),
}
"""The alert that each part must raise that is not seen for long."""
SEEN_AFTER = {"critical": 15.0, "major": 23.0}
"""Seconds of an outage after which an alert of a level must fire: its wait, a scrape and its
time-out, an evaluation, and what a busy machine adds."""


def find_required_alerts(faults: Sequence[Fault]) -> dict[AlertId, str]:
    """Return the alerts that faults must raise, each with its fault."""
    if any(fault.befalls("prometheus") for fault in faults):
        return {}
    return {
        alert: str(fault)
        for fault in faults
        if fault.kind in ("kill", "freeze", "restart", "cut", "blackhole")
        for part, alert in REQUIRED.items()
        if fault.befalls(part, f"prometheus to {part}")
        if fault.lasts >= SEEN_AFTER[alert.level]
    }


# Alertmanager sends again what it does not know to have arrived, or to have sent.
_FORGETTING = ("alertmanager", "alertmanager to inbox", "inbox")

SYSTEM = System(
    run=run_chain,
    draw=draw_faults,
    sources={"prometheus": "prometheus:9090"},
    evaluating=("prometheus",),
    # Each worker is an instance.
    instances={"randsvc": 2, "auth": 1},
    management=("randsvc:9464", "auth:9465"),
    measured=PROGRAMS,
    find_required=find_required_alerts,
    delivery=("prometheus", "prometheus to alertmanager", *_FORGETTING),
    doubling=_FORGETTING,
    # The first evaluation after the delay of Prometheus.
    resend=10.0,
)
