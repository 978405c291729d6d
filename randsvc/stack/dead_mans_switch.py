"""A dead man's switch: notifies people when the monitoring itself no longer says that it works.

``python -m randsvc.stack.dead_mans_switch`` serves:

POST /         a heartbeat: the notification that Alertmanager repeats while the Watchdog fires
GET  /metrics  the time of the last heartbeat, and whether it is overdue

It must run outside what it watches, on another machine or at another provider, and reach people on
a way of its own. Services that do the same: https://healthchecks.io, https://deadmanssnitch.com.
"""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from randsvc.logs import leave_out_malformed_requests
from randsvc.web.cross_origin import refuse_cross_origin
from randsvc.web.problems import meet_expectations

__all__ = ("NAME", "make_switch")

NAME = "MonitoringSilent"
"""The name of the alert that it sends."""
LOOK_EVERY = 1.0
"""Seconds between two looks at the clock, and between two attempts to notify."""
BODY_LIMIT = 256 * 1024
"""Bytes of a heartbeat."""


class _Watch:
    """Waits for heartbeats, and notifies when they stop and when they come again."""

    def __init__(self, pager: str, timeout: float) -> None:
        self._pager = pager
        self._timeout = timeout
        # Monotonic: a clock that is set must neither raise nor hide an alarm.
        self._last = time.monotonic()
        self.heard_at: float | None = None
        self._started = ""

    def hear(self) -> None:
        """Take a heartbeat."""
        self._last = time.monotonic()
        self.heard_at = time.time()

    @property
    def is_overdue(self) -> bool:
        """Whether the next heartbeat should have come."""
        return time.monotonic() - self._last > self._timeout

    async def watch(self) -> None:
        """Notify each change once; repeat an attempt that fails, until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                await asyncio.sleep(LOOK_EVERY)
                overdue = self.is_overdue
                if overdue == bool(self._started):
                    continue
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                started = now if overdue else self._started
                body = self._write(started, ended="" if overdue else now)
                try:
                    async with session.post(self._pager, json=body, raise_for_status=True):
                        self._started = started if overdue else ""
                except (aiohttp.ClientError, TimeoutError) as error:
                    logging.warning("cannot notify %s: %r", self._pager, error)

    def _write(self, started: str, ended: str) -> Mapping[str, Any]:
        """Write a notification as Alertmanager does, so that every receiver can read it.

        https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
        """
        status = "resolved" if ended else "firing"
        summary = f"The monitoring has sent no heartbeat for {self._timeout:g} s"
        alert = {
            "status": status,
            "labels": {"alertname": NAME, "level": "critical", "service": "monitoring"},
            "annotations": {
                "summary": summary,
                "description": "No Alertmanager delivers the Watchdog of any Prometheus, so that "
                "no other alert arrives either. See whether Prometheus and Alertmanager run, and "
                "whether they reach this address.",
            },
            "startsAt": started,
            "endsAt": ended or "0001-01-01T00:00:00Z",
        }
        return {"version": "4", "status": status, "alerts": [alert], "truncatedAlerts": 0}


def make_switch(pager: str, timeout: float) -> web.Application:
    """Make the application.

    It posts to the URL ``pager`` when no heartbeat has come for ``timeout`` seconds, and once more
    when heartbeats come again.
    """
    watch = _Watch(pager, timeout)

    async def hear(request: web.Request) -> web.Response:
        refuse_cross_origin(request)
        await request.read()
        watch.hear()
        return web.Response(status=204)

    async def show_metrics(_request: web.Request) -> web.Response:
        heard = "NaN" if watch.heard_at is None else f"{watch.heard_at:.3f}"
        text = (
            "# HELP dead_mans_switch_last_heartbeat_timestamp_seconds Unix time of the last "
            "heartbeat, NaN before the first.\n"
            "# TYPE dead_mans_switch_last_heartbeat_timestamp_seconds gauge\n"
            f"dead_mans_switch_last_heartbeat_timestamp_seconds {heard}\n"
            "# HELP dead_mans_switch_overdue 1 while no heartbeat comes, otherwise 0.\n"
            "# TYPE dead_mans_switch_overdue gauge\n"
            f"dead_mans_switch_overdue {watch.is_overdue:d}\n"
        )
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def watch_on(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(watch.watch())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    app = web.Application(client_max_size=BODY_LIMIT)
    app.cleanup_ctx.append(watch_on)
    app.router.add_post("/", hear)
    app.router.add_get("/metrics", show_metrics)
    meet_expectations(app.router)
    return app


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="dead-mans-switch", description="Notifies when heartbeats stop."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=9096, help="port to listen on")
    parser.add_argument("--pager", required=True, help="URL that is sent the notification")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=180.0,
        help="seconds without a heartbeat: more than two repetitions of the Watchdog",
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    leave_out_malformed_requests()
    try:
        web.run_app(
            make_switch(given.pager, given.timeout),
            host=given.host,
            port=given.port,
            access_log=None,
            print=logging.info,
        )
    except OSError as error:
        sys.exit(
            f"dead-mans-switch: cannot listen on --host {given.host} --port {given.port}: {error}"
        )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a positive number of seconds")
    return seconds


if __name__ == "__main__":
    main()
