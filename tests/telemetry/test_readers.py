from typing import Any

import pytest
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.metrics.view import (
    DefaultAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)

from randsvc.telemetry import ConfigurationError
from randsvc.telemetry.environment import read_configuration
from randsvc.telemetry.instruments import Counter, Gauge, Histogram, Reading, UpDownCounter
from randsvc.telemetry.readers import PullReader, PushReader, make_readings

TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
AGGREGATION = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"


def reading(**environ: str) -> Reading:
    (found,) = make_readings(read_configuration(environ))
    return found


@pytest.mark.parametrize(
    ("preference", "deltas"),
    [
        ("", set()),
        ("cumulative", set()),
        ("Delta", {Counter, Histogram, sdk.ObservableCounter}),
        ("LOWMEMORY", {Counter, Histogram}),
    ],
)
def test_each_kind_of_instrument_has_the_temporality_that_is_preferred(
    preference: str, deltas: set[type]
) -> None:
    found = reading(**{TEMPORALITY: preference})
    kinds: dict[type, type] = {
        **{kind: kind.kind for kind in (Counter, UpDownCounter, Histogram, Gauge)},
        sdk.ObservableCounter: sdk.ObservableCounter,
        sdk.ObservableUpDownCounter: sdk.ObservableUpDownCounter,
    }
    assert deltas == {
        kind
        for kind, of_sdk in kinds.items()
        if found.temporality(of_sdk) is AggregationTemporality.DELTA
    }


@pytest.mark.parametrize(
    ("preference", "aggregation"),
    [
        ("", DefaultAggregation),
        ("Explicit_Bucket_Histogram", ExplicitBucketHistogramAggregation),
        ("base2_exponential_bucket_histogram", ExponentialBucketHistogramAggregation),
    ],
)
def test_histograms_have_the_aggregation_that_is_preferred(
    preference: str, aggregation: type
) -> None:
    assert type(reading(**{AGGREGATION: preference}).aggregation(sdk.Histogram)) is aggregation


@pytest.mark.parametrize("variable", [TEMPORALITY, AGGREGATION])
def test_a_preference_that_does_not_exist_is_named(variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f'{variable}="sometimes": expected one of'):
        reading(**{variable: "sometimes"})


@pytest.mark.parametrize(
    ("exporter", "kind"), [("prometheus", PullReader), ("console", PushReader)]
)
def test_a_reader_is_made_when_it_is_needed_and_anew_each_time(exporter: str, kind: type) -> None:
    found = reading(OTEL_METRICS_EXPORTER=exporter)
    readers: list[Any] = [found.make(), found.make()]
    assert [type(reader) for reader in readers] == [kind, kind]
    assert readers[0] is not readers[1]
    for reader in readers:
        reader._set_collect_callback(lambda *_, **__: None)
        reader.shutdown()
