"""Break the highly available layout: ``python -m benchmarks.chaos_ha --trials 200 --seed 1``.

The layout of `make stack-ha` runs natively under steady load. Each trial breaks one part, every
second trial two, repairs them, and compares what the clients know with what each Prometheus and
Query have counted, and which alerts fired with what people were sent. Then the layout changes: a
fourth receiver, no object store, no Prometheus at all. If a promise of docs/beyond-one-machine.md
breaks, the exit code is 1, with a line for each. An interrupted run continues where it stopped.
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
from benchmarks.chaos.chain import can_fake_clock
from benchmarks.chaos.faults import Fault, draw_faults
from benchmarks.chaos_ha.chain import KINDS, LONG, SHORT, run_chain
from benchmarks.chaos_ha.changes import CHANGES, run_change
from benchmarks.chaos_ha.report import draw_table, write_markdown
from benchmarks.chaos_ha.trial import Outcome, Trials
from randsvc.project import ROOT
from randsvc.stack.build import BuildError
from randsvc.stack.programs import StackError

KEPT = ROOT / ".cache/chaos-ha"
RESULTS = ROOT / "benchmarks/chaos-ha-results.md"


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Run the trials, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.chaos_ha", description=__doc__)
    parser.add_argument("--trials", type=parse_count, default=200, help="how many in all")
    parser.add_argument("--seed", type=int, default=1, help="seed of the faults")
    parser.add_argument("--only", type=int, help="one trial, by its number; nothing is kept")
    parser.add_argument("--change", choices=sorted(CHANGES), help="one change; nothing is kept")
    parser.add_argument("--fresh", action="store_true", help="forget the trials of earlier runs")
    given = parser.parse_args(arguments)
    console = console or Console(width=150, soft_wrap=True)
    kept = KEPT / f"seed-{given.seed}.jsonl"
    if given.fresh:
        kept.unlink(missing_ok=True)
    available = ["libfaketime"] if can_fake_clock() else []
    left_out = [
        f"{kind.name} (needs {kind.needs})" for kind in KINDS if kind.needs not in ("", *available)
    ]
    is_whole = given.only is None and given.change is None
    done = _read(kept) if is_whole else {}
    numbers = list(range(given.trials)) if is_whole else [given.only]
    plan = {
        number: _draw(given.seed, number, available)
        for number in numbers
        if number is not None and number not in done
    }
    # The changes have negative numbers, and their places never change.
    changes = {-1 - place: name for place, name in enumerate(CHANGES)}
    if given.only is not None:
        changes = {}
    elif given.change is not None:
        changes = {number: name for number, name in changes.items() if name == given.change}
    open_changes = {number: name for number, name in changes.items() if number not in done}
    try:
        for outcome in _run(plan, open_changes, given.seed, console):
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
    trials = [done[number] for number in numbers if number is not None]
    changed = [done[number] for number in changes]
    console.print(draw_table(trials, changed))
    for outcome in (*trials, *changed):
        for problem in outcome.problems:
            console.print(f"{outcome.trial} ({', '.join(outcome.faults)}): {problem}", markup=False)
    if is_whole:
        RESULTS.write_text(write_markdown(trials, changed, given.seed, left_out))
        console.print(f"written to {RESULTS.relative_to(ROOT)}")
    return 1 if any(outcome.problems for outcome in (*trials, *changed)) else 0


def _draw(seed: int, number: int, available: Sequence[str]) -> tuple[Fault, ...]:
    """Draw one fault for an even trial, and two for an odd one."""
    return draw_faults(
        seed, number, available, of=KINDS, times=(SHORT, LONG), pair_share=float(number % 2)
    )


def _read(kept: Path) -> dict[int, Outcome]:
    """Return the outcomes of earlier runs by their trials."""
    lines = kept.read_text().splitlines() if kept.exists() else []
    return {outcome.trial: outcome for outcome in map(Outcome.from_json, lines)}


def _run(
    plan: Mapping[int, Sequence[Fault]], changes: Mapping[int, str], seed: int, console: Console
) -> Iterator[Outcome]:
    """Run trials on one layout, and on a new one after a broken promise; then the changes."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    left = deque(plan)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting the layout", total=len(plan) + len(changes))

        def report(what: str) -> None:
            progress.update(task, description=what)

        def note(outcome: Outcome) -> Outcome:
            progress.advance(task)
            if console.is_terminal is False or outcome.problems:
                console.print(_describe(outcome), markup=False)
            return outcome

        while left:
            with (
                run_chain() as chain,
                send_load(
                    chain.stack.url("balancer:8080"), chain.stack.url("balancer:8081"), seed
                ) as load,
                closing(Trials(chain, load, report)) as trials,
            ):
                trials.settle()
                passed = True
                while left and passed:
                    number = left.popleft()
                    outcome = note(trials.run(number, plan[number], is_last=not left))
                    passed = not outcome.problems
                    yield outcome
        for number, name in changes.items():
            report("starting the layout")
            yield note(run_change(name, number, seed, report))


def _describe(outcome: Outcome) -> str:
    """Return one line about a trial."""
    missing = ", ".join(f"{number} in {source}" for source, number in outcome.missing.items())
    return (
        f"{outcome.trial} ({', '.join(outcome.faults)}): {outcome.requests} requests, missing: "
        f"{missing}, of at most {outcome.bound}; {outcome.expected} alerts expected, "
        f"{len(outcome.sent)} sent, {outcome.doubled} doubled; {outcome.seconds:g} s"
        + "".join(f"\n  sent: {alert}" for alert in outcome.sent)
        + "".join(f"\n  broken promise: {problem}" for problem in outcome.problems)
    )


if __name__ == "__main__":
    sys.exit(main())
