"""The buttons of the console: faults, and scenarios that consist of faults, with their effects."""

import math
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
    list_scenarios,
    read_scenario,
)

__all__ = ("EXAMPLES", "Example", "describe_faults", "describe_scenarios")


@dataclass(frozen=True)
class Example:
    """The effect of a fault with these parameters, and the alert that fires."""

    expect: str
    alert: str | None = None
    parameters: Mapping[str, float] | None = None


EXAMPLES: Mapping[Name, Example] = {
    "errors": Example(
        "The error rate rises to the share. The median latency falls, because failing is fast.",
        "RandsvcRandomFailing",
        {"share": 0.5},
    ),
    "latency": Example(
        "p99 rises to seconds, and the median stays: only the tail shows a strange loop.",
        "RandsvcStrangeLoop",
        {"share": 0.05, "seconds": 2},
    ),
    "model-down": Example(
        "The source changes to fallback. Users get a less accurate response, but no error.",
        "RandsvcModelReplaced",
    ),
    "model-slow": Example(
        "The model exceeds its time limit. The fallback responds, and each response takes longer.",
        "RandsvcModelReplaced",
        {"seconds": 0.2},
    ),
    "block": Example(
        "The event loop lags: every request waits for the others, and so does this page.",
        "RandsvcEventLoopBlocked",
        {"seconds": 0.1},
    ),
    "value-shift": Example(
        "The values of the last minute leave the true density. No golden signal changes.",
        parameters={"by": 20},
    ),
    "value-scale": Example(
        "The values of the last minute shift and spread. No golden signal changes.",
        parameters={"factor": 1.5},
    ),
    "value-frozen": Example(
        "The values of the last minute are all equal. No golden signal changes.",
    ),
    "delay-shift": Example(
        "Latency and the distribution of the delay shift together.",
        parameters={"by": 0.2},
    ),
    "feature-missing": Example(
        "Requests arrive without their segment. No golden signal changes.",
        parameters={"share": 0.5},
    ),
    "segment-change": Example(
        "The mix of the segments changes. No golden signal changes.",
        parameters={"share": 1},
    ),
    "feedback-down": Example(
        "No ground truth arrives, so the accuracy of the model is unknown. Responses continue.",
    ),
    "outcome-shift": Example(
        "The values stay the same but become wrong. Only feedback shows it.",
        parameters={"by": 20},
    ),
    "auth-down": Example(
        "Every login fails. Users who are logged in can continue until their token expires.",
        "RandsvcNobodyCanLogIn",
    ),
    "crash": Example(
        "The process and this page end. docker compose restarts the service; make run does not.",
        "RandsvcServiceDown",
    ),
}


def describe_faults(faults: Faults) -> list[dict[str, Any]]:
    """Return each fault of this service with its schema, an example and its effect, as JSON."""
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


def describe_scenarios(service: str, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Return each scenario of ``folder`` with its alert, as JSON; none if there is no folder.

    Those whose alert comes soonest are first.

    ``steps`` are the faults to set, or None if the scenario needs more than faults of ``service``.
    """
    described = []
    for name in list_scenarios(folder):
        try:
            described.append(_describe(read_scenario(name, folder), service))
        except ScenarioError as error:
            described.append({"name": name, "error": str(error)})
    # What is noticed later is harder to notice; a scenario without an alert is the hardest.
    return sorted(described, key=lambda scenario: scenario.get("fires_within") or math.inf)


def _describe(scenario: Scenario, service: str) -> dict[str, Any]:
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
        "takes": [_describe_step(step) for step in scenario.steps],
    }


def _describe_step(step: Step) -> str:
    if isinstance(step, SetFault):
        return f"sets the fault {step.name} of {step.service}"
    if isinstance(step, Load):
        return "sends extra load"
    return f"stops {step.program}"
