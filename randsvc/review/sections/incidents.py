"""Incidents, with the times to detect and to clear them."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from randsvc.levels import LEVELS
from randsvc.review import pictures
from randsvc.review.formatting import format_duration
from randsvc.review.incidents import Incident
from randsvc.review.readings import View
from randsvc.review.section import NOT_AVAILABLE, Section, Table
from randsvc.review.spans import measure_overlap
from randsvc.times import format_time

__all__ = ("report_incidents",)


def report_incidents(now: View, before: View) -> Section:
    """Alerts by level, with the time to detect and to clear."""
    found, earlier = now.incidents, before.incidents
    rows, figures = [], {}
    for level in LEVELS:
        these = [each for each in found if each.level == level]
        detect = [each.to_detect for each in these if each.to_detect is not None]
        clear = [each.to_clear for each in these if each.to_clear is not None]
        figures[level] = {
            "number": len(these),
            "number_before": sum(each.level == level for each in earlier),
            "seconds_to_detect": {
                "median": _compute_median(detect),
                "longest": max(detect, default=None),
            },
            "seconds_to_clear": {
                "median": _compute_median(clear),
                "longest": max(clear, default=None),
            },
        }
        rows.append(
            [
                level,
                str(len(these)),
                str(figures[level]["number_before"]),
                *_describe_durations(detect),
                *_describe_durations(clear),
            ]
        )
    by_level = Table(
        "Incidents that began in the period, by level",
        (
            "level",
            "number",
            "before",
            "time to detect, median",
            "longest",
            "time to clear, median",
            "longest",
        ),
        rows,
    )
    tables = [by_level]
    if found:
        tables.append(
            Table(
                "Each incident",
                ("alert", "level", "service", "detected", "time to detect", "time to clear"),
                [_make_row(each) for each in found],
                words=True,
            )
        )
    if reason := "" if found else _list_unknown(now):
        return Section("incidents", "Incidents", [reason], figures={}, short=reason, unread=reason)
    counted = ", ".join(f"{figures[level]['number']} {level}" for level in LEVELS)
    short = f"Incidents: {counted}." if found else "No alert with a level fired."
    going_on = [
        each for each in now.readings.incidents if each.span.start < now.span.start < each.span.end
    ]
    says = [
        short,
        "An incident is one alert at one level, from its first sample to its last. An interruption "
        f"shorter than {format_duration(now.readings.bin_)} does not end it. The time to detect "
        "starts when a fault of the service was switched on, otherwise when the alert was first "
        "pending. Without either it is not known.",
    ]
    if now.readings.unclassified:
        says.append(
            "These alerts fired too, but have no label level or severity that is known: "
            + ", ".join(now.readings.unclassified)
            + "."
        )
    if going_on:
        says.append(
            f"{len(going_on)} more had begun before the period and continued in it: "
            + ", ".join(f"{each.alert} ({each.level})" for each in going_on)
            + "."
        )
    shown = {level: [each.span for each in found if each.level == level] for level in LEVELS}
    drawn = [
        pictures.draw_bands(
            "Incidents",
            f"When alerts of each level fired. {short}",
            now.span,
            shown,
            now.unrecorded,
        )
    ]
    figures["each"] = [_make_figures(each) for each in found]  # type: ignore[assignment]
    return Section("incidents", "Incidents", says, tables, drawn if found else [], figures, short)


def _list_unknown(now: View) -> str:
    """Why the incidents are not known; empty if they are."""
    if measure_overlap(now.span, now.unrecorded) > 0.999 * now.span.seconds:
        return "Incidents are not known: Prometheus has no data of this period."
    if not now.readings.alerting:
        return (
            "Incidents are not known: Prometheus has no alerting rules, and recorded no alert in "
            "this period."
        )
    return ""


def _make_row(each: Incident) -> list[str]:
    since = f" after fault {each.fault}" if each.fault else ""
    detect = "not known" if each.to_detect is None else f"{format_duration(each.to_detect)}{since}"
    clear = format_duration(each.to_clear) if each.to_clear is not None else "end not seen"
    return [each.alert, each.level, each.service, format_time(each.span.start), detect, clear]


def _make_figures(each: Incident) -> dict[str, Any]:
    return {
        "alert": each.alert,
        "level": each.level,
        "service": each.service,
        "start": each.span.start,
        "end": each.span.end,
        "fault": each.fault,
        "seconds_to_detect": each.to_detect,
        "seconds_to_clear": each.to_clear,
    }


def _compute_median(numbers: Sequence[float]) -> float | None:
    return median(numbers) if numbers else None


def _describe_durations(durations: Sequence[float]) -> tuple[str, str]:
    if not durations:
        return NOT_AVAILABLE, NOT_AVAILABLE
    return format_duration(median(durations)), format_duration(max(durations))
