"""The inbox's page: each notification as its receiver would show it.

What pages somebody and what goes to the team's chat is a message with a bar in the colour of its
level, as in Slack; what goes into the daily digest is a mail. All of it is HTML without a script.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from yarl import URL

__all__ = ("render_page",)

MAILED = ("digest",)
"""Receivers that are sent mail."""
MARGIN = timedelta(minutes=10)
"""What a dashboard or a graph shows before an alert began and after it ended."""

_STYLE = """
:root {
  color-scheme: light dark; --paper: #fff; --ink: #222; --dim: #555; --line: #ccc; --bar: #666;
  --critical: #b00020; --major: #b35900; --minor: #1f5fa8; --resolved: #1b6e35;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #1b1e23; --ink: #ddd; --dim: #aaa; --line: #444 }
}
body {
  font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 52rem; padding: 0 1rem;
  color: var(--ink); background: var(--paper);
}
article {
  border: 1px solid var(--line); border-left: .4rem solid var(--bar); border-radius: .3rem;
  margin: 1rem 0; padding: .6rem 1rem; overflow-wrap: anywhere;
}
.critical { --bar: var(--critical) } .major { --bar: var(--major) }
.minor { --bar: var(--minor) } .resolved { --bar: var(--resolved) }
.mail { font-family: Georgia, serif }
.level { color: #fff; background: var(--bar); padding: .1rem .5rem; border-radius: .2rem }
h2 { font-size: 1.1rem; margin: .4rem 0 } p { margin: .3rem 0 } .dim { color: var(--dim) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 .8rem; margin: 0 }
dt { color: var(--dim) } dd { margin: 0 } time { white-space: nowrap }
a { color: inherit } .links a { margin-right: 1rem; font-weight: 600 }
"""


def render_page(
    notifications: Iterable[Mapping[str, Any]], receivers: Mapping[str, str], heartbeat: str | None
) -> str:
    """Give the page of notifications, each as ``/notifications`` gives it, in their order.

    ``receivers`` says what each receiver is; ``heartbeat`` is when the watchdog was last heard.
    """
    messages = "".join(_render(each) for each in notifications)
    who = "".join(f"<li><b>{name}</b>: {what}</li>" for name, what in receivers.items())
    heard = f"last heartbeat at {_time(heartbeat)}" if heartbeat else "no heartbeat yet"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="refresh" content="5"><title>Inbox</title>'
        f"<style>{_STYLE}</style></head><body><h1>Notifications</h1>"
        f'<p>The newest first. All times are UTC. Watchdog: {heard}. <a href="/notifications">'
        'As JSON</a>, <a href="/runbooks/">all runbooks</a>.</p>'
        f"<details><summary>Receivers</summary><ul>{who}</ul></details>"
        f"{messages or '<p>Nobody has been notified yet.</p>'}</body></html>\n"
    )


def _render(notification: Mapping[str, Any]) -> str:
    is_mail = notification["receiver"] in MAILED
    is_resolved = notification["status"] == "resolved"
    level = str(notification["level"])
    kinds = ["mail" if is_mail else "chat", "resolved" if is_resolved else level]
    alerts = notification["alerts"]
    services = sorted({str(alert["service"]) for alert in alerts if alert["service"]})
    names = ", ".join(dict.fromkeys(str(alert["name"]) for alert in alerts))
    subject = f"{', '.join(services)}: {names}" if services else names
    badge = f'<span class="level">{escape(f"{level}, resolved" if is_resolved else level)}</span>'
    body = "".join(_render_alert(alert) for alert in alerts)
    if notification["not_shown"]:
        body += f"<p>and {notification['not_shown']} more</p>"
    if is_mail:
        head = (
            f"<dl><dt>To</dt><dd>{escape(notification['receiver'])}</dd>"
            f"<dt>Date</dt><dd>{_time(notification['at'])}</dd>"
            f"<dt>Subject</dt><dd>{badge} <b>{escape(subject)}</b></dd></dl><hr>"
        )
    else:
        head = (
            f"<p>{badge} <b>{escape(notification['receiver'])}</b> "
            f'<span class="dim">{_time(notification["at"])}</span></p><h2>{escape(subject)}</h2>'
        )
    return f'<article class="{escape(" ".join(kinds))}">{head}{body}</article>\n'


def _render_alert(alert: Mapping[str, Any]) -> str:
    started = _time(alert["started"])
    times = (
        f"fired from {started} to {_time(alert['ended'])}"
        if alert["ended"]
        else (f"firing since {started}")
    )
    links = _link(alert["runbook"], "Runbook") + _link(
        _show_while(alert["dashboard"], alert["started"], alert["ended"]), "Dashboard"
    )
    links += _link(alert["logs"], "Logs")
    links += _link(_draw_while(alert["graph"], alert["ended"]), "Graph")
    return (
        f"<p><b>{escape(alert['summary'] or alert['name'])}</b></p>"
        f"<p>{escape(alert['description'])}</p>"
        f'<p class="dim">{escape(alert["name"])}, {escape(alert["level"])}, {times}</p>'
        f'<p class="links">{links}</p>'
    )


def _time(at: str) -> str:
    return f'<time datetime="{escape(at)}">{escape(at[:19].replace("T", " "))}</time>'


def _link(url: str, text: str) -> str:
    # It may hold anything: a path in the project, or javascript:.
    if not url.startswith(("http://", "https://")):
        return f"{text}: {escape(url)} " if url else ""
    return f'<a href="{escape(url)}" rel="noreferrer">{text}</a>'


def _show_while(url: str, started: str, ended: str) -> str:
    """Let a dashboard show the time of the alert, which is over when an old message is read."""
    try:
        parsed = URL(url)
        if "from" not in parsed.query:
            return url
        times = {"from": _milliseconds(started, -MARGIN)}
        if ended:
            times["to"] = _milliseconds(ended, MARGIN)
        return str(parsed.update_query(times))
    except ValueError:
        return url


def _draw_while(url: str, ended: str) -> str:
    """Let Prometheus draw the expression of an alert at its time, where its link has a table."""
    try:
        parsed = URL(url)
        if "g0.expr" not in parsed.query:
            return url
        drawn = {"g0.tab": "graph", "g0.range_input": "30m"}
        if ended:
            end = datetime.fromisoformat(ended).astimezone(UTC) + MARGIN
            drawn["g0.end_input"] = f"{end:%Y-%m-%d %H:%M:%S}"
        return str(parsed.update_query(drawn))
    except ValueError:
        return url


def _milliseconds(at: str, margin: timedelta) -> str:
    return str(round((datetime.fromisoformat(at) + margin).timestamp() * 1000))
