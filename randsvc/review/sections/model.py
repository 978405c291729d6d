"""Fallback, drift of the values, and the error of the predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from randsvc.histograms.binned import EMPTY, Binned, merge
from randsvc.metrics import FEEDBACK, FEEDBACK_ABSOLUTE_ERROR, PREDICTIONS, VALUE
from randsvc.review import pictures
from randsvc.review.counts import Values
from randsvc.review.formatting import format_count, format_share
from randsvc.review.readings import Mean, View
from randsvc.review.section import NOT_AVAILABLE, Section, Table, describe_ranges, summarise_gauge

__all__ = ("report_drift", "report_fallback", "report_quality")


def report_fallback(now: View, before: View) -> Section:
    """The share of predictions that the fallback made."""
    predictions = now.readings.predictions
    total = predictions.where(lambda _: True)
    stood_in = predictions.where(lambda label: label.get("randsvc_source") == "fallback")
    count, last = now.of(total).sum(), before.of(total).sum()
    if not count:
        name = PREDICTIONS.prometheus_name
        reason = f"Prometheus has no series {name} of job {now.subject.main_job} that counted any."
        return Section("fallback", "Fallback", [reason], unread=reason)
    part = now.of(stood_in).sum() / count
    part_before = before.of(stood_in).sum() / last if last else None
    short = (
        f"The fallback made {format_share(part)} of the predictions "
        f"(before: {format_share(part_before)})."
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(
            now.in_sight(now.subject.main_job), now.of(stood_in) / now.of(total), np.nan
        )
    return Section(
        "fallback",
        "Fallback",
        [short, f"{format_count(now.of(stood_in).sum())} of {format_count(count)} predictions."],
        (),
        [
            pictures.draw_lines(
                "Share of fallback predictions",
                f"Of predictions. {describe_ranges({'': ratios}, '', percent=True)}",
                now.windows,
                {"fallback": ratios},
                unit="of predictions",
                holes=now.unseen(now.subject.main_job),
                percent=True,
            )
        ],
        {
            "predictions": count,
            "fallback": now.of(stood_in).sum(),
            "share": part,
            "share_before": part_before,
        },
        short,
    )


def report_drift(now: View, before: View) -> Section:
    """The distance of the values from those of the period before."""
    this, last = _add_up(now), _add_up(before)
    name = VALUE.prometheus_name
    if not this.bins:
        reason = f"Prometheus has no histogram {name} of job {now.subject.main_job} with values."
        return Section("drift", "Drift", [reason], unread=reason)
    mean, mean_before = _compute_mean(this), _compute_mean(last)
    figures: dict[str, Any] = {"mean": mean, "mean_before": mean_before, "distance": None}
    recorded = _list_recorded(now)
    figures["recorded"] = {f"{name} {against}": each for name, against, *each in recorded}
    tables = [
        Table(
            "Recorded drift: the distance divided by the distance that chance alone explains",
            ("distribution", "compared with", "mean", "maximum"),
            [[name, against, f"{a:.3g}", f"{b:.3g}"] for name, against, a, b in recorded],
        )
    ]
    if not last.bins:
        says = f"The mean of the values was {mean:.4g}. The period before has no values."
        shown = tables if recorded else []
        return Section("drift", "Drift", [says], shown, figures=figures, short=says)
    inner = [float(edge) for edge in VALUE.buckets]
    a, b = (_compute_shares(each, inner) for each in (this, last))
    distance = float(np.abs(a - b).sum())
    figures["distance"] = distance
    short = (
        f"The distance of the values from the period before is {distance:.3f} (0: equal, 2: no "
        f"overlap). Their mean changed from {mean_before:.4g} to {mean:.4g}."
    )
    by_window = np.array(
        [
            float(np.abs(_compute_shares(each, inner) - b).sum()) if each.bins else np.nan
            for each in now.readings.values[now.part]
        ]
    )
    by_window = np.where(now.in_sight(now.subject.main_job), by_window, np.nan)
    used = np.nonzero(a + b > 0.0005)[0]
    # The bins at both ends have no width, so they are not drawn.
    low, high = (min(max(int(each), 1), len(inner) - 1) for each in (used[0], used[-1]))
    return Section(
        "drift",
        "Drift",
        [
            short,
            "The distance is D1, the sum of the absolute differences of two normalised histograms. "
            "A window with few values has a distance by chance.",
        ],
        tables if recorded else [],
        [
            pictures.draw_shares(
                "Distribution of the values",
                "The share of values in each bin, in this period and the one before.",
                inner[low - 1 : high + 1],
                {"this period": a[low : high + 1], "before": b[low : high + 1]},
                "value",
            ),
            pictures.draw_lines(
                "Distance from the period before",
                f"D1 by window. {describe_ranges({'': by_window}, '')}",
                now.windows,
                {"distance": by_window},
                unit="D1",
                holes=now.unseen(now.subject.main_job),
            ),
        ],
        figures,
        short,
    )


def report_quality(now: View, before: View) -> Section:
    """The error of the predictions for which feedback reported the outcome."""
    errors, feedback = now.readings.errors, now.readings.feedback
    means = {
        dict(key).get("randsvc_source", ""): (
            _compute_ratio(now, errors, key),
            _compute_ratio(before, errors, key),
        )
        for key in errors.total
    }
    means = {source: each for source, each in means.items() if each[0] is not None}
    if not means:
        name = FEEDBACK_ABSOLUTE_ERROR.prometheus_name
        reason = f"Prometheus has no histogram {name} of job {now.subject.main_job} with values."
        return Section("quality", "Model quality", [reason], unread=reason)
    outcomes = {
        outcome: now.of(values).sum()
        for (outcome,), values in feedback.by("randsvc_outcome").items()
    }
    said = ", ".join(f"{source} {each[0]:.3g}" for source, each in means.items())
    short = f"Mean absolute error of the predictions: {said}."
    says = [short]
    if outcomes:
        says.append(
            f"Feedback by outcome ({FEEDBACK.prometheus_name}): "
            + ", ".join(f"{format_count(count)} {outcome}" for outcome, count in outcomes.items())
            + "."
        )
    lines = {}
    for key, total in errors.total.items():
        source = dict(key).get("randsvc_source", "")
        with np.errstate(invalid="ignore", divide="ignore"):
            each = now.of(total) / now.of(errors.number[key])
        lines[source] = np.where(now.in_sight(now.subject.main_job), each, np.nan)
    return Section(
        "quality",
        "Model quality",
        says,
        [
            Table(
                "Mean absolute error by source",
                ("source", "mean absolute error", "before"),
                [
                    [source, f"{a:.4g}", f"{b:.4g}" if b is not None else NOT_AVAILABLE]
                    for source, (a, b) in means.items()
                ],
            )
        ],
        [
            pictures.draw_lines(
                "Mean absolute error",
                f"By source of the prediction. {describe_ranges(lines, '')}",
                now.windows,
                lines,
                unit="error",
                holes=now.unseen(now.subject.main_job),
            )
        ],
        {source: {"mean_absolute_error": a, "before": b} for source, (a, b) in means.items()},
        short,
    )


def _compute_ratio(view: View, mean: Mean, key: frozenset[tuple[str, str]]) -> float | None:
    number_ = np.nansum(view.of(mean.number[key])) if key in mean.number else 0.0
    return float(np.nansum(view.of(mean.total[key])) / number_) if number_ else None


def _list_recorded(view: View) -> list[tuple[str, str, float, float]]:
    """Mean and maximum distance of each distribution, by what it is compared with."""
    drift = view.readings.drift
    found = []
    for key in drift.samples:
        mean, greatest = summarise_gauge(view, drift, key)
        if mean is not None and greatest is not None:
            labels = dict(key)
            name, against = (labels.get(each, "") for each in ("randsvc_distribution", "against"))
            found.append((name, against, mean, greatest))
    return sorted(found)


def _add_up(view: View) -> Binned:
    parts = view.readings.values[view.part]
    bins = merge(bin_ for part in parts for bin_ in part.bins)
    sums = [part.sum for part in parts]
    total = None if None in sums else sum(each for each in sums if each is not None)
    return Binned(bins, total) if bins else EMPTY


def _compute_mean(binned: Binned) -> float:
    count = sum(bin_.count for bin_ in binned.bins)
    if not count:
        return float("nan")
    total = binned.sum
    if total is None:
        total = sum(bin_.middle * bin_.count for bin_ in binned.bins)
    return total / count


def _compute_shares(binned: Binned, edges: Sequence[float]) -> Values:
    """The share below the first edge, between each two, and above the last."""
    count = sum(bin_.count for bin_ in binned.bins)
    below = [_count_below(binned, edge) / count if count else 0.0 for edge in edges]
    return np.diff([0.0, *below, 1.0])


def _count_below(binned: Binned, x: float) -> float:
    total = 0.0
    for bin_ in binned.bins:
        if bin_.upper <= x:
            total += bin_.count
        elif bin_.lower < x and bin_.width:
            total += bin_.count * (x - bin_.lower) / bin_.width
    return total
