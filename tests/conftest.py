"""What several tests share: a telemetry that is read in memory, and readings of it."""

import os
from collections.abc import Callable, Generator, Iterator

import pytest

from randsvc.telemetry.accumulator import Reading
from randsvc.telemetry.pipeline import Telemetry
from randsvc.telemetry.readers import InMemoryReader
from tests.reading import Measured, measured


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
