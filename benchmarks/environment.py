"""The settings that all servers of a benchmark share, so that only the measuring differs."""

from collections.abc import Mapping

from yarl import URL

__all__ = ("SAME", "pushing_to")

SAME: Mapping[str, str] = {
    "RANDSVC_VALUE": "normal(mean=50, sd=10)",
    # None: what is compared is the work, not the waiting.
    "RANDSVC_DELAY": "constant(value=0)",
    # Contrib's default is the names of 2023, which cost more still.
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
}


def pushing_to(sink: URL) -> Mapping[str, str]:
    """Metrics go there every second, sixty times as often as by default."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": str(sink),
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }
