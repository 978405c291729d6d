"""Series for promtool, and the numbers that rules are to make of them, at the time scale demo."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from randsvc.generate import alert_files
from randsvc.rules.time_scale import DEMO
from randsvc.stack.promtool import RULE_FILE, run_rule_tests
from tests.support import native_programs

__all__ = ("GAINS", "STEP", "WINDOW", "World", "broken", "recordings", "run_world")

STEP = 5
WINDOW = 60
"""Seconds: twelve gains of a counter make a sample."""
GAINS = WINDOW // STEP


@dataclass(frozen=True)
class World:
    """Series by name, and the numbers that are to come of them at ``at`` seconds by expression."""

    series: Mapping[str, str]
    expected: Mapping[str, float]
    at: int
    absent: tuple[str, ...] = ()


def run_world(world: World, rules: list[dict[str, Any]] | None = None) -> str:
    """Run the rules, by default all, in promtool; return its failures, empty without any."""
    native_programs.folder()
    near = {
        f"abs({series} - {float(value)!r}) < bool {1e-9 * max(1, abs(value)):g}": 1
        for series, value in world.expected.items()
    }
    test = {
        "rule_files": [RULE_FILE],
        "evaluation_interval": f"{WINDOW}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [{"series": s, "values": v} for s, v in world.series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"sum ({expr})",
                        "eval_time": f"{world.at}s",
                        "exp_samples": [{"labels": "{}", "value": value}],
                    }
                    for expr, value in near.items()
                ]
                + [
                    {"expr": series, "eval_time": f"{world.at}s", "exp_samples": []}
                    for series in world.absent
                ],
            }
        ],
    }
    group = {"name": "checked", "rules": rules or recordings()}
    done = run_rule_tests(test, {"groups": [group]})
    return done.stdout if done.returncode else ""


def recordings() -> list[dict[str, Any]]:
    text = alert_files(DEMO)["observability/prometheus/rules/demo/ml.yml"]
    return [rule for rule in yaml.safe_load(text)["groups"][0]["rules"] if "record" in rule]


def broken(worlds: Collection[World]) -> list[str]:
    """Break the rule of each number by a thousandth; give those that no world notices."""
    checked = {re.split(r"[{ ]", s)[0] for world in worlds for s in world.expected}
    unnoticed = []
    for record in sorted(checked):
        rules = [
            rule | {"expr": f"({rule['expr']}) * 1.001"} if rule["record"] == record else rule
            for rule in recordings()
        ]

        def largest(world: World, record: str = record) -> float:
            return max((x for s, x in world.expected.items() if record in s), default=0.0)

        if record not in run_world(max(worlds, key=largest), rules):
            unnoticed.append(record)
    return unnoticed
