"""From a point on a graph to the trace, to the log record, and back: each link is followed.

The native Jaeger has a page of ours in place of its own. Both get their links from ui.json.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import Request, urlopen

import pytest
import yaml
from playwright.sync_api import Browser

from randsvc.dashboards import DASHBOARDS
from randsvc.project import ROOT
from randsvc.rules.log_links import make_logs_path, select_logs
from randsvc.rules.time_scale import DEMO
from randsvc.stack.programs import make_randsvc
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack, wait_until
from randsvc.times import parse_duration

pytestmark = pytest.mark.native

QUICK = {
    "RANDSVC_DELAY": "constant(value=0.001)",
    "OTEL_METRIC_EXPORT_INTERVAL": "500",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_TRACES_SAMPLER_ARG": "1",
}


@pytest.fixture(scope="module")
def stack(programs: Path) -> Iterator[Stack]:
    """The chain with stores of logs and traces; some requests have failed."""
    with run_stack(
        services=[partial(make_randsvc, env=QUICK)],
        free_ports=True,
        interval="500ms",
        logs=True,
        traces=True,
    ) as stack:
        set_fault(stack, "errors", share=1, duration=600)
        for _ in range(5):
            fail(stack)
        yield stack


def set_fault(stack: Stack, name: str, **parameters: float) -> None:
    url = stack.url("randsvc:9464", f"/faults/{name}")
    with urlopen(Request(url, json.dumps(parameters).encode(), method="PUT")):
        pass


def fail(stack: Stack) -> None:
    with suppress(HTTPError):
        urlopen(stack.url("randsvc:8080", "/random")).close()


def logs(stack: Stack, query: str, **parameters: str) -> list[dict[str, str]]:
    """What VictoriaLogs has, as the page that a link opens asks for it."""
    asked = {"query": query, "limit": "100000", **parameters}
    found = stack.get("victorialogs:9428", "/select/logsql/query", **asked)
    return [json.loads(line) for line in found.splitlines()]


def follow(stack: Stack, url: str) -> list[dict[str, str]]:
    """The log records that the page of a link shows."""
    parts = urlsplit(url)
    assert parts.path == "/select/vmui/"
    asked = dict(parse_qsl(parts.fragment.partition("?")[2], strict_parsing=True))
    if end := asked.get("g0.end_input"):
        ended = datetime.fromisoformat(end).timestamp()
        began = ended - parse_duration(asked["g0.range_input"])
        return logs(stack, asked["query"], start=f"{began:.0f}", end=end)
    return logs(stack, asked["query"])


def spans(stack: Stack, trace_id: str) -> list[dict[str, Any]]:
    """The spans of a trace, asked for as the page of Jaeger does that a link opens."""
    try:
        answer = json.loads(stack.get("jaeger:16686", f"/api/traces/{trace_id}"))
    except HTTPError:
        # 404: Jaeger does not have it yet.
        return []
    (trace,) = answer["data"]
    found: list[dict[str, Any]] = trace["spans"]
    return found


def check_links_to_traces(stack: Stack, records: list[dict[str, str]]) -> None:
    """Each record of a trace, and no other, has a link to it; the first is followed."""
    address = stack.url("jaeger:16686", "/trace/")
    links = [record["trace_url"] for record in records if record.get("trace_url")]
    assert links == [address + r["trace_id"] for r in records if r.get("trace_id")]
    assert links
    wait_until(lambda: spans(stack, links[0].removeprefix(address)), within=20)


def exemplar(stack: Stack) -> str:
    """The trace of a failed request, as the graph of the durations shows it."""

    def exemplars() -> list[str]:
        now = time.time()
        # By hand: the client of Prometheus runs an event loop, and so does the browser.
        answer = stack.get(
            "prometheus:9090",
            "/api/v1/query_exemplars",
            query='http_server_request_duration_seconds_bucket{error_type="500"}',
            start=f"{now - 300}",
            end=f"{now + 5}",
        )
        found = json.loads(answer)["data"]
        return [e["labels"]["trace_id"] for s in found for e in s["exemplars"]]

    return wait_until(exemplars, within=20)[-1]


def test_a_request_that_fails_is_found_from_the_graph_to_its_trace_to_its_log_and_back(
    stack: Stack,
) -> None:
    trace_id = exemplar(stack)
    (span,) = wait_until(lambda: spans(stack, trace_id), within=20)
    assert {tag["key"]: tag["value"] for tag in span["tags"]}["http.route"] == "/random"
    (pattern,) = json.loads((ROOT / "observability/jaeger/ui.json").read_text())["linkPatterns"]
    url = pattern["url"].replace("#{traceID}", trace_id)
    (record,) = wait_until(lambda: follow(stack, url), within=20)
    assert record["_msg"] == "GET /random was answered 500"
    assert record["http.route"] == "/random"
    assert record["error.type"] == "500"
    assert record["service.name"] == "randsvc"
    assert record["severity_text"] == "ERROR"
    # Back: the record has the ids of its trace and of the span in which it was logged.
    (found,) = spans(stack, record["trace_id"])
    assert found["spanID"] == record["span_id"] == span["spanID"]


def test_an_exemplar_leads_to_the_logs_too(stack: Stack) -> None:
    (path,) = (ROOT / "observability/grafana/provisioning/datasources").iterdir()
    sources = yaml.safe_load(path.read_text())["datasources"]
    (prometheus,) = (source for source in sources if source["type"] == "prometheus")
    _, to_logs = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    url = to_logs["url"].replace("${LOGS_URL}", stack.url("victorialogs:9428"))
    trace_id = exemplar(stack)
    found = wait_until(lambda: follow(stack, url.replace("$${__value.raw}", trace_id)), within=20)
    assert {record["trace_id"] for record in found} == {trace_id}


def test_the_panel_of_errors_leads_to_the_logs_of_that_error_type(
    stack: Stack,
) -> None:
    dashboard = DASHBOARDS["golden-signals"]
    (panel,) = (
        built
        for built in (each.builder.build() for each in dashboard.list_panels())
        if built.title == "Errors by type"
    )
    (link,) = (
        value["value"][0]["url"]
        for override in panel.field_config.overrides
        for value in ({"id": p.id_val, "value": p.value} for p in override.properties)
        if value["id"] == "links"
    )
    end = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + 60))
    chosen = {
        "${logs}": stack.url("victorialogs:9428"),
        "${traces}": stack.url("jaeger:16686"),
        "${job}": "randsvc",
        "${__field.labels.error_type}": "500",
        "${__to:date:iso}": end,
    }
    url = re.sub(r"\$\{[^}]+\}", lambda name: chosen[name[0]], link)
    found = wait_until(lambda: follow(stack, url), within=20)
    assert {(record["error.type"], record["service.name"]) for record in found} == {
        ("500", "randsvc")
    }
    check_links_to_traces(stack, found)
    other = url.replace("%22500%22", "%22TimeoutError%22")
    assert follow(stack, other) == []


def test_an_alert_leads_to_the_logs_of_its_service_and_time(stack: Stack) -> None:

    def firing() -> list[dict[str, Any]]:
        for _ in range(10):
            fail(stack)
        found = stack.prometheus.get("alerts")["alerts"]
        return [
            alert
            for alert in found
            if alert["labels"]["alertname"] == "RandsvcRandomFailing" and alert["state"] == "firing"
        ]

    alert = wait_until(firing, within=60)[0]
    url = alert["annotations"]["logs_url"]
    assert url.startswith(stack.url("victorialogs:9428"))
    asked = unquote(url)
    assert f"g0.range_input={DEMO.find_lookback(alert['labels']['level'])}" in asked
    records = follow(stack, url)
    check_links_to_traces(stack, records)
    messages = {record["_msg"] for record in records}
    assert "GET /random was answered 500" in messages
    assert any(message.startswith("fault errors set") for message in messages)


def test_the_page_that_a_link_opens_shows_the_records(stack: Stack, browser: Browser) -> None:
    trace_id = exemplar(stack)
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    page = browser.new_page()
    for path in (
        make_logs_path(select_logs(trace_id=trace_id), end, "1h"),
        f"select/vmui/#/?query=trace_id%3A%3D%22{trace_id}%22&g0.relative_time=last_30_days",
    ):
        page.goto(stack.url("victorialogs:9428", f"/{path}"))
        page.get_by_text("GET /random was answered 500").first.wait_for()
        page.goto("about:blank")
    page.close()


def test_the_page_of_a_trace_shows_its_spans_and_leads_to_its_logs(
    stack: Stack, browser: Browser
) -> None:
    trace_id = exemplar(stack)
    wait_until(lambda: spans(stack, trace_id), within=20)
    page = browser.new_page()
    page.goto(stack.url("jaeger:16686"))
    page.locator(f"a[href='/trace/{trace_id}']").click()
    page.get_by_role("heading", name=f"Trace {trace_id}").wait_for()
    page.get_by_text("GET /random").click()
    page.get_by_text("http.route").wait_for()
    url = page.get_by_role("link", name="Logs of this trace").get_attribute("href")
    assert {record["trace_id"] for record in follow(stack, url or "")} == {trace_id}
    page.goto(stack.url("jaeger:16686", f"/trace/{'0' * 31}1"))
    page.get_by_text("trace not found").wait_for()
    page.close()


def test_the_console_links_to_the_logs_and_the_traces(stack: Stack) -> None:
    about = json.loads(stack.get("randsvc:9464", "/console/about"))
    links = {link["name"]: link["url"] for link in about["links"]}
    assert links["Logs"] == stack.url("victorialogs:9428", "/select/vmui")
    assert links["Jaeger"] == stack.url("jaeger:16686")


def test_a_fault_is_in_the_logs_once(stack: Stack) -> None:
    (record,) = wait_until(lambda: logs(stack, 'randsvc.fault:="errors"'), within=20)
    assert record["severity_text"] == "WARNING"
