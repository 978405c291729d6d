"""Let promtool run rules over series."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from randsvc.stack import native

__all__ = ("run_rules",)


def run_rules(
    rules: Any, series: Mapping[str, str], expected: Sequence[Mapping[str, Any]], *, step: int
) -> str:
    """What promtool finds otherwise than expected; empty where all is as it should be.

    ``step`` is the seconds between samples, and between evaluations.
    https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
    """
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{step}s",
        "tests": [
            {
                "interval": f"{step}s",
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "promql_expr_test": list(expected),
            }
        ],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(yaml.safe_dump(rules, width=2**16))
        (folder / "test.yml").write_text(yaml.safe_dump(test, width=2**16))
        done = subprocess.run(
            [native.build() / "promtool", "test", "rules", folder / "test.yml"],
            capture_output=True,
            text=True,
        )
    return done.stdout + done.stderr if done.returncode else ""
