"""Tables in Markdown."""

from collections.abc import Collection, Sequence

__all__ = ("write_table",)


def write_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()
) -> str:
    """Return a table; ``right`` are the columns whose cells are aligned there."""
    rule = ["---:" if column in right else "---" for column in range(len(heads))]
    return "\n".join(map(_write_row, (heads, rule, *rows)))


def _write_row(cells: Sequence[str]) -> str:
    """Return a row of a table, whatever is in its cells."""
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
