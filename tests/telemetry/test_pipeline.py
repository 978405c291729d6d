import asyncio
import time
from collections.abc import Callable

import pytest

from randsvc.telemetry import pipeline
from randsvc.telemetry.accumulator import Reading
from randsvc.telemetry.catalogue import METRICS, Metric
from randsvc.telemetry.errors import ConfigurationError
from randsvc.telemetry.pipeline import Telemetry
from randsvc.telemetry.readers import InMemoryReader, PullReader
from tests.support.breaking import faults_of
from tests.support.reading import Measured, measured

OF_SDK = {
    "counter": ("Sum", True),
    "updowncounter": ("Sum", False),
    "gauge": ("Gauge", None),
    "histogram": ("Histogram", None),
    "exponential_histogram": ("ExponentialHistogram", None),
}


def observe_everything(telemetry: Telemetry) -> None:
    """One observation of each, so that every metric of the catalogue has a series."""
    it = telemetry
    for by_source in (it.value, it.feedback_error, it.feedback_absolute_error):
        by_source["model"].observe(0.5)
    for series in (it.delay, it.model_duration, it.feedback_delay, it.lag):
        series.observe(0.5)
    telemetry.server._duration.series({"http.route": "/"}).observe(0.5)
    telemetry.server.methods("http")["GET"].active = 0
    it.predictions["model"] = it.model_errors["timeout"] = it.feedback["accepted"] = 1
    it.inputs["new"] = it.inputs_missing["segment"] = it.inputs_refused["repeated"] = 1
    for baseline in (
        it.baseline_edges,
        it.baseline_shares,
        it.baseline_quantiles,
        it.baseline_statistics,
    ):
        baseline["value", "01"] = 0.5
    telemetry.faults = lambda: {"errors": True}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_measured_as_the_catalogue_declares_it(
    telemetry: Telemetry, reader: InMemoryReader, metric: Metric
) -> None:
    observe_everything(telemetry)
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
    observe_everything(telemetry)
    assert read().keys() == {metric.name for metric in METRICS}


async def test_the_text_format_has_every_metric_under_its_prometheus_name() -> None:
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[PullReader()])
    observe_everything(telemetry)
    rendered = (await telemetry.render() or b"").decode()
    telemetry.shutdown()
    names = {line.split()[2] for line in rendered.splitlines() if line.startswith("# TYPE")}
    assert names == {metric.prometheus_name for metric in METRICS} | {"target_info"}
    for metric in METRICS:
        if metric.buckets:
            assert f"\n{metric.prometheus_name}_count" in rendered


async def test_what_another_application_never_observes_is_not_exported() -> None:
    telemetry = Telemetry(service="shop", version="1.2", environ={}, readers=[PullReader()])
    async with telemetry.running():
        await asyncio.sleep(0.15)  # until the event loop was looked at
        rendered = (await telemetry.render() or b"").decode()
    names = {line.split()[2] for line in rendered.splitlines() if line.startswith("#")}
    assert names == {
        "target_info",
        "process_cpu_time_seconds_total",
        "process_memory_usage_bytes",
        "process_unix_file_descriptor_count",
        "asyncio_event_loop_lag_seconds",
    }
    assert 'service_name="shop",service_version="1.2"' in rendered


async def test_there_is_nothing_to_pull_where_metrics_are_pushed(telemetry: Telemetry) -> None:
    assert await telemetry.render() is None


async def test_a_blocked_event_loop_is_seen_as_lag(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with telemetry.running():
        await asyncio.sleep(0.15)
        time.sleep(0.5)  # noqa: ASYNC251 - that is the point
        await asyncio.sleep(0.15)
    (point,) = read()["asyncio.event_loop.lag"].values()
    assert point.max > 0.3


async def test_memory_does_not_grow_with_observations_that_nobody_reads(
    telemetry: Telemetry,
) -> None:
    async with telemetry.running():
        for _ in range(1000):
            telemetry.value["model"].observe(1.0)
        await asyncio.sleep(0.25)
        assert telemetry.value["model"]._pending == []


def test_two_readers_with_other_temporalities_both_count_right() -> None:
    cumulative, delta = InMemoryReader(), InMemoryReader(Reading(delta=True))
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[cumulative, delta])

    def count(reader: InMemoryReader) -> int:
        (point,) = measured(reader.get_metrics_data())["randsvc.value"].values()
        return int(point.count)

    seen = []
    for _ in range(3):
        telemetry.value["model"].observe(1.0)
        seen.append((count(cumulative), count(delta)))
    telemetry.shutdown()
    assert seen == [(1, 1), (2, 1), (3, 1)]


def test_a_disabled_sdk_reads_nothing_and_keeps_nothing() -> None:
    telemetry = Telemetry(concurrency_limit=5, environ={"OTEL_SDK_DISABLED": "true"})
    telemetry.value["model"].observe(1.0)
    telemetry._fold()
    assert telemetry.value["model"]._pending == []
    telemetry.shutdown()


def test_an_exporter_that_does_not_exist_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="OTEL_TRACES_EXPORTER"):
        Telemetry(concurrency_limit=5, environ={"OTEL_TRACES_EXPORTER": "zipkin"})


def test_the_resource_takes_what_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=a,team=b")
    attributes = pipeline.resource("auth", worker=None).attributes
    assert attributes["service.name"] == "mine"
    assert attributes["service.instance.id"] == "a"
    assert attributes["team"] == "b"


def test_a_service_has_its_own_name_where_no_variable_names_it() -> None:
    assert pipeline.resource("auth", worker=None).attributes["service.name"] == "auth"


def test_a_fault_has_a_series_from_its_first_use_on_and_is_0_after_it(
    reader: InMemoryReader, read: Callable[[], Measured]
) -> None:
    faults = faults_of()
    telemetry = Telemetry(concurrency_limit=5, environ={}, readers=[reader], faults=faults.states)

    def active() -> dict[object, int]:
        points = read().get("randsvc.fault.active", {})
        return {value: point.value for ((_, value),), point in points.items()}

    assert active() == {}
    faults.set("model-down", {"duration": 60})
    assert active() == {"model-down": 1}
    faults.clear()
    assert active() == {"model-down": 0}
    telemetry.shutdown()


def test_workers_never_share_an_instance_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def ids() -> set[object]:
        return {
            pipeline.resource("randsvc", worker).attributes["service.instance.id"]
            for worker in (0, 1)
        }

    assert len(ids()) == 2
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=a")
    assert ids() == {"a-0", "a-1"}
