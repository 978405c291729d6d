"""Rules as the text of a file that Prometheus reads."""

import re
from collections.abc import Iterator, Sequence

import yaml

from randsvc.objectives import Slo
from randsvc.rules.alert import VALUE, Alert
from randsvc.rules.golden_signals import Rule
from randsvc.rules.slo import make_burn_alerts, make_recordings
from randsvc.rules.time_scale import TimeScale

__all__ = ("make_rule_file", "make_slo_file")


def make_slo_file(slos: Sequence[Slo], scale: TimeScale, *, head: str) -> str:
    """Give the file of a service's objectives: what is recorded of each, and its alerts."""
    rules: tuple[Rule | Alert, ...] = (
        *make_recordings(scale, slos),
        *make_burn_alerts(scale, slos),
    )
    return make_rule_file("slo", rules, scale, head=head)


def make_rule_file(
    name: str, rules: Sequence[Rule | Alert], scale: TimeScale | None = None, *, head: str
) -> str:
    """Give the file of one group. ``head`` is its first line, which says what made it.

    Alerts need the ``scale``, by which they wait.
    """
    group: dict[str, object] = {"name": name}
    if scale and scale.interval:
        group["interval"] = scale.interval
    group["rules"] = [each for rule in rules for each in _make_rules(rule, scale)]
    groups = {"groups": [group]}
    return f"# {head}\n" + yaml.dump(groups, Dumper=_Dumper, sort_keys=False, width=2**16)


class _Dumper(yaml.SafeDumper):
    """Quotes a label such as `08`, which YAML 1.2 reads as a number, and with it Helm."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+$"), list("-+0123456789")
)


def _make_rules(rule: Rule | Alert, scale: TimeScale | None) -> Iterator[dict[str, object]]:
    if isinstance(rule, Rule):
        labels = {"labels": dict(rule.labels)} if rule.labels else {}
        yield {"record": rule.record, "expr": rule.expr, **labels}
        return
    assert scale is not None  # noqa: S101
    times = {"for": rule.wait, "keep_firing_for": rule.hold}
    yield {
        "alert": rule.name,
        "expr": rule.expr,
        **{key: time for key, time in times.items() if time},
        "labels": rule.make_labels(scale),
        "annotations": rule.make_annotations(scale),
    }
    percent = "100 * " if rule.unit == "%" else ""
    yield {
        "record": VALUE,
        "expr": f"{percent}max ({rule.expr}) or vector(NaN)",
        "labels": rule.make_value_labels(),
    }
