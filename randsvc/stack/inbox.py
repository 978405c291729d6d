"""What people were told: a sink for Alertmanager's webhooks, and a page that lists what came.

``python -m randsvc.stack.inbox`` stands where a pager, a ticket system and a mailbox would:

POST /RECEIVER       a notification of Alertmanager to one of ``RECEIVERS``
GET  /notifications  what was sent, to whom, when: JSON, the newest first
GET  /               the same as a page

It is for this machine and a course, with no password; the last ``KEPT`` of each receiver are held
in memory.
"""

import argparse
import json
import logging
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from aiohttp import web

RECEIVERS = {
    "pager": "wakes who is on call",
    "ticket": "the queue of who is on call",
    "digest": "read once a day",
    "watchdog": "expects to hear from Alertmanager all the time",
}
"""Who can be told, and what that is. A closed list, so that memory is bounded."""

KEPT = 100
"""Notifications of each receiver: some weeks of incidents, or minutes of a repeated Watchdog."""

LARGEST_BODY = 256 * 1024
"""Bytes; an alert takes about two thousand."""

# A level is a colour and a word: one in twelve men does not see the colour.
_COLOURS = {"critical": "#b00020", "major": "#b35900", "minor": "#1f5fa8", "none": "#666"}

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem; border-top: 1px solid #ddd }
.level { color: #fff; padding: .1rem .5rem; border-radius: .2rem; white-space: nowrap }
.resolved { color: #555 }
time { white-space: nowrap }
"""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert of a notification; ``status`` is firing or resolved, ``started`` as it came."""

    name: str
    status: str
    level: str
    summary: str
    started: str
    runbook: str
    dashboard: str


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What one receiver was told at once; ``at`` is when it came, in UTC by ISO 8601.

    ``level`` is the worst among its alerts, ``not_shown`` how many Alertmanager left out.
    """

    receiver: str
    at: str
    status: str
    level: str
    alerts: tuple[Alert, ...]
    not_shown: int


def make_inbox() -> web.Application:
    """The application; it holds what it was sent."""
    held: dict[str, deque[Notification]] = {name: deque(maxlen=KEPT) for name in RECEIVERS}

    def newest_first() -> list[Notification]:
        return sorted(
            (each for of_one in held.values() for each in of_one),
            key=lambda each: each.at,
            reverse=True,
        )

    async def take(request: web.Request) -> web.Response:
        receiver = request.match_info["receiver"]
        if receiver not in held:
            raise web.HTTPNotFound(
                text=f"no receiver {receiver!r} here, expected one of {', '.join(RECEIVERS)}\n"
            )
        try:
            notification = _read(receiver, await request.json())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise web.HTTPBadRequest(
                text=f"not a webhook notification of Alertmanager: {error!r}\n"
            ) from error
        held[receiver].append(notification)
        return web.Response(status=204)

    async def listed(request: web.Request) -> web.Response:
        text = json.dumps([asdict(each) for each in newest_first()], indent=2)
        return web.Response(text=text + "\n", content_type="application/json")

    async def page(request: web.Request) -> web.Response:
        # Were something not escaped after all, it could still do nothing.
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        told = [each for each in newest_first() if each.receiver != "watchdog"]
        return web.Response(
            text=_page(told, held["watchdog"][-1].at if held["watchdog"] else None),
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_get("/", page)
    app.router.add_get("/notifications", listed)
    app.router.add_post("/{receiver}", take)
    return app


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="inbox", description="Lists what Alertmanager sends.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=9095, help="port to listen on")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        web.run_app(
            make_inbox(), host=given.host, port=given.port, access_log=None, print=logging.info
        )
    except OSError as error:
        sys.exit(f"inbox: cannot listen on --host {given.host} --port {given.port}: {error}")


def _read(receiver: str, body: Mapping[str, Any]) -> Notification:
    """Keep what a person needs: https://prometheus.io/docs/alerting/latest/configuration/."""
    alerts = tuple(_alert(alert) for alert in body["alerts"])
    return Notification(
        receiver=receiver,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        status=str(body["status"]),
        level=_worst(alert.level for alert in alerts),
        alerts=alerts,
        not_shown=int(body.get("truncatedAlerts", 0)),
    )


def _alert(alert: Mapping[str, Any]) -> Alert:
    labels, annotations = alert["labels"], alert.get("annotations", {})
    return Alert(
        name=str(labels["alertname"]),
        status=str(alert["status"]),
        level=str(labels.get("level", "none")),
        summary=str(annotations.get("summary", "")),
        started=str(alert.get("startsAt", "")),
        runbook=str(annotations.get("runbook_url", "")),
        dashboard=str(annotations.get("dashboard_url", "")),
    )


def _worst(levels: Iterable[str]) -> str:
    found = set(levels)
    return next((level for level in _COLOURS if level in found), "none")


def _page(notifications: Iterable[Notification], heartbeat: str | None) -> str:
    rows = "".join(_row(each) for each in notifications)
    nothing = "" if rows else "<p>Nobody was told anything yet.</p>"
    who = "; ".join(f"<b>{name}</b> {what}" for name, what in RECEIVERS.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="5"><title>Inbox</title>'
        f"<style>{_STYLE}</style></head><body><h1>What people were told</h1>"
        f"<p>The newest first, all times UTC. {who}: "
        f"{f'last heard at {_time(heartbeat)}' if heartbeat else 'never heard'}.</p>"
        "<table><thead><tr><th>When<th>To<th>Level<th>Status<th>What</tr></thead>"
        f"<tbody>{rows}</tbody></table>{nothing}</body></html>\n"
    )


def _row(notification: Notification) -> str:
    what = "<br>".join(_what(alert) for alert in notification.alerts)
    if notification.not_shown:
        what += f"<br>and {notification.not_shown} more"
    return (
        f'<tr class="{"resolved" if notification.status == "resolved" else "firing"}">'
        f"<td>{_time(notification.at)}"
        f"<td>{escape(notification.receiver)}<td>{_level(notification.level)}"
        f"<td>{escape(notification.status)}<td>{what}</tr>\n"
    )


def _time(at: str) -> str:
    return f'<time datetime="{escape(at)}">{escape(at[:19].replace("T", " "))}</time>'


def _what(alert: Alert) -> str:
    resolved = " resolved" if alert.status == "resolved" else ""
    links = _link(alert.runbook, "runbook") + _link(alert.dashboard, "dashboard")
    return f"<b>{escape(alert.name)}</b>{resolved}: {escape(alert.summary)}<br>{links}"


def _link(url: str, text: str) -> str:
    # It may hold anything: a path in the project, or javascript:.
    if not url.startswith(("http://", "https://")):
        return f" {text}: {escape(url)}" if url else ""
    return f' <a href="{escape(url)}" rel="noreferrer">{text}</a>'


def _level(level: str) -> str:
    colour = _COLOURS.get(level, _COLOURS["none"])
    return f'<span class="level" style="background:{colour}">{escape(level)}</span>'


if __name__ == "__main__":
    main()
