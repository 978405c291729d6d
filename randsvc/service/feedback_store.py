"""Which answers have had feedback, so that none has it twice.

Kept in SQLite: in memory, or in a file that workers and replicas on one machine share. What is kept
is bounded in time, as the ids of answers expire, and in number: beyond it the earliest answers are
forgotten. Feedback about an answer that is as old as a forgotten one is refused as if it had
expired, so nothing is ever taken twice.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from randsvc.errors import ConfigurationError
from randsvc.service.answer_ids import Answer

__all__ = ("CAPACITY", "FeedbackStore", "StoreError")

_logger = logging.getLogger(__name__)

CAPACITY = 500_000
"""Answers that are kept: an hour at 140 feedbacks a second. 22 bytes each in the file, 11 MB."""
SWEEP = 1000
"""Feedbacks between two sweeps, which forget what has expired."""
START_TIMEOUT = 5.0
"""Seconds that a process waits for the others when it opens the file."""
TIMEOUT = 1.0
"""Seconds that one feedback waits for the file; while it fails, one in each such time tries."""

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS seen (
    issued INTEGER, nonce INTEGER, PRIMARY KEY (issued, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgotten (id INTEGER PRIMARY KEY CHECK (id = 1), until INTEGER) STRICT;
INSERT OR IGNORE INTO forgotten VALUES (1, 0);
"""
_ADD = (
    "INSERT OR IGNORE INTO seen SELECT :issued, :nonce"
    " WHERE :issued > (SELECT until FROM forgotten)"
)
# `until` is the latest answer that was forgotten, not the time up to which: a clock that is ahead
# during a sweep must not refuse the answers of the hours to come.
_FORGET = (
    "UPDATE forgotten SET until = max("
    " until, (SELECT coalesce(max(issued), 0) FROM seen WHERE issued <= :until))",
    "DELETE FROM seen WHERE issued <= :until",
)


class StoreError(Exception):
    """The file cannot be read or written now."""


class FeedbackStore:
    """Remembers in the file at ``path``, or without one in memory, until it is closed.

    ``lifetime`` is the seconds after which an answer needs no remembering; ``clock`` gives Unix
    time, ``timer`` seconds that only ever advance. Answers of before ``since`` (Unix seconds) are
    refused where the store is in memory: a process of before may have taken feedback about them.
    Raises ``ConfigurationError`` for a file that cannot be used.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        lifetime: float,
        since: float = 0.0,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._timer = timer
        self._offset = clock() - timer()
        # A file may wait for the disk or for another process, memory does not.
        self._thread = ThreadPoolExecutor(1, "feedback-store") if path else None
        self._until_sweep = SWEEP
        self.number = 0
        """Answers that are kept; those of other processes as of the last sweep."""
        self._is_full = False
        self._failure = ""
        self._retry_at = 0.0
        try:
            self._store = sqlite3.connect(
                path or ":memory:",
                timeout=START_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                _set_up(self._store)
                self._store.execute(f"PRAGMA busy_timeout = {TIMEOUT * 1000:.0f}")
                if path is None:
                    self._store.execute("UPDATE forgotten SET until = ?", (int(since * 1e6),))
                self._check_clock()
                self.number = self._count()
            except sqlite3.Error:
                self._store.close()
                raise
        except sqlite3.Error as error:
            raise ConfigurationError(f"RANDSVC_FEEDBACK_STORE={path}: {error}") from error

    async def add(self, answer: Answer) -> Literal["first", "again", "forgotten"]:
        """Remember that ``answer`` has feedback; ``forgotten`` where it is too early to tell.

        Raises ``StoreError``, after twice ``TIMEOUT`` at most. Nothing is remembered then.
        """
        if self._thread is None:
            return self._add(answer)
        waiting_until = self._timer() + TIMEOUT
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._add_in_time, answer, waiting_until
        )

    def close(self) -> None:
        """Let go of the file."""
        if self._thread:
            self._thread.shutdown()
        self._store.close()

    def _add_in_time(
        self, answer: Answer, waiting_until: float
    ) -> Literal["first", "again", "forgotten"]:
        """Add an answer, unless the file fails or those before it took too long.

        All feedback waits for one thread, so a file that fails would delay the last of a hundred a
        hundred times.
        """
        now = self._timer()
        if now < self._retry_at:
            raise StoreError(self._failure)
        if now > waiting_until:
            raise StoreError(f"the file is busy for more than {TIMEOUT:g} s")
        try:
            added = self._add(answer)
        except sqlite3.Error as error:
            self._failure, self._retry_at = str(error), self._timer() + TIMEOUT
            raise StoreError(self._failure) from error
        return added

    def _add(self, answer: Answer) -> Literal["first", "again", "forgotten"]:
        if self._until_sweep <= 0:
            self._sweep()
            self._until_sweep = SWEEP
        self._until_sweep -= 1
        key = {"issued": answer.issued, "nonce": answer.nonce}
        if self._store.execute(_ADD, key).rowcount:
            self.number += 1
            return "first"
        return "forgotten" if answer.issued <= self._forgotten_until() else "again"

    def _forgotten_until(self) -> int:
        (until,) = self._store.execute("SELECT until FROM forgotten").fetchone()
        return int(until)

    def _sweep(self) -> None:
        """Forget what has expired, and a tenth beyond it where there is more than may be.

        By the clock, but no further than the time that has passed since the start: a clock that
        jumps ahead expires nothing.
        """
        now = min(self._clock(), self._timer() + self._offset)
        self._forget(int((now - self._lifetime) * 1e6))
        self.number = number = self._count()
        if number <= CAPACITY:
            return
        keep = CAPACITY * 9 // 10
        ((until,),) = self._store.execute(
            "SELECT issued FROM seen ORDER BY issued DESC LIMIT 1 OFFSET ?", (keep,)
        )
        self._forget(until)
        self.number = self._count()
        if not self._is_full:
            self._is_full = True
            _logger.warning(
                "%d answers had feedback within %g s, more than are remembered: from now on "
                "feedback is taken for the latest answers only",
                number,
                self._lifetime,
            )

    def _count(self) -> int:
        (number,) = self._store.execute("SELECT count(*) FROM seen").fetchone()
        return int(number)

    def _forget(self, until: int) -> None:
        with self._store:  # one transaction: nothing is gone that is not refused
            self._store.execute("BEGIN IMMEDIATE")
            for statement in _FORGET:
                self._store.execute(statement, {"until": until})

    def _check_clock(self) -> None:
        ahead = self._forgotten_until() / 1e6 - self._clock()
        if ahead > 1:
            _logger.error(
                "feedback is refused for %.0f s: its store holds answers of a clock that is that "
                "far ahead; correct the clock of this machine, or delete the store",
                ahead,
            )


def _set_up(store: sqlite3.Connection) -> None:
    """Make the tables where there are none.

    Several workers do at once. SQLite does not wait for the others where the journal's mode is
    changed: https://sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode
    """
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            store.executescript(_TABLES)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
