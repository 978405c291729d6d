"""Tables of what tests have measured, for the end of a run."""

from collections.abc import Iterator, Mapping, Sequence

import pytest
from rich.table import Table

TABLE_ROW = "row of a table"
"""The property of a test that holds a line of its module's table, by the heads of the columns."""


def tables(reports: Sequence[pytest.TestReport]) -> Iterator[Table]:
    """Give a table for each module whose tests have recorded rows."""
    by_module: dict[str, Table] = {}
    for report in reports:
        for name, row in report.user_properties:
            if name == TABLE_ROW and isinstance(row, Mapping):
                module = report.nodeid.partition("::")[0]
                table = by_module.setdefault(module, Table(*row, title=module))
                table.add_row(*row.values())
    yield from by_module.values()
