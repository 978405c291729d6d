"""The promises that a run has put to the test: a table, a results file, and the exit code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from randsvc.markdown import write_table

__all__ = ("Promise", "conclude")


@dataclass(frozen=True)
class Promise:
    """What was promised, what was ``measured``, and what was ``allowed``."""

    text: str
    measured: str
    allowed: str
    kept: bool
    details: Sequence[str] = ()
    """One line for each deviation, for whoever looks into it."""

    def cells(self) -> list[str]:
        """The row of a table."""
        return [self.text, self.measured, self.allowed, "kept" if self.kept else "BROKEN"]


HEADS = ("Promise", "Measured", "Allowed", "")


def conclude(
    console: Console,
    title: str,
    method: Sequence[str],
    promises: Sequence[Promise],
    *,
    command: str,
    results: Path | None,
) -> int:
    """Print the promises, write them to ``results``, and give the exit code: 1 if one is broken.

    ``method`` is sentences about how was measured, with the seed.
    """
    table = Table(*HEADS, title=title, title_justify="left")
    for promise in promises:
        table.add_row(*promise.cells(), style=None if promise.kept else "red")
    console.print(table)
    console.print(" ".join(method), highlight=False, soft_wrap=True)
    for promise in promises:
        for line in promise.details:
            console.print(f"{promise.text}: {line}", markup=False, highlight=False, soft_wrap=True)
    if results:
        text = _write_markdown(title, method, promises, command)
        results.write_text(text, encoding="utf-8")
        console.print(f"written to {results.parent.name}/{results.name}")
    return 0 if all(promise.kept for promise in promises) else 1


def _write_markdown(
    title: str, method: Sequence[str], promises: Sequence[Promise], command: str
) -> str:
    return (
        "\n\n".join(
            (
                f"<!-- Written by `{command}`; do not edit. -->",
                f"# {title}",
                f"{datetime.now(UTC):%Y-%m-%d}, {describe_machine()}. Run it again: `{command}`.",
                " ".join(method),
                write_table(HEADS, [promise.cells() for promise in promises]),
            )
        )
        + "\n"
    )
