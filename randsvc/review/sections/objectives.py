"""The objectives, and whether they were met."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from randsvc.histograms.from_prometheus import parse_bound
from randsvc.review import pictures
from randsvc.review.counts import Counts, Values
from randsvc.review.formatting import format_count, format_share
from randsvc.review.readings import View
from randsvc.review.section import (
    NOT_AVAILABLE,
    Section,
    Table,
    explain_no_requests,
    format_last,
    list_holes,
)
from randsvc.review.subject import Objective, Subject

__all__ = ("count_events", "describe_objective", "report_objectives")


@dataclass(frozen=True)
class _Attained:
    objective: Objective
    total: float
    bad: float

    @property
    def attained(self) -> float | None:
        return 1 - self.bad / self.total if self.total else None

    @property
    def budget_left(self) -> float | None:
        return 1 - self.bad / self.total / self.objective.budget if self.total else None


def report_objectives(now: View, before: View) -> Section:
    """Attainment of each objective, and what is left of its error budget."""
    stated = now.subject.objectives
    if not stated:
        reason = "No objectives were given: name a file of them with --objectives."
        return Section("objectives", "Objectives", [reason], unread=reason)
    rows, figures, left, missed, unjudged = [], {}, {}, [], {}
    for each in stated:
        problem = _find_problem(now, each)
        total, bad = (
            count_events(now.readings.requests, now.subject, each)
            if not problem
            else (np.zeros(len(now.readings.windows)),) * 2
        )
        this = _Attained(each, now.of(total).sum(), now.of(bad).sum())
        last = _Attained(each, before.of(total).sum(), before.of(bad).sum())
        figures[each.name] = {
            "objective": each.objective,
            "total": this.total,
            "bad": this.bad,
            "attained": this.attained,
            "budget_left": this.budget_left,
            "attained_before": last.attained,
            "seen": now.seen(each.job) / now.span.seconds,
        }
        if this.attained is None or this.budget_left is None:
            unjudged[each.name] = problem or "no request was counted in this period"
            rows.append(
                [describe_objective(now.subject, each), format_share(each.objective)]
                + [NOT_AVAILABLE] * 5
            )
            continue
        verdict = "met" if this.bad <= each.budget * this.total else "missed"
        missed += [each.name] if verdict == "missed" else []
        rows.append(
            [
                describe_objective(now.subject, each),
                format_share(each.objective),
                f"{format_share(this.attained)}, {verdict}",
                format_share(last.attained),
                f"{format_count(this.bad)} of {format_count(this.total)}",
                format_share(this.budget_left, digits=1),
                format_share(now.seen(each.job) / now.span.seconds, digits=1),
            ]
        )
        spent = np.cumsum(now.of(bad)) / (this.total * each.budget)
        left[each.name] = np.where(now.in_sight(each.job), 1 - spent, np.nan)
    unread = [f"{name} could not be judged: {reason}." for name, reason in unjudged.items()]
    judged = len(stated) - len(unjudged)
    if not judged:
        return Section(
            "objectives",
            "Objectives",
            unread,
            figures=figures,
            short=f"None of {len(stated)} objectives could be judged.",
            unread=unread[0],
        )
    short = (
        f"All {judged} objectives were met."
        if not missed
        else f"{len(missed)} of {judged} objectives {_were(len(missed))} missed: "
        f"{', '.join(missed)}."
    )
    table = Table(
        "Objectives and their error budgets",
        (
            "objective",
            "target",
            "attained",
            "before",
            "bad requests",
            "budget left",
            "time seen",
        ),
        rows,
    )
    picture = pictures.draw_lines(
        "Error budget left",
        "The share of each error budget that was left over time. "
        + "; ".join(f"{name} ended at {format_last(values)}" for name, values in left.items())
        + ".",
        now.windows,
        left,
        unit="budget left",
        holes=list_holes(now),
        limits={"spent": 0.0},
        percent=True,
    )
    if unjudged:
        short += f" {len(unjudged)} could not be judged."
    says = [
        short,
        *unread,
        "The error budget is the share of the period's requests that may be bad. Below zero the "
        "objective is missed. Requests are counted exactly. A service that is down counts no "
        "requests, so its outage shows in the probes and not here.",
    ]
    return Section("objectives", "Objectives", says, [table], [picture], figures, short)


def _find_problem(view: View, objective: Objective) -> str:
    """Why an objective cannot be judged; empty if it can."""
    subject = view.subject
    labels = [dict(key) for key in view.readings.requests.series]
    of_job = [each for each in labels if each.get("job") == objective.job]
    if not of_job:
        return explain_no_requests(view, objective.job)
    if not any(subject.status_label in each for each in of_job):
        return f"no series of {subject.metric}_bucket has the label {subject.status_label}"
    of_route = [each for each in of_job if _is_about(subject, objective, each)]
    if not of_route:
        routes = sorted({each.get(subject.route_label, "") for each in of_job} - {""})
        known = f"routes with requests: {', '.join(routes[:10])}" if routes else "no route has any"
        return f"no request of {subject.route_label}={objective.route!r} was counted; {known}"
    bounds = sorted({parse_bound(each["le"]) for each in of_route if "le" in each})
    if objective.within is not None and objective.within not in bounds:
        listed = ", ".join(f"{bound:g}" for bound in bounds if bound < np.inf)
        return f"within {objective.within:g} s is no upper bound of a bucket; these are: {listed}"
    return ""


def count_events(requests: Counts, subject: Subject, objective: Objective) -> tuple[Values, Values]:
    """Count the requests that an objective is about, and the bad ones, by window."""

    def of(bound: float, *, failed: bool | None = None) -> Values:
        return requests.where(
            lambda label: (
                _is_about(subject, objective, label)
                and parse_bound(label.get("le", "nan")) == bound
                and failed in (None, subject.is_failed(label))
            )
        )

    if objective.within is None:
        return of(np.inf), of(np.inf, failed=True)
    total = of(np.inf, failed=False)
    return total, total - of(objective.within, failed=False)


def describe_objective(subject: Subject, objective: Objective) -> str:
    """Say which requests an objective is about, and which of them are good."""
    what = "without error" if objective.within is None else f"within {objective.within:g} s"
    of = objective.route or "all routes"
    job = f"{objective.job} " if len(subject.jobs) > 1 and not objective.route else ""
    return f"{job}{of} {what}"


def _is_about(subject: Subject, objective: Objective, label: Mapping[str, str]) -> bool:
    return label.get("job") == objective.job and objective.route in (
        None,
        label.get(subject.route_label),
    )


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
