"""The web page of the native Prometheus, built from the sources in its Go module."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from randsvc.stack.addresses import find_free_addresses
from randsvc.stack.programs import make_prometheus_of
from randsvc.stack.supervisor import run_programs, wait_until

# By hand: Stack.query runs an event loop, and so does the browser.
QUERY = "/api/v1/query"
IS_DRAWN = """canvas => {
    const context = canvas.getContext("2d");
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(pixels.buffer)).size > 2;
}"""
WAIT = 60_000
"""Milliseconds; the bundle has 2 MB, and a busy machine takes its time."""


def test_the_link_of_a_notification_opens_a_page_that_draws_the_graph(
    programs: Path, browser: Browser, tmp_path: Path
) -> None:
    if shutil.which("node") is None:
        pytest.skip("the pages of Prometheus are not built: there is no Node.js in PATH")
    book = find_free_addresses()
    target = {"targets": [book["prometheus:9090"]]}
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "prometheus", "static_configs": [target]}],
    }
    prometheus = make_prometheus_of(config, programs, book, tmp_path)
    with run_programs([prometheus], book, tmp_path) as stack:
        drawable = {"query": "count_over_time(up[1m]) > 3"}
        wait_until(lambda: b"value" in stack.get("prometheus:9090", QUERY, **drawable), within=30)
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda sent: complaints.extend(outside(sent.url)))
        # As in the inbox.
        page.goto(stack.url("prometheus:9090", "/graph?g0.expr=up&g0.tab=graph&g0.range_input=30m"))
        canvas = page.locator(".uplot canvas")
        expect(canvas).to_be_visible(timeout=WAIT)
        wait_until(lambda: canvas.evaluate(IS_DRAWN), within=30)
        expect(page.locator(".cm-content")).to_have_text("up")
        page.close()
    assert complaints == []


def outside(url: str) -> list[str]:
    """The address of a request, if it leaves this machine."""
    return [] if url.startswith(("http://127.0.0.1:", "data:", "blob:")) else [url]
