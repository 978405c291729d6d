"""The rules and alerts that follow the error budgets of the objectives in randsvc/objectives.py.

The method is multiwindow, multi-burn-rate alerting, https://sre.google/workbook/alerting-on-slos/:
the budget is the share of events that may be bad, the burn rate says how many times too fast it is
spent. An alert takes a long window, so that it matters, and a short one, so that it ends soon after
the trouble does.

With little traffic a single failure is a high error rate. So an alert also takes bad events that
chance does not explain. If requests failed independently of each other at a tenth of the alert's
burn rate, the number of bad events in a window would be binomial, with a mean of m. The probability
of k or more of them is at most exp(-(k ln(k/m) - k + m)) where k > m: the Chernoff bound. Its
exponent, the log-likelihood ratio of k against m, needs no function that PromQL lacks.
"""

from collections.abc import Iterator, Sequence
from math import log

from randsvc.objectives import SLOS, Slo
from randsvc.rules.alert import Alert
from randsvc.rules.golden_signals import FAILED, NOT_FAILED, Rule, count_events
from randsvc.rules.time_scale import SEVERITY, Burn, TimeScale, spell, spell_last
from randsvc.telemetry.catalogue import REQUEST_DURATION
from randsvc.times import parse_duration

__all__ = (
    "BAD_EVENTS",
    "BUDGET_LEFT",
    "BUDGET_REQUESTS",
    "BUDGET_TIME",
    "BURN_RATE",
    "LOG_LIKELIHOOD_RATIO",
    "list_windows",
    "make_burn_alerts",
    "make_recordings",
)

BURN_RATE = "service_slo_window:burn_rate:ratio_rate"
"""How many times too fast the budget is spent; none without events."""
BAD_EVENTS = "service_slo_window:bad_events:increase"
LOG_LIKELIHOOD_RATIO = "service_slo_window:bad_events:log_likelihood_ratio"
"""Of the bad events in a long window, against a tenth of the burn rate that the alert is for."""
CHANCE = 0.1
"""The share of an alert's burn rate that bad events are tested against. At the burn rate itself a
significance of one in a million takes ten bad events, and when all requests fail it takes four."""
BUDGET_LEFT = "service_slo:error_budget_left:ratio"
"""Of the period of the time scale; 1 is all, below 0 the objective is missed."""
BUDGET_REQUESTS = "service_slo:error_budget_left:requests"
"""How many more requests may be bad until the budget of the period's requests is spent."""
BUDGET_TIME = "service_slo:error_budget_left:seconds"
"""How long the budget lasts at the burn rate of the first long window; none while it lasts."""

_DURATION = REQUEST_DURATION.prometheus_name


def list_windows(scale: TimeScale) -> tuple[str, ...]:
    """Give every window of every burn once, in the order of the burns."""
    return tuple(dict.fromkeys(w for burn in scale.burns for w in (burn.long, burn.short)))


def make_recordings(scale: TimeScale, slos: Sequence[Slo] = SLOS) -> Iterator[Rule]:
    """Record what alerts and dashboards read, under names that are those of every time scale."""
    factors = {burn.long: burn.factor for burn in scale.burns}
    for slo in slos:
        labels = {"service": slo.service, "slo": slo.name}
        for window in list_windows(scale):
            windowed = {**labels, "window": window}
            ratio = f"{_bad(slo, window)} / ({_total(slo, window)} > 0)"
            yield Rule(BURN_RATE, f"{ratio} / {slo.budget:g}", windowed)
            if window in factors:
                yield Rule(BAD_EVENTS, _bad(slo, window), windowed)
                ratio = _compare(slo, window, CHANCE * factors[window])
                yield Rule(LOG_LIKELIHOOD_RATIO, ratio, windowed)
        period = scale.budget
        spent = f"{_bad(slo, period)} / ({_total(slo, period)} > 0) / {slo.budget:g}"
        yield Rule(BUDGET_LEFT, f"1 - {spent}", labels)
        allowed = f"{slo.budget:g} * {_total(slo, period)}"
        # The small number keeps a product such as 0.29 * 100 from losing its last request.
        left_over = f"floor({allowed} + 1e-6 - {_bad(slo, period)})"
        yield Rule(BUDGET_REQUESTS, left_over, labels)
        of = f'slo="{slo.name}"'
        burning = f'{BURN_RATE}{{{of},window="{scale.burns[0].long}"}} > 0'
        left = f"{parse_duration(period):g} * clamp_min({BUDGET_LEFT}{{{of}}}, 0)"
        yield Rule(BUDGET_TIME, f"{left} / on (service, slo) ({burning})", labels)


def make_burn_alerts(scale: TimeScale, slos: Sequence[Slo] = SLOS) -> Iterator[Alert]:
    """Give the alerts on error budgets: one for each objective and level.

    Their value is the share of bad requests in the long window.
    """
    for slo in slos:
        for level in SEVERITY:
            burns = [burn for burn in scale.burns if burn.level == level]
            (wait,) = {burn.wait for burn in burns}
            share = f"{slo.objective * 100:g}%"
            if slo.within is None:
                bad, good, rate = "fail", share, "error rate"
            else:
                bad = f"take longer than {slo.within:g} s"
                good, rate = f"{share} within {slo.within:g} s", "share of slow requests"
            lasting = " or of the ".join(spell_last(burn.long) for burn in burns)
            period = spell(scale.budget).removesuffix("s").replace(" ", "-")
            yield Alert(
                name=slo.alert,
                level=level,
                service=slo.service,
                expr=" or ".join(f"({_burns(slo, burn, scale.significance)})" for burn in burns),
                unit="%",
                summary=f"{slo.route}: {{{{ $value | humanizePercentage }}}} of requests {bad} "
                f"(objective {good})",
                description=f"At the {rate} of the {lasting}, the {period} error budget runs out "
                f"within {_spent_within(scale, burns)}.",
                panel="Errors by route" if slo.within is None else "p99 latency by route",
                wait=wait,
                hold=scale.hold,
            )


def _spent_within(scale: TimeScale, burns: Sequence[Burn]) -> str:
    hours = parse_duration(scale.budget) / min(burn.factor for burn in burns) / 3600
    return f"{hours:.0f} hours" if hours > 2 else f"{hours * 60:.0f} minutes"


def _burns(slo: Slo, burn: Burn, significance: float) -> str:
    def recorded(series: str, window: str) -> str:
        return f'max without (window) ({series}{{slo="{slo.name}",window="{window}"}})'

    return (
        f"{slo.budget:g} * {recorded(BURN_RATE, burn.long)} > {burn.factor * slo.budget:g}"
        f" and {recorded(BURN_RATE, burn.short)} > {burn.factor:g}"
        f" and {recorded(LOG_LIKELIHOOD_RATIO, burn.long)} >= {-log(significance):.1f}"
    )


def _compare(slo: Slo, window: str, chance: float) -> str:
    """Give the log-likelihood ratio of the bad events against a burn rate; NaN without any."""
    of = f'{{slo="{slo.name}",window="{window}"}}'
    # k ln(k/m) - k + m, where k/m is the burn rate over that of chance.
    burn, bad = f"{BURN_RATE}{of}", f"{BAD_EVENTS}{of}"
    return f"{bad} * (ln({burn} / {chance:g}) - 1 + {chance:g} / {burn})"


def _total(slo: Slo, window: str) -> str:
    """Give the number of events of a window in PromQL."""
    return f"sum ({count_events(f'{_DURATION}_count{{{_matchers(slo)}}}', window)})"


def _bad(slo: Slo, window: str) -> str:
    """Give the number of bad events among them."""
    if slo.within is None:
        errors = f"{_matchers(slo)},{FAILED}"
        # Such a series exists only once one has happened; until then there are 0.
        return f"(sum ({count_events(f'{_DURATION}_count{{{errors}}}', window)}) or vector(0))"
    # Prometheus 3 stores `le` as a number of OpenMetrics, 1 as 1.0, whatever was exposed:
    # https://prometheus.io/docs/prometheus/latest/migration/#le-and-quantile-label-values
    fast = f'{_matchers(slo)},le="{float(slo.within)}"'
    in_time = f"sum ({count_events(f'{_DURATION}_bucket{{{fast}}}', window)})"
    return f"({_total(slo, window)} - {in_time})"


def _matchers(slo: Slo) -> str:
    which = f'job="{slo.service}",http_route="{slo.route}"'
    return which if slo.within is None else f"{which},{NOT_FAILED}"
