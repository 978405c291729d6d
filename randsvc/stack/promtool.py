"""Runs promtool, which parses and evaluates rules as Prometheus does."""

import json
import os
import resource
import signal
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
    *arguments: str | Path, cpu_seconds: int | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run promtool; ``stdout`` of the result holds both output streams.

    A run that takes more than ``cpu_seconds`` of processor time, which is the same on a busy
    machine, raises ``TimeoutError``.
    """
    command = [str(find_promtool()), *map(str, arguments)]
    # A test of rules lives for some 0.2 s and holds little: collecting less often saves a tenth.
    env = os.environ | {"GOGC": "400"}
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    ) as process:
        if cpu_seconds:
            limits = (cpu_seconds, cpu_seconds)
            resource.prlimit(process.pid, resource.RLIMIT_CPU, limits)
        output, _ = process.communicate()
    if cpu_seconds and process.returncode == -signal.SIGKILL:
        raise TimeoutError(f"more than {cpu_seconds} s")
    return subprocess.CompletedProcess(command, process.returncode, output)


def run_rule_tests(
    tests: Mapping[str, Any], rules: Any = None, *, cpu_seconds: int | None = None
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
        return run_promtool("test", "rules", folder / "test.json", cpu_seconds=cpu_seconds)
