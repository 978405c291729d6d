"""``randsvc scenario``: list, show and run scenarios."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from randsvc.cli.stack_options import StackOptions
from randsvc.errors import ConfigurationError
from randsvc.incidents.run import run_scenario
from randsvc.incidents.scenario import (
    FOLDER,
    Load,
    Scenario,
    ScenarioError,
    SetFault,
    Step,
    StopProgram,
    list_scenarios,
    read_scenario,
)
from randsvc.incidents.verdict import Verdict

__all__ = ("scenario_app",)

Name = Annotated[str, Parameter(help="Name of the scenario.")]
Folder = Annotated[
    Path,
    # The default differs from machine to machine.
    Parameter(
        help="Folder of the scenarios; default: scenarios/ of the project.", show_default=False
    ),
]

scenario_app = App(
    name="scenario",
    help="Run an incident on a running stack, and check that the right alert fires.",
    help_format="plaintext",
    config=(),
)


@scenario_app.command(name="list")
def list_(*, folder: Folder = FOLDER) -> None:
    """List the scenarios: level, time limit for the alert, and title."""
    table = Table("Scenario", "Level", "Fires within", "Incident", box=None)
    for name in list_scenarios(folder):
        scenario = _read(name, folder)
        within = f"{scenario.expected.fires_within:g} s" if scenario.expected else "never"
        table.add_row(name, scenario.level or "none", within, scenario.title)
    Console(soft_wrap=True).print(table)


@scenario_app.command
def show(name: Name, *, folder: Folder = FOLDER) -> None:
    """Show what a scenario does, and what it expects."""
    scenario = _read(name, folder)
    expected = scenario.expected
    lines = [scenario.title, "", scenario.story, ""]
    lines += [f"- {_describe(step)}" for step in scenario.steps]
    if expected:
        lines += [
            "",
            f"Expected: {expected.alert} fires at level {scenario.level} within "
            f"{expected.fires_within:g} s, notifies {expected.receiver}, and clears within "
            f"{expected.clears_within:g} s of the end of the incident.",
        ]
    else:
        lines += ["", f"Expected: no alert fires for {scenario.watched_for:g} s."]
    lines += [f"{alert} may fire too: {why}" for alert, why in scenario.may_fire.items()]
    Console(highlight=False).print("\n".join(lines), markup=False)


@scenario_app.command(name="run")
def run_(
    name: Name,
    *,
    stack: StackOptions | None = None,
    folder: Folder = FOLDER,
) -> None:
    """Run a scenario and print a verdict; the exit code is 1 if it failed."""
    scenario = _read(name, folder)
    stack = stack or StackOptions()
    console = Console(highlight=False, soft_wrap=True)
    stops = [step.program for step in scenario.steps if isinstance(step, StopProgram)]
    if stops and not sys.stdin.isatty():
        raise ConfigurationError(
            f"scenario {name} stops {', '.join(stops)}, which you must do by hand: "
            "run the scenario in a terminal"
        )
    console.print(f"[bold]{scenario.title}[/bold]\n{scenario.story}\n")
    with console.status("") as status:
        began = time.monotonic()

        def report(line: str) -> None:
            console.print(f"{time.monotonic() - began:6.1f} s  {line}", markup=False)
            status.update(line)

        # The spinner would hide a question to the user.
        by_hand = _ByHand(console, before=status.stop, after=status.start)
        try:
            verdict = asyncio.run(
                run_scenario(
                    scenario,
                    stack.addresses,
                    programs=by_hand,
                    report=report,
                    token=stack.token,
                )
            )
        except ScenarioError as error:
            raise ConfigurationError(str(error)) from error
    console.print(_draw_verdict(verdict))
    if not verdict.passed:
        raise SystemExit(1)


class _ByHand:
    """Asks the user to stop and start programs: only the user knows how the stack runs."""

    def __init__(
        self, console: Console, before: Callable[[], None], after: Callable[[], None]
    ) -> None:
        self._console = console
        self._before = before
        self._after = after

    def stop(self, name: str) -> None:
        self._ask("stop", name, f"docker compose stop {name}")

    def start(self, name: str) -> None:
        self._ask("start", name, f"docker compose start {name}")

    def _ask(self, verb: str, name: str, command: str) -> None:
        self._before()
        self._console.print(
            f"\n{verb.capitalize()} {name} now: run [bold]{command}[/bold], or type "
            f"[bold]{verb} {name}[/bold] in the terminal of the native stack. "
            "Then press Enter here."
        )
        sys.stdin.readline()
        self._after()


def _read(name: str, folder: Path) -> Scenario:
    try:
        return read_scenario(name, folder)
    except ScenarioError as error:
        raise ConfigurationError(str(error)) from error


def _describe(step: Step) -> str:
    match step:
        case SetFault():
            parameters = ", ".join(f"{name} {value:g}" for name, value in step.parameters.items())
            return f"fault {step.name} of {step.service}{f': {parameters}' if parameters else ''}"
        case StopProgram():
            return f"program {step.program} is stopped"
        case Load():
            if step.of_limit is not None:
                return f"load: requests in flight at {step.of_limit:.0%} of the concurrency limit"
            return f"load: {step.requests_per_second:g} requests/s"


def _draw_verdict(verdict: Verdict) -> Table:
    """Draw the verdict as a table."""
    expected = verdict.scenario.expected
    table = Table.grid(padding=(0, 2))
    table.add_row()
    if expected:
        table.add_row("Alert", expected.alert)
        table.add_row("Level", (verdict.fired is not None and verdict.scenario.level) or "-")
        table.add_row("Fired", _format_seconds(verdict.fired, expected.fires_within))
        table.add_row(
            "Notified",
            f"{', '.join(verdict.receivers) or '-'}, {_format_seconds(verdict.notified)}",
        )
        table.add_row("Cleared", _format_seconds(verdict.cleared, expected.clears_within))
    table.add_row("Also fired", ", ".join(map(str, verdict.others)) or "no other alert")
    for problem in verdict.problems:
        table.add_row("[red]Unexpected[/red]", problem)
    table.add_row("Verdict", "[green]passed[/green]" if verdict.passed else "[red]failed[/red]")
    return table


def _format_seconds(seconds: float | None, limit: float | None = None) -> str:
    if seconds is None:
        return "never"
    return f"after {seconds:.1f} s" + (f" of at most {limit:g} s" if limit else "")
