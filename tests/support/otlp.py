"""A Collector's OTLP/HTTP receiver that takes, refuses or never answers, and counts."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

Behaviour = Literal["up", "refusing", "hanging"]


class Receiver:
    """Where to send to, and what came: the requests of each instance, and the export requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.paths: list[str] = []
        self.traced: set[str] = set()
        """The instances that sent spans."""
        self.traces: set[str] = set()
        """The trace ids of the spans that came."""
        self.logs: list[tuple[dict[str, str], str, LogRecord]] = []
        """The log records that came, each with its resource and its logger."""
        self.status = 200
        """What it answers; it takes nothing with another status."""
        self.sums: dict[str, dict[str, float]] = {}
        """The last sum of each metric, over its series, by instance and name."""
        self._requests: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """Requests that all instances together have measured."""
        with self._lock:
            return sum(self._requests.values())

    def take(self, path: str, body: bytes) -> None:
        with self._lock:
            self.paths.append(path)
            if self.status != 200:
                return
            if path == "/v1/logs":
                for of_resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                    about = {a.key: a.value.string_value for a in of_resource.resource.attributes}
                    self.logs += [
                        (about, scope.scope.name, record)
                        for scope in of_resource.scope_logs
                        for record in scope.log_records
                    ]
            if path == "/v1/traces":
                for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                    attributes = {a.key: a.value.string_value for a in spans.resource.attributes}
                    self.traced.add(attributes["service.instance.id"])
                    self.traces |= {
                        span.trace_id.hex() for scope in spans.scope_spans for span in scope.spans
                    }
            if path != "/v1/metrics":
                return
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
                sums = self.sums.setdefault(attributes["service.instance.id"], {})
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.HasField("sum"):
                            sums[metric.name] = sum(
                                point.as_int + point.as_double for point in metric.sum.data_points
                            )
                        if metric.name == "http.server.request.duration":
                            self._requests[attributes["service.instance.id"]] = sum(
                                point.count for point in metric.histogram.data_points
                            )


@contextlib.contextmanager
def otlp_receiver(behaviour: Behaviour) -> Iterator[Receiver]:
    if behaviour == "up":
        with _taking() as receiver:
            yield receiver
        return
    with socket.socket() as listener:
        # Bound, so that nobody else gets the port. Only one that listens accepts.
        listener.bind(("127.0.0.1", 0))
        if behaviour == "hanging":
            listener.listen(100)
        yield Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}")


@contextlib.contextmanager
def _taking() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        # Every 0.01 s it looks whether to end: each test would wait for the default, 0.5 s.
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield receiver
        server.shutdown()
