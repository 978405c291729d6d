"""What was promised, and what was kept of it."""

from dataclasses import dataclass

import numpy as np

from randsvc.objectives import SLOS, Slo
from randsvc.review import pictures
from randsvc.review.counts import Counts, Values
from randsvc.review.readings import View
from randsvc.review.section import NONE, Section, Table, end, holes
from randsvc.review.words import number, share

__all__ = ("objectives",)


@dataclass(frozen=True)
class _Attained:
    slo: Slo
    total: float
    bad: float

    @property
    def attained(self) -> float | None:
        return 1 - self.bad / self.total if self.total else None

    @property
    def budget_left(self) -> float | None:
        return 1 - self.bad / self.total / self.slo.budget if self.total else None


def objectives(now: View, before: View) -> Section:
    """Attainment of each objective, and what is left of its error budget."""
    rows, figures, left, missed, judged = [], {}, {}, [], 0
    for slo in SLOS:
        total, bad = _events(now.readings.requests, slo)
        this = _Attained(slo, now.of(total).sum(), now.of(bad).sum())
        last = _Attained(slo, before.of(total).sum(), before.of(bad).sum())
        figures[slo.name] = {
            "objective": slo.objective,
            "total": this.total,
            "bad": this.bad,
            "attained": this.attained,
            "budget_left": this.budget_left,
            "attained_before": last.attained,
            "seen": now.seen(slo.service) / now.span.seconds,
        }
        if this.attained is None or this.budget_left is None:
            rows.append([_told(slo), f"{slo.objective:.4g}"] + [NONE] * 5)
            continue
        judged += 1
        verdict = "met" if this.bad <= slo.budget * this.total else "missed"
        missed += [slo.name] if verdict == "missed" else []
        rows.append(
            [
                _told(slo),
                share(slo.objective),
                f"{share(this.attained)}, {verdict}",
                share(last.attained),
                f"{number(this.bad)} of {number(this.total)}",
                share(this.budget_left, digits=1),
                share(now.seen(slo.service) / now.span.seconds, digits=1),
            ]
        )
        spent = np.cumsum(now.of(bad)) / (this.total * slo.budget)
        left[slo.name] = np.where(now.in_sight(slo.service), 1 - spent, np.nan)
    if not judged:
        return Section("objectives", "Objectives", ["No request was counted in this period."])
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
    picture = pictures.lines(
        "Error budget left",
        "The share of each objective's error budget that was left as the period went on. "
        + "; ".join(f"{name} ended at {end(values)}" for name, values in left.items())
        + ".",
        now.windows,
        left,
        unit="budget left",
        holes=holes(now),
        limits={"spent": 0.0},
        percent=True,
    )
    says = [
        short,
        "The budget is the share of the period's requests that may be bad; it is spent when "
        "nothing of it is left, and below zero the objective is missed. Requests are counted, not "
        "estimated, and those are judged that were seen: a service that is down answers nothing "
        "that could be counted.",
    ]
    return Section("objectives", "Objectives", says, [table], [picture], figures, short)


def _events(requests: Counts, slo: Slo) -> tuple[Values, Values]:
    """All that an objective is about, and the bad ones, by window."""

    def of(bound: float, *, failed: bool | None = None) -> Values:
        return requests.where(
            lambda label: (
                label["job"] == slo.service
                and label.get("http_route") == slo.route
                and float(label["le"]) == bound
                and failed in (None, label.get("http_response_status_code", "").startswith("5"))
            )
        )

    if slo.within is None:
        return of(np.inf), of(np.inf, failed=True)
    total = of(np.inf, failed=False)
    return total, total - of(slo.within, failed=False)


def _told(slo: Slo) -> str:
    what = "without error" if slo.within is None else f"within {slo.within:g} s"
    return f"{slo.route} {what}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
