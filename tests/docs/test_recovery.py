"""The ways to count, on the recording of lesson 4, give the figures of docs/recovery.md."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from randsvc.course.exercise import COURSE
from randsvc.histograms.windows import WindowReader
from randsvc.project import ROOT
from randsvc.prometheus_api import Prometheus
from randsvc.review import counts
from randsvc.stack.addresses import find_free_addresses
from randsvc.stack.programs import make_prometheus_of
from randsvc.stack.supervisor import run_programs
from randsvc.times import Span, parse_duration
from tests.support.promtool import promtool

ROW = re.compile(r"^\| (\w+) to ([\d:]+)[^|]*\| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs/recovery.md").read_text())
COUNTER = "http_server_request_duration_seconds_count"


@pytest.fixture(scope="module")
def recording(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder, book = tmp_path_factory.mktemp("recording"), find_free_addresses()
    blocks = ("tsdb", "create-blocks-from", "openmetrics", COURSE / "data/restart.om")
    assert promtool(*blocks, folder / "data").returncode == 0
    kept = "--storage.tsdb.retention.time=100y"
    prometheus = make_prometheus_of({}, programs, book, folder, kept)
    with run_programs([prometheus], book, folder) as stack:
        yield Prometheus(stack.url("prometheus:9090"))


def shown(value: float) -> str:
    return f"{value:.2f}".removesuffix(".00")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} to {row[1]}")
def test_each_way_to_count_gives_the_figure_of_the_page(
    recording: Prometheus, row: tuple[str, ...]
) -> None:
    window, clock, *figures = row
    end = datetime.fromisoformat(f"2026-11-25T{clock}").replace(tzinfo=UTC).timestamp()
    found = []
    for modifier in ("", " anchored", " smoothed"):
        series = recording.query(f"increase({COUNTER}[{window}]{modifier})", end)
        found.append(shown(series[0].values[0][1]) if series else "none")
    span = Span(end - parse_duration(window), end)
    found.append(shown(counts.read(WindowReader(recording), COUNTER, [span]).where(bool).sum()))
    assert found == figures


def test_the_page_compares_windows() -> None:
    assert len(ROWS) == 5
