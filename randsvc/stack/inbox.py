"""The notification inbox: stands where a pager, a ticket system and a mailbox would.

``python -m randsvc.stack.inbox`` serves:

POST /RECEIVER       a notification of Alertmanager to one of ``RECEIVERS``
GET  /notifications  what was sent to whom and when, as JSON, the newest first
GET  /               the same as people would read it: a page, a chat message, a mail
GET  /runbooks/NAME  the runbook that a notification links to

It is for one machine and a course: it asks for no password, and holds the last ``KEPT``
notifications of each receiver in memory.
"""

import argparse
import json
import logging
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from randsvc.logs import leave_out_malformed_requests
from randsvc.stack.inbox_page import render_page
from randsvc.web.cross_origin import refuse_cross_origin
from randsvc.web.problems import meet_expectations
from randsvc.web.runbooks import add_runbooks

RECEIVERS = {
    "pager": "wakes the person on call",
    "ticket": "a message in the team's chat, to be handled in working hours",
    "digest": "a mail a day",
    "watchdog": "expects a heartbeat from Alertmanager",
}
"""Everybody who can be notified, and how. A closed list, so that memory is bounded."""

KEPT = 100
"""Notifications of each receiver: some weeks of incidents, or minutes of a repeated Watchdog."""
KEPT_ALERTS = 50
"""Alerts of a notification; the project has fewer in all. The others are counted."""
KEPT_CHARACTERS = 2000
"""Of each text of an alert; the longest of the project has 400."""

BODY_LIMIT = 256 * 1024
"""Bytes; an alert takes about two thousand."""

LEVELS = ("critical", "major", "minor", "none")
"""The worst first."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert of a notification; ``status`` is firing or resolved, times are as they came."""

    name: str
    status: str
    level: str
    service: str
    summary: str
    description: str
    started: str
    ended: str
    runbook: str
    dashboard: str
    logs: str
    graph: str


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What one receiver was sent at once; ``at`` is when it came, in UTC by ISO 8601.

    ``level`` is the worst among its alerts, ``not_shown`` how many were left out.
    """

    receiver: str
    at: str
    status: str
    level: str
    alerts: tuple[Alert, ...]
    not_shown: int


_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a body raises that Alertmanager did not send."""


def make_inbox() -> web.Application:
    """Make the application; it holds what it was sent."""
    held: dict[str, deque[Notification]] = {name: deque(maxlen=KEPT) for name in RECEIVERS}

    def sort_newest_first() -> list[Notification]:
        return sorted(
            (each for of_one in held.values() for each in of_one),
            key=lambda each: each.at,
            reverse=True,
        )

    async def take(request: web.Request) -> web.Response:
        refuse_cross_origin(request)
        receiver = request.match_info["receiver"]
        if receiver not in held:
            raise web.HTTPNotFound(
                text=f"no receiver {receiver!r} here, expected one of {', '.join(RECEIVERS)}\n"
            )
        try:
            notification = _read(receiver, json.loads(await request.read()))
        except _MALFORMED as error:
            raise web.HTTPBadRequest(
                text=f"not a webhook notification of Alertmanager: {error!r}\n"
            ) from error
        held[receiver].append(notification)
        return web.Response(status=204)

    async def show_json(request: web.Request) -> web.Response:
        text = json.dumps([asdict(each) for each in sort_newest_first()], indent=2)
        return web.Response(text=text + "\n", content_type="application/json")

    async def show_page(request: web.Request) -> web.Response:
        # Were something not escaped after all, it could still do nothing.
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        heartbeats = held["watchdog"]
        return web.Response(
            text=render_page(
                [asdict(each) for each in sort_newest_first() if each.receiver != "watchdog"],
                RECEIVERS,
                heartbeats[-1].at if heartbeats else None,
            ),
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_get("/", show_page)
    app.router.add_get("/notifications", show_json)
    app.router.add_post("/{receiver}", take)
    add_runbooks(app.router)
    meet_expectations(app.router)
    return app


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="inbox", description="Lists what Alertmanager sends.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=9095, help="port to listen on")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    leave_out_malformed_requests()
    try:
        web.run_app(
            make_inbox(), host=given.host, port=given.port, access_log=None, print=logging.info
        )
    except OSError as error:
        sys.exit(f"inbox: cannot listen on --host {given.host} --port {given.port}: {error}")


def _read(receiver: str, body: Mapping[str, Any]) -> Notification:
    """Keep what a person needs: https://prometheus.io/docs/alerting/latest/configuration/."""
    alerts = tuple(_read_alert(alert) for alert in body["alerts"][:KEPT_ALERTS])
    left_out = len(body["alerts"]) - len(alerts)
    return Notification(
        receiver=receiver,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        status=_cut(body["status"]),
        level=_find_worst(alert.level for alert in alerts),
        alerts=alerts,
        not_shown=left_out + int(body.get("truncatedAlerts", 0)),
    )


def _read_alert(alert: Mapping[str, Any]) -> Alert:
    labels, annotations = alert["labels"], alert.get("annotations", {})
    return Alert(
        name=_cut(labels["alertname"]),
        status=_cut(alert["status"]),
        level=_cut(labels.get("level", "none")),
        service=_cut(labels.get("service", "")),
        summary=_cut(annotations.get("summary", "")),
        description=_cut(annotations.get("description", "")),
        started=_cut(alert.get("startsAt", "")),
        ended=_cut(alert.get("endsAt", "")) if alert["status"] == "resolved" else "",
        runbook=_cut(annotations.get("runbook_url", "")),
        dashboard=_cut(annotations.get("dashboard_url", "")),
        logs=_cut(annotations.get("logs_url", "")),
        graph=_cut(alert.get("generatorURL", "")),
    )


def _cut(text: object) -> str:
    # JSON can hold half of a character, which no page can.
    return str(text)[:KEPT_CHARACTERS].encode(errors="replace").decode()


def _find_worst(levels: Iterable[str]) -> str:
    found = set(levels)
    return next((level for level in LEVELS if level in found), "none")


if __name__ == "__main__":
    main()
