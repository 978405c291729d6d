"""What the documents with results have in common: tables, and the machine."""

import os
import platform
from collections.abc import Collection, Sequence

__all__ = ("describe_machine", "write_table")


def describe_machine() -> str:
    """Return cores, architecture and Python, for a sentence."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores ({platform.machine()}), {python}"


def write_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()
) -> str:
    """Return a table as Markdown; ``right`` are the columns whose cells are aligned there."""
    rule = ["---:" if column in right else "---" for column in range(len(heads))]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (heads, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))
