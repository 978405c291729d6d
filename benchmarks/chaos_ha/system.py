"""The highly available layout as what is broken, and what is promised of it.

The promises, stated before any trial ran:

- Each of the two Prometheus, and Query, has counted each response that a client has exactly once.
  Only what a killed service had measured since its last export may be missing
  (``benchmarks.chaos.trial.find_windows``). Nothing that stores or forwards numbers may lose one.
- The alert on a part that is gone for more than ``LONG`` reaches its receiver. So does each alert
  that fires in any Prometheus for longer than its waiting times, with any one part broken. Two
  failovers between the Alertmanagers may make it ``failover`` s later.
- A notification comes again at most ``doubled`` times: as often as there are other Alertmanagers.
"""

from collections.abc import Sequence

from benchmarks.chaos.alerts import AlertId
from benchmarks.chaos.faults import Fault, draw_faults
from benchmarks.chaos.trial import System
from benchmarks.chaos_ha.chain import KINDS, LONG, SHORT, run_chain

__all__ = ("SYSTEM", "draw", "find_required_alerts")


def draw(seed: int, trial: int, available: Sequence[str]) -> tuple[Fault, ...]:
    """Draw one fault for an even trial, and two for an odd one."""
    pair_share = float(trial % 2)
    return draw_faults(seed, trial, available, of=KINDS, times=(SHORT, LONG), pair_share=pair_share)


def find_required_alerts(faults: Sequence[Fault]) -> dict[AlertId, str]:
    """Return the alerts that faults must raise, each with its fault.

    With two faults, one may take the sight of the other's part.
    """
    if len(faults) != 1:
        return {}
    (fault,) = faults
    if fault.kind not in ("kill", "freeze", "restart") or fault.lasts < LONG[0]:
        return {}
    name = "RandsvcCollectorDown" if fault.befalls("otel-collector") else "RandsvcTargetsLost"
    return {AlertId(name, "major", "monitoring"): str(fault)}


SYSTEM = System(
    run=run_chain,
    draw=draw,
    sources={
        "prometheus-0": "prometheus-0:9090",
        "prometheus-1": "prometheus-1:9090",
        "Query": "balancer:10904",
    },
    evaluating=("prometheus-0", "prometheus-1"),
    instances={"randsvc": 2, "auth": 2},
    management=("randsvc-0:9464", "randsvc-1:9464", "auth-0:9465", "auth-1:9465"),
    find_required=find_required_alerts,
    required_are_sent=True,
    # Without a fault on their way too: a peer that looked just before an alert ended waits for its
    # turn, finds that another has notified of the end, and notifies that the alert fires.
    doubling=None,
    # Each of the other Alertmanagers may send it.
    doubled=2,
    # The third Alertmanager waits for the first two: --cluster.peer-timeout each.
    failover=10.0,
)
