"""Reads a page of metrics as Prometheus does: it decides by the Content-Type how to parse."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from randsvc.course.exercise import WorkError

__all__ = ("ACCEPT", "Labels", "Scrape", "read_page")

ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
"""What Prometheus 3 accepts by default.
https://prometheus.io/docs/instrumenting/content_negotiation/"""
_PARSERS: Mapping[str, Callable[[str], Iterable[Metric]]] = {
    "text/plain": text_string_to_metric_families,
    "application/openmetrics-text": openmetrics.text_string_to_metric_families,
}

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Scrape:
    """One scrape of /metrics: the type of each family, and the samples of each name."""

    types: Mapping[str, str]
    samples: Mapping[str, Sequence[tuple[Labels, float]]]

    def of(self, name: str) -> list[tuple[Labels, float]]:
        """Return the samples of a name, without those about /metrics itself."""
        return [
            (labels, value)
            for labels, value in self.samples.get(name, ())
            if not any(value.startswith("/metrics") for value in labels.values())
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels."""
        return sum(value for found, value in self.of(name) if labels.items() <= found.items())

    def type_of(self, name: str) -> str:
        """Return the type of a metric; empty if it does not exist."""
        # The parser drops _total from the family name of a counter.
        return self.types.get(name) or self.types.get(name.removesuffix("_total"), "")


def read_page(content_type: str, body: str) -> Scrape:
    """Parse a page; raises ``WorkError`` if Prometheus would refuse it.

    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    message = Message()
    message["Content-Type"] = content_type
    kind = message.get_content_type() if content_type.count("/") == 1 else ""
    if kind not in _PARSERS:
        raise WorkError(
            f"GET /metrics has the Content-Type {content_type or 'of no type'}, for which "
            "Prometheus refuses the page: send prometheus_client.CONTENT_TYPE_LATEST"
        )
    try:
        families = list(_PARSERS[kind](body))
    except (ValueError, KeyError, IndexError) as error:
        said = "OpenMetrics" if "openmetrics" in kind else "Prometheus text"
        raise WorkError(f"GET /metrics is not in the {said} format: {error}") from error
    samples: dict[str, list[tuple[Labels, float]]] = {}
    for family in families:
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return Scrape({family.name: family.type for family in families}, samples)
