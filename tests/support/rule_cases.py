"""Series for promtool, and the expected values of recording rules, at the time scale demo."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from randsvc.generate import make_alert_files
from randsvc.rules.time_scale import DEMO
from randsvc.stack.promtool import RULE_FILE, run_rule_tests
from tests.support import native_programs

__all__ = (
    "GAINS",
    "STEP",
    "WINDOW",
    "RuleCase",
    "list_recording_rules",
    "list_untested_rules",
    "run_rule_case",
)

STEP = 5
WINDOW = 60
"""Seconds; a sample covers twelve increases of a counter."""
GAINS = WINDOW // STEP


@dataclass(frozen=True)
class RuleCase:
    """Series by name, and by expression the expected values at ``at`` seconds."""

    series: Mapping[str, str]
    expected: Mapping[str, float]
    at: int
    absent: tuple[str, ...] = ()


def run_rule_case(case: RuleCase, rules: list[dict[str, Any]] | None = None) -> str:
    """Run the rules, by default all, in promtool; return its failures, empty without any."""
    native_programs.folder()
    near = {
        f"abs({series} - {float(value)!r}) < bool {1e-9 * max(1, abs(value)):g}": 1
        for series, value in case.expected.items()
    }
    test = {
        "rule_files": [RULE_FILE],
        "evaluation_interval": f"{WINDOW}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [{"series": s, "values": v} for s, v in case.series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"sum ({expr})",
                        "eval_time": f"{case.at}s",
                        "exp_samples": [{"labels": "{}", "value": value}],
                    }
                    for expr, value in near.items()
                ]
                + [
                    {"expr": series, "eval_time": f"{case.at}s", "exp_samples": []}
                    for series in case.absent
                ],
            }
        ],
    }
    group = {"name": "checked", "rules": rules or list_recording_rules()}
    done = run_rule_tests(test, {"groups": [group]})
    return done.stdout if done.returncode else ""


def list_recording_rules() -> list[dict[str, Any]]:
    text = make_alert_files(DEMO)["observability/prometheus/rules/demo/ml.yml"]
    return [rule for rule in yaml.safe_load(text)["groups"][0]["rules"] if "record" in rule]


def list_untested_rules(cases: Collection[RuleCase]) -> list[str]:
    """Change each rule by a thousandth; return the rules whose change no case notices."""
    checked = {re.split(r"[{ ]", s)[0] for case in cases for s in case.expected}
    unnoticed = []
    for record in sorted(checked):
        rules = [
            rule | {"expr": f"({rule['expr']}) * 1.001"} if rule["record"] == record else rule
            for rule in list_recording_rules()
        ]

        def largest(case: RuleCase, record: str = record) -> float:
            return max((x for s, x in case.expected.items() if record in s), default=0.0)

        if record not in run_rule_case(max(cases, key=largest), rules):
            unnoticed.append(record)
    return unnoticed
