import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import request, web
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from randsvc.telemetry import ConfigurationError, Telemetry, catalogue, log_records
from randsvc.telemetry.catalogue import CONCURRENCY_LIMIT, EVENT_LOOP_LAG, Metric
from randsvc.telemetry.readers import PullReader
from randsvc.telemetry.runtime import TICK, watch_event_loop
from randsvc.telemetry.telemetry import make_resource
from tests.support.metering import OF_SDK, delta_reader
from tests.support.reading import Measured, measured
from tests.support.serving import serving

CLOCKS = (
    "randsvc.telemetry.provider.time_ns",
    "opentelemetry.sdk.metrics._internal.metric_reader_storage.time_ns",
)
"""What gives data points their times."""


def measure_everything(telemetry: Telemetry) -> None:
    """One measurement of each, so that every metric of the catalogue has a series."""
    telemetry.server._duration.series({"http.route": "/"}).observe(0.5)
    telemetry.server.methods("http")["GET"].active = 0
    telemetry._lag.record(0.5)
    telemetry.meter.create_counter("shop.orders").add(-1)
    log_records.count_dropped(log_records.RATE_LIMITED, 0)


@pytest.mark.parametrize("metric", catalogue.METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_measured_as_the_catalogue_declares_it(
    telemetry: Telemetry, reader: InMemoryMetricReader, metric: Metric
) -> None:
    measure_everything(telemetry)
    reader.get_metrics_data()  # what is refused is known once it was folded
    data = reader.get_metrics_data()
    assert data is not None
    ((found,),) = (
        [m for m in scope.metrics if m.name == metric.name]
        for scope in data.resource_metrics[0].scope_metrics
    )
    kind, monotonic = OF_SDK[metric.kind]
    assert type(found.data).__name__ == kind
    assert getattr(found.data, "is_monotonic", None) == monotonic
    assert (found.unit, found.description) == (metric.unit, metric.description)
    for point in found.data.data_points:
        assert set(point.attributes or {}) <= set(metric.attributes)


def test_nothing_is_measured_that_the_catalogue_does_not_declare(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    measure_everything(telemetry)
    read()
    assert read().keys() == {metric.name for metric in catalogue.METRICS}


async def test_the_text_format_has_every_metric_under_its_prometheus_name() -> None:
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[PullReader()])
    measure_everything(telemetry)
    await telemetry.render()
    rendered = (await telemetry.render() or b"").decode()
    telemetry.shutdown()
    names = {line.split()[2] for line in rendered.splitlines() if line.startswith("# TYPE")}
    assert names == {metric.prometheus_name for metric in catalogue.METRICS} | {"target_info"}
    for metric in catalogue.METRICS:
        if metric.buckets:
            assert f"\n{metric.prometheus_name}_count" in rendered


async def test_a_metric_that_an_application_never_measures_is_not_exported() -> None:
    telemetry = Telemetry("shop", "1.2", environ={}, readers=[PullReader()])
    async with telemetry.running():
        await asyncio.sleep(0.15)  # until the event loop was looked at
        rendered = (await telemetry.render() or b"").decode()
    names = {line.split()[2] for line in rendered.splitlines() if line.startswith("#")}
    assert names == {
        "target_info",
        "process_cpu_time_seconds_total",
        "process_memory_usage_bytes",
        "process_memory_limit_bytes",
        "process_unix_file_descriptor_count",
        "process_unix_file_descriptor_limit",
        "asyncio_event_loop_lag_seconds",
    }
    assert 'service_name="shop",service_version="1.2"' in rendered


async def test_no_name_or_scope_of_another_application_is_of_randsvc(
    reader: InMemoryMetricReader,
) -> None:
    telemetry = Telemetry("shop", concurrency_limit=5, environ={}, readers=[reader])
    measure_everything(telemetry)
    telemetry.meter.create_counter("shop.orders").add(1)
    data = reader.get_metrics_data()
    telemetry.shutdown()
    assert data is not None
    scopes = {scope.scope.name for scope in data.resource_metrics[0].scope_metrics}
    assert scopes == {"shop", "aiohttp.telemetry"}
    assert "randsvc" not in data.to_json()


def test_a_limit_that_is_not_there_is_not_exported(reader: InMemoryMetricReader) -> None:
    telemetry = Telemetry("shop", environ={}, readers=[reader])
    assert CONCURRENCY_LIMIT.name not in measured(reader.get_metrics_data())
    telemetry.shutdown()


async def test_an_application_is_measured_once_telemetry_is_installed(
    reader: InMemoryMetricReader, read: Callable[[], Measured]
) -> None:
    telemetry = Telemetry("shop", environ={}, readers=[reader])
    orders = telemetry.meter.create_counter("shop.orders", unit="{order}")
    amounts = telemetry.meter.create_histogram("shop.amount", unit="{euro}")

    async def order(_: web.Request) -> web.Response:
        orders.add(1, {"kind": "gift"})
        amounts.record(12.5)
        return web.Response()

    app = web.Application()
    app.router.add_post("/orders/{number}", order)
    telemetry.install(app)
    async with serving(app) as url, request("POST", url.joinpath("orders/1")):
        pass
    found = read()
    (orders_point,) = found["shop.orders"].values()
    (amounts_point,) = found["shop.amount"].values()
    (requests,) = found["http.server.request.duration"].values()
    assert (orders_point.value, amounts_point.sum, requests.count) == (1, 12.5, 1)
    assert requests.attributes["http.route"] == "/orders/{number}"


def test_telemetry_is_installed_once(telemetry: Telemetry) -> None:
    app = web.Application()
    telemetry.install(app)
    with pytest.raises(RuntimeError, match="installed in this application already"):
        telemetry.install(app)


@pytest.mark.parametrize(
    ("exporter", "status", "said"),
    [
        ("prometheus", 200, "# TYPE process_cpu_time_seconds_total counter"),
        ("none", 404, "OTEL_METRICS_EXPORTER does not name prometheus"),
    ],
)
async def test_metrics_are_pulled_where_that_is_configured(
    exporter: str, status: int, said: str
) -> None:
    telemetry = Telemetry("shop", environ={"OTEL_METRICS_EXPORTER": exporter})
    app = web.Application()
    telemetry.install(app, metrics_path="/metrics")
    async with serving(app) as url, request("GET", url.joinpath("metrics")) as response:
        assert response.status == status
        assert said in await response.text()


async def test_there_is_nothing_to_pull_where_metrics_are_pushed(telemetry: Telemetry) -> None:
    assert await telemetry.render() is None


async def test_a_blocked_event_loop_is_seen_as_lag(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with telemetry.running():
        await asyncio.sleep(0.15)
        time.sleep(0.5)  # noqa: ASYNC251 - that is the point
        await asyncio.sleep(0.15)
        (point,) = read()[EVENT_LOOP_LAG.name].values()
    assert point.max > 0.3


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), pytest.param(10**308, id="10^308"), "1", None]
)
async def test_no_value_ends_the_watch_or_keeps_the_last_numbers_back(
    telemetry: Telemetry, read: Callable[[], Measured], value: Any
) -> None:
    counter = telemetry.meter.create_counter("shop.orders")
    histogram = telemetry.meter.create_histogram("shop.amount")

    def count_ticks() -> int:
        (point,) = read()[EVENT_LOOP_LAG.name].values()
        return int(point.count)

    async with telemetry.running():
        for _ in range(3):
            counter.add(value)
            histogram.record(value)
            await asyncio.sleep(0.25)
        seen = count_ticks()
        await asyncio.sleep(0.5)
        assert count_ticks() > seen
        counter.add(1)
    assert "shop.orders" in read()


async def test_a_failure_to_fold_is_logged_once_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ticks: list[float] = []

    def fail() -> None:
        raise RuntimeError(f"tick {len(ticks)}")

    watch = asyncio.create_task(watch_event_loop(ticks.append, fail))
    await asyncio.sleep(5 * TICK)
    watch.cancel()
    assert len(ticks) > 1
    assert len(caplog.records) == 1


async def test_memory_does_not_grow_with_measurements_that_nobody_reads(
    telemetry: Telemetry,
) -> None:
    histogram = telemetry.meter.create_histogram("shop.amount")
    async with telemetry.running():
        for _ in range(1000):
            histogram.record(1.0)
        await asyncio.sleep(0.25)
        assert histogram.series()._pending == []


async def test_two_applications_of_one_telemetry_end_one_after_the_other(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with telemetry.running():
        async with telemetry.running():
            pass
        assert EVENT_LOOP_LAG.name not in read()
        await asyncio.sleep(0.15)
        assert EVENT_LOOP_LAG.name in read()


def test_two_readers_with_other_temporalities_both_count_right() -> None:
    cumulative, delta = InMemoryMetricReader(), delta_reader()
    telemetry = Telemetry(environ={}, readers=[cumulative, delta])
    histogram = telemetry.meter.create_histogram("shop.amount")

    def count(reader: InMemoryMetricReader) -> int:
        (point,) = measured(reader.get_metrics_data())["shop.amount"].values()
        return int(point.count)

    seen = []
    for _ in range(3):
        histogram.record(1.0)
        seen.append((count(cumulative), count(delta)))
    telemetry.shutdown()
    assert seen == [(1, 1), (2, 1), (3, 1)]


def test_a_disabled_sdk_reads_nothing_and_keeps_nothing() -> None:
    telemetry = Telemetry(environ={"OTEL_SDK_DISABLED": "true"})
    histogram = telemetry.meter.create_histogram("shop.amount")
    histogram.record(1.0)
    telemetry.meter_provider.fold()
    assert histogram.series()._pending == []
    telemetry.shutdown()


def test_an_exporter_that_does_not_exist_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="OTEL_TRACES_EXPORTER"):
        Telemetry(environ={"OTEL_TRACES_EXPORTER": "zipkin"})


def test_the_resource_takes_what_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=a,team=b")
    attributes = make_resource("auth", "1").attributes
    assert attributes["service.name"] == "mine"
    assert attributes["service.instance.id"] == "a"
    assert attributes["team"] == "b"


def test_a_service_has_its_own_name_where_no_variable_names_it() -> None:
    assert make_resource("auth", "1").attributes["service.name"] == "auth"


def test_a_service_without_a_name_has_the_one_of_the_specification() -> None:
    attributes = make_resource("", "").attributes
    assert str(attributes["service.name"]).startswith("unknown_service")
    assert "service.version" not in attributes


def test_workers_never_share_an_instance_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def ids() -> set[object]:
        return {
            make_resource("randsvc", "1", worker).attributes["service.instance.id"]
            for worker in (0, 1)
        }

    assert len(ids()) == 2
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=a")
    assert ids() == {"a-0", "a-1"}
    forked = make_resource("shop", "1", forked=True).attributes["service.instance.id"]
    assert forked == f"a-{os.getpid()}"


def test_an_instance_id_is_one_that_a_person_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "web")
    ids = [
        str(make_resource("shop", "1", w).attributes["service.instance.id"]) for w in (None, 3, 3)
    ]
    assert re.fullmatch(r"web-[0-9a-f]{8}", ids[0])
    assert re.fullmatch(r"web-3-[0-9a-f]{8}", ids[1])
    assert ids[1] != ids[2]


def test_metrics_of_other_libraries_are_exported_once_telemetry_is_global() -> None:
    """In a process of its own, as the API takes one global provider and no other."""
    program = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from randsvc.telemetry import Telemetry

before = metrics.get_meter("library", "3.1").create_counter("library.calls")
reader = InMemoryMetricReader()
telemetry = Telemetry("shop", environ={}, readers=[reader])
telemetry.set_global()
after = metrics.get_meter("library", "3.1").create_histogram("library.duration", "s")
before.add(1)
after.record(0.5)
metrics.get_meter("opentelemetry.instrumentation.aiohttp_server").create_counter("twice").add(1)
(resource,) = reader.get_metrics_data().resource_metrics
(scope,) = (scope for scope in resource.scope_metrics if scope.scope.name == "library")
print(scope.scope.version, *(metric.name for metric in scope.metrics))
print("twice" in str(resource))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "3.1 library.calls library.duration\nFalse\n", done.stderr


def test_an_application_that_is_run_is_measured(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[web.Application, dict[str, object]]] = []
    monkeypatch.setattr(web, "run_app", lambda app, **options: ran.append((app, options)))
    app = web.Application()
    telemetry.run_app(app, port=8080)
    assert ran == [(app, {"port": 8080, "access_log_class": telemetry.access_log_class})]
    with pytest.raises(RuntimeError, match="installed in this application already"):
        telemetry.install(app)


@pytest.mark.parametrize("jump", [5 * 3600, -5 * 3600], ids=["ahead", "back"])
def test_the_times_of_every_series_advance_when_the_clock_jumps_and_returns(
    telemetry: Telemetry,
    reader: InMemoryMetricReader,
    monkeypatch: pytest.MonkeyPatch,
    jump: int,
) -> None:
    def collect(ahead: int) -> dict[tuple[str, str], int]:
        for module in CLOCKS:
            monkeypatch.setattr(module, lambda: time.time_ns() + ahead * 10**9)
        measure_everything(telemetry)
        data = reader.get_metrics_data()
        assert data
        return {
            (metric.name, str(point.attributes)): point.time_unix_nano
            for scope in data.resource_metrics[0].scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    collect(0)
    times = [collect(ahead) for ahead in (0, jump, 0, 0)]
    for before, after in pairwise(times):
        assert before.keys() == after.keys()
        for series, at in before.items():
            assert after[series] > at, series
