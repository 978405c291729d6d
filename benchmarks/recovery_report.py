"""Tables of how well distributions are recovered: for the terminal, and as Markdown."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from rich.table import Table

from randsvc.markdown import write_table

__all__ = ("Section", "draw_table", "write_markdown")


@dataclass(frozen=True)
class Section:
    """A table with what it shows, and how that was measured."""

    title: str
    method: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def draw_table(section: Section) -> Table:
    """A section for the terminal."""
    drawn = Table(*section.heads, title=section.title, caption=section.method, title_justify="left")
    for row in section.rows:
        drawn.add_row(*row)
    return drawn


def write_markdown(sections: Sequence[Section]) -> str:
    """All sections, with the versions that they hold for."""
    versions = ", ".join(f"{package} {version(package)}" for package in ("numpy", "scipy"))
    parts = [
        "<!-- Written by `make bench-recovery`; do not edit. -->",
        "# How well distributions are recovered",
        f"Measured with {platform.python_implementation()} {platform.python_version()}, "
        f"{versions}. All draws have fixed seeds, so every machine gives the same numbers.",
        "Measure again: `make bench-recovery`. docs/recovery.md explains the method.",
    ]
    for section in sections:
        table = write_table(section.heads, section.rows)
        parts += [f"## {section.title}", section.method, table]
    return "\n\n".join(parts) + "\n"
