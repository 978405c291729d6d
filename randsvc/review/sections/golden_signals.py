"""Traffic, errors, latency, saturation, and the results of probes."""

from typing import Any

import numpy as np

from randsvc.histograms.from_prometheus import parse_bound
from randsvc.review import pictures
from randsvc.review.formatting import format_change, format_count, format_share
from randsvc.review.quantiles import Quantile, compare_quantiles, find_quantile, sum_buckets
from randsvc.review.readings import SATURATION, View
from randsvc.review.section import (
    NOT_AVAILABLE,
    Section,
    Table,
    describe_ranges,
    explain_no_requests,
    list_holes,
    summarise_gauge,
)
from randsvc.telemetry.catalogue import EVENT_LOOP_LAG

__all__ = ("report_latency", "report_probes", "report_saturation", "report_traffic")

QUANTILES = (0.5, 0.9, 0.99)
SHOWN_ROUTES = 5
"""Routes whose latency is shown if no objective names them."""


def report_traffic(now: View, before: View) -> Section:
    """Requests by route, and the share that failed."""
    route_label = now.subject.route_label
    requests = now.readings.requests.only(
        lambda label: parse_bound(label.get("le", "nan")) == np.inf
    )
    by = requests.by("job", route_label)
    errors = requests.only(now.subject.is_failed).by("job", route_label)
    rows, figures, drawn, failed = [], {}, {}, {}
    for (service, route), all_ in by.items():
        count, last = now.of(all_).sum(), before.of(all_).sum()
        if not count and not last:
            continue
        bad = errors.get((service, route), np.zeros(len(all_)))
        sight = now.in_sight(service)
        seen = now.seen(service)
        rate = now.of(all_)[sight].sum() / seen if seen else 0.0
        rates = now.rates(all_, service)
        name = f"{service} {route or 'no route'}"
        figures[name] = {
            "requests": count,
            "requests_before": last,
            "errors": now.of(bad).sum(),
            "per_second": rate,
            "unseen_requests": now.of(all_)[~sight].sum(),
        }
        rows.append(
            [
                name,
                format_count(count),
                format_change(count, last),
                f"{rate:.3g}",
                f"{np.nanmax(rates):.3g}" if np.isfinite(rates).any() else NOT_AVAILABLE,
                format_share(now.of(bad).sum() / count) if count else NOT_AVAILABLE,
                format_share(before.of(bad).sum() / last) if last else NOT_AVAILABLE,
            ]
        )
        if route:
            drawn[name] = rates
            with np.errstate(invalid="ignore", divide="ignore"):
                ratios = now.of(bad) / now.of(all_)
            failed[name] = np.where(sight, ratios, np.nan)
    if not rows:
        reason = _make_sentence(explain_no_requests(now))
        return Section("traffic", "Traffic and errors", [reason], unread=reason)
    total = sum(each["requests"] for each in figures.values())
    bad_total = sum(each["errors"] for each in figures.values())
    before_total = sum(each["requests_before"] for each in figures.values())
    unseen = sum(each["unseen_requests"] for each in figures.values())
    against = (
        f" ({format_change(total, before_total)} compared with the period before)"
        if before_total
        else ""
    )
    short = (
        f"{format_count(total)} requests{against}, "
        f"of which {format_share(bad_total / total) if total else NOT_AVAILABLE} failed."
    )
    table = Table(
        "Requests by route; a response 5xx is a failure",
        ("route", "requests", "change", "requests/s", "maximum", "failed", "failed before"),
        rows,
    )
    says = [short]
    if unseen:
        says.append(
            f"{format_count(unseen)} of these requests fall into gaps of the data. A counter keeps "
            "counting while nothing scrapes it, so their number is known and their times are not. "
            "They are in every total and in no picture."
        )
    title = "Requests per second"
    return Section(
        "traffic",
        "Traffic and errors",
        says,
        [table],
        [
            pictures.draw_lines(
                title,
                f"{title} by route. {describe_ranges(drawn, 'requests/s')}",
                now.windows,
                drawn,
                unit="requests/s",
                holes=list_holes(now),
            ),
            pictures.draw_lines(
                "Share of requests that failed",
                f"The share of 5xx responses by route. {describe_ranges(failed, '', percent=True)}",
                now.windows,
                failed,
                unit="failed",
                holes=list_holes(now),
                percent=True,
            ),
        ],
        figures,
        short,
    )


def report_latency(now: View, before: View) -> Section:
    """Quantiles of the latency of successful requests."""
    rows: list[list[str]] = []
    figures, drawn = {}, []
    found: dict[str, list[Quantile]] = {}
    for service, route in _list_routes(now):
        served = now.readings.requests.only(
            lambda label, job=service, path=route: (
                label.get("job") == job  # type: ignore[misc]
                and label.get(now.subject.route_label) == path
                and not now.subject.is_failed(label)
            ),
        )
        bounds, rising = sum_buckets(served)
        if not len(bounds) or not now.of(rising)[-1].sum():
            continue
        name = f"{service} {route}"
        this = [find_quantile(q, bounds, now.of(rising).sum(axis=1)) for q in QUANTILES]
        last = [find_quantile(q, bounds, before.of(rising).sum(axis=1)) for q in QUANTILES]
        found[name] = this
        figures[name] = {
            f"p{q * 100:g}": {"value": a.value, "low": a.low, "high": a.high, "before": b.value}
            for q, a, b in zip(QUANTILES, this, last, strict=True)
        }
        for q, a, b in zip(QUANTILES, this, last, strict=True):
            within = f"{a.low:g} to {a.high:g} s" if np.isfinite(a.high) else "no bucket"
            rows.append([f"{name}, {q:.0%}", a.text, within, b.text, compare_quantiles(a, b)])
        lines = {
            f"{q:.0%}": np.array(
                [
                    (find_quantile(q, bounds, column).value or np.nan) if seen else np.nan
                    for column, seen in zip(now.of(rising).T, now.in_sight(service), strict=True)
                ]
            )
            for q in QUANTILES
        }
        limits = {
            f"objective: {each.within:g} s": each.within
            for each in now.subject.objectives
            if each.job == service and each.route in (None, route) and each.within
        }
        drawn.append(
            pictures.draw_lines(
                f"Latency of {route}",
                f"Quantiles of the latency of {route}. {describe_ranges(lines, 's')}",
                now.windows,
                lines,
                unit="seconds",
                holes=now.unseen(service),
                limits=limits,
                logarithmic=True,
            )
        )
    if not rows:
        reason = _make_sentence(explain_no_requests(now))
        return Section("latency", "Latency", [reason], unread=reason)
    first, (half, _, most) = next(iter(found.items()))
    short = f"The median latency of {first} was {half.at_most}, and its p99 was {most.at_most}."
    table = Table(
        "Latency without 5xx responses",
        ("quantile", "latency", "bucket", "before", "change"),
        rows,
    )
    says = [
        short,
        "A quantile lies between the bounds of its bucket. The value is interpolated within the "
        "bucket, like that of histogram_quantile.",
    ]
    return Section("latency", "Latency", says, [table], drawn, figures, short)


def _list_routes(view: View) -> list[tuple[str, str]]:
    """Services and routes whose latency is shown: those of objectives, then those most requested.

    Where every objective names its route, those are all.
    """
    stated = view.subject.objectives
    named = [(each.job, each.route) for each in stated if each.route]
    if stated and len(named) == len(stated):
        return list(dict.fromkeys(named))
    requests = view.readings.requests.only(
        lambda label: parse_bound(label.get("le", "nan")) == np.inf
    )
    counted = {
        (job, route): view.of(count).sum()
        for (job, route), count in requests.by("job", view.subject.route_label).items()
        if route
    }
    busiest = sorted(counted, key=lambda each: -counted[each])[:SHOWN_ROUTES]
    return list(dict.fromkeys([*named, *busiest]))


def _make_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def report_saturation(now: View, before: View) -> Section:
    """How close the service came to its limits."""
    samples = now.readings.saturation
    bounds, rising = sum_buckets(now.readings.lag)
    says, rows, drawn = [], [], []
    figures: dict[str, Any] = {}
    for service in now.subject.jobs:
        key = frozenset({("job", service)})
        mean, greatest = summarise_gauge(now, samples, key)
        if mean is None or greatest is None:
            continue
        mean_before, greatest_before = summarise_gauge(before, samples, key)
        figures[service] = {"mean": mean, "greatest": greatest, "headroom": 1 - greatest}
        rows.append(
            [
                f"{service}: concurrent requests, share of the limit",
                format_share(mean, digits=1),
                format_share(greatest, digits=1),
                format_share(1 - greatest, digits=1),
                f"{format_share(mean_before, digits=1)}, "
                f"maximum {format_share(greatest_before, digits=1)}",
            ]
        )
        # Otherwise the sample that ends a gap would be drawn in the gap.
        greatest_by_window = now.of(samples.greatest[key])
        drawn.append((service, np.where(now.in_sight(service), greatest_by_window, np.nan)))
    short = ""
    if rows:
        worst = max(figures, key=lambda name: figures[name]["greatest"])
        short = (
            f"At its busiest sample {worst} used "
            f"{format_share(figures[worst]['greatest'], digits=1)} of its concurrency limit."
        )
        says += [
            short,
            "Headroom is the unused share of the limit. A short peak between two samples may have "
            "been higher. Requests that were turned away are among the failed requests.",
        ]
    else:
        says.append(f"Prometheus has no series {SATURATION}, which the rules of randsvc record.")
    tables = []
    if rows:
        tables.append(
            Table(
                "Saturation",
                ("resource", "mean", "maximum", "headroom", "before"),
                rows,
            )
        )
    if len(bounds) and now.of(rising)[-1].sum():
        late = find_quantile(0.99, bounds, now.of(rising).sum(axis=1))
        late_before = find_quantile(0.99, bounds, before.of(rising).sum(axis=1))
        figures["event_loop_lag_p99"] = {"value": late.value, "before": late_before.value}
        says.append(
            f"The p99 of the event loop lag of {now.subject.main_job} was "
            f"{late.text} (before: {late_before.text})."
        )
    else:
        name = f"{EVENT_LOOP_LAG.prometheus_name}_bucket"
        says.append(f"Prometheus has no series {name} of job {now.subject.main_job}.")
    picture = [
        pictures.draw_lines(
            "Maximum of concurrent requests, share of the limit",
            "The largest share of the concurrency limit that was in use. "
            + describe_ranges(dict(drawn), "", percent=True),
            now.windows,
            dict(drawn),
            unit="of the limit",
            holes=list_holes(now),
            percent=True,
        )
    ]
    return Section(
        "saturation",
        "Saturation",
        says,
        tables,
        picture if drawn else [],
        figures,
        short,
        "" if figures else " ".join(says),
    )


def report_probes(now: View, before: View) -> Section:
    """The results of the probes, which send requests like users."""
    samples = now.readings.probes
    rows, figures, drawn = [], {}, {}
    for service in now.subject.jobs:
        key = frozenset({("service", service)})
        good, _ = summarise_gauge(now, samples, key)
        if good is None:
            continue
        good_before, _ = summarise_gauge(before, samples, key)
        probes = np.nansum(now.of(samples.samples[key]))
        figures[service] = {"succeeded": good, "probes": probes, "before": good_before}
        rows.append([service, format_share(good), format_count(probes), format_share(good_before)])
        with np.errstate(invalid="ignore"):
            ratios = now.of(samples.total[key]) / now.of(samples.samples[key])
        drawn[service] = np.where(now.recorded(), ratios, np.nan)
    if not rows:
        services = " or ".join(now.subject.jobs)
        reason = f'Prometheus has no series probe_success{{job="blackbox"}} of service {services}.'
        return Section("outside", "Seen from outside", [reason], unread=reason)
    short = "Probes from outside succeeded: " + ", ".join(
        f"{service} {format_share(each['succeeded'])}" for service, each in figures.items()
    )
    return Section(
        "outside",
        "Seen from outside",
        [
            f"{short}.",
            "A service that is down counts no requests. Only the probes show that it is down.",
        ],
        [Table("Probes", ("service", "succeeded", "probes", "before"), rows)],
        [
            pictures.draw_lines(
                "Share of successful probes",
                f"By service. {describe_ranges(drawn, '', percent=True)}",
                now.windows,
                drawn,
                unit="succeeded",
                holes=now.unrecorded,
                percent=True,
            )
        ],
        figures,
        f"{short}.",
    )
