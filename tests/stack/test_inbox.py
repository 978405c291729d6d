"""The sink that stands where a pager, a ticket system and a mailbox would."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from html import unescape
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient
from yarl import URL

from randsvc.project import ROOT
from randsvc.rules import DEMO, make_alerts
from randsvc.stack.inbox import (
    BODY_LIMIT,
    KEPT,
    KEPT_ALERTS,
    KEPT_CHARACTERS,
    RECEIVERS,
    make_inbox,
)

Inbox = TestClient[web.Request, web.Application]


def sent(
    name: str = "RandsvcFallback",
    *,
    level: str = "major",
    status: str = "firing",
    summary: str = "40% of answers are not of the model",
    **annotations: str,
) -> dict[str, Any]:
    """What Alertmanager posts for one alert."""
    alert = {
        "status": status,
        "labels": {"alertname": name, "level": level, "service": "randsvc"},
        "annotations": {"summary": summary, **annotations},
        "startsAt": "2026-01-02T03:04:05.678Z",
        # The zero of Go while it fires.
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-01-02T03:14:05.678Z",
    }
    return {"version": "4", "status": status, "alerts": [alert], "truncatedAlerts": 0}


@pytest.fixture
async def inbox(aiohttp_client: Callable[[web.Application], Awaitable[Inbox]]) -> Inbox:
    return await aiohttp_client(make_inbox())


async def listed(inbox: Inbox) -> list[dict[str, Any]]:
    async with inbox.get("/notifications") as answer:
        found: list[dict[str, Any]] = await answer.json()
        return found


async def page(inbox: Inbox) -> str:
    async with inbox.get("/") as answer:
        assert answer.status == 200
        return await answer.text()


async def post(inbox: Inbox, receiver: str, body: dict[str, Any]) -> int:
    async with inbox.post(f"/{receiver}", json=body) as answer:
        return answer.status


async def test_it_tells_what_was_sent_to_whom_and_when(inbox: Inbox) -> None:
    assert await post(inbox, "ticket", sent()) == 204
    (notification,) = await listed(inbox)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+\+00:00", notification.pop("at"))
    assert notification == {
        "receiver": "ticket",
        "status": "firing",
        "level": "major",
        "not_shown": 0,
        "alerts": [
            {
                "name": "RandsvcFallback",
                "status": "firing",
                "level": "major",
                "service": "randsvc",
                "summary": "40% of answers are not of the model",
                "description": "",
                "started": "2026-01-02T03:04:05.678Z",
                "ended": "",
                "runbook": "",
                "dashboard": "",
                "logs": "",
                "graph": "",
            }
        ],
    }


async def test_the_newest_comes_first(inbox: Inbox) -> None:
    await post(inbox, "pager", sent("First"))
    await asyncio.sleep(0.002)  # the times are of a millisecond
    await post(inbox, "ticket", sent("Second"))
    names = [notification["alerts"][0]["name"] for notification in await listed(inbox)]
    assert names == ["Second", "First"]
    text = await page(inbox)
    assert text.index("Second") < text.index("First")


async def test_a_notification_has_the_worst_level_of_its_alerts(inbox: Inbox) -> None:
    body = sent(level="minor")
    body["alerts"] += sent(level="critical")["alerts"] + sent(level="major")["alerts"]
    await post(inbox, "pager", body)
    assert [notification["level"] for notification in await listed(inbox)] == ["critical"]


async def test_the_page_says_the_level_by_a_word_and_a_colour(inbox: Inbox) -> None:
    await post(inbox, "pager", sent(level="critical"))
    text = await page(inbox)
    assert '<article class="chat critical">' in text
    assert '<span class="level">critical</span>' in text


async def test_a_page_is_a_message_and_the_digest_a_mail(inbox: Inbox) -> None:
    await post(inbox, "pager", sent(level="critical", description="It is down."))
    message = await page(inbox)
    assert "<h2>randsvc: RandsvcFallback</h2>" in message
    assert "<b>40% of answers are not of the model</b>" in message
    assert "It is down." in message
    assert "Subject" not in message
    await post(inbox, "digest", sent(level="minor"))
    mail = await page(inbox)
    assert '<article class="mail minor">' in mail
    assert "<dt>To</dt><dd>digest</dd>" in mail
    assert "<b>randsvc: RandsvcFallback</b></dd>" in mail


async def test_a_resolved_alert_says_since_when_and_is_green(inbox: Inbox) -> None:
    await post(inbox, "pager", sent(level="critical", status="resolved"))
    text = await page(inbox)
    assert '<article class="chat resolved">' in text
    assert "critical, resolved" in text
    assert re.search(r"fired from .* to <time [^>]+>2026-01-02 03:14:05</time>", text)


@pytest.mark.parametrize(
    ("status", "to"), [("firing", "now"), ("resolved", "1767324245678")], ids=["firing", "resolved"]
)
async def test_a_dashboard_shows_the_time_of_the_alert(inbox: Inbox, status: str, to: str) -> None:
    url = "http://grafana/d/randsvc-golden-signals?var-job=auth&from=now-15m&to=now"
    await post(inbox, "ticket", sent(status=status, dashboard_url=url))
    (link,) = re.findall(r'<a href="([^"]+)" rel="noreferrer">Dashboard', await page(inbox))
    assert unescape(link) == url.replace("now-15m", "1767322445678").replace("to=now", f"to={to}")


async def test_prometheus_draws_the_expression_of_the_alert_at_its_time(inbox: Inbox) -> None:
    body = sent(status="resolved")
    body["alerts"][0]["generatorURL"] = (
        "http://prometheus/graph?g0.expr=a%7Bb%3D%22c%22%7D&g0.tab=1"
    )
    await post(inbox, "ticket", body)
    (link,) = re.findall(r'<a href="([^"]+)" rel="noreferrer">Graph', await page(inbox))
    assert dict(URL(unescape(link)).query) == {
        "g0.expr": 'a{b="c"}',
        "g0.tab": "graph",
        "g0.range_input": "30m",
        "g0.end_input": "2026-01-02 03:24:05",
    }


async def test_a_page_of_another_site_cannot_send_a_notification(inbox: Inbox) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        async with inbox.post("/pager", json=sent(), headers=headers) as answer:
            assert answer.status == 403
    assert await listed(inbox) == []


async def test_a_notification_takes_no_more_memory_than_its_share(inbox: Inbox) -> None:
    body = sent(summary="x" * (KEPT_CHARACTERS + 1))
    body["alerts"] *= KEPT_ALERTS + 3
    await post(inbox, "pager", body)
    (notification,) = await listed(inbox)
    assert len(notification["alerts"]) == KEPT_ALERTS
    assert notification["not_shown"] == 3
    assert len(notification["alerts"][0]["summary"]) == KEPT_CHARACTERS
    assert "and 3 more" in await page(inbox)


async def test_the_runbook_of_every_alert_is_a_page(inbox: Inbox) -> None:
    for name in {alert.name for alert in make_alerts(DEMO)}:
        async with inbox.get(f"/runbooks/{name}") as answer:
            assert answer.status == 200
            assert f"<h1>{name}</h1>" in await answer.text()


async def test_the_page_needs_no_script_and_renews_itself(inbox: Inbox) -> None:
    text = await page(inbox)
    assert "Nobody has been notified yet." in text
    assert "<script" not in text
    assert '<meta http-equiv="refresh"' in text


async def test_a_notification_cannot_become_part_of_the_page(inbox: Inbox) -> None:
    evil = '<script>alert("x")</script>'
    body = sent(evil, level=evil, status=evil, summary=evil, runbook_url="javascript:alert(1)")
    body["alerts"].extend(sent(dashboard_url=f"http://x/{evil}")["alerts"])
    await post(inbox, "pager", body)
    text = await page(inbox)
    assert "<script" not in text
    assert 'href="javascript' not in text
    assert "&lt;script&gt;" in text


async def test_links_lead_to_the_runbook_and_the_dashboard(inbox: Inbox) -> None:
    await post(inbox, "pager", sent(runbook_url="https://a/b?c&d", dashboard_url="http://e"))
    text = await page(inbox)
    assert '<a href="https://a/b?c&amp;d" rel="noreferrer">Runbook</a>' in text
    assert '<a href="http://e" rel="noreferrer">Dashboard</a>' in text


async def test_a_runbook_that_is_a_path_of_the_project_is_named(inbox: Inbox) -> None:
    await post(inbox, "pager", sent(runbook_url="docs/runbooks/RandsvcServiceDown.md"))
    assert "Runbook: docs/runbooks/RandsvcServiceDown.md" in await page(inbox)


async def test_the_page_tells_when_the_watchdog_was_heard_and_lists_people_only(
    inbox: Inbox,
) -> None:
    assert "no heartbeat yet" in await page(inbox)
    await post(inbox, "watchdog", sent("RandsvcWatchdog"))
    text = await page(inbox)
    assert "last heartbeat at <time" in text
    assert "RandsvcWatchdog" not in text
    assert len(await listed(inbox)) == 1


async def test_no_more_than_so_many_are_kept_of_each_receiver(inbox: Inbox) -> None:
    await post(inbox, "pager", sent("Page"))
    for number in range(KEPT + 5):
        await post(inbox, "watchdog", sent(f"Watchdog{number}"))
    names = {notification["alerts"][0]["name"] for notification in await listed(inbox)}
    assert len(names) == KEPT + 1
    assert {"Page", f"Watchdog{KEPT + 4}"} <= names
    assert "Watchdog0" not in names


async def test_an_unknown_receiver_is_refused_and_the_known_ones_are_named(inbox: Inbox) -> None:
    async with inbox.post("/nobody", json=sent()) as answer:
        assert answer.status == 404
        assert await answer.text() == (
            "no receiver 'nobody' here, expected one of pager, ticket, digest, watchdog\n"
        )


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"no JSON",
            b"\xff",
            b"[]",
            b"{}",
            b'{"alerts": [{}], "status": ""}',
            b"null",
            b"[" * 9000,
        ),
        b'{"alerts": [], "status": "", "truncatedAlerts": 1e999}',
    ],
)
async def test_an_invalid_notification_is_refused(inbox: Inbox, body: bytes) -> None:
    async with inbox.post("/pager", data=body) as answer:
        assert answer.status == 400
        assert (await answer.text()).startswith("not a webhook notification of Alertmanager: ")
    assert await listed(inbox) == []


async def test_the_charset_of_a_notification_is_that_of_json(inbox: Inbox) -> None:
    headers = {"Content-Type": "application/json; charset=nonsense"}
    async with inbox.post("/pager", data=json.dumps(sent()), headers=headers) as answer:
        assert answer.status == 204


async def test_half_a_character_spoils_no_page(inbox: Inbox) -> None:
    assert await post(inbox, "pager", sent("\ud800")) == 204
    assert "?" in await page(inbox)
    assert len(await listed(inbox)) == 1


async def test_a_body_that_is_too_large_is_refused(inbox: Inbox) -> None:
    assert await post(inbox, "pager", sent(summary="x" * BODY_LIMIT)) == 413


def test_every_receiver_of_alertmanager_is_known_here() -> None:
    config = yaml.safe_load((ROOT / "observability/alertmanager/alertmanager.yml").read_text())
    urls = {
        webhook["url"]
        for receiver in config["receivers"]
        for webhook in receiver.get("webhook_configs", ())
    }
    assert urls == {f"http://inbox:9095/{name}" for name in RECEIVERS}
