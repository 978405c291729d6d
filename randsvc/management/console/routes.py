"""The console's routes on the management port: the page, its files, and its data.

GET  /                   the page
GET  /console/FILE       its scripts and styles
GET  /console/about      the data that stay the same while the process runs
GET  /console/live       the current numbers; ?instance=ID&after=N leaves out samples the page has
GET  /console/alerts     the alerts, if a Prometheus is configured

These routes only read. The page sets and clears faults by ``/faults``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from randsvc import __version__
from randsvc.distributions import Distribution
from randsvc.faults.faults import Faults
from randsvc.management.console.alerts import TIMEOUT, fetch_alerts
from randsvc.management.console.density import compute_density
from randsvc.management.console.history import RECENT, WINDOW, History
from randsvc.management.console.incidents import describe_faults, describe_scenarios
from randsvc.prometheus_api import AsyncPrometheus, PrometheusError
from randsvc.telemetry.catalogue import Metric
from randsvc.telemetry.snapshot import Snapshot

__all__ = ("Console", "add_console")

_FOLDER = Path(__file__).parent
_FILES = {
    path.name: path
    for pattern in ("*.js", "*.css", "*.svg", "vendor/*.js", "vendor/*.css")
    for path in sorted(_FOLDER.glob(pattern))
}
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}

ALERTS_FRESH = 2.0
"""Seconds for which all pages share a response of Prometheus."""


@dataclass(frozen=True, kw_only=True)
class Console:
    """The content of a console.

    ``view`` returns the metrics of this process, from any thread, or None if there are none or if
    they are only a part of the service's. ``unmeasured`` then tells the reader why.
    ``true_distributions`` has the real distribution of each exponential histogram. ``links`` has
    the addresses of other pages by name.
    """

    service: str
    view: Callable[[], Snapshot | None] = lambda: None
    unmeasured: str = "Nothing is measured: OTEL_SDK_DISABLED is true."
    true_distributions: Mapping[Metric, Distribution] = field(default_factory=dict)
    prometheus: AsyncPrometheus | None = None
    links: Mapping[str, str] = field(default_factory=dict)


def add_console(
    app: web.Application, console: Console, faults: Faults, *, token: bool, local: bool
) -> None:
    """Add the page, with buttons for ``faults``.

    ``token`` says whether setting a fault requires a token. ``local`` says whether the port is on
    loopback, where faults can be set without a token.
    """
    history = History(console.view, console.true_distributions)
    alerts = _make_alerts_reader(console.prometheus)

    async def index(request: web.Request) -> web.Response:
        return await _respond_with_file(_FOLDER / "page.html")

    async def file(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            raise web.HTTPNotFound(text=f"no file {name!r}, expected one of {', '.join(_FILES)}")
        return await _respond_with_file(_FILES[name])

    async def about(request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(describe_console))

    def describe_console() -> dict[str, Any]:
        return {
            "service": console.service,
            "version": __version__,
            "window": WINDOW,
            "recent": RECENT,
            "token": token,
            "closed": not local and not token,
            "prometheus": console.prometheus and console.prometheus.shown_url,
            "links": [{"name": name, "url": url} for name, url in console.links.items()],
            "true_distributions": {
                metric.name: {"text": str(real), "mean": real.mean, **compute_density(real)}
                for metric, real in console.true_distributions.items()
            },
            "faults": describe_faults(faults),
            "scenarios": describe_scenarios(console.service),
        }

    async def live(request: web.Request) -> web.Response:
        query = request.query
        try:
            after = int(query.get("after", "0"))
        except ValueError:
            raise web.HTTPBadRequest(
                text=f"after={query['after']!r}, expected the number of a sample"
            ) from None
        measured = await history.live(query.get("instance", ""), after)
        return web.json_response(
            {
                "measured": measured,
                "unmeasured": None if measured else console.unmeasured,
                "faults": faults.active(),
            }
        )

    async def firing(request: web.Request) -> web.Response:
        return web.json_response(await alerts())

    async def keep(app: web.Application) -> AsyncIterator[None]:
        keeping = asyncio.create_task(history.keep())
        yield
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    app.cleanup_ctx.append(keep)
    app.router.add_get("/", index)
    app.router.add_get("/console/about", about)
    app.router.add_get("/console/live", live)
    app.router.add_get("/console/alerts", firing)
    app.router.add_get("/console/{name}", file)


async def _respond_with_file(path: Path) -> web.Response:
    body = await asyncio.to_thread(path.read_bytes)
    return web.Response(body=body, content_type=_TYPES[path.suffix], charset="utf-8")


def _make_alerts_reader(
    prometheus: AsyncPrometheus | None,
) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return a function that asks Prometheus at most once every ``ALERTS_FRESH`` seconds."""
    asking = asyncio.Lock()
    answer: dict[str, Any] = {"configured": prometheus is not None, "alerts": None, "error": None}
    asked = float("-inf")

    async def ask() -> dict[str, Any]:
        nonlocal answer, asked
        if prometheus is None:
            return answer
        async with asking:
            now = asyncio.get_running_loop().time()
            if now - asked >= ALERTS_FRESH:
                alerts, problem = None, None
                try:
                    alerts = await fetch_alerts(replace(prometheus, timeout=TIMEOUT))
                except PrometheusError as error:
                    problem = str(error)
                answer = {"configured": True, "alerts": alerts, "error": problem}
                asked = asyncio.get_running_loop().time()
        return answer

    return ask
