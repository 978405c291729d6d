"""docs/dependencies.md has a reason for every dependency of pyproject.toml."""

import re
import tomllib

from packaging.requirements import Requirement

from randsvc.project import ROOT


def test_every_dependency_has_its_reason_and_no_other_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = settings["project"]
    groups = (
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *settings["dependency-groups"].values(),
    )
    declared = {
        Requirement(line).name.lower()
        for group in groups
        for line in group
        if isinstance(line, str)
    }
    page, _, _ = (ROOT / "docs/dependencies.md").read_text().partition("## Programs")
    listed = re.findall(r"`([\w-]+)`", " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))
    assert sorted(listed) == sorted(declared)
