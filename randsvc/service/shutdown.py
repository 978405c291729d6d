"""The end of a process: one deadline for everything, counted from the first signal."""

import asyncio
import logging
import os
import signal
import threading
import time
from multiprocessing.process import BaseProcess

__all__ = ("Shutdown",)

_logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP is what a closed terminal sends. Under ``nohup`` it stays ignored."""
EXIT = 1.0
"""Seconds beyond the grace that the interpreter has to end by itself."""


class Shutdown:
    """Whether this process is to end, and how many seconds it has left.

    ``grace`` is the seconds from the first signal to the end. A second signal ends the process at
    once; a process that is still there ``EXIT`` seconds after the grace, because an exporter or a
    handler blocks it, is ended too. The exit code is 0 in each case.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.children: set[BaseProcess] = set()
        """Processes that are killed where this one is ended at once."""
        self._requested = asyncio.Event()
        self._requested_at = 0.0

    def is_requested(self) -> bool:
        """Whether the process is to end."""
        return self._requested.is_set()

    async def wait(self) -> None:
        """Return when the process is to end."""
        await self._requested.wait()

    def remaining(self, part: float = 1.0) -> float:
        """Give the seconds left of the first ``part`` of the grace, at least 0."""
        return max(0.0, self._requested_at + part * self.grace - time.monotonic())

    def request(self) -> None:
        """Begin the end; the grace counts from the first call."""
        if self.is_requested():
            return
        self._requested_at = time.monotonic()
        self._requested.set()

    def follow_signals(self) -> None:
        """Begin the end at the first of ``SIGNALS``, and end the process at the second."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.is_requested():
            self._end_at_once("a second signal came")
        self.request()
        # A thread of its own: whatever blocks the event loop does not block this.
        overdue = threading.Timer(
            self.grace + EXIT, self._end_at_once, (f"{self.grace:g} s are over",)
        )
        overdue.daemon = True
        overdue.start()

    def _end_at_once(self, reason: str) -> None:
        _logger.warning("ending at once: %s", reason)
        for child in self.children:
            child.kill()
        os._exit(0)
