"""The sections of a review: each is a function of the period and of the period before.

To add one, write such a function and put it into ``SECTIONS``. Where Prometheus has no series for
it, ``unread`` says so in one sentence.
"""

from collections.abc import Callable

from randsvc.review.readings import View
from randsvc.review.section import Section
from randsvc.review.sections.coverage import report_coverage
from randsvc.review.sections.golden_signals import (
    report_latency,
    report_probes,
    report_saturation,
    report_traffic,
)
from randsvc.review.sections.incidents import report_incidents
from randsvc.review.sections.model import report_drift, report_fallback, report_quality
from randsvc.review.sections.objectives import report_objectives

__all__ = ("SECTIONS", "build_sections")

SECTIONS: tuple[Callable[[View, View], Section], ...] = (
    report_objectives,
    report_incidents,
    report_traffic,
    report_latency,
    report_saturation,
    report_probes,
    report_fallback,
    report_drift,
    report_quality,
    report_coverage,
)


def build_sections(now: View, before: View) -> list[Section]:
    """Build every section."""
    return [section(now, before) for section in SECTIONS]
