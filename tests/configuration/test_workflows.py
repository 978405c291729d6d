"""The continuous integration and the dependency updates in .github/, held against the tree."""

import tomllib
from typing import Any

import yaml

from randsvc.project import ROOT

WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
UPDATES: list[dict[str, Any]] = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())[
    "updates"
]
(JOB,) = WORKFLOW["jobs"].values()


def updated_folders(ecosystem: str) -> set[str]:
    """Give the folders that updates are looked for in, relative to the root."""
    return {
        folder.removeprefix("/")
        for update in UPDATES
        if update["package-ecosystem"] == ecosystem
        for folder in (update.get("directories") or [update["directory"]])
    }


def folders_of(pattern: str) -> set[str]:
    """Give the folders of the files with that name, relative to the root."""
    folders = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob(pattern)}
    return {
        "" if folder == "." else folder
        for folder in folders
        if not folder.startswith((".cache", ".venv"))
    }


def test_the_workflow_runs_what_anybody_can_run() -> None:
    assert JOB["steps"][-1]["run"].endswith(" .ci/run")


def test_the_workflow_runs_every_python_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    language = "Programming Language :: Python :: "
    named = [
        name.removeprefix(language) for name in project["classifiers"] if name.startswith(language)
    ]
    assert JOB["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"


def test_every_go_module_is_updated() -> None:
    assert updated_folders("gomod") == folders_of("**/go.mod")


def test_every_image_that_is_built_here_is_updated() -> None:
    assert updated_folders("docker") == folders_of("**/Dockerfile")


def test_python_packages_and_actions_are_updated() -> None:
    assert updated_folders("pip") == {"", "requirements"}
    assert updated_folders("github-actions") == {""}
