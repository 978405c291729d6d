import re

import pytest

from randsvc.metrics import METRICS, VALUE
from randsvc.telemetry import catalogue
from randsvc.telemetry.catalogue import Metric

every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def test_every_declared_metric_is_listed() -> None:
    declared = [value for value in vars(catalogue).values() if isinstance(value, Metric)]
    assert set(declared) == set(catalogue.METRICS)


@every_metric
def test_a_name_is_of_dots_and_says_nothing_that_the_kind_or_unit_says(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)+", metric.name)
    assert not metric.name.endswith(("_total", "_seconds", "_bytes", "_count"))


@every_metric
def test_a_unit_is_one_that_both_paths_name_alike(metric: Metric) -> None:
    assert metric.unit in ("s", "By") or re.fullmatch(r"\{[a-z_]+\}", metric.unit)


@every_metric
def test_histograms_and_only_they_have_ascending_buckets(metric: Metric) -> None:
    assert bool(metric.buckets) == ("histogram" in metric.kind)
    assert list(metric.buckets) == sorted(set(metric.buckets))


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (catalogue.REQUEST_DURATION, "http_server_request_duration_seconds"),
        (catalogue.PROCESS_CPU_TIME, "process_cpu_time_seconds_total"),
        (catalogue.PROCESS_MEMORY_USAGE, "process_memory_usage_bytes"),
        (VALUE, "randsvc_value"),
    ],
)
def test_a_prometheus_name_has_the_suffixes_of_unit_and_kind(metric: Metric, name: str) -> None:
    assert metric.prometheus_name == name
