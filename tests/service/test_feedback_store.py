import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from randsvc.errors import ConfigurationError
from randsvc.service import feedback_store
from randsvc.service.answer_ids import Answer
from randsvc.service.feedback_store import Seen, SeenError
from tests.support.breaking import Clock

Make = Callable[..., Seen]


def answer(issued: float, nonce: int = 0) -> Answer:
    """One that was given at ``issued`` seconds."""
    return Answer(1.0, "model", int(issued * 1e6), nonce, age=0.0)


@pytest.fixture
def make() -> Iterator[Make]:
    made = []

    def make(path: Path | None = None, clock: Clock | None = None) -> Seen:
        made.append(Seen(path, lifetime=60, clock=clock or Clock()))
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


async def test_what_one_process_has_seen_the_others_have_now_and_after_a_restart(
    make: Make, tmp_path: Path
) -> None:
    one, other = make(tmp_path / "store"), make(tmp_path / "store")
    assert await one.add(answer(1000)) == "first"
    assert await other.add(answer(1000)) == "again"
    assert await make(tmp_path / "store").add(answer(1000)) == "again"


def test_workers_may_make_the_file_all_at_once(tmp_path: Path) -> None:
    def make(round_: int) -> None:
        together.wait()
        Seen(tmp_path / f"store-{round_}", lifetime=60).close()

    # One round in thirty is where SQLite does not wait by itself.
    workers, rounds = 8, 150
    together = threading.Barrier(workers)
    with ThreadPoolExecutor(workers) as pool:
        for round_ in range(rounds):
            list(pool.map(make, [round_] * workers))


async def test_memory_is_of_one_process(make: Make) -> None:
    assert await make().add(answer(1000)) == "first"
    assert await make().add(answer(1000)) == "first"


async def test_what_has_expired_is_forgotten_and_never_taken_again(
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
    monkeypatch.setattr(feedback_store, "REMEMBERED", 100)
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


def kept(it: Seen) -> int:
    (number,) = it._store.execute("SELECT count(*) FROM seen").fetchone()
    return int(number)


@pytest.mark.parametrize(
    ("content", "said"), [(b"not a database, but long enough", "file is not a database")]
)
def test_a_file_that_is_no_store_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "store"
    path.write_bytes(content * 100)
    with pytest.raises(ConfigurationError, match=f"RANDSVC_FEEDBACK_STORE={path}: {said}"):
        Seen(path, lifetime=60)
    with pytest.raises(ConfigurationError, match="unable to open database file"):
        Seen(tmp_path / "missing" / "store", lifetime=60)


async def test_a_store_that_fails_says_so_and_goes_on_when_it_works_again(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_store, "PATIENCE", 0.05)
    it = make(tmp_path / "store")
    other = sqlite3.connect(tmp_path / "store", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(SeenError, match="database is locked"):
        await it.add(answer(1000))
    other.execute("ROLLBACK")
    other.close()
    assert await it.add(answer(1000)) == "first"
