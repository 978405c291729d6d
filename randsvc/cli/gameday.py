"""``randsvc gameday``: an unattended sequence of incidents, reported by teams, with a score."""

import asyncio
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from randsvc.cli.analysis import missing_package
from randsvc.cli.stack import choose_services, draw_addresses
from randsvc.cli.stack_options import StackOptions
from randsvc.errors import ConfigurationError
from randsvc.incidents.perform import Programs
from randsvc.incidents.scenario import FOLDER, ScenarioError
from randsvc.incidents.stack_api import Addresses
from randsvc.stack.build import BuildError
from randsvc.stack.programs import StackError
from randsvc.stack.run import run_stack

if TYPE_CHECKING:
    from randsvc.gameday.journal import Journal
    from randsvc.gameday.sequence import Incident

__all__ = ("gameday_app",)

TEAM_LIMIT = 50
MINUTE_LIMIT = 24 * 60
PORT = 8090

gameday_app = App(
    name="gameday",
    help="Run a game day: incidents at times that nobody knows, reported by teams, with a score.",
    help_format="plaintext",
    config=(),
)


def _flag(text: str) -> Parameter:
    return Parameter(help=text, negative=())


@gameday_app.default
def gameday(
    *,
    seed: Annotated[int, Parameter(help="Number that decides on the sequence of incidents.")],
    minutes: Annotated[float, Parameter(help="Length of the game day in minutes.")] = 45,
    teams: Annotated[int, Parameter(help="Number of teams; each gets a link of its own.")] = 1,
    hints: Annotated[
        int, Parameter(help="Number of hints that the teams see, from 0 (hard) to 3 (easy).")
    ] = 1,
    folder: Annotated[
        Path | None,
        Parameter(
            help="Folder for the reports of the teams and the final report; default: "
            "gameday-SEED. A game day that was interrupted goes on if you repeat the command.",
            show_default=False,
        ),
    ] = None,
    plan: Annotated[
        bool, _flag("Print the sequence of incidents, and end; not for the eyes of the teams.")
    ] = False,
    with_stack: Annotated[
        bool,
        _flag(
            "Also run the native stack. Incidents that stop a program are drawn only with this "
            "option."
        ),
    ] = False,
    free_ports: Annotated[
        bool, _flag("Run that stack on ports that are free, not on the well-known ones.")
    ] = False,
    host: Annotated[
        str, Parameter(help="Address at which the page of the teams listens.")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port of the page of the teams.")] = PORT,
    stack: StackOptions | None = None,
    scenarios: Annotated[
        Path,
        Parameter(
            help="Folder of the scenarios; default: scenarios/ of the project.", show_default=False
        ),
    ] = FOLDER,
) -> None:
    """Run a game day on a running stack, unattended, and write its report.

    The same seed, minutes and scenarios give the same sequence of incidents. Teams report what they
    notice on a page. Ctrl-C clears every fault. docs/gameday.md has the score.
    """
    _expect("--minutes", minutes, 1, MINUTE_LIMIT)
    _expect("--teams", teams, 1, TEAM_LIMIT)
    _expect("--port", port, 1, 65535)
    try:
        from randsvc.gameday.journal import Journal, Planned, Setup
        from randsvc.gameday.page import HINTS
        from randsvc.gameday.report import make_report
        from randsvc.gameday.run import run_game_day
        from randsvc.gameday.sequence import draw_sequence, read_pool
    except ModuleNotFoundError as error:
        raise missing_package(error, "gameday") from None
    _expect("--hints", hints, 0, HINTS)
    console = Console(highlight=False, soft_wrap=True)
    try:
        pool = read_pool(scenarios)
        sequence = draw_sequence(seed, minutes * 60, pool, stops=with_stack)
    except ScenarioError as error:
        raise ConfigurationError(str(error)) from error
    if plan:
        console.print(_draw_plan(sequence))
        return
    setup = Setup(
        seed=seed,
        minutes=minutes,
        hints=hints,
        teams={f"team-{i}": secrets.token_urlsafe(9) for i in range(1, teams + 1)},
        sequence=tuple(
            Planned(scenario=each.scenario.name, kind=each.kind, start=each.start, end=each.end)
            for each in sequence
        ),
    )
    folder = folder or Path(f"gameday-{seed}")
    journal = Journal.open(folder, setup)
    stack = stack or StackOptions()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _stack(console, stack.addresses, folder, with_stack, free_ports) as (
            used,
            programs,
            check,
        ):
            if not _is_over(journal):
                _draw_links(console, journal, host, port)
                with _progress(journal, check) as progress:
                    asyncio.run(
                        run_game_day(
                            journal,
                            sequence,
                            pool,
                            used,
                            programs=programs,
                            host=host,
                            port=port,
                            report=lambda line: console.print(line, markup=False),
                            progress=progress,
                            token=stack.token,
                        )
                    )
            titles = {each.name: each.title for each in pool}
            page = make_report(journal, sequence, titles, used, round(time.time()))
    except KeyboardInterrupt:
        console.print(
            "Stopped; all faults are cleared. Repeat the command to go on, until the "
            f"{minutes:g} minutes are over.",
            markup=False,
        )
        raise SystemExit(130) from None
    except (ScenarioError, StackError, BuildError) as error:
        raise ConfigurationError(str(error)) from error
    file = folder / "report.html"
    try:
        file.write_text(page.to_html(), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror}") from None
    for line in page.short:
        console.print(line, markup=False)
    console.print(f"Written to {file}", markup=False)


@contextmanager
def _stack(
    console: Console, addresses: Addresses, folder: Path, with_stack: bool, free_ports: bool
) -> Iterator[tuple[Addresses, Programs, Callable[[], None]]]:
    """Run the stack if it is wanted; give its addresses, its programs, and a check of them."""
    if not with_stack:
        yield addresses, _NoPrograms(), lambda: None
        return
    data = folder.resolve() / "stack"
    data.mkdir(exist_ok=True)
    with run_stack(services=choose_services(console), free_ports=free_ports, folder=data) as stack:
        console.print(draw_addresses(stack))
        used = Addresses(
            prometheus=stack.url("prometheus:9090"),
            alertmanager=stack.url("alertmanager:9093"),
            inbox=stack.url("inbox:9095"),
            service=stack.url("randsvc:8080"),
            management=stack.url("randsvc:9464"),
            auth_management=stack.url("auth:9465"),
        )
        yield used, stack, stack.check


class _NoPrograms:
    """For a sequence that stops no program."""

    def stop(self, name: str) -> None:
        raise AssertionError(name)

    def start(self, name: str) -> None:
        raise AssertionError(name)


@contextmanager
def _progress(journal: "Journal", check: Callable[[], None]) -> Iterator[Callable[[float], None]]:
    """Show how much of the game day has passed; nothing of the incidents, as teams may see it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("waiting", total=journal.seconds, left="")

        def show(elapsed: float) -> None:
            check()
            left = max(0, round(journal.seconds - elapsed))
            progress.update(
                task,
                completed=elapsed,
                description=f"{len(journal.reports)} reports",
                left=f"{left // 60}:{left % 60:02} left",
            )

        yield show


def _is_over(journal: "Journal") -> bool:
    return journal.started is not None and time.time() >= journal.started + journal.seconds


def _draw_links(console: Console, journal: "Journal", host: str, port: int) -> None:
    shown = "ADDRESS-OF-THIS-MACHINE" if host in ("0.0.0.0", "::") else host  # noqa: S104
    table = Table("Team", "Link", box=None)
    for name, secret in journal.setup.teams.items():
        table.add_row(name, f"http://{shown}:{port}/teams/{secret}")
    console.print(table)
    console.print(
        f"Give each team its link. The game day takes {journal.setup.minutes:g} minutes from when "
        "no alert is firing. Ctrl-C stops it, and clears every fault."
    )


def _draw_plan(sequence: "Sequence[Incident]") -> Table:
    table = Table("Starts", "Lasts", "Kind", "Level", "Incident", box=None)
    for each in sequence:
        start, lasts = round(each.start), round(each.end - each.start)
        table.add_row(
            f"{start // 60}:{start % 60:02}",
            f"{lasts} s",
            each.kind,
            each.scenario.level or "none",
            each.scenario.name,
        )
    return table


def _expect(option: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigurationError(
            f"{option} is {value:g}: expected a number from {least:g} to {most:g}"
        )
