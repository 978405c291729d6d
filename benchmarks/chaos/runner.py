"""Runs the trials of a system one after the other, keeps their outcomes, and writes the results."""

import argparse
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.arguments import parse_count
from benchmarks.chaos.books import send_load
from benchmarks.chaos.chain import can_fake_clock
from benchmarks.chaos.disk import can_mount
from benchmarks.chaos.faults import Fault, Kind
from benchmarks.chaos.report import describe, draw_table, write_markdown
from benchmarks.chaos.trial import Outcome, System, Trials
from randsvc.project import ROOT
from randsvc.stack.build import BuildError
from randsvc.stack.programs import StackError

__all__ = ("Campaign", "Change", "main")

Change = Callable[[int, int, Callable[[str], None]], Outcome]
"""Changes a system of its own under load: by its number, the seed, and what reports progress."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What is tried on a system, and how its results are called."""

    system: System
    kinds: Sequence[Kind]
    trials: int
    """How many by default."""
    title: str
    command: str
    """The target of make, which is also the name of the results."""
    promises: str
    """The document that states them, as a link."""
    changes: Mapping[str, Change]

    @property
    def kept(self) -> Path:
        """The folder with the outcomes of runs that were interrupted."""
        return ROOT / ".cache" / self.command

    @property
    def results(self) -> Path:
        """The document that a whole run writes."""
        return ROOT / f"benchmarks/{self.command}-results.md"


def main(
    campaign: Campaign,
    description: str | None,
    arguments: Sequence[str] | None = None,
    console: Console | None = None,
) -> int:
    """Run the trials and the changes, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--trials", type=parse_count, default=campaign.trials, help="how many in all"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the faults")
    parser.add_argument("--only", type=int, help="one trial, by its number; nothing is kept")
    if campaign.changes:
        names = sorted(campaign.changes)
        parser.add_argument("--change", choices=names, help="one change; nothing is kept")
    parser.add_argument("--fresh", action="store_true", help="forget the trials of earlier runs")
    given = parser.parse_args(arguments)
    console = console or Console(width=150, soft_wrap=True)
    change: str | None = getattr(given, "change", None)
    is_whole = given.only is None and change is None
    kept = campaign.kept / f"seed-{given.seed}.jsonl"
    if given.fresh:
        kept.unlink(missing_ok=True)
    available = _find_available()
    left_out = [
        f"{kind.name} (needs {kind.needs})"
        for kind in campaign.kinds
        if kind.needs not in ("", *available)
    ]
    for line in left_out:
        console.print(f"not tried here: {line}", markup=False)
    done = _read(kept) if is_whole else {}
    numbers = list(range(given.trials)) if is_whole else [given.only]
    numbers = [] if change else numbers
    # The changes have negative numbers, and their places never change.
    changes = {
        -1 - place: name
        for place, name in enumerate(campaign.changes)
        if is_whole or name == change
    }
    plan = {
        number: campaign.system.draw(given.seed, number, available)
        for number in numbers
        if number not in done
    }
    open_changes = {number: name for number, name in changes.items() if number not in done}
    try:
        for outcome in _run(campaign, plan, open_changes, given.seed, console):
            done[outcome.trial] = outcome
            if is_whole:
                kept.parent.mkdir(parents=True, exist_ok=True)
                with kept.open("a") as file:
                    file.write(f"{outcome.to_json()}\n")
    except (BuildError, StackError) as error:
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; the next run continues where this one stopped")
        return 130
    trials = [done[number] for number in numbers]
    changed = [done[number] for number in changes]
    console.print(draw_table(trials, changed))
    for outcome in (*trials, *changed):
        for problem in outcome.problems:
            console.print(
                f"trial {outcome.trial} ({', '.join(outcome.faults)}): {problem}", markup=False
            )
    if is_whole:
        text = write_markdown(
            trials,
            changed,
            title=campaign.title,
            command=f"make {campaign.command} TRIALS={len(trials)} SEED={given.seed}",
            promises=campaign.promises,
            left_out=left_out,
        )
        campaign.results.write_text(text)
        console.print(f"written to {campaign.results.relative_to(ROOT)}")
    return 1 if any(outcome.problems for outcome in (*trials, *changed)) else 0


def _find_available() -> list[str]:
    """Return what this machine offers of what some faults need."""
    return [
        name
        for name, is_there in (("root", can_mount()), ("libfaketime", can_fake_clock()))
        if is_there
    ]


def _read(kept: Path) -> dict[int, Outcome]:
    """Return the outcomes of earlier runs by their trials."""
    lines = kept.read_text().splitlines() if kept.exists() else []
    return {outcome.trial: outcome for outcome in map(Outcome.from_json, lines)}


def _run(
    campaign: Campaign,
    plan: Mapping[int, Sequence[Fault]],
    changes: Mapping[int, str],
    seed: int,
    console: Console,
) -> Iterator[Outcome]:
    """Run trials on one system, and on a new one after a broken promise; then the changes."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    left = deque(plan)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=len(plan) + len(changes))

        def report(what: str) -> None:
            progress.update(task, description=what)

        def note(outcome: Outcome) -> Outcome:
            progress.advance(task)
            if console.is_terminal is False or outcome.problems:
                console.print(describe(outcome), markup=False)
            return outcome

        while left:
            with (
                campaign.system.run() as chain,
                send_load(chain.users["randsvc"], chain.users["auth"], seed) as load,
                closing(Trials(campaign.system, chain, load, report)) as trials,
            ):
                trials.settle()
                passed = True
                while left and passed:
                    number = left.popleft()
                    outcome = note(trials.run(number, plan[number], is_last=not left))
                    passed = not outcome.problems
                    yield outcome
        for number, name in changes.items():
            report(f"starting for: {name}")
            yield note(campaign.changes[name](number, seed, report))
