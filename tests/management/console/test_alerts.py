from typing import Any

from aiohttp import web

from randsvc.management.console.alerts import fetch_alerts
from randsvc.prometheus_api import AsyncPrometheus
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


async def test_alerts_are_given_with_their_level_the_latest_first() -> None:
    app = prometheus({"status": "success", "data": {"alerts": [FIRING, PENDING]}})
    async with serving(app) as url:
        found = await fetch_alerts(AsyncPrometheus(str(url)))
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
