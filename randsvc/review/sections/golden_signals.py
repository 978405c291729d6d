"""Traffic, errors, latency and saturation, and what probes saw."""

from typing import Any

import numpy as np

from randsvc.histograms.from_prometheus import parse_bound
from randsvc.review import pictures
from randsvc.review.quantiles import Quantile, buckets, longer, quantile
from randsvc.review.readings import SATURATION, View
from randsvc.review.section import NONE, Section, Table, gauge, holes, no_requests, ranges
from randsvc.review.words import change, number, seconds, share
from randsvc.telemetry.catalogue import EVENT_LOOP_LAG

__all__ = ("latency", "outside", "saturation", "traffic")

QUANTILES = (0.5, 0.9, 0.99)
SHOWN_ROUTES = 5
"""Routes whose latency is shown if no objective names them."""


def traffic(now: View, before: View) -> Section:
    """Requests by route, and how many failed."""
    route_label = now.subject.route_label
    requests = now.readings.requests.only(
        lambda label: parse_bound(label.get("le", "nan")) == np.inf
    )
    by = requests.by("job", route_label)
    errors = requests.only(now.is_failed).by("job", route_label)
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
                number(count),
                change(count, last),
                f"{rate:.3g}",
                f"{np.nanmax(rates):.3g}" if np.isfinite(rates).any() else NONE,
                share(now.of(bad).sum() / count) if count else NONE,
                share(before.of(bad).sum() / last) if last else NONE,
            ]
        )
        if route:
            drawn[name] = rates
            with np.errstate(invalid="ignore", divide="ignore"):
                ratios = now.of(bad) / now.of(all_)
            failed[name] = np.where(sight, ratios, np.nan)
    if not rows:
        reason = _sentence(no_requests(now))
        return Section("traffic", "Traffic and errors", [reason], unread=reason)
    total = sum(each["requests"] for each in figures.values())
    bad_total = sum(each["errors"] for each in figures.values())
    before_total = sum(each["requests_before"] for each in figures.values())
    unseen = sum(each["unseen_requests"] for each in figures.values())
    against = f" ({change(total, before_total)} against the period before)" if before_total else ""
    short = (
        f"{number(total)} requests{against}, "
        f"of which {share(bad_total / total) if total else NONE} failed."
    )
    table = Table(
        "Requests by route; failed are those answered 5xx",
        ("route", "requests", "change", "each second", "at most", "failed", "failed before"),
        rows,
    )
    says = [short]
    if unseen:
        says.append(
            f"{number(unseen)} of them were counted while nothing was recorded: a counter goes on "
            "while nobody reads it, so they are known in number, but not in time. They are in "
            "every total, and in no picture."
        )
    title = "Requests each second"
    return Section(
        "traffic",
        "Traffic and errors",
        says,
        [table],
        [
            pictures.lines(
                title,
                f"{title} by route. {ranges(drawn, 'requests/s')}",
                now.windows,
                drawn,
                unit="requests/s",
                holes=holes(now),
            ),
            pictures.lines(
                "Share of requests that failed",
                f"The share answered 5xx, by route. {ranges(failed, '', percent=True)}",
                now.windows,
                failed,
                unit="failed",
                holes=holes(now),
                percent=True,
            ),
        ],
        figures,
        short,
    )


def latency(now: View, before: View) -> Section:
    """Quantiles of the time that answers took."""
    rows: list[list[str]] = []
    figures, drawn = {}, []
    found: dict[str, list[Quantile]] = {}
    for service, route in _routes(now):
        served = now.readings.requests.only(
            lambda label, job=service, path=route: (
                label.get("job") == job  # type: ignore[misc]
                and label.get(now.subject.route_label) == path
                and not now.is_failed(label)
            ),
        )
        bounds, rising = buckets(served)
        if not len(bounds) or not now.of(rising)[-1].sum():
            continue
        name = f"{service} {route}"
        this = [quantile(q, bounds, now.of(rising).sum(axis=1)) for q in QUANTILES]
        last = [quantile(q, bounds, before.of(rising).sum(axis=1)) for q in QUANTILES]
        found[name] = this
        figures[name] = {
            f"p{q * 100:g}": {"value": a.value, "low": a.low, "high": a.high, "before": b.value}
            for q, a, b in zip(QUANTILES, this, last, strict=True)
        }
        for q, a, b in zip(QUANTILES, this, last, strict=True):
            within = f"{a.low:g} to {a.high:g} s" if np.isfinite(a.high) else "no bucket"
            rows.append([f"{name}, {q:.0%}", a.told, within, b.told, longer(a, b)])
        lines = {
            f"{q:.0%}": np.array(
                [
                    (quantile(q, bounds, column).value or np.nan) if seen else np.nan
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
            pictures.lines(
                f"Time that {route} took",
                f"Quantiles of the time of answers of {route}. {ranges(lines, 's')}",
                now.windows,
                lines,
                unit="seconds",
                holes=now.unseen(service),
                limits=limits,
                logarithmic=True,
            )
        )
    if not rows:
        reason = _sentence(no_requests(now))
        return Section("latency", "Latency", [reason], unread=reason)
    first, (half, _, most) = next(iter(found.items()))
    short = f"Half of the answers of {first} took {half.at_most}, 99% {most.at_most}."
    table = Table(
        "So many of the answers took no longer; 5xx are left out",
        ("share of answers", "took at most", "which lies in", "before", "change"),
        rows,
    )
    says = [
        short,
        "Buckets tell between which bounds a quantile lies; within them it is interpolated, as "
        "histogram_quantile does.",
    ]
    return Section("latency", "Latency", says, [table], drawn, figures, short)


def _routes(view: View) -> list[tuple[str, str]]:
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


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def saturation(now: View, before: View) -> Section:
    """How near to its limits the service came."""
    samples = now.readings.saturation
    bounds, rising = buckets(now.readings.lag)
    says, rows, drawn = [], [], []
    figures: dict[str, Any] = {}
    for service in now.subject.jobs:
        key = frozenset({("job", service)})
        mean, greatest = gauge(now, samples, key)
        if mean is None or greatest is None:
            continue
        mean_before, greatest_before = gauge(before, samples, key)
        figures[service] = {"mean": mean, "greatest": greatest, "headroom": 1 - greatest}
        rows.append(
            [
                f"{service}: concurrent requests, of the limit",
                share(mean, digits=1),
                share(greatest, digits=1),
                share(1 - greatest, digits=1),
                f"{share(mean_before, digits=1)}, at most {share(greatest_before, digits=1)}",
            ]
        )
        # The sample that ends a gap would else be drawn in it.
        greatest_by_window = now.of(samples.greatest[key])
        drawn.append((service, np.where(now.in_sight(service), greatest_by_window, np.nan)))
    short = ""
    if rows:
        worst = max(figures, key=lambda name: figures[name]["greatest"])
        short = (
            f"At its busiest sample {worst} used {share(figures[worst]['greatest'], digits=1)} of "
            "the concurrent requests that are allowed."
        )
        says += [
            short,
            "What is not used is the headroom. Samples are taken now and then, so a shorter peak "
            "may have been higher; what was turned away is among the failed requests.",
        ]
    else:
        says.append(f"Prometheus has no series {SATURATION}, which the rules of randsvc record.")
    tables = []
    if rows:
        tables.append(
            Table(
                "Saturation",
                ("of what", "mean", "at most", "headroom", "before"),
                rows,
            )
        )
    if len(bounds) and now.of(rising)[-1].sum():
        late = quantile(0.99, bounds, now.of(rising).sum(axis=1))
        late_before = quantile(0.99, bounds, before.of(rising).sum(axis=1))
        figures["event_loop_lag_p99"] = {"value": late.value, "before": late_before.value}
        says.append(
            f"99% of the timers of {now.subject.main_job} were late by {seconds(late.value)} or "
            f"less (before: {seconds(late_before.value)})."
        )
    else:
        name = f"{EVENT_LOOP_LAG.prometheus_name}_bucket"
        says.append(f"Prometheus has no series {name} of job {now.subject.main_job}.")
    picture = [
        pictures.lines(
            "Concurrent requests at most, of the limit",
            "The greatest share of the allowed concurrent requests that was under way. "
            + ranges(dict(drawn), "", percent=True),
            now.windows,
            dict(drawn),
            unit="of the limit",
            holes=holes(now),
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


def outside(now: View, before: View) -> Section:
    """What probes saw, which ask as users do."""
    samples = now.readings.probes
    rows, figures, drawn = [], {}, {}
    for service in now.subject.jobs:
        key = frozenset({("service", service)})
        good, _ = gauge(now, samples, key)
        if good is None:
            continue
        good_before, _ = gauge(before, samples, key)
        probes = np.nansum(now.of(samples.samples[key]))
        figures[service] = {"succeeded": good, "probes": probes, "before": good_before}
        rows.append([service, share(good), number(probes), share(good_before)])
        with np.errstate(invalid="ignore"):
            ratios = now.of(samples.total[key]) / now.of(samples.samples[key])
        drawn[service] = np.where(now.recorded(), ratios, np.nan)
    if not rows:
        services = " or ".join(now.subject.jobs)
        reason = f'Prometheus has no series probe_success{{job="blackbox"}} of service {services}.'
        return Section("outside", "Seen from outside", [reason], unread=reason)
    short = "Probes from outside succeeded: " + ", ".join(
        f"{service} {share(each['succeeded'])}" for service, each in figures.items()
    )
    return Section(
        "outside",
        "Seen from outside",
        [
            f"{short}.",
            "A service that is down counts no request, so only this tells of it.",
        ],
        [Table("Probes", ("service", "succeeded", "probes", "before"), rows)],
        [
            pictures.lines(
                "Share of probes that succeeded",
                f"By service. {ranges(drawn, '', percent=True)}",
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
