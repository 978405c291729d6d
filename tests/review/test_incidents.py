"""Incidents, by what the alerts said."""

from collections.abc import Sequence

from randsvc.histograms.windows import WindowReader
from randsvc.prometheus_api import Series
from randsvc.review import incidents
from randsvc.review.incidents import Found, Incident
from randsvc.review.subject import load_subject
from randsvc.times import Span
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

    def other(self, start: float, end: float, **labels: str) -> None:
        """An alert without a level of ours."""
        self._add({"__name__": "OTHERS_firing", "alertname": "B", **labels}, start, end)

    def _add(self, labels: dict[str, str], start: float, end: float) -> None:
        times = range(int(start), int(end) + 1, 15)
        self.series.append((labels, [(float(time), 1.0) for time in times]))

    def read(self, *holes: Span) -> list[Incident]:
        return list(self.found(*holes).incidents)

    def found(self, *holes: Span, jobs: Sequence[str] = ()) -> Found:
        from tests.support.recorded import Recorded

        levels = "critical|major|minor"

        class ByState(Recorded):
            def query(self, promql: str, at: float | None = None) -> list[Series]:
                for state in ("firing", "pending"):
                    own = f'{{alertstate="{state}",level=~"{levels}"}}'
                    others = f'{{alertstate="{state}",level!~"{levels}",alertname!~".*Watchdog"}}'
                    promql = promql.replace(f"ALERTS{own}", f"ALERTS_{state}")
                    promql = promql.replace(f"ALERTS{others}", f"OTHERS_{state}")
                return super().query(promql, at)

        source = WindowReader(ByState(series=self.series))
        return incidents.read(source, load_subject(None, jobs), SPAN, BIN, holes)


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


def test_an_alert_that_ends_with_the_data_was_not_seen_to_clear() -> None:
    alerts = Alerts()
    alerts.add(1200, 1800)
    alerts.add(35_000, 36_000, level="minor")
    found = alerts.read(Span(1810, 8990))
    assert [(each.level, each.to_clear) for each in found] == [("major", None), ("minor", None)]


def test_each_level_of_an_alert_is_an_incident() -> None:
    alerts = Alerts()
    alerts.add(1200, 1800, level="minor")
    alerts.add(1200, 1500, level="critical")
    assert {each.level: each.to_clear for each in alerts.read()} == {"minor": 600, "critical": 300}


def test_an_alert_without_a_level_has_that_of_its_severity() -> None:
    alerts = Alerts()
    alerts.other(1200, 3000, severity="Warning", job="media")
    alerts.other(4000, 5000, severity="critical")
    found = alerts.found(jobs=["media"])
    assert [(each.level, each.service) for each in found.incidents] == [
        ("major", "media"),
        ("critical", ""),
    ]


def test_an_alert_without_any_level_is_named() -> None:
    alerts = Alerts()
    alerts.other(1200, 3000, severity="strange")
    found = alerts.found()
    assert (found.incidents, found.unclassified, found.alerting) == ([], ["B"], True)


def test_alerts_of_other_services_are_left_out_where_jobs_are_named() -> None:
    alerts = Alerts()
    alerts.add(1200, 3000)
    assert alerts.found(jobs=["media"]).incidents == []
    assert len(alerts.found(jobs=["randsvc"]).incidents) == 1


def test_without_rules_and_alerts_incidents_are_not_known() -> None:
    assert not Alerts().found().alerting
    alerts = Alerts()
    alerts._add({"__name__": "ALERTS", "alertname": "Watchdog"}, 0, 36_000)
    assert alerts.found().alerting
