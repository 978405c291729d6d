"""Planned restarts and deployments raise no alert in production; an outage of that kind does.

promtool evaluates all alerts on the services and their monitoring, on a simulated quarter of a day.
"""

from collections.abc import Mapping, Sequence

import pytest

from benchmarks.month.incidents import Incident
from benchmarks.month.replay import replay, rules, split_rules
from benchmarks.month.simulated_month import DAY, REPLICAS, SimulatedMonth
from tests.support import native_programs

pytestmark = pytest.mark.native

DAYS = 0.125
SECOND = 1 / 3600
BEGIN = 1.0
"""The hour of the first restart."""
RESTARTS = 30
"""Seconds that a process takes to end and to start again: two scrapes fail."""
APART = 180
"""Seconds between the replicas of a deployment."""


def change(hour: float, lasts: str, changes: Mapping[str, float]) -> Incident:
    return Incident(
        name="planned", day=0, hour=hour, lasts=lasts, changes=changes, alert="none", level="minor"
    )


def restart(service: str, replica: str, *, after: float = 0, lasts: int = RESTARTS) -> Incident:
    """A process ends ``after`` seconds and starts again, as the release that it was."""
    return change(BEGIN + after * SECOND, f"{lasts}s", {f"{service} {replica} runs": 0})


def deploy(service: str) -> list[Incident]:
    """Each replica ends and starts again as the next release, one after the other."""
    steps = []
    for number, replica in enumerate(REPLICAS[service]):
        after = number * APART
        steps.append(restart(service, replica, after=after))
        released = {f"{service} {replica} release": 1}
        steps.append(change(BEGIN + after * SECOND, "24h", released))
    return steps


def fired(changes: Sequence[Incident]) -> set[tuple[str, str]]:
    """The alerts that fire from a quarter of an hour before the restarts on."""
    native_programs.folder()
    series = list(SimulatedMonth(DAYS, changes).series())
    return {
        (raised.kind.alert, raised.kind.service)
        for part in split_rules(rules())
        for raised in replay(part, series, (BEGIN - 0.25) * 3600, DAYS * DAY).raised
    }


def test_a_deployment_of_all_replicas_one_by_one_raises_nothing() -> None:
    assert fired([step for service in REPLICAS for step in deploy(service)]) == set()


def test_a_planned_restart_of_each_part_raises_nothing() -> None:
    services = [
        restart(service, replica, after=600 * number)
        for number, (service, replica) in enumerate(
            (service, replica) for service, replicas in REPLICAS.items() for replica in replicas
        )
    ]
    monitoring = [
        change(BEGIN + 0.6, f"{RESTARTS}s", {"alertmanager runs": 0}),
        change(
            BEGIN + 0.8,
            f"{RESTARTS}s",
            {"otel-collector runs": 0, "otel-collector-telemetry runs": 0},
        ),
    ]
    assert fired([*services, *monitoring]) == set()


def test_a_deployment_that_stops_all_replicas_for_minutes_is_paged() -> None:
    stopped = [restart("randsvc", replica, lasts=240) for replica in REPLICAS["randsvc"]]
    assert ("RandsvcServiceDown", "randsvc") in fired(stopped)
