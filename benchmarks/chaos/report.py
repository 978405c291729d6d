"""The outcomes of trials and changes, as tables: for the terminal, and as Markdown."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table

from benchmarks.chaos.trial import Outcome
from benchmarks.machine import describe_machine
from randsvc.markdown import write_table

__all__ = ("describe", "draw_table", "write_markdown")


def describe(outcome: Outcome) -> str:
    """Return one line about an outcome, and one for each alert and broken promise."""
    missing = ", ".join(f"{number} in {source}" for source, number in outcome.missing.items())
    return (
        f"{outcome.trial} ({', '.join(outcome.faults)}): {outcome.requests} requests, missing: "
        f"{missing}, of at most {outcome.bound}; {outcome.expected} alerts expected, "
        f"{len(outcome.sent)} sent, {outcome.doubled} doubled; {outcome.seconds:g} s"
        + "".join(f"\n  sent: {alert}" for alert in outcome.sent)
        + "".join(f"\n  broken promise: {problem}" for problem in outcome.problems)
        + "".join(f"\n  {line}" for line in outcome.history)
    )


def draw_table(outcomes: Sequence[Outcome], changes: Sequence[Outcome]) -> Table:
    """Draw the table for the terminal."""
    table = Table(title="Trials by fault", title_justify="left")
    heads, *rows = _list_rows(outcomes, changes)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    return table


def write_markdown(
    outcomes: Sequence[Outcome],
    changes: Sequence[Outcome],
    *,
    title: str,
    command: str,
    promises: str,
    left_out: Sequence[str],
) -> str:
    """Return the results as a document; ``command`` repeats the run."""
    heads, *rows = _list_rows(outcomes, changes)
    everything = (*outcomes, *changes)
    minutes = sum(outcome.seconds for outcome in everything) / 60
    changed = f" and {len(changes)} changes" if changes else ""
    broken = [
        f"- trial {outcome.trial} ({', '.join(outcome.faults)}): {problem}"
        for outcome in everything
        for problem in outcome.problems
    ]
    parts = [
        f"<!-- Written by `{command}`; do not edit. -->",
        f"# {title}",
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {len(outcomes)} trials{changed} in "
        f"{minutes:.0f} minutes, on {describe_machine()}.",
        f"Run it again: `{command}`. {promises} explains the promises.",
        "A trial with two faults counts in the row of each. *Requests* are the responses that "
        "clients have. Requests with *no response* are counted or not. *May be missing* is the "
        "bound that is stated beforehand: what a killed process had not handed over. An alert is "
        "*expected* if it fired for longer than its waiting times. *Doubled* notifications say "
        "what was said before.",
        write_table(heads, rows, right=range(1, len(heads))),
        *([f"Not tried here: {'; '.join(left_out)}."] if left_out else []),
        "## Broken promises",
        "\n".join(broken) or "None.",
    ]
    return "\n\n".join(parts) + "\n"


def _list_rows(outcomes: Sequence[Outcome], changes: Sequence[Outcome]) -> list[list[str]]:
    """Return the heads, and a row for each fault, for pairs, for all trials, and each change."""
    sources = list((*outcomes, *changes)[0].missing)
    of = {source: f" in {source}" if len(sources) > 1 else "" for source in sources}
    heads = [
        *("What happens", "Trials", "Requests", "No response"),
        *(f"Counted{of[source]}" for source in sources),
        *(f"Missing{of[source]}" for source in sources),
        *("May be missing", "Alerts expected", "Sent", "Doubled", "Broken promises"),
    ]
    rows: list[tuple[str, Sequence[Outcome]]] = []
    if outcomes:
        found = [(outcome, set(map(_generalize, outcome.faults))) for outcome in outcomes]
        kinds = sorted(set().union(*(of_it for _, of_it in found)))
        rows += [(kind, [one for one, of_it in found if kind in of_it]) for kind in kinds]
        pairs = [outcome for outcome in outcomes if len(outcome.faults) > 1]
        rows += [("two at a time", pairs), ("all trials", outcomes)]
    rows += [(", ".join(change.faults), [change]) for change in changes]
    return [heads, *([name, *_sum_up(chosen, sources)] for name, chosen in rows)]


def _generalize(fault: str) -> str:
    """Return a fault without the numbers of replicas: one row for all replicas of a part."""
    return re.sub(r"-\d+\b", "", fault)


def _sum_up(outcomes: Sequence[Outcome], sources: Sequence[str]) -> list[str]:
    numbers = (
        len(outcomes),
        sum(outcome.requests for outcome in outcomes),
        sum(outcome.unanswered for outcome in outcomes),
        *(sum(outcome.counted[source] for outcome in outcomes) for source in sources),
        *(sum(outcome.missing[source] for outcome in outcomes) for source in sources),
        sum(outcome.bound for outcome in outcomes),
        sum(outcome.expected for outcome in outcomes),
        sum(len(outcome.sent) for outcome in outcomes),
        sum(outcome.doubled for outcome in outcomes),
        sum(len(outcome.problems) for outcome in outcomes),
    )
    return [f"{number:,}" for number in numbers]
