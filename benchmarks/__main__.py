"""Measure, show the tables, and write them to ``results.md`` beside this module."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks import instructions, overhead, reading, recording
from benchmarks.report import Section, draw_table, write_markdown
from benchmarks.wrk import BenchmarkError, find_executable

RESULTS = Path(__file__).with_name("results.md")
PARTS = {
    "instructions": (instructions.steps, instructions.measure),
    "rest": (instructions.steps_of_rest, instructions.measure_rest),
    "overhead": (overhead.steps, overhead.measure),
    "reading": (reading.steps, reading.measure),
    "recording": (recording.steps, recording.measure),
}

app = App(
    name="benchmarks", help_format="plaintext", version_flags=[], suppress_keyboard_interrupt=False
)
Count = Annotated[int, Parameter(validator=Number(gte=1))]


@app.default
def bench(
    *,
    rounds: Count = 5,
    seconds: Count = 4,
    only: Literal["instructions", "rest", "overhead", "reading", "recording"] | None = None,
) -> None:
    """Measure what measuring costs, what being read costs, and one measurement: some six minutes.

    Parameters
    ----------
    rounds
        Rounds in which each candidate is measured.
    seconds
        Time that each candidate is measured for in a round.
    only
        One part, for a quick look; results.md is then left as it is.

    """
    if only not in ("instructions", "rest", "recording"):
        find_executable()
    sections = asyncio.run(_measured([only] if only else list(PARTS), rounds, seconds))
    console = Console()
    for section in sections:
        console.print(draw_table(section))
    if not only:
        RESULTS.write_text(write_markdown(sections), encoding="utf-8")
        console.print(f"written to {RESULTS.parent.name}/{RESULTS.name}")


async def _measured(parts: list[str], rounds: int, seconds: int) -> list[Section]:
    if running := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        total = sum(PARTS[part][0](rounds, seconds) for part in parts)
        task = bar.add_task("", total=total)
        return [
            await PARTS[part][1](
                rounds, seconds, lambda name: bar.update(task, description=name, advance=1)
            )
            for part in parts
        ]


if __name__ == "__main__":
    try:
        app()
    except BenchmarkError as failure:
        sys.exit(f"benchmarks: {failure}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("benchmarks: stopped; nothing was written")
