"""Each promise of docs/reliability.md and docs/security.md has a test that exists."""

import re

import pytest

from randsvc.project import ROOT

PAGES = ("docs/reliability.md", "docs/security.md")
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def promises(page: str) -> list[str]:
    """The rows of the tables whose last column is the proof."""
    rows: list[str] = []
    has_proof = False
    for line in (ROOT / page).read_text().splitlines():
        if line.startswith("| ") and line.endswith("| proof |"):
            has_proof = True
        elif not line.startswith("|"):
            has_proof = False
        elif has_proof and not line.startswith("|---"):
            rows.append(line)
    return rows


@pytest.mark.parametrize("row", [row for page in PAGES for row in promises(page)])
def test_a_promise_has_a_test_that_exists(row: str) -> None:
    proofs = PROOF.findall(row.split(" | ")[-1])
    assert proofs
    for path, name in proofs:
        text = (ROOT / path).read_text()
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path}::{name}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_promises(page: str) -> None:
    assert len(promises(page)) >= 10
