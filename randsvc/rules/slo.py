"""The rules that follow the error budgets of the objectives in randsvc/objectives.py.

The method is multiwindow, multi-burn-rate alerting, https://sre.google/workbook/alerting-on-slos/:
the budget is the share of events that may be bad, the burn rate says how many times too fast it is
spent. An alert takes a long window, so that it matters, and a short one, so that it ends soon after
the trouble does.
"""

from collections.abc import Iterator, Sequence

from randsvc.objectives import SLOS, Slo
from randsvc.rules.golden_signals import SERVER_ERROR, Rule
from randsvc.rules.time_scale import TimeScale
from randsvc.telemetry.catalogue import REQUEST_DURATION

__all__ = ("BAD_EVENTS", "BUDGET_LEFT", "BURN_RATE", "SLOS", "Slo", "recordings", "windows")

BURN_RATE = "service_slo_window:burn_rate:ratio_rate"
"""How many times too fast the budget is spent; none without events."""
BAD_EVENTS = "service_slo_window:bad_events:increase"
BUDGET_LEFT = "service_slo:error_budget_left:ratio"
"""Of the period of the time scale; 1 is all, below 0 the objective is missed."""

_DURATION = REQUEST_DURATION.prometheus_name


def windows(scale: TimeScale) -> tuple[str, ...]:
    """Give every window of every burn once, in the order of the burns."""
    return tuple(dict.fromkeys(w for burn in scale.burns for w in (burn.long, burn.short)))


def recordings(scale: TimeScale, slos: Sequence[Slo] = SLOS) -> Iterator[Rule]:
    """Record what alerts and dashboards read, under names that are those of every time scale."""
    long = {burn.long for burn in scale.burns}
    for slo in slos:
        labels = {"service": slo.service, "slo": slo.name}
        for window in windows(scale):
            windowed = {**labels, "window": window}
            ratio = f"{_bad(slo, window)} / ({_total(slo, window)} > 0)"
            yield Rule(BURN_RATE, f"{ratio} / {slo.budget:g}", windowed)
            if window in long:
                yield Rule(BAD_EVENTS, _bad(slo, window, "increase"), windowed)
        period = scale.budget
        spent = f"{_bad(slo, period)} / ({_total(slo, period)} > 0) / {slo.budget:g}"
        yield Rule(BUDGET_LEFT, f"1 - {spent}", labels)


def _total(slo: Slo, window: str, function: str = "rate") -> str:
    """Give the events of a window in PromQL: each second, or with ``increase`` all."""
    return f"sum ({function}({_DURATION}_count{{{_matchers(slo)}}}[{window}]))"


def _bad(slo: Slo, window: str, function: str = "rate") -> str:
    """Give the bad ones among them."""
    if slo.within is None:
        errors = f"{_matchers(slo)},{SERVER_ERROR}"
        # Such a series exists only once one has happened; until then there are 0.
        return f"(sum ({function}({_DURATION}_count{{{errors}}}[{window}])) or vector(0))"
    total = _total(slo, window, function)
    fast = f'{_matchers(slo)},le="{slo.within:g}"'
    return f"({total} - sum ({function}({_DURATION}_bucket{{{fast}}}[{window}])))"


def _matchers(slo: Slo) -> str:
    which = f'job="{slo.service}",http_route="{slo.route}"'
    return which if slo.within is None else f"{which},{SERVER_ERROR.replace('=~', '!~')}"
