import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiohttp.test_utils import unused_port
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
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
            log.warning("Transient error, retrying in 1 s")
            log.error("Failed to export, error code: UNAUTHENTICATED")
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
            "further attempts are silent: Failed to export, error code: UNAUTHENTICATED",
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


class Answer(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path.strip("/")))
        self.send_header("Location", "http://elsewhere/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def collector() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (302, "it answered 302 Found (redirects are not followed"),
        (308, "it answered 308 Permanent Redirect (redirects are not followed"),
        (401, "it answered 401 Unauthorized"),
        (503, "it answered 503 Service Unavailable"),
    ],
)
def test_an_answer_that_takes_nothing_is_an_outage_with_its_status(
    collector: str, status: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with delivering_to(f"{collector}/{status}") as exporter:
        for _ in range(2):
            assert exporter.export(MetricsData([])) is MetricExportResult.FAILURE
    ((_, message),) = said(caplog)
    assert f"silent: {reason}" in message


def test_an_answer_of_success_is_none(collector: str, caplog: pytest.LogCaptureFixture) -> None:
    with delivering_to(f"{collector}/200") as exporter:
        assert exporter.export(MetricsData([])) is MetricExportResult.SUCCESS
    assert said(caplog) == []


@pytest.mark.parametrize("timeout", [0.2, 0.7])
def test_a_refused_connection_is_the_reason_however_short_the_time_limit(
    timeout: float, caplog: pytest.LogCaptureFixture
) -> None:
    with delivering_to(f"http://127.0.0.1:{unused_port()}/", timeout) as exporter:
        exporter.export(MetricsData([]))
    ((_, message),) = said(caplog)
    assert message.endswith("silent: Connection refused")


def test_the_reason_is_that_of_the_export_and_not_what_was_logged_before_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("opentelemetry.exporter.otlp").warning("Overriding of something")
    exporter = AnnouncedSpanExporter(Spans(), "http://collector")
    exporter.export([])
    ((_, message),) = said(caplog)
    assert message.endswith("silent: no reason given")


@contextmanager
def delivering_to(endpoint: str, timeout: float = 0.5) -> Iterator[AnnouncedMetricExporter]:
    exporter = AnnouncedMetricExporter(
        OTLPMetricExporter(endpoint=endpoint, timeout=timeout), endpoint
    )
    yield exporter
    exporter.shutdown()
