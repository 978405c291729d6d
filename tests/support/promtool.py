"""Run promtool, which knows PromQL as Prometheus does."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support import native_programs


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it, and give what it said on both streams as ``stdout``."""
    return subprocess.run(
        [native_programs.folder() / "promtool", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def check_rules(folder: Path, rules: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """Let it read a file with these rules."""
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "checked", "rules": rules}]}))
    return promtool("check", "rules", path)
