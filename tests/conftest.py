"""What several tests share: a telemetry that is read in memory, and readings of it."""

import os
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from rich.console import Console

from randsvc.telemetry.accumulator import Reading
from randsvc.telemetry.pipeline import Telemetry
from randsvc.telemetry.readers import InMemoryReader
from tests.support.reading import Measured, measured
from tests.support.tables import tables

# How long an example takes says nothing on a busy machine; and CI tries the same ones every time,
# so that what fails there is what was changed. New ones are found at home.
settings.register_profile(
    "project",
    deadline=None,
    derandomize=bool(os.environ.get("TEST_REQUIRE_ALL")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")


@pytest.fixture
def reader() -> InMemoryReader:
    return InMemoryReader(Reading())


@pytest.fixture
def telemetry(reader: InMemoryReader) -> Iterator[Telemetry]:
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[reader])
    yield telemetry
    telemetry.shutdown()


@pytest.fixture
def read(reader: InMemoryReader) -> Callable[[], Measured]:
    """Collect, and give what was measured."""
    return lambda: measured(reader.get_metrics_data())


# In this order, so that none of them is what all others are waited for at the end.
SLOWEST = (
    "stack/test_scenarios",
    "rules/test_alert_mutations",
    "course/test_incident",
    "stack/test_compose_up",
    "course/test_configure",
    "recovery/test_recover",
    "management/console/test_page",
    "stack/test_drift",
    "course/test_dashboard",
    "docs/test_course",
    "docs/test_readme",
    "docs/test_monitor_your_own_app",
    "rules/test_alerts",
    "cli/test_recover",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest modules."""
    order = {f"{Path(__file__).parent / name}.py": place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(str(item.path), len(order)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the scenarios, whose times are judged, go before what runs beside them."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.path.match("stack/test_scenarios.py"):
        _give_way()


@cache
def _give_way() -> None:
    """Take a tenth of the time that others take, for this process and what it starts."""
    os.nice(10)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where TEST_REQUIRE_ALL is set, as in CI, what would be skipped has failed."""
    report = yield
    if report.skipped and os.environ.get("TEST_REQUIRE_ALL"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured, whichever process they ran in."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for table in tables(reports):
        Console(width=120).print(table)
