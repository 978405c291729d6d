"""The outcomes of the trials, by fault: for the terminal, and as Markdown."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table

from benchmarks.chaos.trial import Outcome

__all__ = ("draw_table", "write_markdown")

HEADS = (
    *("Fault", "Trials", "Requests", "No response", "Counted", "Missing", "May be missing"),
    *("Alerts expected", "Sent", "Doubled", "Broken promises"),
)


def draw_table(outcomes: Sequence[Outcome]) -> Table:
    """Draw the table for the terminal; its last row is the sum."""
    table = Table(title="Trials by fault", title_justify="left")
    for place, head in enumerate(HEADS):
        table.add_column(head, justify="right" if place else "left")
    rows = _list_rows(outcomes)
    for row in rows[:-1]:
        table.add_row(*row)
    table.add_section()
    table.add_row(*rows[-1])
    return table


def write_markdown(outcomes: Sequence[Outcome], seed: int, left_out: Sequence[str]) -> str:
    """Return the results as a document."""
    rows = [HEADS, ["---", *["---:"] * (len(HEADS) - 1)], *_list_rows(outcomes)]
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    broken = [
        f"- trial {outcome.trial} ({', '.join(outcome.faults)}): {problem}"
        for outcome in outcomes
        for problem in outcome.problems
    ]
    parts = [
        "<!-- Written by `make chaos`; do not edit. -->",
        "# What the chain survives",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with seed {seed}: {len(outcomes)} trials in "
        f"{minutes:.0f} minutes, on {os.cpu_count()} cores ({platform.machine()}), "
        f"{platform.python_implementation()} {platform.python_version()}.",
        f"Run it again: `make chaos TRIALS={len(outcomes)} SEED={seed}`. "
        "[docs/reliability.md](../docs/reliability.md) explains the promises.",
        "A trial with two faults counts in the row of each. *Requests* are the responses that "
        "clients have. Requests with *no response* are counted or not. *May be missing* is the "
        "bound: what a killed process had not handed over.",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        *([f"Not tried here: {'; '.join(left_out)}."] if left_out else []),
        "## Broken promises",
        "\n".join(broken) or "None.",
    ]
    return "\n\n".join(parts) + "\n"


def _list_rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    faults = sorted({fault for outcome in outcomes for fault in outcome.faults})
    rows = [
        _sum_up(fault, [outcome for outcome in outcomes if fault in outcome.faults])
        for fault in faults
    ]
    pairs = [outcome for outcome in outcomes if len(outcome.faults) > 1]
    return [*rows, _sum_up("two at a time", pairs), _sum_up("all trials", outcomes)]


def _sum_up(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    numbers = (
        len(outcomes),
        sum(outcome.requests for outcome in outcomes),
        sum(outcome.unanswered for outcome in outcomes),
        sum(outcome.counted for outcome in outcomes),
        sum(outcome.missing for outcome in outcomes),
        sum(outcome.bound for outcome in outcomes),
        sum(outcome.expected for outcome in outcomes),
        sum(len(outcome.sent) for outcome in outcomes),
        sum(outcome.doubled for outcome in outcomes),
        sum(len(outcome.problems) for outcome in outcomes),
    )
    return [name, *(f"{number:,}" for number in numbers)]
