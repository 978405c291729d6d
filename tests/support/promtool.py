"""promtool for tests, which are skipped where it cannot be built."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from randsvc.stack.promtool import run_promtool
from tests.support import native_programs


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run promtool; ``stdout`` of the result holds both output streams."""
    native_programs.folder()
    return run_promtool(*arguments)


def check_rules(folder: Path, rules: list[dict[str, Any]]) -> "subprocess.CompletedProcess[str]":
    """Run ``promtool check rules`` on a file with these rules."""
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "checked", "rules": rules}]}))
    return promtool("check", "rules", path)
