"""What can be broken on purpose: a closed list, off until somebody sets one, for a stated time.

Nothing here knows how a fault is felt: who serves asks ``Faults`` while there are any on. Time is
read at that moment, so a fault ends by itself though no timer runs.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

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
    "truth-shift",
]


class FaultError(ValueError):
    """Parameters that a fault does not take: one line that names them and what was expected."""


@dataclass(frozen=True)
class Parameter:
    """A number of a fault; its bounds belong to it."""

    description: str
    minimum: float
    maximum: float


DURATION = Parameter("seconds until it ends by itself", 0, 86_400)


@dataclass(frozen=True)
class Fault:
    """One thing that can be broken. ``lasts`` is false for what is over as soon as it is done."""

    name: Name
    description: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    lasts: bool = True

    @property
    def all_parameters(self) -> dict[str, Parameter]:
        """Its own parameters and ``duration``, which every fault takes."""
        return {**self.parameters, "duration": DURATION}

    @property
    def required(self) -> list[str]:
        """The parameters that have to be given: all, but for the duration of what does not last."""
        return [*self.parameters, *(["duration"] if self.lasts else [])]

    def schema(self) -> dict[str, Any]:
        """The JSON schema of its parameters: https://json-schema.org/draft/2020-12/schema."""
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
        """The parameters as numbers; raises ``FaultError`` for what the schema does not allow."""
        for name in given:
            if name not in self.all_parameters:
                raise FaultError(
                    f"{self.name}: no parameter {name!r}, expected {', '.join(self.all_parameters)}"
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
                raise FaultError(f"{self.name}: {name}={value!r}, {_expected(parameter)}")
            checked[name] = float(value)
        return checked


def _expected(parameter: Parameter) -> str:
    return (
        f"expected a number from {parameter.minimum:g} to {parameter.maximum:g}: "
        f"{parameter.description}"
    )


_SHARE = Parameter("share of the requests that it hits", 0, 1)
_CRASH = Fault("crash", "the process ends at once, as if killed", lasts=False)

RANDOM_FAULTS: tuple[Fault, ...] = (
    Fault("errors", "requests are answered 500 at once", {"share": _SHARE}),
    Fault(
        "latency",
        "requests take longer, as in a strange loop",
        {"share": _SHARE, "seconds": Parameter("seconds longer", 0, 60)},
    ),
    Fault("model-down", "the model fails, and the fallback answers"),
    Fault(
        "model-slow",
        "the model takes longer, and the fallback answers where it overruns its budget",
        {"seconds": Parameter("seconds longer", 0, 60)},
    ),
    _CRASH,
    Fault(
        "block",
        "each request blocks the event loop, as a handler that calls time.sleep does",
        # Longer than this, and nobody could reach the management port to end it.
        {"seconds": Parameter("seconds that each request blocks it", 0, 5)},
    ),
    Fault(
        "value-shift",
        "the model's values are shifted",
        {"by": Parameter("what is added to each value", -1e9, 1e9)},
    ),
    Fault(
        "value-scale",
        "the model's values are scaled",
        {"factor": Parameter("what each value is multiplied by", -1e6, 1e6)},
    ),
    Fault("value-frozen", "the model's first value from now on is its value from now on"),
    Fault(
        "delay-shift",
        "delays are shifted, down to none at the shortest",
        {"by": Parameter("seconds that are added to each delay", -60, 60)},
    ),
    Fault("feature-missing", "the segment of a request is lost on the way in", {"share": _SHARE}),
    Fault("segment-change", "requests are of the segment premium", {"share": _SHARE}),
    Fault("feedback-down", "feedback is answered 503, so that no truth arrives"),
    Fault(
        "truth-shift",
        "the world changes: what turns out to be true is shifted, while the answers stay",
        {"by": Parameter("what is added to each truth", -1e9, 1e9)},
    ),
)
AUTH_FAULTS: tuple[Fault, ...] = (
    Fault("auth-down", "every login is answered 503"),
    _CRASH,
)


@dataclass
class _On:
    parameters: Mapping[str, float]
    until: float


class Faults:
    """The faults that are on, of those that are ``known``.

    ``on`` is falsy while there are none: on the path of a request that is all there is to look at.
    ``crash`` ends the process; ``changed`` is told of each fault that is set, with its parameters,
    or cleared, with None. ``rng`` decides which requests a share hits.
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
        """Turn a fault on; where it is on, what is given replaces what was.

        Raises KeyError for an unknown name, ``FaultError`` for its parameters.
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
        """Turn a fault off, or all of them; one that is not on stays off. May raise KeyError."""
        for each in list(self.known) if name is None else [self.known[name].name]:
            self.on.pop(each, None)
            self._changed(each, None)

    def get(self, name: Name) -> Mapping[str, float] | None:
        """The parameters of a fault that is on and hits this time; the same object while it is."""
        on = self.on.get(name)
        if on is None:
            return None
        if on.until <= self._clock():
            del self.on[name]
            return None
        share = on.parameters.get("share", 1.0)
        return on.parameters if self._rng.random() < share else None

    def active(self) -> dict[str, dict[str, float]]:
        """The parameters of those that are on; ``duration`` is the seconds that are left."""
        now = self._clock()
        return {
            name: {**on.parameters, "duration": on.until - now}
            for name, on in self.on.items()
            if on.until > now
        }

    def states(self) -> dict[str, bool]:
        """Whether each fault that ever was on is on now. From any thread."""
        now = self._clock()
        return {
            name: (on := self.on.get(name)) is not None and on.until > now
            for name in list(self._used)
        }
