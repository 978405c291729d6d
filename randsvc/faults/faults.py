"""Faults that can be set on purpose: a closed list, all off by default, each on for a set time.

This module only knows which faults are on. The code that serves a request asks ``Faults`` and has
the effect. The time is read at that moment, so a fault ends by itself without a timer.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from randsvc.documents import show

__all__ = ("AUTH_FAULTS", "RANDOM_FAULTS", "Fault", "FaultError", "Faults", "Name", "Parameter")

Name = Literal[
    "errors",
    "latency",
    "model-down",
    "model-slow",
    "auth-down",
    "crash",
    "block",
    "value-shift",
    "value-scale",
    "value-frozen",
    "delay-shift",
    "feature-missing",
    "segment-change",
    "feedback-down",
    "outcome-shift",
]


class FaultError(ValueError):
    """Invalid parameters of a fault: one line that names the parameter and what was expected."""


@dataclass(frozen=True)
class Parameter:
    """A numeric parameter of a fault; both bounds are allowed values."""

    description: str
    minimum: float
    maximum: float


DURATION = Parameter("seconds until the fault ends by itself", 0, 86_400)


@dataclass(frozen=True)
class Fault:
    """One fault. ``lasts`` is false for a fault without a duration, such as a crash."""

    name: Name
    description: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    lasts: bool = True

    @property
    def all_parameters(self) -> dict[str, Parameter]:
        """Its own parameters, and ``duration``."""
        return {**self.parameters, "duration": DURATION}

    @property
    def required(self) -> list[str]:
        """The required parameters: all, except the duration of a fault that does not last."""
        return [*self.parameters, *(["duration"] if self.lasts else [])]

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of its parameters: https://json-schema.org/draft/2020-12/schema."""
        return {
            "title": self.name,
            "description": self.description,
            "type": "object",
            "properties": {
                name: {
                    "type": "number",
                    "description": parameter.description,
                    "minimum": parameter.minimum,
                    "maximum": parameter.maximum,
                }
                for name, parameter in self.all_parameters.items()
            },
            "required": self.required,
            "additionalProperties": False,
        }

    def check(self, given: Mapping[str, object]) -> dict[str, float]:
        """Return the parameters as numbers; raises ``FaultError`` if the schema forbids them."""
        for name in given:
            if name not in self.all_parameters:
                raise FaultError(
                    f"{self.name}: no parameter {show(name)}, "
                    f"expected {', '.join(self.all_parameters)}"
                )
        checked = {}
        for name, parameter in self.all_parameters.items():
            if name not in given:
                if name in self.required:
                    raise FaultError(f"{self.name}: {name} is missing, {_expected(parameter)}")
                continue
            value = given[name]
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not parameter.minimum <= value <= parameter.maximum
            ):
                raise FaultError(f"{self.name}: {name}={show(value)}, {_expected(parameter)}")
            checked[name] = float(value)
        return checked


def _expected(parameter: Parameter) -> str:
    return (
        f"expected a number from {parameter.minimum:g} to {parameter.maximum:g}: "
        f"{parameter.description}"
    )


_SHARE = Parameter("share of the affected requests", 0, 1)
_CRASH = Fault("crash", "the process ends at once, as after SIGKILL", lasts=False)

RANDOM_FAULTS: tuple[Fault, ...] = (
    Fault("errors", "requests fail at once with status 500", {"share": _SHARE}),
    Fault(
        "latency",
        "requests take longer, as in a slow loop",
        {"share": _SHARE, "seconds": Parameter("additional seconds", 0, 60)},
    ),
    Fault("model-down", "the model fails, and the fallback responds"),
    Fault(
        "model-slow",
        "the model takes longer; if it exceeds its time limit, the fallback responds",
        {"seconds": Parameter("additional seconds", 0, 60)},
    ),
    _CRASH,
    Fault(
        "block",
        "each request blocks the event loop, as time.sleep in a handler does",
        # With a longer block the management port could not respond to clear the fault.
        {"seconds": Parameter("seconds of blocking per request", 0, 5)},
    ),
    Fault(
        "value-shift",
        "the model adds a constant to each value",
        {"by": Parameter("number to add to each value", -1e9, 1e9)},
    ),
    Fault(
        "value-scale",
        "the model multiplies each value by a constant",
        {"factor": Parameter("number to multiply each value by", -1e6, 1e6)},
    ),
    Fault("value-frozen", "the model returns its next value for every request"),
    Fault(
        "delay-shift",
        "the service adds a constant to each delay, which stays at least 0",
        {"by": Parameter("seconds to add to each delay", -60, 60)},
    ),
    Fault("feature-missing", "the service loses the segment of a request", {"share": _SHARE}),
    Fault("segment-change", "requests have the segment premium", {"share": _SHARE}),
    Fault("feedback-down", "feedback fails with status 503, so that no ground truth arrives"),
    Fault(
        "outcome-shift",
        "concept drift: the ground truth shifts by a constant, predictions do not",
        {"by": Parameter("number to add to each outcome", -1e9, 1e9)},
    ),
)
AUTH_FAULTS: tuple[Fault, ...] = (
    Fault("auth-down", "every login fails with status 503"),
    _CRASH,
)


@dataclass
class _On:
    parameters: Mapping[str, float]
    until: float


class Faults:
    """The faults of a process; ``known`` are those that can be set.

    ``on`` is falsy while no fault is on, which is all that the path of a request has to check.
    ``crash`` ends the process. ``changed`` is called for each fault that is set, with its
    parameters, and for each cleared one, with None. ``rng`` selects the share of the requests.
    """

    def __init__(
        self,
        known: Sequence[Fault],
        *,
        crash: Callable[[], None],
        changed: Callable[[str, Mapping[str, float] | None], None] = lambda name, parameters: None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.known: dict[str, Fault] = {fault.name: fault for fault in known}
        self.on: dict[str, _On] = {}
        self._used: set[str] = set()
        self._crash = crash
        self._changed = changed
        self._rng = rng or random.Random()
        self._clock = clock

    def set(self, name: str, given: Mapping[str, object]) -> None:
        """Turn a fault on; if it is on already, replace its parameters.

        Raises KeyError for an unknown name, ``FaultError`` for invalid parameters.
        """
        fault = self.known[name]
        parameters = fault.check(given)
        if not fault.lasts:
            self._crash()
            return
        self._used.add(name)
        self.on[name] = _On(parameters, self._clock() + parameters["duration"])
        self._changed(name, parameters)

    def clear(self, name: str | None = None) -> None:
        """Turn one fault off, by default all; raises KeyError for an unknown name."""
        for each in list(self.known) if name is None else [self.known[name].name]:
            self.on.pop(each, None)
            self._changed(each, None)

    def get(self, name: Name) -> Mapping[str, float] | None:
        """Return the parameters if a fault is on and affects this request; one object while on."""
        on = self.on.get(name)
        if on is None:
            return None
        if on.until <= self._clock():
            del self.on[name]
            return None
        share = on.parameters.get("share", 1.0)
        return on.parameters if self._rng.random() < share else None

    def active(self) -> dict[str, dict[str, float]]:
        """Return the parameters of the faults that are on; ``duration`` has the seconds left."""
        now = self._clock()
        return {
            name: {**on.parameters, "duration": on.until - now}
            for name, on in self.on.items()
            if on.until > now
        }

    def states(self) -> dict[str, bool]:
        """Return whether each fault that was ever on is on now. Any thread may call this."""
        now = self._clock()
        return {
            name: (on := self.on.get(name)) is not None and on.until > now
            for name in list(self._used)
        }
