"""Random histories in a real Prometheus: each count of the rules is that of the books.

Each is exact, unless its window begins in a gap without scrapes that is longer than 5 minutes. The
events that the first sample after the gap brings are then missing. `make histories` runs 1,000.
"""

import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from randsvc.errors import RecoveryError
from randsvc.histograms import from_prometheus
from randsvc.histograms.windows import WindowReader
from randsvc.objectives import Slo
from randsvc.prometheus_api import Prometheus, Series
from randsvc.review import counts
from randsvc.rules.golden_signals import count_events
from randsvc.rules.slo import BAD_EVENTS, BUDGET_REQUESTS, make_recordings
from randsvc.rules.time_scale import PRODUCTION, Burn
from randsvc.stack.addresses import find_free_addresses
from randsvc.stack.programs import FROM_START, make_prometheus_of
from randsvc.stack.supervisor import run_programs
from randsvc.times import Span, parse_duration
from tests.support.histories import FAST, VALUES, History, Kind, make_history, make_requests

HISTORIES = int(os.environ.get("TEST_HISTORIES", "50"))
MINUTES = 60
STEP = 37_000
"""Milliseconds between evaluations, so that they fall anywhere between two scrapes."""
WINDOW, BUDGET = "10m", "30m"
SCALE = replace(
    PRODUCTION, burns=(Burn(level="major", factor=1, long=WINDOW, short="2m"),), budget=BUDGET
)
Counts = NDArray[np.float64]


class Recorded:
    """Prometheus with every history, and the times at which the rules are evaluated."""

    def __init__(self, url: str, histories: list[History], begin: int, end: int) -> None:
        self.server = Prometheus(url)
        self.histories = histories
        self.begin, self.end = begin, end
        self.times = np.arange(begin, end, STEP)

    def count(self, promql: str) -> Counts:
        """The value at each time, 0 where there is none."""
        found = np.zeros(len(self.times))
        for piece in self._range(promql):
            for series in piece:
                for at, value in series.values:
                    found[self._index(at)] = value
        return found

    def count_buckets(self, promql: str) -> Counts:
        """The counts of a native histogram at each time, by value."""
        found = np.zeros((len(self.times), len(VALUES)))
        for piece in self._range(promql):
            for series in piece:
                for at, histogram in series.histograms:
                    for _, upper, count in histogram.buckets:
                        found[self._index(at), round(np.log2(upper)) - 1] = count
        return found

    def _range(self, promql: str) -> Iterator[list[Series]]:
        first, last = (int(each) / 1000 for each in self.times[[0, -1]])
        return self.server.range(promql, first, last, STEP / 1000)

    def _index(self, at: float) -> int:
        return round((at * 1000 - self.begin) / STEP)


@pytest.fixture(scope="module")
def recorded(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    end = int(time.time()) * 1000 - 60_000
    begin = end - MINUTES * 60_000
    histories = [make_history(seed, begin, end) for seed in range(HISTORIES)]
    folder, book = tmp_path_factory.mktemp("histories"), find_free_addresses()
    flags = ("--web.enable-otlp-receiver", FROM_START)
    prometheus = make_prometheus_of({}, programs, book, folder, *flags)
    with run_programs([prometheus], book, folder) as stack:
        for body in make_requests(histories, begin, end):
            request = urllib.request.Request(
                stack.url("prometheus:9090", "/api/v1/otlp/v1/metrics"),
                body,
                {"Content-Type": "application/x-protobuf"},
            )
            with urllib.request.urlopen(request) as answer:
                assert answer.status == 200
        yield Recorded(stack.url("prometheus:9090"), histories, begin, end)


def rules_of(history: History, within: float | None = None) -> dict[str, str]:
    """The expressions of the rules that count, for an objective of a history."""
    slo = Slo(
        name=history.name,
        alert="Failing",
        service=history.name,
        route="/",
        objective=0.99,
        within=within,
    )
    return {
        rule.record: rule.expr
        for rule in make_recordings(SCALE, [slo])
        if rule.labels.get("window", WINDOW) == WINDOW
    }


def ms(duration: str) -> int:
    return round(parse_duration(duration) * 1000)


OBJECTIVES: dict[Kind, float | None] = {"failed": None, "slow": FAST}
"""The bad events of an objective, and its bound of the latency."""


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_the_bad_events_of_each_window_are_those_of_the_books(
    recorded: Recorded, kind: Kind
) -> None:
    for history in recorded.histories:
        counted = recorded.count(rules_of(history, OBJECTIVES[kind])[BAD_EVENTS])
        books = history.count([kind], recorded.times, ms(WINDOW))
        uncounted = history.uncounted([kind], recorded.times, ms(WINDOW))
        assert counted.tolist() == (books - uncounted).tolist(), history.name


def test_the_budget_left_in_requests_is_that_of_the_books(recorded: Recorded) -> None:
    for history in recorded.histories:
        counted = recorded.count(rules_of(history)[BUDGET_REQUESTS])

        def known(*kinds: Kind, history: History = history) -> Counts:
            window = (kinds, recorded.times, ms(BUDGET))
            return np.asarray(history.count(*window) - history.uncounted(*window), dtype=float)

        bad = known("failed")
        left = np.floor((known("fast", "slow") + bad) / 100 + 1e-6) - bad
        assert counted.tolist() == left.tolist(), history.name


def test_a_native_histogram_counts_the_values_of_the_books(recorded: Recorded) -> None:
    for history in recorded.histories:
        each = count_events(f'randsvc_value{{job="{history.name}"}}', WINDOW)
        counted = recorded.count_buckets(f"sum ({each})")
        books = history.count_values(recorded.times, ms(WINDOW))
        uncounted = history.uncounted(["fast", "slow"], recorded.times, ms(WINDOW))
        whole = uncounted == 0
        assert counted[whole].tolist() == books[whole].tolist(), history.name
        assert counted.sum(axis=1).tolist() == (books.sum(axis=1) - uncounted).tolist()


def test_most_windows_are_exact(recorded: Recorded) -> None:
    windows = [h.uncounted(OBJECTIVES, recorded.times, ms(WINDOW)) for h in recorded.histories]
    assert 0.5 < np.mean(np.concatenate(windows) == 0) < 1


def test_extrapolation_is_noticed(recorded: Recorded) -> None:
    right = []
    for history in recorded.histories:
        extrapolated = rules_of(history)[BAD_EVENTS].replace(" anchored", "")
        books = history.count(["failed"], recorded.times, ms(WINDOW))
        right.append((recorded.count(extrapolated) == books)[books > 0])
    assert np.mean(np.concatenate(right)) < 0.1


def test_counts_of_recovery_and_review_are_in_the_books_also_after_a_gap(
    recorded: Recorded,
) -> None:
    rng = np.random.default_rng(1)
    for history in recorded.histories:
        window = int(rng.integers(60, 1800))
        end = recorded.end // 1000 - int(rng.integers(0, 1800))
        ends = np.array([end * 1000])
        matcher = f'job="{history.name}"'
        try:
            read = from_prometheus.read(
                recorded.server, "randsvc_value", [matcher], end=end, window=window
            )
            values = read.count
        except RecoveryError:
            values = 0
        assert values == history.count(["fast", "slow"], ends, window * 1000)[0], history.name
        windows = [Span(at - 300, at) for at in range(end - 1200, end + 1, 300)]
        requests = counts.read(
            WindowReader(recorded.server),
            f"http_server_request_duration_seconds_count{{{matcher}}}",
            windows,
        )
        ends = np.array([each.end * 1000 for each in windows], dtype=np.int64)
        books = history.count(["fast", "slow", "failed"], ends, 300_000)
        assert requests.where(lambda _: True).tolist() == books.tolist(), history.name
