"""What is refused as a page of metrics is what a real Prometheus refuses."""

from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from randsvc.course.exercise import WorkError
from randsvc.course.scrape import read_page
from randsvc.stack.addresses import find_free_addresses
from randsvc.stack.build import build_programs
from randsvc.stack.programs import make_prometheus_of
from randsvc.stack.supervisor import run_programs, wait_until

REGISTRY = CollectorRegistry()
Counter("shop_requests", "Requests.", ["route"], registry=REGISTRY).labels("/items/{name}").inc()
TEXT = generate_latest(REGISTRY).decode()
OPEN = openmetrics.generate_latest(REGISTRY).decode()  # type: ignore[no-untyped-call]
PAGES: Mapping[str, tuple[str, str]] = {
    "text": ("text/plain; version=0.0.4; charset=utf-8", TEXT),
    "text-1.0.0": ("text/plain; version=1.0.0; escaping=allow-utf-8", TEXT),
    "text-without-a-version": ("text/plain", TEXT),
    "text-in-capitals": ("Text/Plain", TEXT),
    "openmetrics": ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPEN),
    "openmetrics-without-a-version": ("application/openmetrics-text", OPEN),
    "octet-stream": ("application/octet-stream", TEXT),
    "html": ("text/html; charset=utf-8", TEXT),
    "json": ("application/json", TEXT),
    "xml": ("text/xml", TEXT),
    "nothing": ("", TEXT),
    "half-a-type": ("text", TEXT),
    "text-as-openmetrics": ("application/openmetrics-text; version=1.0.0", TEXT),
    "a-value-that-is-no-number": ("text/plain", "shop_requests_total many\n"),
    "a-label-without-quotes": ("text/plain", "shop_requests_total{route=items} 1\n"),
    "braces-that-stay-open": ("text/plain", 'shop_requests_total{route="items" 1\n'),
    "json-as-text": ("text/plain", '{"shop_requests_total": 1}\n'),
    "an-empty-page": ("text/plain", ""),
}


class Handler(BaseHTTPRequestHandler):
    """Serves each page at its name."""

    def do_GET(self) -> None:
        kind, body = PAGES[self.path.removeprefix("/")]
        self.send_response(200)
        if kind:
            self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def health(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The health of a target for each page, as a real Prometheus sees it."""
    book = find_free_addresses()
    folder = tmp_path_factory.mktemp("prometheus")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {
                    "job_name": name,
                    "metrics_path": f"/{name}",
                    "static_configs": [{"targets": [address]}],
                }
                for name in PAGES
            ],
        }
        flag = "--scrape.discovery-reload-interval=100ms"
        prometheus = make_prometheus_of(config, build_programs(), book, folder, flag)
        with run_programs([prometheus], book, folder) as stack:

            def scraped() -> list[dict[str, Any]]:
                targets = stack.prometheus.get("targets")["activeTargets"]
                known = [each for each in targets if each["health"] != "unknown"]
                return known if len(known) == len(PAGES) else []

            found = wait_until(scraped, within=60, every=0.5)
            yield {each["labels"]["job"]: each["health"] for each in found}
        server.shutdown()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_taken_where_a_real_prometheus_takes_it(
    name: str, health: Mapping[str, str]
) -> None:
    try:
        read_page(*PAGES[name])
        taken = "up"
    except WorkError:
        taken = "down"
    assert taken == health[name]
