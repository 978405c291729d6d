import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from randsvc.errors import ConfigurationError
from randsvc.service import feedback_store
from randsvc.service.answer_ids import Answer
from randsvc.service.feedback_store import FeedbackStore, StoreError
from tests.support.breaking import Clock

Make = Callable[..., FeedbackStore]


def answer(issued: float, nonce: int = 0) -> Answer:
    """One that was given at ``issued`` seconds."""
    return Answer(1.0, "model", int(issued * 1e6), nonce, age=0.0)


@pytest.fixture
def make() -> Iterator[Make]:
    made = []

    def make(
        path: Path | None = None, clock: Clock | None = None, timer: Clock | None = None
    ) -> FeedbackStore:
        clock = clock or Clock()
        made.append(FeedbackStore(path, lifetime=60, clock=clock, timer=timer or clock))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("shared", [False, True], ids=["in memory", "in a file"])
async def test_an_answer_is_new_once(make: Make, tmp_path: Path, *, shared: bool) -> None:
    seen = make(tmp_path / "store" if shared else None)
    answers = [answer(1000, nonce=0), answer(1000, nonce=2**32 - 1), answer(1000.000001)]
    assert [await seen.add(each) for each in answers] == ["first"] * 3
    assert [await seen.add(each) for each in answers] == ["again"] * 3


async def test_it_knows_how_many_answers_it_keeps_after_a_restart_too(
    make: Make, tmp_path: Path
) -> None:
    seen = make(tmp_path / "store")
    for nonce in (1, 2, 2):
        await seen.add(answer(1000, nonce=nonce))
    assert seen.number == 2
    assert make(tmp_path / "store").number == 2


async def test_an_id_that_one_process_has_seen_is_known_to_all_now_and_after_a_restart(
    make: Make, tmp_path: Path
) -> None:
    one, other = make(tmp_path / "store"), make(tmp_path / "store")
    assert await one.add(answer(1000)) == "first"
    assert await other.add(answer(1000)) == "again"
    assert await make(tmp_path / "store").add(answer(1000)) == "again"


def test_workers_may_make_the_file_all_at_once(tmp_path: Path) -> None:
    def make(round_: int) -> None:
        together.wait()
        FeedbackStore(tmp_path / f"store-{round_}", lifetime=60).close()

    # One round in thirty is where SQLite does not wait by itself.
    workers, rounds = 8, 150
    together = threading.Barrier(workers)
    with ThreadPoolExecutor(workers) as pool:
        for round_ in range(rounds):
            list(pool.map(make, [round_] * workers))


async def test_memory_is_of_one_process(make: Make) -> None:
    assert await make().add(answer(1000)) == "first"
    assert await make().add(answer(1000)) == "first"


async def test_an_expired_id_is_forgotten_and_never_accepted_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_store, "SWEEP", 1)
    clock = Clock()
    it = make(clock=clock)
    for second in range(100):
        clock.now = 1000 + second
        assert await it.add(answer(clock.now)) == "first"
        assert kept(it) <= 62
    assert await it.add(answer(1000)) == "forgotten"
    assert await it.add(answer(1099)) == "again"


async def test_beyond_the_number_that_is_remembered_the_earliest_are_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feedback_store, "SWEEP", 10)
    monkeypatch.setattr(feedback_store, "CAPACITY", 100)
    it = make()
    with caplog.at_level(logging.WARNING):
        for nonce in range(1000):
            assert await it.add(answer(1000 + nonce / 1e4, nonce)) == "first"
            assert kept(it) <= 110
    # Nothing that was taken is ever taken again.
    again = [await it.add(answer(1000 + nonce / 1e4, nonce)) for nonce in range(1000)]
    assert "first" not in again
    assert 80 <= again.count("again") <= 110
    # Nor is what is as early, though it was never seen.
    assert await it.add(answer(1000.01, nonce=5)) == "forgotten"
    (record,) = caplog.records
    assert "had feedback within 60 s, more than are remembered" in record.message


def kept(it: FeedbackStore) -> int:
    (number,) = it._store.execute("SELECT count(*) FROM seen").fetchone()
    return int(number)


@pytest.mark.parametrize(
    ("content", "said"), [(b"not a database, but long enough", "file is not a database")]
)
def test_a_file_that_is_no_store_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "store"
    path.write_bytes(content * 100)
    with pytest.raises(ConfigurationError, match=f"RANDSVC_FEEDBACK_STORE={path}: {said}"):
        FeedbackStore(path, lifetime=60)
    with pytest.raises(ConfigurationError, match="unable to open database file"):
        FeedbackStore(tmp_path / "missing" / "store", lifetime=60)


async def test_a_clock_that_jumps_ahead_and_back_refuses_no_later_answer(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_store, "SWEEP", 1)
    clock, timer = Clock(), Clock()
    it = make(tmp_path / "store", clock, timer)
    assert await it.add(answer(1000)) == "first"
    clock.now += 5 * 3600
    assert await it.add(answer(clock.now)) == "first"
    assert await it.add(answer(clock.now, nonce=1)) == "first"
    clock.now -= 5 * 3600
    for store in (it, make(tmp_path / "store", clock, timer)):
        timer.now = clock.now = clock.now + 1
        assert await store.add(answer(clock.now)) == "first"
        assert await store.add(answer(1000)) == "again"


async def test_a_process_that_starts_while_the_clock_is_ahead_refuses_no_later_answer(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_store, "SWEEP", 1)
    assert await make(tmp_path / "store").add(answer(1000)) == "first"
    ahead = Clock()
    ahead.now += 5 * 3600
    started_then = make(tmp_path / "store", ahead)
    assert await started_then.add(answer(ahead.now)) == "first"
    assert await started_then.add(answer(ahead.now, nonce=1)) == "first"
    clock = Clock()
    clock.now += 1
    it = make(tmp_path / "store", clock)
    assert await it.add(answer(clock.now)) == "first"
    # What was forgotten then is not taken again.
    assert await it.add(answer(1000)) == "forgotten"


async def test_a_store_whose_answers_lie_ahead_says_so(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    it = make(tmp_path / "store")
    await it.add(answer(4600))
    it._forget(int(4600e6))
    make(tmp_path / "store")
    assert [record.message for record in caplog.records] == [
        "feedback is refused for 3600 s: its store holds answers of a clock that is that far "
        "ahead; correct the clock of this machine, or delete the store"
    ]


async def test_without_a_file_answers_of_before_the_start_are_refused() -> None:
    store = FeedbackStore(None, lifetime=60, since=1000, clock=Clock())
    assert await store.add(answer(1000)) == "forgotten"
    assert await store.add(answer(1000.000001)) == "first"
    store.close()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process that writes to the file, and does not end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


async def test_a_store_that_fails_says_so_and_goes_on_when_it_works_again(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_store, "TIMEOUT", 0.05)
    timer = Clock()
    it = make(tmp_path / "store", timer=timer)
    with locked(tmp_path / "store"), pytest.raises(StoreError, match="database is locked"):
        await it.add(answer(1000))
    timer.now += 0.1
    assert await it.add(answer(1000)) == "first"


async def test_many_do_not_wait_for_a_locked_file_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_store, "TIMEOUT", 0.5)
    it = FeedbackStore(tmp_path / "store", lifetime=60)
    answers = [answer(1000, nonce) for nonce in range(50)]
    with locked(tmp_path / "store"):
        began = time.monotonic()
        failed = await asyncio.gather(*map(it.add, answers), return_exceptions=True)
        waited = time.monotonic() - began
    assert {type(error) for error in failed} == {StoreError}
    assert waited < 10  # 25 s one after the other
    await asyncio.sleep(0.6)
    # None of it was taken.
    assert {await it.add(each) for each in answers} == {"first"}
    it.close()


async def test_many_do_not_wait_for_a_slow_file_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_store, "TIMEOUT", 0.5)
    it = FeedbackStore(tmp_path / "store", lifetime=60)
    add = it._add

    def add_slowly(answer: Answer) -> str:
        time.sleep(0.2)
        return add(answer)

    monkeypatch.setattr(it, "_add", add_slowly)
    began = time.monotonic()
    added = await asyncio.gather(
        *(it.add(answer(1000, nonce)) for nonce in range(100)), return_exceptions=True
    )
    assert time.monotonic() - began < 10  # 20 s one after the other
    assert "first" in added
    assert any("the file is busy for more than 0.5 s" in str(each) for each in added)
    it.close()
