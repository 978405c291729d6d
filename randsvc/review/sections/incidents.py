"""What broke, how soon it was seen, and for how long it lasted."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from randsvc.levels import LEVELS
from randsvc.review import pictures
from randsvc.review.incidents import Incident
from randsvc.review.readings import View
from randsvc.review.section import NONE, Section, Table
from randsvc.review.words import lasting
from randsvc.times import format_time

__all__ = ("incidents",)


def incidents(now: View, before: View) -> Section:
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
            "seconds_to_detect": {"median": _median(detect), "longest": max(detect, default=None)},
            "seconds_to_clear": {"median": _median(clear), "longest": max(clear, default=None)},
        }
        rows.append(
            [
                level,
                str(len(these)),
                str(figures[level]["number_before"]),
                *_median_and_longest(detect),
                *_median_and_longest(clear),
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
                [_incident_row(each) for each in found],
                words=True,
            )
        )
    if not found and not now.readings.alerting:
        reason = (
            "Incidents are not known: Prometheus has no alerting rules, and recorded no alert in "
            "this period."
        )
        return Section("incidents", "Incidents", [reason], figures={}, short=reason, unread=reason)
    counted = ", ".join(f"{figures[level]['number']} {level}" for level in LEVELS)
    short = f"Incidents: {counted}." if found else "No alert with a level fired."
    going_on = [
        each for each in now.readings.incidents if each.span.start < now.span.start < each.span.end
    ]
    says = [
        short,
        "An incident is one alert at one level, from its first sample to its last; interruptions "
        f"shorter than {lasting(now.readings.bin_)} do not end it. Trouble begins when the fault "
        "was switched on that caused it, where one was, or else when the alert's condition first "
        "held (pending); where neither is recorded, the time to detect is not known.",
    ]
    if now.readings.unclassified:
        says.append(
            "Alerts also fired whose labels give no level, neither level nor severity: "
            + ", ".join(now.readings.unclassified)
            + "."
        )
    if going_on:
        says.append(
            f"{len(going_on)} more began before the period and went on into it: "
            + ", ".join(f"{each.alert} ({each.level})" for each in going_on)
            + "."
        )
    shown = {level: [each.span for each in found if each.level == level] for level in LEVELS}
    drawn = [
        pictures.bands(
            "Incidents",
            f"When alerts of each level fired. {short}",
            now.span,
            shown,
            now.unrecorded,
        )
    ]
    figures["each"] = [_incident_figures(each) for each in found]  # type: ignore[assignment]
    return Section("incidents", "Incidents", says, tables, drawn if found else [], figures, short)


def _incident_row(each: Incident) -> list[str]:
    since = f", since the fault {each.fault}" if each.fault else ""
    detect = "not known" if each.to_detect is None else f"{lasting(each.to_detect)}{since}"
    clear = lasting(each.to_clear) if each.to_clear is not None else "its end was not seen"
    return [each.alert, each.level, each.service, format_time(each.span.start), detect, clear]


def _incident_figures(each: Incident) -> dict[str, Any]:
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


def _median(numbers: Sequence[float]) -> float | None:
    return median(numbers) if numbers else None


def _median_and_longest(durations: Sequence[float]) -> tuple[str, str]:
    if not durations:
        return NONE, NONE
    return lasting(median(durations)), lasting(max(durations))
