"""The ratios that pages state are those that the benchmark measured."""

import re

import pytest

from randsvc.project import ROOT

MEASURED = set(re.findall(r"\d+\.\d+", (ROOT / "benchmarks/results.md").read_text()))
STATED = re.compile(r"\d+\.\d\d+(?= times| \(| to |\))")
"""As in ``1.17 times`` and ``0.83 (0.78 to 1.24)``."""
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "docs/claims.md",
    "docs/dependencies.md",
    "course/05-push-and-pull.md",
)


@pytest.mark.parametrize("page", PAGES)
def test_every_ratio_of_a_page_was_measured(page: str) -> None:
    stated = set(STATED.findall((ROOT / page).read_text()))
    assert stated
    assert stated <= MEASURED
