"""The lock files in requirements/: exact, hashed, in agreement, and enough for pyproject.toml."""

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from randsvc.project import ROOT

LOCKS = {path.stem: path.read_text() for path in (ROOT / "requirements").glob("*.txt")}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS: dict[str, list[Any]] = PROJECT["dependency-groups"]
RUN: list[str] = PROJECT["project"]["dependencies"]


def listed(group: str) -> list[str]:
    """Give the requirements of a dependency group, and of the groups that it includes."""
    return [
        requirement
        for item in GROUPS[group]
        for requirement in (listed(item["include-group"]) if isinstance(item, dict) else [item])
    ]


every_lock = pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS.keys())


def locked(lock: str) -> list[Requirement]:
    """Give what a lock file pins; a package may have a version for each of several Pythons."""
    lines = re.findall(r"^([a-z].*?)(?: \\)?$", lock, re.MULTILINE)
    return [Requirement(line) for line in lines]


@every_lock
def test_every_package_is_exact_and_hashed(lock: str) -> None:
    entries = re.split(r"^(?=[a-z])", lock, flags=re.MULTILINE)[1:]
    assert entries
    pin = r"[a-z0-9-]+(\[[a-z,]+\])?==[\w.!]+ (; .* )?\\\n +--hash=sha256:[0-9a-f]{64}"
    for entry in entries:
        assert re.match(pin, entry)


@every_lock
def test_no_address_of_an_index_is_in_it(lock: str) -> None:
    assert "://" not in lock
    assert not re.search(r"^-", lock, re.MULTILINE)


@every_lock
def test_nothing_is_a_pre_release_but_the_beta_that_pyproject_names(lock: str) -> None:
    for requirement in locked(lock):
        (pin,) = requirement.specifier
        assert not pin.prereleases or pin.version == "0.66b1", requirement


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("run", RUN),
        ("users", listed("users")),
        ("dev", RUN + listed("dev")),
        ("lock", ["uv"]),
    ],
)
def test_dependencies_are_locked_within_the_bounds_of_pyproject(
    name: str, wanted: list[str]
) -> None:
    pins = locked(LOCKS[name])
    for requirement in map(Requirement, wanted):
        versions = {
            pin.version
            for found in pins
            if found.name == canonicalize_name(requirement.name)
            for pin in found.specifier
        }
        assert versions, f"{requirement} is missing: run `make lock`"
        for version in versions:
            assert requirement.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize(("smaller", "larger"), [("run", "dev")])
def test_a_larger_lock_has_the_same_versions(smaller: str, larger: str) -> None:
    assert {*map(str, locked(LOCKS[smaller]))} <= {*map(str, locked(LOCKS[larger]))}


def test_every_lock_is_looked_at() -> None:
    assert set(LOCKS) == {"run", "users", "dev", "lock"}
