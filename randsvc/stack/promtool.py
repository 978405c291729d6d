"""Runs promtool, which parses and evaluates rules as Prometheus does."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from randsvc.stack.build import build_programs

__all__ = ("RULE_FILE", "find_promtool", "run_promtool", "run_rule_tests")

RULE_FILE = "rules.json"
"""The name, in a test file, of the rules that ``run_rule_tests`` is given."""


@cache
def find_promtool() -> Path:
    """Return the program; the first call may build it. Raises ``BuildError``."""
    return build_programs() / "promtool"


def run_promtool(
    *arguments: str | Path, timeout: float | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run promtool; ``stdout`` of the result holds both output streams."""
    return subprocess.run(  # noqa: S603
        [find_promtool(), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def run_rule_tests(
    tests: Mapping[str, Any], rules: Any = None
) -> "subprocess.CompletedProcess[str]":
    """Run ``promtool test rules`` on the content of a test file.

    ``rules`` is the content of a rule file that ``tests`` calls ``RULE_FILE``.
    https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # JSON is YAML, and takes a tenth of the time to write.
        (folder / RULE_FILE).write_text(json.dumps(rules))
        (folder / "test.json").write_text(json.dumps(tests))
        return run_promtool("test", "rules", folder / "test.json")
