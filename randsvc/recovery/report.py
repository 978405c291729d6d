"""A recovered distribution as text for a person, and as JSON for a program."""

import math
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from randsvc.histograms.binned import Bin
from randsvc.recovery.estimate import Estimate, format_rounded
from randsvc.recovery.goodness import Goodness
from randsvc.recovery.recover import Candidate, Recovered

__all__ = ("to_json", "to_text")

SHOWN = 3
"""Families in the table; those that fit are always in it."""


def to_text(recovered: Recovered) -> RenderableType:
    """Numbers, families and the verdict."""
    summary = recovered.summary
    parts: list[RenderableType] = [Text(f"{summary.count} values")]
    if summary.count > 1 and summary.mean and summary.quantiles:
        numbers = Table("", "estimate", "95% interval, including bucket width", box=None)
        rows = {"mean": summary.mean, "sd": summary.sd}
        rows |= {f"p{100 * q:g}": estimate for q, estimate in summary.quantiles.items()}
        for name, estimate in rows.items():
            if estimate:
                numbers.add_row(
                    name, format_rounded(estimate.value, estimate.low, estimate.high), str(estimate)
                )
        parts += [numbers, Text()]
    shown = [c for i, c in enumerate(recovered.candidates) if i < SHOWN or c.fits]
    if shown:
        # However narrow the terminal is, no digit of a parameter is cut off.
        families = Table(Column("family", overflow="fold"), "BIC", "AIC", "chi-square p", box=None)
        first = shown[0].fit
        for candidate in shown:
            fit = candidate.fit
            families.add_row(
                candidate.text,
                f"+{fit.bic - first.bic:.1f}",
                f"{fit.aic - first.aic:+.1f}",
                candidate.goodness.text.removeprefix("= ") if candidate.goodness else "-",
            )
        parts += [families, Text()]
    parts.append(Text(recovered.verdict, style="bold"))
    return Group(*parts)


def to_json(recovered: Recovered) -> dict[str, Any]:
    """The complete result as JSON; unknown and infinite numbers are null."""
    summary = recovered.summary
    best = recovered.best
    return {
        "count": summary.count,
        "mean": _estimate(summary.mean),
        "sd": _estimate(summary.sd),
        "quantiles": [
            {"q": q, **(_estimate(estimate) or {})}
            for q, estimate in (summary.quantiles or {}).items()
        ],
        "families": [_candidate(candidate) for candidate in recovered.candidates],
        "constant": _estimate(recovered.constant),
        "best": best.fit.family.describe(best.fit.values, 6) if best else None,
        "verdict": recovered.verdict,
        "buckets": [bucket_to_json(bin_) for bin_ in recovered.binned.bins],
    }


def format_utc(seconds: float) -> str:
    """Unix seconds in ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def bucket_to_json(bin_: Bin) -> dict[str, float | None]:
    """A bin; an end that is infinite is null."""
    return {
        "lower": _finite(bin_.lower),
        "upper": _finite(bin_.upper),
        "count": round(bin_.count),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    fit = candidate.fit
    return {
        "family": fit.family.name,
        "distribution": fit.family.describe(fit.values, 6),
        "parameters": {name: _estimate(each) for name, each in fit.parameters.items()},
        "aic": fit.aic,
        "bic": fit.bic,
        "goodness_of_fit": _goodness(candidate.goodness),
    }


def _goodness(tested: Goodness | None) -> dict[str, Any] | None:
    if tested is None:
        return None
    return {
        "test": "chi-square on merged bins",
        "statistic": _finite(tested.chi_square),
        "degrees_of_freedom": tested.degrees,
        "p_value": tested.p_value,
    }


def _estimate(estimate: Estimate | None) -> dict[str, float | None] | None:
    if estimate is None:
        return None
    return {
        "value": _finite(estimate.value),
        "low": None if estimate.low is None else _finite(estimate.low),
        "high": None if estimate.high is None else _finite(estimate.high),
    }


def _finite(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
