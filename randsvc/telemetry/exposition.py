"""The SDK's metrics as Prometheus text, or as OpenMetrics, which has start times too.

The SDK's own exporter makes an object of each line and takes 50 ms for 200 histogram series, all of
it under the interpreter's lock: every scrape was a stall that users felt. This takes 3 ms.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    Sum,
)

from .catalogue import prometheus_name

__all__ = ("OPEN_METRICS", "TEXT", "merge", "negotiate", "render")

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""The header that the text goes with; Prometheus 3 takes it under no other."""
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_END = "# EOF\n"
"""The last line of OpenMetrics."""


def negotiate(accept: str) -> str:
    """The content type for a client that accepts these: OpenMetrics where it asks for it."""
    return OPEN_METRICS if OPEN_METRICS.partition(";")[0] in accept else TEXT


def render(data: MetricsData, content_type: str = TEXT) -> bytes:
    """The text of all sums, gauges and explicit histograms; it has no form for exponential ones.

    OpenMetrics adds to each counter and histogram the time of its start, so that Prometheus with
    the feature ``created-timestamp-zero-ingestion`` counts from 0 what a new series begins with.

    The resource becomes ``target_info``; the instrumentation scope is left out, as an upgrade of a
    library would end every series and begin a new one.
    https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
    """
    lines: list[str] = []
    open_metrics = content_type == OPEN_METRICS
    for resource in data.resource_metrics:
        lines += (
            "# HELP target_info Target metadata",
            "# TYPE target_info gauge",
            f"target_info{{{_format_labels(resource.resource.attributes)}}} 1",
        )
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                lines += _format_family(metric, open_metrics=open_metrics)
    text = "\n".join([*lines, _END if open_metrics else ""])
    # A lone surrogate, which an attribute may contain, has no UTF-8.
    return text.encode(errors="replace")


def merge(texts: Mapping[str, bytes], label: str, content_type: str = TEXT) -> bytes:
    """One text of what ``render`` gave in several processes, each with its key as ``label``.

    A family stands once, with the samples of all processes after each other, as the format demands.
    """
    families: dict[str, list[str]] = {}
    for value, text in texts.items():
        first = f'{{{label}="{_escape(value)}"'
        each = text.decode().removesuffix(_END)
        for family in each.split("\n# HELP ") if each else ():
            # Not splitlines: a label's value may have what that takes for the end of a line.
            head, kind, *samples = family.removeprefix("# HELP ").rstrip("\n").split("\n")
            lines = families.setdefault(f"# HELP {head}\n{kind}", [])
            for sample in samples:
                name, labels = sample.split("{", 1)
                lines.append(f"{name}{first}{'' if labels[0] == '}' else ','}{labels}")
    merged = "\n".join([*("\n".join((head, *lines)) for head, lines in families.items()), ""])
    return (merged + _END if content_type == OPEN_METRICS else merged).encode()


def _format_family(metric: Metric, *, open_metrics: bool) -> Iterator[str]:
    data = metric.data
    if not isinstance(data, Sum | Gauge | Histogram):
        return
    monotonic = isinstance(data, Sum) and data.is_monotonic
    name = prometheus_name(metric.name, metric.unit or "", monotonic=monotonic)
    kind = "histogram" if isinstance(data, Histogram) else "counter" if monotonic else "gauge"
    text = (metric.description or "").replace("\\", r"\\").replace("\n", r"\n")
    family = name.removesuffix("_total") if open_metrics else name
    yield f"# HELP {family} {text}"
    yield f"# TYPE {family} {kind}"
    for point in data.data_points:
        labels = _format_labels(point.attributes or {})
        if isinstance(point, HistogramDataPoint):
            yield from _format_histogram(name, labels, point)
        else:
            yield f"{name}{{{labels}}} {point.value}"
        if open_metrics and kind != "gauge" and point.start_time_unix_nano:
            yield f"{family}_created{{{labels}}} {point.start_time_unix_nano / 1e9:.3f}"


def _format_histogram(name: str, labels: str, point: HistogramDataPoint) -> Iterator[str]:
    start = f"{name}_bucket{{{labels}{',' if labels else ''}le="
    upto = 0
    for bound, count in zip(
        _format_bounds(tuple(point.explicit_bounds)), point.bucket_counts, strict=True
    ):
        upto += count
        yield f"{start}{bound}{upto}"
    yield f"{name}_count{{{labels}}} {point.count}"
    yield f"{name}_sum{{{labels}}} {point.sum}"


@lru_cache
def _format_bounds(bounds: Sequence[float]) -> tuple[str, ...]:
    return tuple(f'"{bound}"}} ' for bound in (*map(float, bounds), "+Inf"))


def _format_labels(attributes: Mapping[str, Any]) -> str:
    values = {_format_label_name(key): value for key, value in attributes.items()}
    if len(values) < len(attributes):
        # Names that are equal as labels share one label, as two would make the whole scrape fail.
        values = {}
        for key, value in sorted(attributes.items()):
            name = _format_label_name(key)
            values[name] = f"{values[name]};{value}" if name in values else value
    return ",".join(f'{name}="{_escape(value)}"' for name, value in values.items())


@lru_cache
def _format_label_name(key: str) -> str:
    # One name that is none, or that Prometheus uses, would make the whole scrape fail.
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in key) or "_"
    if name == "le":
        return "exported_le"
    if name.startswith("__"):
        return f"_{name.lstrip('_')}"
    return f"_{name}" if name[0].isdigit() else name


def _escape(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
