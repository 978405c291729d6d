import logging
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from randsvc.telemetry.outage import AnnouncedMetricExporter, AnnouncedSpanExporter


class Metrics(MetricExporter):
    """Delivers while ``up``."""

    up = True

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 0, **_: object
    ) -> MetricExportResult:
        if not self.up:
            log = logging.getLogger("opentelemetry.exporter.otlp.proto.http.metric_exporter")
            log.warning("Transient error Connection refused encountered")
            log.error("Failed to export metrics batch due to timeout")
        return MetricExportResult.SUCCESS if self.up else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **_: object) -> None:
        pass


class Spans(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name.startswith("randsvc")
    ]


def test_an_outage_is_announced_once_with_its_reason_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    inner = Metrics()
    exporter = AnnouncedMetricExporter(inner, "http://collector")
    for inner.up in (True, False, False, False, True, True):
        exporter.export(MetricsData([]))
    assert said(caplog) == [
        (
            "WARNING",
            "cannot deliver metrics to http://collector; serving goes on, "
            "further attempts are silent: Transient error Connection refused encountered",
        ),
        ("INFO", "delivering metrics to http://collector again after 3 failed attempts"),
    ]


def test_a_second_outage_is_announced_again(caplog: pytest.LogCaptureFixture) -> None:
    inner = Metrics()
    exporter = AnnouncedMetricExporter(inner, "http://collector")
    for inner.up in (False, True, False):
        exporter.export(MetricsData([]))
    assert [level for level, _ in said(caplog)].count("WARNING") == 2


def test_traces_are_announced_for_themselves(caplog: pytest.LogCaptureFixture) -> None:
    exporter = AnnouncedSpanExporter(Spans(), "http://collector")
    exporter.export([])
    exporter.export([])
    ((_, message),) = said(caplog)
    assert message.startswith("cannot deliver traces")
