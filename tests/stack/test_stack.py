"""The chain of Collector, Prometheus and Alertmanager, and what starts and stops it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from randsvc.project import ROOT
from randsvc.rules.time_scale import SCALES, TimeScale
from randsvc.stack import programs as described
from randsvc.stack import supervisor
from randsvc.stack.addresses import ADDRESSES, find_free_addresses, find_unused_ports
from randsvc.stack.build import build_programs, make_jaeger_module
from randsvc.stack.programs import Program, StackError, make_jaeger, make_randsvc
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack, run_programs, wait_until

PUSHED = {
    "wait": [0.004, 0.03, 0.03, 7.0],
    "spread": [0.0, 0.125, 1.0, 1.0, 2.5, 40.0],
}


@pytest.fixture(scope="module")
def chain(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with run_stack(services=(), free_ports=True, interval="1s", folder=folder) as stack:
        yield stack


@pytest.fixture(scope="module")
def trace_id(chain: Stack) -> str:
    """Push known values, one of them inside a span: the id of its trace."""
    exporter = OTLPMetricExporter(chain.url("otel-collector:4318", "/v1/metrics"))
    exponential = ExponentialBucketHistogramAggregation()
    provider = MeterProvider(
        [PeriodicExportingMetricReader(exporter)],
        resource=Resource({"service.name": "known", "service.instance.id": "one"}),
        views=[View(Histogram, instrument_name="spread", aggregation=exponential)],
    )
    meter = provider.get_meter("test")
    meter.create_counter("known.requests", "{request}").add(42, {"http.route": "/random"})
    wait = meter.create_histogram("wait", "s", explicit_bucket_boundaries_advisory=[0.005, 0.05, 5])
    with TracerProvider().get_tracer("test").start_as_current_span("request") as span:
        for value in PUSHED["wait"]:
            wait.record(value)
    spread = meter.create_histogram("spread", "{value}")
    for value in PUSHED["spread"]:
        spread.record(value)
    provider.shutdown()
    wait_until(lambda: chain.query('{job="known"}'), within=20)
    return f"{span.get_span_context().trace_id:032x}"


def http_server(book: dict[str, str], *before: str) -> Program:
    """Make a program that is ready after the statements ``before``."""
    port = book["randsvc:8080"].split(":")[1]
    script = "; ".join(
        [*before, f"http.server.test(http.server.SimpleHTTPRequestHandler, port={port})"]
    )
    return Program(
        name="server",
        command=[sys.executable, "-c", f"import http.server; {script}"],
        listens=["randsvc:8080"],
        ready=("randsvc:8080", "/"),
    )


@pytest.fixture
def book() -> dict[str, str]:
    (port,) = find_unused_ports(1)
    return {"randsvc:8080": f"127.0.0.1:{port}"}


@pytest.mark.parametrize(
    "command",
    [
        ["otelcol", "validate", "--config", "otel/collector.yaml"],
        ["promtool", "check", "config", "--lint-fatal", "observability/prometheus/prometheus.yml"],
        ["amtool", "check-config", "observability/alertmanager/alertmanager.yml"],
    ],
    ids=lambda command: command[0],
)
def test_a_configuration_is_valid(programs: Path, command: list[str]) -> None:
    done = subprocess.run(
        [programs / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_program_has_the_pinned_release(programs: Path) -> None:
    env = dict(re.findall(r"^(\w+)_VERSION=v?(\S+)$", (ROOT / ".env").read_text(), re.MULTILINE))
    names = {
        **dict.fromkeys(("prometheus", "promtool"), "PROMETHEUS"),
        **dict.fromkeys(("alertmanager", "amtool"), "ALERTMANAGER"),
        "otelcol": "COLLECTOR",
    }
    for program, key in names.items():
        said = subprocess.run([programs / program, "--version"], capture_output=True, text=True)
        assert env[key] in said.stdout.split(), program


def test_running_targets_are_up_and_missing_services_are_down(chain: Stack) -> None:
    def ups() -> dict[str, float]:
        return {series.labels["job"]: series.values[-1][1] for series in chain.query("up")}

    wait_until(lambda: len(ups()) == 6, within=20)
    assert ups() == {
        "otel-collector": 1,
        "otel-collector-telemetry": 1,
        "prometheus": 1,
        "alertmanager": 1,
        "randsvc-management": 0,
        "auth-management": 0,
    }


def test_prometheus_sends_alerts_to_alertmanager(chain: Stack) -> None:
    def alertmanagers() -> list[dict[str, str]]:
        found: list[dict[str, str]] = chain.prometheus.get("alertmanagers")["activeAlertmanagers"]
        return found

    wait_until(alertmanagers, within=20)
    assert alertmanagers() == [{"url": chain.url("alertmanager:9093", "/api/v2/alerts")}]


@pytest.mark.usefixtures("trace_id")
def test_a_pushed_counter_arrives_with_the_identity_of_its_sender(chain: Stack) -> None:
    (series,) = chain.query("known_requests_total")
    assert series.labels == {
        "__name__": "known_requests_total",
        "job": "known",
        "instance": "one",
        "http_route": "/random",
    }
    assert series.values[-1][1] == 42


@pytest.mark.usefixtures("trace_id")
def test_a_pushed_histogram_arrives_with_its_buckets(chain: Stack) -> None:
    buckets = {
        series.labels["le"]: series.values[-1][1] for series in chain.query("wait_seconds_bucket")
    }
    assert buckets == {"0.005": 1, "0.05": 3, "5.0": 3, "+Inf": 4}
    assert chain.number("wait_seconds_count") == 4
    assert chain.number("wait_seconds_sum") == pytest.approx(sum(PUSHED["wait"]))


@pytest.mark.usefixtures("trace_id")
def test_a_pushed_exponential_histogram_arrives_as_a_native_one(chain: Stack) -> None:
    (series,) = chain.query("spread")
    assert series.histograms
    assert chain.number("histogram_count(spread)") == len(PUSHED["spread"])
    assert chain.number("histogram_sum(spread)") == sum(PUSHED["spread"])
    # 1.0 is the upper, inclusive bound of a bucket at every scale.
    assert chain.number("histogram_fraction(-Inf, 1, spread)") == pytest.approx(4 / 6)
    assert chain.number("histogram_quantile(1, spread)") == pytest.approx(40, rel=0.05)


def test_an_exemplar_of_a_histogram_arrives(chain: Stack, trace_id: str) -> None:
    def exemplars() -> list[dict[str, Any]]:
        found = chain.prometheus.get(
            "query_exemplars", query="wait_seconds_bucket", start="0", end="9999999999"
        )
        return [item for series in found for item in series["exemplars"]]

    wait_until(exemplars, within=20)
    assert {item["labels"]["trace_id"] for item in exemplars()} == {trace_id}


@pytest.mark.usefixtures("trace_id")
def test_metrics_pulled_from_the_management_port_are_dropped(chain: Stack) -> None:
    names = {series.labels["__name__"] for series in chain.query('{job="randsvc-management"}')}
    assert {name for name in names if name != "up" and not name.startswith("scrape_")} == set()


def test_a_killed_collector_is_down_until_it_is_started_again(chain: Stack) -> None:
    up = 'up{job="otel-collector"}'
    chain.kill("otel-collector")
    wait_until(lambda: chain.number(up) == 0, within=20)
    chain.start("otel-collector")
    wait_until(lambda: chain.number(up) == 1, within=20)


def test_prometheus_finds_its_data_again(chain: Stack) -> None:
    oldest = "min_over_time(timestamp(up{job='prometheus'})[1h:1s])"
    before = wait_until(lambda: chain.number(oldest), within=20)
    chain.stop("prometheus")
    chain.start("prometheus")
    assert chain.number(oldest) == before


def test_a_taken_port_is_one_line_that_names_it(chain: Stack) -> None:
    chain.stop("alertmanager")
    address = chain.book["alertmanager:9093"]
    port = int(address.split(":")[1])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StackError) as refused:
        chain.start("alertmanager")
    chain.start("alertmanager")
    assert str(refused.value) == (
        f"alertmanager cannot listen on {address}: Address already in use; stop the program that "
        "listens there"
    )


def test_a_program_that_stops_is_named_with_its_last_lines(
    book: dict[str, str], tmp_path: Path
) -> None:
    stack = Stack([http_server(book, "print('no luck')", "raise SystemExit(3)")], book, tmp_path)
    with pytest.raises(StackError, match=r"^server ended by itself with exit code 3\nno luck$"):
        stack.start("server")


def test_a_program_that_is_not_ready_in_time_is_named_with_its_last_lines(
    book: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "START_WITHIN", 1.0)
    wait = "print('waiting', flush=True); import time; time.sleep(60)"
    stack = Stack([http_server(book, wait)], book, tmp_path)
    with pytest.raises(StackError, match=r"^server is not ready after 1 s: http://.*/\nwaiting$"):
        stack.start("server")
    stack.kill("server")


@pytest.mark.native
def test_jaeger_sends_no_traces_of_itself_to_whoever_listens(tmp_path: Path) -> None:
    book = find_free_addresses()
    jaeger = make_jaeger(build_programs([make_jaeger_module()]), book)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        jaeger = replace(jaeger, env={**jaeger.env, "OTEL_EXPORTER_OTLP_ENDPOINT": url})
        with run_programs([jaeger], book, tmp_path) as stack:
            stack.get("jaeger:16686", "/api/services")
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_no_program_outlives_a_killed_parent(book: dict[str, str], tmp_path: Path) -> None:
    if not supervisor._end_with_parent():
        pytest.skip("that no program outlives a killed parent is not tested: there is no setpriv")
    script = (
        "import time; from pathlib import Path; from randsvc.stack.supervisor import Stack;"
        "from tests.stack.test_stack import http_server;"
        f"book = {book}; stack = Stack([http_server(book)], book, Path({str(tmp_path)!r}));"
        "stack.start('server'); print('started', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "started\n"
        os.kill(parent.pid, signal.SIGKILL)
    host, port = book["randsvc:8080"].split(":")

    def gone() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) != 0

    wait_until(gone, within=10)


def test_a_target_without_an_address_on_this_machine_is_refused(tmp_path: Path) -> None:
    config = yaml.safe_load("scrape_configs: [{static_configs: [{targets: ['nowhere:1']}]}]")
    source = tmp_path / "prometheus.yml"
    with pytest.raises(StackError) as refused:
        described._translate(config, {}, source)
    assert str(refused.value) == f"{source}: no program of the native stack listens at nowhere:1"


def test_addresses_are_replaced_everywhere_in_a_configuration(tmp_path: Path) -> None:
    config = yaml.safe_load(
        "{targets: ['http://randsvc:8080/random'], url: 'http://inbox:9095/pager',"
        " replacement: 'blackbox-exporter:9115', other: 'http://localhost:3000', number: 8080}"
    )
    book = {address: f"127.0.0.1:{index}" for index, address in enumerate(ADDRESSES)}
    assert described._translate(config, book, tmp_path) == {
        "targets": [f"http://{book['randsvc:8080']}/random"],
        "url": f"http://{book['inbox:9095']}/pager",
        "replacement": book["blackbox-exporter:9115"],
        "other": "http://localhost:3000",
        "number": 8080,
    }


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_the_time_scale_of_the_rules_can_be_chosen(scale: TimeScale, tmp_path: Path) -> None:
    book = {address: f"127.0.0.1:{index}" for index, address in enumerate(ADDRESSES)}
    described.make_prometheus(
        Path("bin"), book, tmp_path, interval=None, pull=False, scale=scale, without=["blackbox"]
    )
    config = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    rules = ROOT / "observability/prometheus/rules"
    assert config["rule_files"] == [f"{rules}/*.yml", f"{rules}/{scale.name}/*.yml"]
    assert list((rules / scale.name).glob("*.yml"))
    assert "blackbox" not in {job["job_name"] for job in config["scrape_configs"]}


def test_a_missing_blackbox_exporter_is_one_line_that_names_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StackError, match=r"^no program prometheus-blackbox-exporter in PATH: .*$"):
        described.make_blackbox_exporter({})


def test_the_service_gets_no_setting_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANDSVC_DELAY", "constant(9)")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    book = {address: f"127.0.0.1:{index}" for index, address in enumerate(ADDRESSES)}
    env = make_randsvc(book, env={"RANDSVC_SEED": "1"}).env
    assert {"RANDSVC_DELAY", "OTEL_SDK_DISABLED"} & env.keys() == set()
    assert env["RANDSVC_SEED"] == "1"


def test_the_runbook_that_a_notification_links_to_opens(chain: Stack) -> None:
    def first() -> Any:
        return json.loads(chain.get("inbox:9095", "/notifications"))

    # Whichever comes first: the Watchdog, or the alert on a service, none of which runs here.
    (alert, *_) = wait_until(first, within=30)[0]["alerts"]
    with urlopen(alert["runbook"]) as page:
        assert f"<h1>{alert['name']}</h1>" in page.read().decode()
    # The stack runs no Grafana, so there is no dashboard to link to.
    assert alert["dashboard"] == os.environ.get("GRAFANA_URL", "")


def test_where_links_lead_is_no_label_of_an_alert(chain: Stack) -> None:
    alerts = wait_until(
        lambda: json.loads(chain.get("alertmanager:9093", "/api/v2/alerts")), within=30
    )
    assert not {"runbooks_url", "grafana_url"} & {name for a in alerts for name in a["labels"]}
