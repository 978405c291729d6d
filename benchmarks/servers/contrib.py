"""aiohttp with OpenTelemetry's contrib instrumentation, pushing to OTEL_EXPORTER_OTLP_ENDPOINT."""

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from benchmarks.servers import bare

__all__ = ("push",)


def push() -> None:
    """Push what is measured; the standard variables say where to and how often."""
    # The global provider: instrumenting aiohttp takes a meter_provider, and leaves it unused.
    set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))


if __name__ == "__main__":
    push()
    AioHttpServerInstrumentor().instrument()
    bare.serve(bare.make_app())
