"""The outcomes of the trials and changes, as tables: for the terminal, and as Markdown."""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table

from benchmarks.chaos_ha.chain import SOURCES
from benchmarks.chaos_ha.trial import DOUBLED, FAILOVER, Outcome

__all__ = ("draw_table", "write_markdown")

HEADS = (
    *("What happens", "Trials", "Requests", "No response", "May be missing"),
    *(f"Missing in {source}" for source in SOURCES),
    *("Alerts expected", "Sent", "Doubled", "Broken promises"),
)


def draw_table(outcomes: Sequence[Outcome], changes: Sequence[Outcome]) -> Table:
    """Draw the table for the terminal."""
    table = Table(title="Trials by fault", title_justify="left")
    for place, head in enumerate(HEADS):
        table.add_column(head, justify="right" if place else "left")
    for row in _list_rows(outcomes, changes):
        table.add_row(*row)
    return table


def write_markdown(
    outcomes: Sequence[Outcome], changes: Sequence[Outcome], seed: int, left_out: Sequence[str]
) -> str:
    """Return the results as a document."""
    rows = [HEADS, ["---", *["---:"] * (len(HEADS) - 1)], *_list_rows(outcomes, changes)]
    minutes = sum(outcome.seconds for outcome in (*outcomes, *changes)) / 60
    broken = [
        f"- {outcome.trial} ({', '.join(outcome.faults)}): {problem}"
        for outcome in (*outcomes, *changes)
        for problem in outcome.problems
    ]
    parts = [
        "<!-- Written by `make chaos-ha`; do not edit. -->",
        "# What the highly available layout survives",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with seed {seed}: {len(outcomes)} trials and "
        f"{len(changes)} changes in {minutes:.0f} minutes, on {os.cpu_count()} cores "
        f"({platform.machine()}), {platform.python_implementation()} {platform.python_version()}.",
        f"Run it again: `make chaos-ha TRIALS={len(outcomes)} SEED={seed}`. "
        "[docs/beyond-one-machine.md](../docs/beyond-one-machine.md#what-is-promised) explains the "
        "promises.",
        "A trial with two faults counts in the row of each. *Requests* are the responses that "
        "clients have; requests with *no response* are counted or not. *May be missing* is the "
        "bound that was stated beforehand: what a killed service had not handed over. *Missing* is "
        "what each of the three does not count. An alert is *expected* if it fired in either "
        f"Prometheus for longer than its waiting times and {FAILOVER:g} s for failovers. *Doubled* "
        f"notifications say what was said before; at most {DOUBLED} for each that was sent, and "
        "none where nothing befell a Prometheus or an Alertmanager.",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        *([f"Not tried here: {'; '.join(left_out)}."] if left_out else []),
        "## Broken promises",
        "\n".join(broken) or "None.",
    ]
    return "\n\n".join(parts) + "\n"


def _list_rows(outcomes: Sequence[Outcome], changes: Sequence[Outcome]) -> list[list[str]]:
    kinds = Counter(_generalize(fault) for outcome in outcomes for fault in outcome.faults)
    rows = [
        _sum_up(
            kind, [one for one in outcomes if kind in {_generalize(fault) for fault in one.faults}]
        )
        for kind in sorted(kinds)
    ]
    pairs = [outcome for outcome in outcomes if len(outcome.faults) > 1]
    rows += [_sum_up("two at a time", pairs), _sum_up("all trials", outcomes)]
    return rows + [_sum_up(", ".join(change.faults), [change]) for change in changes]


def _generalize(fault: str) -> str:
    """Return a fault without the number of the replica: one row for all replicas of a part."""
    return " ".join(
        word.rpartition("-")[0] if word[-1:].isdigit() else word for word in fault.split()
    )


def _sum_up(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    numbers = (
        len(outcomes),
        sum(outcome.requests for outcome in outcomes),
        sum(outcome.unanswered for outcome in outcomes),
        sum(outcome.bound for outcome in outcomes),
        *(sum(outcome.missing[source] for outcome in outcomes) for source in SOURCES),
        sum(outcome.expected for outcome in outcomes),
        sum(len(outcome.sent) for outcome in outcomes),
        sum(outcome.doubled for outcome in outcomes),
        sum(len(outcome.problems) for outcome in outcomes),
    )
    return [name, *(f"{number:,}" for number in numbers)]
