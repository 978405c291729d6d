"""The settings, commands, make targets, alerts, metrics and labels that pages name exist."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from randsvc.cli.main import app
from randsvc.project import ROOT
from tests.docs.test_links import every_page

COMMAND_LINE = (ROOT / "docs/command-line.md").read_text()
METRICS = (ROOT / "docs/metrics.md").read_text()

SUFFIXES = ("", "_bucket", "_sum", "_count")


def settings() -> set[str]:
    return set(re.findall(r"\[env: (RANDSVC_\w+)\]", COMMAND_LINE))


def commands() -> set[str]:
    return set(re.findall(r"^## randsvc ([\w-]+)", COMMAND_LINE, re.MULTILINE))


def targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def alerts() -> set[str]:
    return {path.stem for path in (ROOT / "docs/runbooks").iterdir()}


def metrics_and_labels() -> set[str]:
    rows = re.findall(r"^\| `[^`]+` \| `(\w+)` \|[^|]*\|[^|]*\|([^|]*)\|", METRICS, re.MULTILINE)
    labels = {label.replace(".", "_") for _, row in rows for label in re.findall(r"`(.+?)`", row)}
    return labels | {name + suffix for name, _ in rows for suffix in SUFFIXES}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (r"\b(RANDSVC_[A-Z_]+[A-Z])\b", settings),
        (r"(?:^\s*(?:\.venv/bin/)?|`)randsvc ([a-z][\w-]*)", commands),
        (r"(?:^|`)make ([a-z-]+)", targets),
        (r"\b(Randsvc[A-Z]\w+)", alerts),
        # With a colon next to it, it is part of the name of a recording rule.
        (r"(?<![\w:])(randsvc_\w+[a-z])\b(?!:)", metrics_and_labels),
    ],
    ids=["settings", "commands", "make targets", "alerts", "metrics and labels"],
)
@every_page
def test_every_name_of_a_page_exists(page: Path, name: str, known: Callable[[], set[str]]) -> None:
    assert set(re.findall(name, page.read_text(), re.MULTILINE)) <= known()


def read_commands(page: str) -> list[list[str]]:
    """Return the words of each command of ``randsvc`` in a page's examples."""
    lines = re.findall(r"^\s*(?:\.venv/bin/)?randsvc ([a-z].*)$", page, re.MULTILINE)
    return [shlex.split(line.partition(" > ")[0], comments=True) for line in lines]


@every_page
def test_every_command_of_a_page_has_the_options_that_it_needs(page: Path) -> None:
    if page.name == "command-line.md":
        return  # it names options, and gives none
    for words in read_commands(page.read_text()):
        app.parse_args(words, exit_on_error=False)


def test_a_command_without_an_option_that_it_needs_is_found() -> None:
    (words,) = read_commands("    .venv/bin/randsvc review --prometheus http://a:1  # the report\n")
    with pytest.raises(CycloptsError):
        app.parse_args(words, exit_on_error=False)
