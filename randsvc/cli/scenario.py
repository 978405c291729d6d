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

from randsvc.errors import ConfigurationError
from randsvc.incidents import run as scenario_run
from randsvc.incidents import scenario as scenarios
from randsvc.incidents.run import Addresses, Verdict
from randsvc.incidents.scenario import Load, Scenario, ScenarioError, SetFault, Step, StopProgram

__all__ = ("scenario_app",)

Name = Annotated[str, Parameter(help="Which scenario.")]
Folder = Annotated[
    Path,
    # Where that is differs from machine to machine.
    Parameter(help="Where the scenarios are; unset, in the project.", show_default=False),
]
Token = Annotated[
    str | None,
    Parameter(help="Where the services have one.", env_var="RANDSVC_MANAGEMENT_TOKEN"),
]

scenario_app = App(
    name="scenario",
    help="Run an incident against a running stack, and see that the right alert says so.",
    help_format="plaintext",
    config=(),
)


def _url(what: str, variable: str) -> Parameter:
    return Parameter(help=f"URL of {what}.", env_var=variable)


@scenario_app.command(name="list")
def list_(*, folder: Folder = scenarios.FOLDER) -> None:
    """List the scenarios: level, longest time to fire, and what happens."""
    table = Table("Scenario", "Level", "Fires within", "What happens", box=None)
    for name in scenarios.names(folder):
        scenario = _loaded(name, folder)
        within = f"{scenario.expected.fires_within:g} s" if scenario.expected else "never"
        table.add_row(name, scenario.level or "none", within, scenario.title)
    Console(soft_wrap=True).print(table)


@scenario_app.command
def show(name: Name, *, folder: Folder = scenarios.FOLDER) -> None:
    """Tell what a scenario does, and what is expected then."""
    scenario = _loaded(name, folder)
    expected = scenario.expected
    lines = [scenario.title, "", scenario.story, ""]
    lines += [f"- {_described(step)}" for step in scenario.steps]
    if expected:
        lines += [
            "",
            f"Expected: {expected.alert}, level {scenario.level}, told to {expected.receiver}, "
            f"within {expected.fires_within:g} s; over within {expected.clears_within:g} s.",
        ]
    else:
        lines += ["", f"Expected: nothing fires for {scenario.watched_for:g} s."]
    lines += [f"{alert} may fire too: {why}" for alert, why in scenario.may_fire.items()]
    Console(highlight=False).print("\n".join(lines), markup=False)


@scenario_app.command(name="run")
def run_(
    name: Name,
    *,
    prometheus: Annotated[str, _url("Prometheus", "PROMETHEUS_URL")] = "http://127.0.0.1:9090",
    alertmanager: Annotated[
        str, _url("Alertmanager", "ALERTMANAGER_URL")
    ] = "http://127.0.0.1:9093",
    inbox: Annotated[str, _url("the inbox", "INBOX_URL")] = "http://127.0.0.1:9095",
    service: Annotated[str, _url("the service", "SERVICE_URL")] = "http://127.0.0.1:8080",
    management: Annotated[
        str, _url("the management port of the service", "MANAGEMENT_URL")
    ] = "http://127.0.0.1:9464",
    auth_management: Annotated[
        str, _url("the management port of auth", "AUTH_MANAGEMENT_URL")
    ] = "http://127.0.0.1:9465",
    token: Token = None,
    folder: Folder = scenarios.FOLDER,
) -> None:
    """Run a scenario, and end with a verdict; the exit code is 1 where it is not as expected."""
    scenario = _loaded(name, folder)
    addresses = Addresses(
        prometheus=prometheus,
        alertmanager=alertmanager,
        inbox=inbox,
        service=service,
        management=management,
        auth_management=auth_management,
    )
    console = Console(highlight=False, soft_wrap=True)
    stops = [step.program for step in scenario.steps if isinstance(step, StopProgram)]
    if stops and not sys.stdin.isatty():
        raise ConfigurationError(
            f"{name} stops {', '.join(stops)}, which a person has to do: run it in a terminal"
        )
    console.print(f"[bold]{scenario.title}[/bold]\n{scenario.story}\n")
    with console.status("") as status:
        began = time.monotonic()

        def say(what: str) -> None:
            console.print(f"{time.monotonic() - began:6.1f} s  {what}", markup=False)
            status.update(what)

        # A person is asked below the lines, not below a spinner.
        by_hand = _ByHand(console, before=status.stop, after=status.start)
        try:
            verdict = asyncio.run(
                scenario_run.run(scenario, addresses, programs=by_hand, say=say, token=token)
            )
        except ScenarioError as error:
            raise ConfigurationError(str(error)) from error
    console.print(_verdict(verdict))
    if not verdict.passed:
        raise SystemExit(1)


class _ByHand:
    """Programs that a person stops and starts, as nothing here could in every kind of stack."""

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

    def _ask(self, what: str, name: str, command: str) -> None:
        self._before()
        self._console.print(
            f"\n{what} {name} now: [bold]{command}[/bold], or type [bold]{what} {name}[/bold] where"
            " the native stack runs; then press Enter here"
        )
        sys.stdin.readline()
        self._after()


def _loaded(name: str, folder: Path) -> Scenario:
    try:
        return scenarios.load(name, folder)
    except ScenarioError as error:
        raise ConfigurationError(str(error)) from error


def _described(step: Step) -> str:
    match step:
        case SetFault():
            parameters = ", ".join(f"{name} {value:g}" for name, value in step.parameters.items())
            return f"fault {step.name} of {step.service}{f': {parameters}' if parameters else ''}"
        case StopProgram():
            return f"{step.program} is stopped"
        case Load():
            if step.of_limit is not None:
                return f"load: {step.of_limit:.0%} of the concurrency limit always in flight"
            return f"load: {step.requests_per_second:g} requests/s"


def _verdict(verdict: Verdict) -> Table:
    """The verdict as a table of what was seen."""
    expected = verdict.scenario.expected
    table = Table.grid(padding=(0, 2))
    table.add_row()
    if expected:
        table.add_row("Alert", expected.alert)
        table.add_row("Level", (verdict.fired is not None and verdict.scenario.level) or "-")
        table.add_row("Fired", _seconds(verdict.fired, expected.fires_within))
        table.add_row("Told", f"{', '.join(verdict.receivers) or '-'}, {_seconds(verdict.told)}")
        table.add_row("Cleared", _seconds(verdict.cleared, expected.clears_within))
    table.add_row("Also fired", ", ".join(verdict.others) or "nothing")
    for problem in verdict.problems:
        table.add_row("[red]Not as expected[/red]", problem)
    table.add_row("Verdict", "[green]passed[/green]" if verdict.passed else "[red]failed[/red]")
    return table


def _seconds(seconds: float | None, limit: float | None = None) -> str:
    if seconds is None:
        return "never"
    return f"after {seconds:.1f} s" + (f" of at most {limit:g} s" if limit else "")
