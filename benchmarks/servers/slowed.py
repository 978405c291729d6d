"""`randsvc` for callgrind: what it does by the clock, it does once at each SIGUSR1.

callgrind slows a program down by a factor of 25 to 100, so that work which is paid by the second
would be counted for as many requests less. The arguments are those of `randsvc`.
"""

import asyncio
import signal
from collections.abc import Callable

from randsvc.cli.main import main
from randsvc.management.console import history
from randsvc.telemetry import telemetry


async def _fold_at_signal(record: Callable[[float], None], fold: Callable[[], None]) -> None:
    """Stand in for ``watch_event_loop``."""
    signalled = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, signalled.set)
    while True:
        await signalled.wait()
        signalled.clear()
        record(0.0)
        fold()


if __name__ == "__main__":
    vars(telemetry)["watch_event_loop"] = _fold_at_signal
    history.IDLE = 1e6
    main()
