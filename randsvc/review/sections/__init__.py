"""The sections of a review: each is a function of the period and of the period before.

To add one, write such a function and put it into ``SECTIONS``. Where Prometheus has no series for
it, ``unread`` says so in one sentence.
"""

from collections.abc import Callable

from randsvc.review.readings import View
from randsvc.review.section import Section
from randsvc.review.sections.coverage import coverage
from randsvc.review.sections.golden_signals import latency, outside, saturation, traffic
from randsvc.review.sections.incidents import incidents
from randsvc.review.sections.model import drift, fallback, quality
from randsvc.review.sections.objectives import objectives

__all__ = ("SECTIONS", "build_sections")

SECTIONS: tuple[Callable[[View, View], Section], ...] = (
    objectives,
    incidents,
    traffic,
    latency,
    saturation,
    outside,
    fallback,
    drift,
    quality,
    coverage,
)


def build_sections(now: View, before: View) -> list[Section]:
    """Build every section."""
    return [section(now, before) for section in SECTIONS]
