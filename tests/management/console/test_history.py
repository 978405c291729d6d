import asyncio
import itertools
import threading
import tracemalloc
from typing import Any

import pytest

from randsvc.distributions import parse
from randsvc.management.console import history
from randsvc.management.console.history import History
from randsvc.metrics import VALUE
from randsvc.telemetry.catalogue import REQUEST_DURATION
from randsvc.telemetry.snapshot import Exponential, Snapshot
from tests.support.snapshots import at, requests

TRUTH = parse("normal(mean=50, sd=10)")
SCALE = 3
FIFTY = 45  # the bucket of 50 at this scale: 2^(45/8) is 49.4, 2^(46/8) is 53.8


class Process:
    """A process whose metrics are looked at; each look is ``step`` seconds after the one before."""

    def __init__(self, step: float = 1.0, instance: str = "one") -> None:
        self.looked_thrice = threading.Event()
        self.step = step
        self.instance = instance
        self.looks = 0

    def view(self) -> Snapshot:
        self.looks += 1
        if self.looks == 3:
            self.looked_thrice.set()
        n = self.looks
        values = Exponential(SCALE, positive={FIFTY: n}, count=n, sum=50 * n)
        points: dict[str, Any] = {
            REQUEST_DURATION.name: requests(*[0.01] * (2 * n)),
            VALUE.name: {frozenset(): values},
        }
        return at(n * self.step, points, self.instance)


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "FRESH", 0.0)


async def live(history: History, instance: str = "one", after: int = 0) -> dict[str, Any]:
    shown = await history.live(instance, after)
    assert shown is not None
    return shown


async def test_the_first_look_has_totals_and_the_second_a_sample() -> None:
    kept = History(Process().view, {})
    first, second = await live(kept), await live(kept)
    assert (first["samples"]["time"], first["totals"]["requests"]) == ([], 2)
    assert (second["samples"]["traffic"], second["last"]) == ([2.0], 1)


async def test_who_knows_some_samples_gets_the_others() -> None:
    kept = History(Process().view, {})
    for _ in range(4):
        await live(kept)
    shown = await live(kept, after=2)
    assert (shown["samples"]["time"], shown["last"]) == ([4.0, 5.0], 4)
    assert (await live(kept, after=99))["samples"]["time"] == []


async def test_who_knew_another_process_gets_all_of_this_one() -> None:
    kept = History(Process(instance="two").view, {})
    for _ in range(3):
        await live(kept)
    assert len((await live(kept, instance="one", after=3))["samples"]["time"]) == 3


async def test_the_history_is_bounded() -> None:
    kept = History(Process().view, {VALUE: TRUTH})
    for _ in range(1000):
        kept._take_sample()
    assert len((await live(kept, instance=""))["samples"]["time"]) == history.KEPT + 1
    assert len(kept._snapshots) == history.RECENT + 1


def test_a_minute_of_series_that_rest_takes_hardly_more_memory_than_one_look() -> None:
    looks = itertools.count()

    def view() -> Snapshot:
        buckets = dict.fromkeys(range(100), 1)
        series: dict[Any, Any] = {
            frozenset({("http.response.status_code", number)}): Exponential(3, positive={**buckets})
            for number in range(50)
        }
        return at(next(looks), {REQUEST_DURATION.name: series})

    kept = History(view, {})
    tracemalloc.start()
    try:
        kept._take_sample()
        one, _ = tracemalloc.get_traced_memory()
        for _ in range(60):
            kept._take_sample()
        many, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept._snapshots) > 50
    assert many < 4 * one


@pytest.mark.parametrize("step", [1.0, 10.0, 100.0])
async def test_rates_are_over_the_window_or_since_the_last_look_where_that_is_longer_ago(
    step: float,
) -> None:
    kept = History(Process(step).view, {})
    for _ in range(30):
        shown = await live(kept)
    assert shown["samples"]["traffic"][-1] == pytest.approx(2 / step)


async def test_a_distribution_is_shown_since_the_start_and_of_the_last_minute() -> None:
    kept = History(Process().view, {VALUE: TRUTH})
    for _ in range(100):
        shown = await live(kept)
    value = shown["distributions"]["randsvc.value"]
    assert (value["count"], value["mean"], value["recent_count"]) == (100, 50, 60)
    assert (sum(value["counts"]), sum(value["recent"])) == (100, 60)
    assert len(value["edges"]) == len(value["expected"]) + 1
    assert value["distance"]["d1"] > value["distance"]["chance"]


async def test_a_distribution_without_an_observation_is_empty() -> None:
    kept = History(lambda: at(0), {VALUE: TRUTH})
    assert (await live(kept))["distributions"] == {"randsvc.value": {"count": 0}}


async def test_many_who_look_at_once_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "FRESH", 60.0)
    process = Process()
    kept = History(process.view, {})
    await asyncio.gather(*(live(kept) for _ in range(20)))
    assert process.looks == 1


async def test_where_nobody_looks_there_is_a_sample_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "IDLE", 0.02)
    process = Process()
    keeping = asyncio.create_task(History(process.view, {}).keep())
    assert await asyncio.to_thread(process.looked_thrice.wait, 10)
    keeping.cancel()


async def test_where_nothing_is_measured_there_is_nothing_to_show() -> None:
    assert await History(lambda: None, {}).live("", 0) is None
