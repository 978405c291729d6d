"""Which answers have had feedback, so that none has it twice.

Kept in SQLite: in memory, or in a file that workers and replicas on one machine share. What is kept
is bounded in time, as the ids of answers expire, and in number: beyond it the earliest answers are
forgotten, and feedback for them and for any as early is refused as if they had expired. So nothing
is ever taken twice.
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

__all__ = ("Seen", "SeenError")

_logger = logging.getLogger(__name__)

REMEMBERED = 500_000
"""Answers that are kept, 20 bytes each: an hour at 140 feedbacks a second, 10 MB."""
SWEEP = 1000
"""Feedbacks between two looks at what is to be forgotten."""
PATIENCE = 5.0
"""Seconds that a process waits for the others that write to the file."""

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
_FORGET = (
    "UPDATE forgotten SET until = max(until, :until)",
    "DELETE FROM seen WHERE issued <= :until",
)


class SeenError(Exception):
    """The file cannot be read or written now."""


class Seen:
    """Remembers in the file at ``path``, or without one in memory, until it is closed.

    ``lifetime`` is the seconds after which an answer needs no remembering; ``clock`` gives Unix
    time. Raises ``ConfigurationError`` for a file that cannot be used.
    """

    def __init__(
        self, path: Path | None, *, lifetime: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._lifetime = lifetime
        self._clock = clock
        # A file may wait for the disk or for another process, memory does not.
        self._thread = ThreadPoolExecutor(1, "feedback-store") if path else None
        self._until_sweep = SWEEP
        self._full = False
        try:
            self._store = sqlite3.connect(
                path or ":memory:", timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                _set_up(self._store)
            except sqlite3.Error:
                self._store.close()
                raise
        except sqlite3.Error as error:
            raise ConfigurationError(f"RANDSVC_FEEDBACK_STORE={path}: {error}") from error

    async def add(self, answer: Answer) -> Literal["first", "again", "forgotten"]:
        """Remember that ``answer`` has feedback; ``forgotten`` where it is too early to tell.

        Raises ``SeenError``.
        """
        try:
            if self._thread is None:
                return self._add(answer)
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._add, answer)
        except sqlite3.Error as error:
            raise SeenError(str(error)) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._thread:
            self._thread.shutdown()
        self._store.close()

    def _add(self, answer: Answer) -> Literal["first", "again", "forgotten"]:
        if self._until_sweep <= 0:
            self._sweep()
            self._until_sweep = SWEEP
        self._until_sweep -= 1
        key = {"issued": answer.issued, "nonce": answer.nonce}
        if self._store.execute(_ADD, key).rowcount:
            return "first"
        (until,) = self._store.execute("SELECT until FROM forgotten").fetchone()
        return "forgotten" if answer.issued <= until else "again"

    def _sweep(self) -> None:
        """Forget what has expired, and a tenth beyond it where there is more than may be."""
        self._forget(int((self._clock() - self._lifetime) * 1e6))
        (number,) = self._store.execute("SELECT count(*) FROM seen").fetchone()
        if number <= REMEMBERED:
            return
        keep = REMEMBERED * 9 // 10
        ((until,),) = self._store.execute(
            "SELECT issued FROM seen ORDER BY issued DESC LIMIT 1 OFFSET ?", (keep,)
        )
        self._forget(until)
        if not self._full:
            self._full = True
            _logger.warning(
                "%d answers had feedback within %g s, more than are remembered: from now on it is "
                "taken for the latest answers only",
                number,
                self._lifetime,
            )

    def _forget(self, until: int) -> None:
        with self._store:  # one transaction: nothing is gone that is not refused
            self._store.execute("BEGIN IMMEDIATE")
            for statement in _FORGET:
                self._store.execute(statement, {"until": until})


def _set_up(store: sqlite3.Connection) -> None:
    """Make the tables where there are none.

    Several workers do at once. SQLite does not wait for the others where the journal's mode is
    changed: https://sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            store.executescript(_TABLES)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
