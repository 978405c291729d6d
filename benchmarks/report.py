"""The results: tables for the terminal, and the same as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.summary import Spread
from randsvc.markdown import write_table

__all__ = ("Row", "Section", "draw_table", "write_markdown")

PACKAGES = (
    *("aiohttp", "uvloop", "opentelemetry-sdk", "opentelemetry-instrumentation-aiohttp-server"),
    *("prometheus-client", "fastapi", "uvicorn", "httptools", "prometheus-fastapi-instrumentator"),
    "opentelemetry-instrumentation-fastapi",
)


NUMBERS = (1, 2, 3)
"""The columns of the tables that are aligned to the right."""


@dataclass(frozen=True)
class Row:
    """One case: what was measured, and its ratio to the yardstick, which is to be ``at_most``."""

    name: str
    measured: Spread
    ratio: Spread
    at_most: float | None = None

    def cells(self) -> list[str]:
        """The row as text."""
        target = ""
        if self.at_most:
            met = "met" if self.ratio.median <= self.at_most else "missed"
            target = f"at most {self.at_most:.2f}: {met}"
        measured, ratio = self.measured, self.ratio
        spread = f"{ratio.low:.2f} to {ratio.high:.2f}"
        return [self.name, f"{measured.median:.1f}", f"{ratio.median:.2f}", spread, target]


@dataclass(frozen=True)
class Section:
    """One benchmark: ``quantity`` with its unit is what was measured in each row."""

    title: str
    method: str
    quantity: str
    rows: Sequence[Row]

    def heads(self) -> list[str]:
        """The heads of the columns."""
        return ["", self.quantity, "ratio", "quartiles of the ratio", "target"]


def draw_table(section: Section) -> Table:
    """A section for the terminal."""
    drawn = Table(title=section.title, caption=section.method, title_justify="left")
    for i, head in enumerate(section.heads()):
        drawn.add_column(head, justify="right" if i in NUMBERS else "left")
    for row in section.rows:
        drawn.add_row(*row.cells())
    return drawn


def write_markdown(sections: Sequence[Section]) -> str:
    """All sections, with the machine and the versions that they hold for."""
    versions = ", ".join(f"{package} {_find_version(package)}" for package in PACKAGES)
    parts = [
        "<!-- Written by `make bench`; do not edit. -->",
        "# What measuring costs",
        f"Measured on {describe_machine()}, with wrk on loopback, client and server "
        "sharing the machine. Ratios travel; the absolute numbers do not. Each "
        "is the median of interleaved rounds, each ratio is taken within a round.",
        f"Versions: {versions}.",
        "Measure again: `make bench`.",
    ]
    for section in sections:
        rows = [row.cells() for row in section.rows]
        parts += [
            f"## {section.title}",
            section.method,
            write_table(section.heads(), rows, right=NUMBERS),
        ]
    return "\n\n".join(parts) + "\n"


def _find_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
