"""Work in a thread, for as long as a ``with`` block runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

__all__ = ("run_beside",)


@contextmanager
def run_beside(work: Callable[[Event], None]) -> Iterator[None]:
    """Run ``work`` next to the ``with`` block; it returns soon after its event is set."""
    ended = Event()
    thread = Thread(target=work, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
