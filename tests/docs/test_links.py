"""Every page: its links and the paths that it names lead somewhere."""

import re
from pathlib import Path

import pytest

from randsvc.project import ROOT

PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "course/**/*.md", "benchmarks/*.md")
    for page in ROOT.glob(pattern)
)
FOLDERS = "benchmarks|course|deploy|docs|observability|otel|randsvc|requirements|scenarios|tests"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)(?:::\w+)?`")
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link or image for link, image in LINK.findall(page.read_text())]
    for link in links:
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@every_page
def test_every_path_in_the_text_exists(page: Path) -> None:
    missing = [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()]
    assert not missing
