from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from aiohttp import request, web
from yarl import URL

from randsvc.distributions import parse
from randsvc.management.app import make_management_app
from randsvc.management.console import Console
from randsvc.metrics import DELAY, VALUE, ServiceMetrics
from randsvc.prometheus_api import AsyncPrometheus
from randsvc.telemetry import Telemetry
from tests.management.console.test_alerts import FIRING, prometheus
from tests.support.breaking import faults_of
from tests.support.serving import serving

ROUTES = ("", "console/about", "console/live", "console/alerts", "console/console.js")


def served(console: Console | None = None, **options: Any) -> AbstractAsyncContextManager[URL]:
    async def no_metrics(_: str) -> None:
        return None

    app = make_management_app(
        ready=lambda: True,
        metrics=no_metrics,
        console=console or Console(service="randsvc"),
        **{"faults": faults_of(), **options},
    )
    return serving(app)


@pytest.fixture
async def url() -> AsyncIterator[URL]:
    async with served() as url:
        yield url


async def get(url: URL, path: str, **headers: str) -> tuple[int, Any]:
    async with request("GET", url.join(URL(path)), headers=headers) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("path", [*ROUTES, "console/none"])
async def test_nothing_but_own_files_may_run_and_nothing_may_frame_the_page(
    url: URL, path: str
) -> None:
    async with request("GET", url / path) as response:
        policy = response.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in "".join(policy)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html"),
        ("console/console.js", "text/javascript"),
        ("console/uPlot.esm.js", "text/javascript"),
        ("console/console.css", "text/css"),
        ("console/icon.svg", "image/svg+xml"),
    ],
)
async def test_a_file_has_its_type(url: URL, path: str, kind: str) -> None:
    async with request("GET", url / path) as response:
        assert (response.status, response.content_type) == (200, kind)


@pytest.mark.parametrize("path", ["console/routes.py", "console/README.md", "console/page.html"])
async def test_other_files_are_not_served(url: URL, path: str) -> None:
    status, problem = await get(url, path)
    assert status == 404
    assert "console.js" in problem["detail"]


@pytest.mark.parametrize("path", ROUTES)
async def test_a_name_that_was_pointed_at_the_loopback_sees_nothing(url: URL, path: str) -> None:
    assert (await get(url, path, Host="rebound.example"))[0] == 421


@pytest.mark.parametrize("path", ROUTES)
async def test_nothing_is_changed_by_way_of_the_page(url: URL, path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        async with request(method, url / path) as response:
            assert response.status == 405


async def test_about_lists_faults_scenarios_links_and_true_distributions() -> None:
    real = parse("normal(mean=50, sd=10)")
    console = Console(
        service="randsvc",
        true_distributions={VALUE: real},
        links={"Grafana": "http://localhost:3000"},
    )
    async with served(console) as url:
        _, about = await get(url, "console/about")
    assert about["links"] == [{"name": "Grafana", "url": "http://localhost:3000"}]
    assert about["true_distributions"]["randsvc.value"]["text"] == str(real)
    assert {fault["name"] for fault in about["faults"]} == faults_of().known.keys()
    assert about["scenarios"]


@pytest.mark.parametrize(
    ("options", "token", "closed"),
    [
        ({}, False, False),
        ({"token": "secret"}, True, False),
        ({"token": "secret", "local": False}, True, False),
        ({"local": False}, False, True),
    ],
)
async def test_about_says_whether_a_token_is_required_but_not_which(
    options: dict[str, Any], *, token: bool, closed: bool
) -> None:
    async with served(**options) as url:
        _, about = await get(url, "console/about")
    assert (about["token"], about["closed"]) == (token, closed)
    assert "secret" not in str(about)


@pytest.mark.parametrize(
    "prometheus_url", ["http://me:secret@127.0.0.1:1", "http://127.0.0.1:1/prometheus?key=secret"]
)
@pytest.mark.parametrize("path", ["console/about", "console/alerts"])
async def test_no_credentials_of_prometheus_are_shown(path: str, prometheus_url: str) -> None:
    console = Console(service="randsvc", prometheus=AsyncPrometheus(prometheus_url))
    async with served(console) as url:
        _, shown = await get(url, path)
    assert "127.0.0.1:1" in str(shown)
    assert "secret" not in str(shown)


async def test_live_numbers_are_those_of_the_telemetry() -> None:
    viewed = Telemetry(environ={}, readers=[], viewed=True)
    ServiceMetrics(viewed.meter).delay.record(0.05)
    true_distributions = {DELAY: parse("lognormal(median=0.05, sigma=0.5)")}
    async with served(
        Console(service="randsvc", view=viewed.view, true_distributions=true_distributions)
    ) as url:
        _, live = await get(url, "console/live")
    viewed.shutdown()
    assert live["measured"]["distributions"]["randsvc.delay"]["count"] == 1
    assert live["unmeasured"] is None


async def test_faults_that_are_on_are_shown_with_the_seconds_left() -> None:
    faults = faults_of()
    faults.set("errors", {"share": 0.5, "duration": 60})
    async with served(faults=faults) as url:
        _, live = await get(url, "console/live")
    assert live["faults"] == {"errors": {"share": 0.5, "duration": 60}}


async def test_live_says_why_nothing_is_measured() -> None:
    async with served(Console(service="randsvc", unmeasured="Look elsewhere.")) as url:
        _, live = await get(url, "console/live")
    assert (live["measured"], live["unmeasured"]) == (None, "Look elsewhere.")


async def test_a_number_of_a_sample_that_is_none_is_a_problem(url: URL) -> None:
    status, problem = await get(url, "console/live?after=x")
    assert status == 400
    assert problem["detail"] == "after='x', expected the number of a sample"


async def test_alerts_say_that_no_prometheus_is_configured(url: URL) -> None:
    _, answer = await get(url, "console/alerts")
    assert answer == {"configured": False, "alerts": None, "error": None}


async def test_firing_alerts_are_read_once_for_all_open_consoles() -> None:
    asked = 0
    app = prometheus({"status": "success", "data": {"alerts": [FIRING]}})

    async def count(request: web.Request, response: web.StreamResponse) -> None:
        nonlocal asked
        asked += 1

    app.on_response_prepare.append(count)
    async with serving(app) as prometheus_url:
        console = Console(service="randsvc", prometheus=AsyncPrometheus(str(prometheus_url)))
        async with served(console) as url:
            for _ in range(3):
                _, answer = await get(url, "console/alerts")
    assert [alert["name"] for alert in answer["alerts"]] == ["RandsvcRandomSlow"]
    assert asked == 1


async def test_a_prometheus_that_is_down_is_said() -> None:
    async with served(
        Console(service="randsvc", prometheus=AsyncPrometheus("http://me:secret@127.0.0.1:1"))
    ) as url:
        _, answer = await get(url, "console/alerts")
    assert answer["configured"] is True
    assert answer["error"].startswith("cannot reach Prometheus at http://***@127.0.0.1:1: ")
