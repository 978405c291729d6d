"""What several tests share: native programs, a browser, a telemetry that is read in memory."""

import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from randsvc.telemetry import Telemetry, log_records
from tests.support import native_programs
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

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


# A shell that starts the tests in the background has what they start ignore these signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the native programs."""
    return native_programs.folder()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, which does nothing of its own accord: no update, no call home."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no page is shown in a browser: there is no chromium in PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def no_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the log records that are dropped from 0, as a process of its own does."""
    monkeypatch.setattr(log_records, "_drops", {})


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def telemetry(reader: InMemoryMetricReader) -> Iterator[Telemetry]:
    telemetry = Telemetry("randsvc", concurrency_limit=5, environ={}, readers=[reader])
    yield telemetry
    telemetry.shutdown()


@pytest.fixture
def read(reader: InMemoryMetricReader) -> Callable[[], Measured]:
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
    "benchmarks/test_chaos",
    "docs/test_readme",
    "docs/test_monitor_your_own_app",
    "rules/test_alerts",
    "service/test_shutdown",
    "telemetry/test_request_matrix",
    "cli/test_recover",
    "benchmarks/test_chaos_ha",
    "rules/test_alert_times",
    "stack/test_any_service",
    "stack/test_alertmanagers",
    "stack/test_starts",
    "stack/test_collectors",
    "stack/test_queries",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts native programs, and begin with the slowest modules."""
    for item in items:
        native_programs.mark(item)
    order = {f"{Path(__file__).parent / name}.py": place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(str(item.path), len(order)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the scenarios, whose times are judged, go before what runs beside them."""
    native_programs.hold_to_mark(item)
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
