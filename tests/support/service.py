"""The real service in a process of its own, on free ports."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.request import urlopen

from tests.support.native_programs import expect_process_mark

SECONDS = 60
"""The longest time that a start or an event may take; a machine under load needs it."""
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, 2 * (int(sys.argv[1]),))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Service:
    """A running service, its events and its addresses."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, object]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        serving = self.event("serving")
        self.public, self.management = (local(serving[port]) for port in ("public", "management"))

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)

    def event(self, message: str, seconds: float = SECONDS) -> dict[str, object]:
        """The next event whose message begins so."""
        deadline = time.monotonic() + seconds
        while True:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            event: dict[str, object] = json.loads(line)
            self.events.append(event)
            if str(event["message"]).startswith(message):
                return event

    def drain(self) -> list[dict[str, object]]:
        """All events so far."""
        while not self._lines.empty():
            self.events.append(json.loads(self._lines.get()))
        return self.events

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urlopen(f"{self.management}/readyz"):
                return
            time.sleep(0.05)
        raise TimeoutError("the service is not ready")

    def stop(self) -> int:
        """Send SIGTERM and give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


@contextlib.contextmanager
def running_service(
    *arguments: str,
    command: str = "serve",
    management_port: str = "0",
    descriptors: str = "",
    **environ: str,
) -> Iterator[Service]:
    """A service with some options and variables more; killed at the end if it still runs.

    It may have so many file ``descriptors``.
    """
    expect_process_mark()
    ports = ["--host", "127.0.0.1", "--port", "0", "--management-port", management_port]
    with subprocess.Popen(
        [
            *([sys.executable, "-c", LIMITED, descriptors] if descriptors else [sys.executable]),
            *("-m", "randsvc", command, *ports, *arguments),
        ],
        env={**os.environ, "OTEL_METRICS_EXPORTER": "prometheus", **environ},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Service(process)
        finally:
            process.kill()


def local(address: object) -> str:
    """The URL at which this machine reaches an address that a service announced."""
    return f"http://127.0.0.1:{str(address).rpartition(':')[2]}"
