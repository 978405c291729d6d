"""Perform the steps of a scenario on a running stack, and undo them."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from randsvc.incidents.load import send_load
from randsvc.incidents.scenario import Load, SetFault, Step, StopProgram
from randsvc.incidents.stack_api import StackApi

__all__ = ("Programs", "Report", "perform")

Report = Callable[[str], None]
"""Takes one line about the progress of a run."""


class Programs(Protocol):
    """Stops and starts programs of the stack."""

    def stop(self, name: str) -> None:
        """Stop a program; it has ended on return."""

    def start(self, name: str) -> None:
        """Start a program; it is ready on return."""


@contextlib.asynccontextmanager
async def perform(
    step: Step, stack: StackApi, programs: Programs, *, report: Report, duration: float
) -> AsyncIterator[None]:
    """Perform a step on entry, and undo it on exit.

    A fault ends after ``duration`` seconds even if nobody clears it. Raises ``ScenarioError``.
    """
    match step:
        case SetFault():
            await stack.set_fault(step, duration)
            report(f"fault {step.name} of {step.service} is on")
            try:
                yield
            finally:
                cleared = await stack.clear_fault(step)
                report(
                    f"fault {step.name} of {step.service} is off"
                    if cleared
                    else f"{step.service} does not respond; its fault {step.name} ends by itself"
                )
        case StopProgram():
            programs.stop(step.program)
            report(f"{step.program} is stopped")
            try:
                yield
            finally:
                programs.start(step.program)
                report(f"{step.program} is running again")
        case Load():
            service = stack.addresses.service
            async with send_load(step, service, stack) as description:
                report(f"load: {description}")
                try:
                    yield
                finally:
                    report("the load has ended")
