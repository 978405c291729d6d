"""Incidents, by what the alerts said."""

from randsvc.prometheus_api import Series
from randsvc.review import incidents
from randsvc.review.incidents import Incident
from randsvc.review.source import Source
from randsvc.review.spans import Span
from tests.support.recorded import Samples

SPAN, BIN = Span(0, 36_000), 60.0


class Alerts:
    """A Prometheus that has been told of alerts and faults; selectors choose by state."""

    def __init__(self) -> None:
        self.series: list[tuple[dict[str, str], Samples]] = []

    def add(self, start: float, end: float, state: str = "firing", level: str = "major") -> None:
        labels = {"alertname": "A", "level": level, "service": "randsvc"}
        self._add({"__name__": f"ALERTS_{state}", **labels}, start, end)

    def fault(self, name: str, start: float, end: float, job: str = "randsvc") -> None:
        labels = {"__name__": "randsvc_fault_active", "job": job, "randsvc_fault": name}
        self._add(labels, start, end)

    def _add(self, labels: dict[str, str], start: float, end: float) -> None:
        times = range(int(start), int(end) + 1, 15)
        self.series.append((labels, [(float(time), 1.0) for time in times]))

    def read(self, *holes: Span) -> list[Incident]:
        from tests.support.recorded import Recorded

        class ByState(Recorded):
            def query(self, promql: str, at: float | None = None) -> list[Series]:
                for state in ("firing", "pending"):
                    selector = f'ALERTS{{alertstate="{state}",level=~"critical|major|minor"}}'
                    promql = promql.replace(selector, f"ALERTS_{state}")
                return super().query(promql, at)

        return incidents.read(Source(ByState(series=self.series)), SPAN, BIN, holes)


def test_trouble_began_when_the_condition_first_held() -> None:
    alerts = Alerts()
    alerts.add(900, 1185, "pending")
    alerts.add(1200, 3000)
    (found,) = alerts.read()
    assert (found.began, found.to_detect, found.to_clear) == (900, 300, 1800)


def test_trouble_began_with_the_fault_that_was_on() -> None:
    alerts = Alerts()
    alerts.fault("errors", 600, 2000)
    alerts.add(900, 1185, "pending")
    alerts.add(1200, 3000)
    (found,) = alerts.read()
    assert (found.fault, found.to_detect) == ("errors", 600)


def test_a_fault_that_was_over_or_of_another_service_or_came_later_is_not_to_blame() -> None:
    alerts = Alerts()
    alerts.fault("errors", 100, 300)
    alerts.fault("auth-down", 600, 2000, job="auth")
    alerts.fault("latency", 1230, 2000)
    alerts.add(1200, 3000)
    (found,) = alerts.read()
    assert (found.fault, found.to_detect) == (None, None)


def test_a_pause_shorter_than_a_bin_is_none_and_a_longer_one_is() -> None:
    alerts = Alerts()
    alerts.add(1200, 1800)
    alerts.add(1845, 2400)
    alerts.add(2700, 3000)
    assert [each.span for each in alerts.read()] == [Span(1200, 2400), Span(2700, 3000)]


def test_a_pause_in_which_nothing_is_known_is_none() -> None:
    alerts = Alerts()
    alerts.add(1200, 1800)
    alerts.add(9000, 9600)
    (found,) = alerts.read(Span(1810, 8990))
    assert found.span == Span(1200, 9600)
    assert found.cleared


def test_what_ends_with_the_data_was_not_seen_to_clear() -> None:
    alerts = Alerts()
    alerts.add(1200, 1800)
    alerts.add(35_000, 36_000, level="minor")
    found = alerts.read(Span(1810, 8990))
    assert [(each.level, each.to_clear) for each in found] == [("major", None), ("minor", None)]


def test_levels_are_told_apart() -> None:
    alerts = Alerts()
    alerts.add(1200, 1800, level="minor")
    alerts.add(1200, 1500, level="critical")
    assert {each.level: each.to_clear for each in alerts.read()} == {"minor": 600, "critical": 300}
