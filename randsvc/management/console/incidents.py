"""What a button can cause, each with what to expect: faults, and scenarios of faults alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randsvc.faults.faults import Faults, Name
from randsvc.incidents.scenario import (
    FOLDER,
    Load,
    Scenario,
    ScenarioError,
    SetFault,
    Step,
    load,
    names,
)

__all__ = ("EXAMPLES", "Example", "described_faults", "described_scenarios")


@dataclass(frozen=True)
class Example:
    """What to expect of a fault with these parameters, and the alert that it raises."""

    expect: str
    alert: str | None = None
    parameters: Mapping[str, float] | None = None


EXAMPLES: Mapping[Name, Example] = {
    "errors": Example(
        "Errors rise to the share. The median delay falls, as failing is quick.",
        "RandsvcRandomFailing",
        {"share": 0.5},
    ),
    "latency": Example(
        "p99 rises to seconds while the median stays: only the tail shows a strange loop.",
        "RandsvcStrangeLoop",
        {"share": 0.05, "seconds": 2},
    ),
    "model-down": Example(
        "The source changes from model to fallback. Users get a worse answer, but no error.",
        "RandsvcModelReplaced",
    ),
    "model-slow": Example(
        "The model overruns its budget, so the fallback answers, and each answer takes longer.",
        "RandsvcModelReplaced",
        {"seconds": 0.2},
    ),
    "block": Example(
        "The event loop runs late: every request waits for every other, and so does this page.",
        "RandsvcEventLoopBlocked",
        {"seconds": 0.1},
    ),
    "value-shift": Example(
        "The last minute of the value moves away from the truth; no golden signal changes.",
        parameters={"by": 20},
    ),
    "value-scale": Example(
        "The last minute of the value gets wider and moves; no golden signal changes.",
        parameters={"factor": 1.5},
    ),
    "value-frozen": Example(
        "The last minute of the value becomes one spike; no golden signal changes.",
    ),
    "delay-shift": Example(
        "Latency and the distribution of the delay move together.",
        parameters={"by": 0.2},
    ),
    "feature-missing": Example(
        "Requests lose their segment, and the rules of the fallback know less; no signal changes.",
        parameters={"share": 0.5},
    ),
    "segment-change": Example(
        "The mix of the inputs changes while every golden signal stays.",
        parameters={"share": 1},
    ),
    "feedback-down": Example(
        "No truth arrives any more, so the quality of the model is not known; answers go on.",
    ),
    "truth-shift": Example(
        "The answers stay as they were and turn out to be wrong: only the feedback tells.",
        parameters={"by": 20},
    ),
    "auth-down": Example(
        "Every login is an error. Who is in stays in until the token expires, a minute at most.",
        "RandsvcNobodyCanLogIn",
    ),
    "crash": Example(
        "The process ends, and this page with it. docker compose starts another, make run none.",
        "RandsvcServiceDown",
    ),
}


def described_faults(faults: Faults) -> list[dict[str, Any]]:
    """Each fault that can be set here with its schema, an example and what to expect, as JSON."""
    return [
        {
            "name": name,
            "description": fault.description,
            "lasts": fault.lasts,
            "parameters": {
                parameter: {
                    "description": bounds.description,
                    "minimum": bounds.minimum,
                    "maximum": bounds.maximum,
                    "example": (EXAMPLES[fault.name].parameters or {})[parameter],
                }
                for parameter, bounds in fault.parameters.items()
            },
            "expect": EXAMPLES[fault.name].expect,
            "alert": EXAMPLES[fault.name].alert,
        }
        for name, fault in faults.known.items()
    ]


def described_scenarios(service: str, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Each scenario of ``folder`` with what to expect, as JSON; none where there is no folder.

    ``steps`` are the faults of ``service`` to set, None where they are not all that it takes.
    """
    described = []
    for name in names(folder):
        try:
            described.append(_described(load(name, folder), service))
        except ScenarioError as error:
            described.append({"name": name, "error": str(error)})
    return described


def _described(scenario: Scenario, service: str) -> dict[str, Any]:
    here = [
        {"fault": step.name, "parameters": dict(step.parameters)}
        for step in scenario.steps
        if isinstance(step, SetFault) and step.service == service
    ]
    expected = scenario.expected
    return {
        "name": scenario.name,
        "title": scenario.title,
        "story": scenario.story,
        "level": scenario.level,
        "alert": expected.alert if expected else None,
        "fires_within": expected.fires_within if expected else None,
        "steps": here if here and len(here) == len(scenario.steps) else None,
        "takes": [_taken(step) for step in scenario.steps],
    }


def _taken(step: Step) -> str:
    if isinstance(step, SetFault):
        return f"sets the fault {step.name} of {step.service}"
    if isinstance(step, Load):
        return "sends load of its own"
    return f"stops {step.program}"
