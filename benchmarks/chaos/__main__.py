"""Break the chain at random: ``python -m benchmarks.chaos --trials 40 --seed 1``.

The chain runs natively under steady load. Each trial breaks one part or two, repairs them, and
compares what the clients know with what was counted, and which alerts fired with what people were
sent. If a promise of docs/reliability.md breaks, the exit code is 1, with a line for each.
"""

import argparse
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.arguments import parse_count
from benchmarks.chaos.books import send_load
from benchmarks.chaos.chain import can_fake_clock, run_chain
from benchmarks.chaos.disk import can_mount
from benchmarks.chaos.faults import KINDS, Fault, draw_faults
from benchmarks.chaos.report import draw_table, write_markdown
from benchmarks.chaos.trial import Outcome, Trials
from randsvc.project import ROOT
from randsvc.stack.build import BuildError
from randsvc.stack.programs import StackError

KEPT = ROOT / ".cache/chaos"
RESULTS = ROOT / "benchmarks/chaos-results.md"


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Run the trials, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.chaos", description=__doc__)
    parser.add_argument("--trials", type=parse_count, default=40, help="how many in all")
    parser.add_argument("--seed", type=int, default=1, help="seed of the faults")
    parser.add_argument("--only", type=int, help="one trial, by its number; nothing is kept")
    parser.add_argument("--fresh", action="store_true", help="forget the trials of earlier runs")
    given = parser.parse_args(arguments)
    console = console or Console(width=150, soft_wrap=True)
    kept = KEPT / f"seed-{given.seed}.jsonl"
    if given.fresh:
        kept.unlink(missing_ok=True)
    left_out = [
        f"{kind.name} (needs {kind.needs})"
        for kind in KINDS
        if kind.needs not in ("", *_find_available())
    ]
    for line in left_out:
        console.print(f"not tried here: {line}", markup=False)
    done = _read(kept) if given.only is None else {}
    numbers = range(given.trials) if given.only is None else [given.only]
    plan = {
        number: draw_faults(given.seed, number, _find_available())
        for number in numbers
        if number not in done
    }
    try:
        for outcome in _run(plan, given.seed, console) if plan else ():
            done[outcome.trial] = outcome
            if given.only is None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                with kept.open("a") as file:
                    file.write(f"{outcome.to_json()}\n")
    except (BuildError, StackError) as error:
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; the next run continues where this one stopped")
        return 130
    outcomes = [done[number] for number in numbers]
    console.print(draw_table(outcomes))
    for outcome in outcomes:
        for problem in outcome.problems:
            console.print(
                f"trial {outcome.trial} ({', '.join(outcome.faults)}): {problem}", markup=False
            )
    if given.only is None:
        RESULTS.write_text(write_markdown(outcomes, given.seed, left_out))
        console.print(f"written to {RESULTS.relative_to(ROOT)}")
    return 1 if any(outcome.problems for outcome in outcomes) else 0


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


def _run(plan: Mapping[int, Sequence[Fault]], seed: int, console: Console) -> Iterator[Outcome]:
    """Run trials on one chain, and on a new one after a trial in which a promise broke."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    left = deque(plan)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting the chain", total=len(plan))
        while left:
            with (
                run_chain() as chain,
                send_load(chain.url("users to randsvc"), chain.url("users to auth"), seed) as load,
                closing(
                    Trials(chain, load, lambda what: progress.update(task, description=what))
                ) as trials,
            ):
                trials.settle()
                passed = True
                while left and passed:
                    outcome = trials.run(number := left.popleft(), plan[number], is_last=not left)
                    passed = not outcome.problems
                    progress.advance(task)
                    if console.is_terminal is False or not passed:
                        console.print(_describe(outcome), markup=False)
                    yield outcome


def _describe(outcome: Outcome) -> str:
    """Return one line about a trial."""
    return (
        f"trial {outcome.trial} ({', '.join(outcome.faults)}): {outcome.requests} requests, "
        f"{outcome.missing} missing of at most {outcome.bound}; {outcome.expected} alerts "
        f"expected, {len(outcome.sent)} sent, {outcome.doubled} doubled; {outcome.seconds:g} s"
        + "".join(f"\n  sent: {alert}" for alert in outcome.sent)
        + "".join(f"\n  broken promise: {problem}" for problem in outcome.problems)
    )


if __name__ == "__main__":
    sys.exit(main())
