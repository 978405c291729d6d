import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from randsvc.management.console import alerts
from randsvc.management.console.alerts import AlertsError, fetch_alerts
from tests.support.serving import serving

FIRING = {
    "labels": {"alertname": "RandsvcRandomSlow", "level": "major", "service": "randsvc"},
    "annotations": {"summary": "Slow", "runbook_url": "docs/runbooks/RandsvcRandomSlow.md"},
    "state": "firing",
    "activeAt": "2026-11-25T10:00:00Z",
    "value": "1e+00",
}
PENDING = {
    "labels": {"alertname": "Mine"},
    "annotations": {},
    "state": "pending",
    "activeAt": "2026-11-25T11:00:00Z",
}


def prometheus(answer: Any = None, status: int = 200) -> web.Application:
    async def give(request: web.Request) -> web.Response:
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_get("/api/v1/alerts", give)
    return app


async def fetched(app: web.Application, path: str = "") -> list[dict[str, Any]]:
    async with serving(app) as url, aiohttp.ClientSession() as session:
        return await fetch_alerts(session, f"{url}{path}")


async def test_alerts_are_given_with_their_level_the_latest_first() -> None:
    found = await fetched(prometheus({"status": "success", "data": {"alerts": [FIRING, PENDING]}}))
    assert found == [
        {
            "name": "Mine",
            "level": None,
            "service": None,
            "state": "pending",
            "since": "2026-11-25T11:00:00Z",
            "summary": "",
            "runbook": None,
        },
        {
            "name": "RandsvcRandomSlow",
            "level": "major",
            "service": "randsvc",
            "state": "firing",
            "since": "2026-11-25T10:00:00Z",
            "summary": "Slow",
            "runbook": "docs/runbooks/RandsvcRandomSlow.md",
        },
    ]


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ({}, 503, "503 Service Unavailable"),
        ({"data": {}}, 200, "not that of a Prometheus"),
        ([], 200, "not that of a Prometheus"),
        ({"data": {"alerts": [{"labels": {}}]}}, 200, "not that of a Prometheus"),
    ],
)
async def test_an_answer_without_alerts_is_one_line(answer: Any, status: int, said: str) -> None:
    with pytest.raises(AlertsError, match=said) as error:
        await fetched(prometheus(answer, status))
    assert "/api/v1/alerts: " in str(error.value)
    assert "\n" not in str(error.value)


async def test_a_prometheus_that_is_down_is_one_line() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(AlertsError, match=r"http://127\.0\.0\.1:1/api/v1/alerts: Cannot"):
            await fetch_alerts(session, "http://127.0.0.1:1/")


async def test_a_prometheus_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    monkeypatch.setattr(alerts, "PATIENCE", 0.1)
    app = web.Application()
    app.router.add_get("/api/v1/alerts", hang)
    with pytest.raises(AlertsError, match=r"no answer within 0.1 s"):
        await fetched(app)
