"""Rules as the text of a file that Prometheus reads."""

from collections.abc import Sequence

import yaml

from randsvc.rules.alert import Alert
from randsvc.rules.alerts import burn_alerts
from randsvc.rules.golden_signals import Rule
from randsvc.rules.slo import Slo, recordings
from randsvc.rules.time_scale import TimeScale

__all__ = ("rule_file", "slo_file")


def slo_file(slos: Sequence[Slo], scale: TimeScale, *, head: str) -> str:
    """Give the file of a service's objectives: what is recorded of each, and its alerts."""
    rules: tuple[Rule | Alert, ...] = (*recordings(scale, slos), *burn_alerts(scale, slos))
    return rule_file("slo", rules, scale, head=head)


def rule_file(
    name: str, rules: Sequence[Rule | Alert], scale: TimeScale | None = None, *, head: str
) -> str:
    """Give the file of one group. ``head`` is its first line, which says what made it.

    Alerts need the ``scale``, by which they wait.
    """
    group: dict[str, object] = {"name": name}
    if scale and scale.interval:
        group["interval"] = scale.interval
    group["rules"] = [_rule(rule, scale) for rule in rules]
    return f"# {head}\n" + yaml.safe_dump({"groups": [group]}, sort_keys=False, width=2**16)


def _rule(rule: Rule | Alert, scale: TimeScale | None) -> dict[str, object]:
    if isinstance(rule, Rule):
        labels = {"labels": dict(rule.labels)} if rule.labels else {}
        return {"record": rule.record, "expr": rule.expr, **labels}
    assert scale is not None  # noqa: S101
    times = {"for": rule.wait, "keep_firing_for": rule.hold}
    return {
        "alert": rule.name,
        "expr": rule.expr,
        **{key: time for key, time in times.items() if time},
        "labels": rule.labels(scale),
        "annotations": rule.annotations(),
    }
