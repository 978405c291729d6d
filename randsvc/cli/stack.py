"""``randsvc stack``: run the whole chain natively, on loopback."""

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from randsvc.errors import ConfigurationError
from randsvc.stack.addresses import ADDRESSES
from randsvc.stack.build import BuildError
from randsvc.stack.highly_available import DESCRIPTIONS, run_replicas
from randsvc.stack.programs import (
    BLACKBOX_PACKAGE,
    Service,
    StackError,
    make_auth,
    make_blackbox_exporter,
    make_randsvc,
    make_users,
)
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack

__all__ = ("choose_services", "draw_addresses", "stack_app")

stack_app = App(name="stack", help_format="plaintext", config=())


@stack_app.default
def run(
    *,
    logs: Annotated[
        bool,
        Parameter(
            help="Also run VictoriaLogs and Jaeger, and send them the services' logs and traces.",
            negative=(),
        ),
    ] = False,
    ha: Annotated[
        bool,
        Parameter(
            name="--ha",
            help="Run the highly available layout instead: replicas of every part, and Thanos.",
            negative=(),
        ),
    ] = False,
) -> None:
    """Run the chain until Ctrl-C, and obey `stop NAME` and `start NAME` from a terminal."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if logs and ha:
        raise ConfigurationError("--logs and --ha: expected one of them; --ha runs no VictoriaLogs")
    try:
        with (
            run_replicas(users=[make_users], env=_read_settings())
            if ha
            else run_stack(services=choose_services(console), logs=logs, traces=logs)
        ) as stack:
            console.print(draw_addresses(stack, DESCRIPTIONS if ha else ADDRESSES))
            console.print(
                f"Logs and data are in {stack.folder} until the stack stops. Press Ctrl-C to stop."
            )
            if sys.stdin.isatty():
                names = ", ".join(stack.programs)
                console.print(f"Type `stop NAME` or `start NAME`; NAME is one of {names}.")
            while True:
                _obey(stack, console)
                stack.check()
    except KeyboardInterrupt:
        return
    except (StackError, BuildError) as error:
        raise ConfigurationError(str(error)) from error


def choose_services(console: Console) -> list[Service]:
    """Give the services of a stack; say on the console what is missing on this machine."""
    env = _read_settings()
    services: list[Service] = [
        partial(make_randsvc, env=env),
        partial(make_auth, env=env),
        make_users,
    ]
    if shutil.which(BLACKBOX_PACKAGE):
        services.append(make_blackbox_exporter)
    else:
        console.print(
            f"Prometheus probes no service from outside: there is no program {BLACKBOX_PACKAGE} in "
            "PATH. On Debian, install the package of that name."
        )
    return services


def _read_settings() -> dict[str, str]:
    """Return the variables that configure the services."""
    return {
        name: value for name, value in os.environ.items() if name.startswith(("RANDSVC_", "OTEL_"))
    }


def _obey(stack: Stack, console: Console) -> None:
    """Wait a second for a line from the terminal, and do what it says."""
    if not sys.stdin.isatty():
        time.sleep(1)
        return
    if not select.select([sys.stdin], [], [], 1)[0]:
        return
    match sys.stdin.readline().split():
        case ["stop", name] if name in stack.running:
            stack.stop(name)
            console.print(f"{name} is stopped")
        case ["start", name] if name in stack.programs and name not in stack.running:
            stack.start(name)
            console.print(f"{name} is running")
        case []:
            pass
        case _:
            running = ", ".join(sorted(stack.running))
            stopped = ", ".join(sorted(stack.programs.keys() - stack.running)) or "none"
            console.print(
                "expected `stop NAME` or `start NAME`; "
                f"running programs: {running}; stopped programs: {stopped}"
            )


def draw_addresses(stack: Stack, descriptions: Mapping[str, str] = ADDRESSES) -> Table:
    """Draw the URLs at which the programs of a stack listen."""
    table = Table("Program", "URL")
    served = {address for program in stack.programs.values() for address in program.listens}
    for address, description in descriptions.items():
        if address not in served:
            continue
        table.add_row(description, stack.url(address))
    return table
