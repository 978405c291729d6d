"""The console in the system's Chromium, beside the service as ``make run`` starts it."""

import contextlib
import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    expect,
)
from playwright.sync_api import Request as Sent

from tests.support.service import Service, running_service

FREE = {"RANDSVC_AUTH_PORT": "0", "RANDSVC_AUTH_MANAGEMENT_PORT": "0"}
DESK = {"width": 1360, "height": 900}
PHONE = {"width": 360, "height": 740}
WAIT = 20_000
"""Milliseconds that the page has to show something; a busy machine takes its time."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The service as ``make run`` has it, on free ports, and with more users, to wait less."""
    with running_service("--with-auth", "--users", "20", **FREE) as service:
        yield service


@pytest.fixture(autouse=True)
def _mended(service: Service) -> Iterator[None]:
    yield
    with urlopen(Request(f"{service.management}/faults", method="DELETE")):
        pass


@contextlib.contextmanager
def opened(browser: Browser, url: str, **options: object) -> Iterator[Page]:
    """The console; what it complains of and what it asks of others fails the test."""
    complaints: list[str] = []
    context = browser.new_context(**options)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def hear(line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            complaints.append(line.text)

    def see(sent: Sent) -> None:
        if not sent.url.startswith(f"{url}/"):
            complaints.append(f"asked {sent.url}")

    page.on("console", hear)
    page.on("request", see)
    page.goto(f"{url}/")
    expect(page.get_by_text("live", exact=True)).to_be_visible(timeout=WAIT)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    with opened(browser, service.management) as page:
        yield page


def unfold(page: Page) -> None:
    """Open the sections that a phone has folded."""
    page.evaluate("for (const each of document.querySelectorAll('[data-folds]')) each.open = true")


def exported(service: Service, series: str) -> int:
    """The sum of the series in ``/metrics`` that begin so."""
    with urlopen(f"{service.management}/metrics") as response:
        lines = response.read().decode().splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith(series)))


def shown(place: Locator) -> float:
    """The number that a place of the page begins with; nothing there yet is not a number."""
    number = re.match(r"[\d.,]+", place.text_content() or "")
    return float(number[0].replace(",", "")) if number else math.nan


def legend(page: Page, chart: str, label: str) -> Locator:
    """The number that the legend of a chart has for one of its lines."""
    return page.locator(f"[data-chart={chart}] .legend li", has_text=label).locator("b")


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Let the page go on until something holds that it has no event for."""
    deadline = time.monotonic() + WAIT / 1000
    while not holds():
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)


def test_live_numbers_are_those_of_metrics(page: Page, service: Service) -> None:
    count = "http_server_request_duration_seconds_count"
    requests = page.locator("[data-total=requests]")
    for _ in range(3):
        before = exported(service, count)
        until(page, lambda: shown(requests) >= before)  # noqa: B023 - it is called here
        assert shown(requests) <= exported(service, count)


def test_numbers_that_stand_still_are_exactly_those_of_metrics(browser: Browser) -> None:
    with running_service("--delay", "constant(0.001)") as service:
        for path in ["random"] * 7 + ["nowhere"] * 2:
            with contextlib.suppress(OSError), urlopen(f"{service.public}/{path}"):
                pass
        with opened(browser, service.management) as page:
            expect(page.locator("[data-total=requests]")).to_have_text("9")
            assert exported(service, "http_server_request_duration_seconds_count") == 9
            values = page.locator("[data-distribution='randsvc.value'] .legend b").first
            expect(values).to_have_text("7")
            assert exported(service, "randsvc_value_count") == 7


def test_a_fault_is_caused_by_its_button_seen_and_reverts_by_itself(
    page: Page, service: Service
) -> None:
    errors = page.locator("[data-fault=errors]")
    errors.get_by_label("share").fill("1")
    errors.get_by_label("for seconds").fill("8")
    errors.get_by_role("button", name="Cause errors").click()
    expect(errors.get_by_text("s left")).to_be_visible()
    expect(page.get_by_text("Active faults: errors")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("errors is active")
    assert exported(service, 'randsvc_fault_active{randsvc_fault="errors"}') == 1
    until(page, lambda: shown(page.locator("[data-total=errors]")) > 3)
    until(page, lambda: shown(legend(page, "errors", "share of requests")) > 1)
    expect(page.get_by_role("status")).to_contain_text("errors is cleared", timeout=WAIT)
    expect(page.get_by_text("Active faults: ")).to_be_hidden()
    assert exported(service, 'randsvc_fault_active{randsvc_fault="errors"}') == 0


def test_an_incident_is_caused_by_its_button_and_ended_by_another(page: Page) -> None:
    page.get_by_role("button", name="The model is down, the fallback responds").click()
    expect(page.get_by_text("Active faults: model-down")).to_be_visible()
    until(page, lambda: shown(legend(page, "sources", "fallback")) > 0)
    expect(page.get_by_text("Failed predictions since the start: ModelDownError")).to_be_visible()
    page.get_by_role("button", name="Clear all").click()
    expect(page.get_by_role("status")).to_contain_text("model-down is cleared")


def test_a_shifted_value_is_far_from_the_truth(page: Page) -> None:
    shift = page.locator("[data-fault=value-shift]")
    shift.get_by_label("by").fill("500")
    shift.get_by_role("button", name="Cause value-shift").click()
    until(page, lambda: shown(page.locator("#drift-distance")) > 0.5)


def test_an_invalid_parameter_is_not_sent_and_a_refusal_is_shown(page: Page) -> None:
    errors = page.locator("[data-fault=errors]")
    share = errors.get_by_label("share")
    share.fill("2")
    errors.get_by_role("button", name="Cause errors").click()
    assert share.evaluate("input => input.validity.rangeOverflow")
    expect(page.get_by_text("Active faults: ")).to_be_hidden()


def test_a_crash_is_asked_about_first(page: Page, service: Service) -> None:
    asked: list[str] = []

    def refuse(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.get_by_role("button", name="Cause crash").click()
    assert "the process ends" in asked[0]
    assert service.process.poll() is None


def test_everything_is_reached_and_used_by_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the faults")).to_be_focused()
    page.keyboard.press("Enter")
    focused: set[str] = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        text = page.evaluate("document.activeElement.textContent")
        focused.add(text)
        if text == "Cause model-down":
            page.keyboard.press("Enter")
            break
    expect(page.get_by_text("Active faults: model-down")).to_be_visible()
    assert "Cause latency" in focused
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Clear model-down")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cause model-down")).to_be_focused()


def test_every_chart_has_a_table_that_says_the_same(page: Page) -> None:
    latency = page.locator("[data-chart=latency]")
    latency.get_by_text("Table", exact=True).click()
    head = latency.get_by_role("columnheader")
    expect(head).to_have_text(["Time", "p50", "p95", "p99"])
    value = page.locator("[data-distribution='randsvc.value']")
    value.get_by_text("Table", exact=True).click()
    shares = value.locator("tbody td:nth-child(2)").all_text_contents()
    assert sum(float(share.rstrip("%")) for share in shares) == pytest.approx(100, abs=2)


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("light", DESK), ("dark", DESK), ("light", PHONE)],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing_serious(
    browser: Browser, service: Service, scheme: str, size: dict[str, int]
) -> None:
    with opened(browser, service.management, color_scheme=scheme, viewport=size) as page:
        unfold(page)
        page.get_by_role("button", name="Cause model-down").click()
        expect(page.get_by_text("Active faults: model-down")).to_be_visible()
        for toggle in page.get_by_text(re.compile("^Table$|more scenarios")).all():
            toggle.click()
        found = Axe().run(page).response["violations"]
    assert [each for each in found if each["impact"] in ("serious", "critical")] == []


def test_a_phone_scrolls_down_but_not_sideways(browser: Browser, service: Service) -> None:
    with opened(browser, service.management, viewport=PHONE) as page:
        unfold(page)
        for toggle in page.get_by_text("Table", exact=True).all():
            toggle.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_phone_has_the_long_sections_folded_until_they_are_opened(
    browser: Browser, service: Service
) -> None:
    with opened(browser, service.management, viewport=PHONE) as page:
        cause = page.get_by_role("button", name="Cause latency")
        expect(cause).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollHeight") < 4 * PHONE["height"]
        page.get_by_role("heading", name="Faults", exact=True).click()
        expect(cause).to_be_visible()


def test_a_hidden_page_asks_for_nothing(page: Page) -> None:
    hide = "Object.defineProperty(document, 'hidden', {value: true, configurable: true})"
    page.evaluate(hide)
    page.wait_for_timeout(1500)  # for what was on its way
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.wait_for_timeout(2500)
    assert asked == []


def test_a_service_that_is_gone_is_said_and_its_successor_is_shown(browser: Browser) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(running_service("--users", "20"))
        context = browser.new_context()
        stack.callback(context.close)
        page = context.new_page()
        page.goto(first.management)
        until(page, lambda: shown(page.locator("[data-total=requests]")) > 5)
        first.stop()
        expect(page.get_by_text("no response since")).to_be_visible(timeout=WAIT)
        port = first.management.rpartition(":")[2]
        stack.enter_context(running_service(management_port=port))
        expect(page.get_by_text("live", exact=True)).to_be_visible(timeout=WAIT)
        expect(page.locator("[data-total=requests]")).to_have_text("0", timeout=WAIT)


def test_with_workers_the_page_says_why_it_has_no_numbers_and_faults_work(
    browser: Browser,
) -> None:
    with running_service("--workers", "2", OTEL_METRICS_EXPORTER="none") as service:
        service.wait_until_ready()
        with opened(browser, service.management) as page:
            expect(page.get_by_text("measured in 2 worker processes")).to_be_visible()
            expect(page.get_by_text("Four golden signals")).to_be_hidden()
            page.get_by_role("button", name="Cause model-down").click()
            expect(page.get_by_text("Active faults: model-down")).to_be_visible()


def test_a_token_is_asked_for_and_a_wrong_one_is_refused(browser: Browser) -> None:
    with running_service(RANDSVC_MANAGEMENT_TOKEN="secret") as service:  # noqa: S106
        context = browser.new_context()
        page = context.new_page()
        page.goto(service.management)
        cause = page.get_by_role("button", name="Cause model-down")
        cause.click()
        expect(page.get_by_role("status")).to_contain_text("expected the management token")
        page.get_by_label("Management token").fill("secret")
        cause.click()
        expect(page.get_by_text("Active faults: model-down")).to_be_visible()
        context.close()


def alert(name: str, level: str, state: str = "firing") -> dict[str, object]:
    return {
        "labels": {"alertname": name, "level": level},
        "annotations": {"summary": f"<b>{name}</b> speaks"},
        "state": state,
        "activeAt": "2026-11-25T10:00:00Z",
    }


@contextlib.contextmanager
def prometheus(alerts: list[dict[str, object]]) -> Iterator[str]:
    """What answers as Prometheus does, with these alerts as they are at each moment."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"status": "success", "data": {"alerts": alerts}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_firing_alerts_are_shown_the_worst_first_and_their_end_is_said(browser: Browser) -> None:
    alerts = [alert("Small", "minor"), alert("Big", "critical"), alert("Watchdog", "none")]
    with (
        prometheus(alerts) as url,
        running_service(RANDSVC_PROMETHEUS_URL=url) as service,
        opened(browser, service.management) as page,
    ):
        firing = page.get_by_role("region", name="Firing")
        expect(firing.get_by_role("heading", level=3)).to_have_text(["Big", "Small"])
        expect(firing.get_by_text("<b>Big</b> speaks")).to_be_visible()  # text, not markup
        expect(firing.get_by_text("Watchdog: ")).to_be_visible()
        expect(page.get_by_role("status")).to_contain_text("fires")
        found = Axe().run(page).response["violations"]
        del alerts[:2]
        expect(firing.get_by_text("No alert is firing.")).to_be_visible(timeout=WAIT)
        expect(page.get_by_role("status")).to_contain_text("is resolved")
    assert [each for each in found if each["impact"] in ("serious", "critical")] == []


def test_the_login_has_a_console_of_its_own(browser: Browser) -> None:
    with (
        running_service(command="auth", RANDSVC_AUTH_SECRET="s" * 32) as auth,
        opened(browser, auth.management) as page,
    ):
        expect(page.get_by_role("heading", name="auth console")).to_be_visible()
        expect(page.get_by_text("Distributions")).to_be_hidden()
        page.get_by_role("button", name="Nobody can log in").click()
        expect(page.get_by_text("Active faults: auth-down")).to_be_visible()
        with pytest.raises(OSError, match="503"):
            urlopen(Request(f"{auth.public}/login", b'{"user": "ada", "password": "random"}'))


def test_another_origin_cannot_break_anything(browser: Browser, service: Service) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{service.public}/random")  # the same machine, another origin
    refused = page.evaluate(
        """url => fetch(url, {method: "PUT", mode: "cors", body: "{}"}).then(() => "", String)""",
        f"{service.management}/faults/model-down",
    )
    context.close()
    assert "Failed to fetch" in refused
    time.sleep(0.1)
    with urlopen(f"{service.management}/faults") as response:
        assert b'"on": {}' in response.read()
