import re
from collections.abc import Iterator
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from randsvc.telemetry.exposition import OPEN_METRICS, merge, render

Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(text: str) -> dict[Sample, float]:
    """Every sample of a text, as Prometheus' own client reads it; empty labels left out."""
    return {
        (sample.name, frozenset((k, v) for k, v in sample.labels.items() if v)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Both:
    """The same instruments read by us and by the SDK's own exporter."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ours = InMemoryMetricReader()
        oracle = PrometheusMetricReader(registry=registry, scope_info_enabled=False)
        resource = Resource({"service.name": 'a "quoted"\\ name'})
        self.provider = MeterProvider([ours, oracle], resource, shutdown_on_exit=False)
        self.meter = self.provider.get_meter("tested")
        self._ours, self._registry = ours, registry

    def read(self) -> MetricsData:
        data = self._ours.get_metrics_data()
        assert data
        return data

    def texts(self) -> tuple[str, str]:
        return render(self.read()).decode(), generate_latest(self._registry).decode()


@pytest.fixture
def both() -> Iterator[Both]:
    both = Both()
    yield both
    both.provider.shutdown()


def test_every_kind_is_what_the_sdks_exporter_makes_of_it(both: Both) -> None:
    both.meter.create_counter("some.requests", "{request}", "Line\nbreak \\ here").add(
        3, {"http.route": "/{a}", "ok": True, "status": 200}
    )
    both.meter.create_counter("some.time", "s").add(1.5)
    both.meter.create_up_down_counter("some.memory", "By").add(-7)
    histogram = both.meter.create_histogram("some.duration", "s")
    for value in (0.001, 3, 70, 1e9):
        histogram.record(value, {"a": 'quo"te', "b": "back\\slash", "c": "new\nline"})
    histogram.record(1, {"a": "other"})

    def gauge(_: CallbackOptions) -> list[Observation]:
        return [
            Observation(0.1 + 0.2, {"which": "exact"}),
            Observation(-1e300, {"which": "large"}),
            Observation(5e-324, {"which": "small"}),
        ]

    both.meter.create_observable_gauge("some.gauge", [gauge], "{thing}")
    ours, oracle = both.texts()
    assert samples(ours) == samples(oracle)

    def described(text: str) -> set[str]:
        return {line for line in text.splitlines() if line.startswith(("# TYPE", "# HELP some"))}

    assert described(ours) == described(oracle)


def test_openmetrics_has_the_same_samples_and_when_each_series_began(both: Both) -> None:
    before = time()
    both.meter.create_counter("some.requests", "{request}", 'A "quoted" \\ help').add(3, {"a": "b"})
    both.meter.create_histogram("some.duration", "s").record(3, {"a": 'quo"te'})
    both.meter.create_up_down_counter("some.memory", "By").add(-7)
    data = both.read()
    text = render(data, OPEN_METRICS).decode()
    families = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    read = {
        (sample.name, frozenset((k, v) for k, v in sample.labels.items() if v)): sample.value
        for family in families
        for sample in family.samples
    }
    began = {name: value for (name, _), value in read.items() if name.endswith("_created")}
    assert set(began) == {"some_requests_created", "some_duration_seconds_created"}
    assert all(before - 0.001 <= value <= time() for value in began.values())
    without = {key: value for key, value in read.items() if key[0] not in began}
    assert without == samples(render(data).decode())


@given(label=st.text(), value=st.floats(0, 1e12))
def test_any_label_and_any_number_is_read_back(label: str, value: float) -> None:
    both = Both()
    both.meter.create_counter("some.count").add(value, {"label": label})
    ours, _ = both.texts()
    both.provider.shutdown()
    name = "some_count_total"
    expected = frozenset({("label", label)} if label else ())
    assert samples(ours)[name, expected] == value


@given(
    attributes=st.dictionaries(
        st.text(st.sampled_from("a.-_9ä"), max_size=3) | st.text(max_size=3), st.text(min_size=1)
    )
)
def test_any_resource_attributes_are_labels_each_once(attributes: dict[str, str]) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource(attributes), shutdown_on_exit=False)
    provider.get_meter("tested").create_counter("some.count").add(1)
    data = reader.get_metrics_data()
    assert data
    text = render(data).decode()
    provider.shutdown()
    labels = re.findall(r'([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"', text.splitlines()[2], re.ASCII)
    assert len(labels) == len(set(labels)) <= len(attributes)
    assert not any(label.startswith("__") for label in labels)
    text_string_to_metric_families(text)


def test_names_that_are_equal_as_labels_share_one_with_both_values(both: Both) -> None:
    both.meter.create_counter("some.count").add(1, {"team_name": "x", "team.name": "y"})
    ours, _ = both.texts()
    assert ("some_count_total", frozenset({("team_name", "y;x")})) in samples(ours)


def test_an_attribute_with_the_name_of_the_bucket_label_has_another(both: Both) -> None:
    both.meter.create_histogram("some.size").record(1, {"le": "chat"})
    ours, _ = both.texts()
    assert ("some_size_count", frozenset({("exported_le", "chat")})) in samples(ours)


def test_a_value_that_is_no_unicode_does_not_break_the_scrape(both: Both) -> None:
    both.meter.create_counter("some.count").add(1, {"file": "caf\udce9"})
    data = both._ours.get_metrics_data()
    assert data
    assert b'file="caf?"' in render(data)


def test_a_label_that_begins_with_a_digit_does_not_break_the_scrape(both: Both) -> None:
    both.meter.create_counter("some.count").add(1, {"9.lives": "cat"})
    ours, _ = both.texts()
    assert ("some_count_total", frozenset({("_9_lives", "cat")})) in samples(ours)


def test_the_texts_of_several_processes_become_one_with_their_names_as_a_label(both: Both) -> None:
    both.meter.create_counter("some.requests", "{request}", "A # HELP line").add(
        3, {"http.route": "/{a}", "odd": 'x\u2028y\x85"{z}\n# HELP'}
    )
    both.meter.create_histogram("some.duration", "s").record(0.2)
    both.meter.create_counter("without.labels").add(1)
    text, _ = both.texts()
    merged = merge({"0": text.encode(), "1": text.encode(), "2": b""}, "worker").decode()

    alone = samples(text)
    assert samples(merged) == {
        (name, labels | {("worker", worker)}): value
        for (name, labels), value in alone.items()
        for worker in ("0", "1")
    }
    families = re.findall(r"^# TYPE (\S+)", merged, re.MULTILINE)
    assert len(families) == len(set(families))


def test_merged_openmetrics_ends_once_and_keeps_when_each_series_began(both: Both) -> None:
    both.meter.create_counter("some.count").add(1, {"a": "b"})
    one = render(both.read(), OPEN_METRICS)
    merged = merge({"0": one, "1": one, "2": b""}, "worker", OPEN_METRICS).decode()
    families = openmetrics.text_string_to_metric_families(merged)  # type: ignore[no-untyped-call]
    began = [sample for family in families for sample in family.samples if "_cre" in sample.name]
    assert [sample.labels["worker"] for sample in began] == ["0", "1"]
    assert merged.endswith("# EOF\n")
    assert merged.count("# EOF") == 1


def test_of_no_process_there_is_no_line() -> None:
    assert merge({}, "worker").strip() == b""
