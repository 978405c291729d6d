"""Incidents as data: what breaks, which alert must fire, and how soon.

A scenario is a file ``scenarios/NAME.yaml``. ``read_scenario`` checks the whole file, so that a
mistake is one line of error instead of half an incident.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randsvc.documents import DocumentError, load_yaml, show
from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS, Fault, FaultError
from randsvc.levels import LEVELS
from randsvc.project import ROOT

__all__ = (
    "FOLDER",
    "AlertId",
    "Expected",
    "Load",
    "Scenario",
    "ScenarioError",
    "SetFault",
    "Step",
    "StopProgram",
    "list_scenarios",
    "read_scenario",
)

FOLDER = ROOT / "scenarios"
"""In a clone and in the image."""

PROGRAMS = ("randsvc", "auth", "users", "otel-collector", "prometheus", "alertmanager")
"""The programs that a scenario may stop, by their names in docker-compose.yml."""

WAIT_LIMIT = 300.0
"""Seconds that a scenario may wait for one thing."""
RATE_LIMIT = 100.0
"""Requests/s that a scenario may send."""

_FAULTS: Mapping[str, Mapping[str, Fault]] = {
    "randsvc": {fault.name: fault for fault in RANDOM_FAULTS},
    "auth": {fault.name: fault for fault in AUTH_FAULTS},
}


class ScenarioError(Exception):
    """A scenario cannot be read or run: one line that says what, where and why."""


@dataclass(frozen=True, order=True)
class AlertId:
    """An alert at one level: alerts on error budgets share their name across levels."""

    name: str
    level: str

    def __str__(self) -> str:
        return f"{self.name} ({self.level})"


@dataclass(frozen=True, kw_only=True)
class SetFault:
    """Set a fault of a service until the scenario clears it."""

    service: str
    name: str
    parameters: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class StopProgram:
    """Stop a program until the scenario starts it again."""

    program: str


@dataclass(frozen=True, kw_only=True)
class Load:
    """Send requests for ``/random``, at a rate or at a concurrency.

    ``of_limit`` is the concurrency as a share of the service's concurrency limit.
    """

    requests_per_second: float | None = None
    of_limit: float | None = None


Step = SetFault | StopProgram | Load


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The alert that must fire, the receiver of its notification, and time limits in seconds.

    ``fires_within`` counts from the last step, ``clears_within`` from the end of the incident.
    """

    alert: str
    receiver: str
    fires_within: float
    clears_within: float


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One incident. ``level`` and ``expected`` are None if no alert may fire.

    In that case ``watched_for`` is the time without an alert, in seconds. ``may_fire`` maps names
    of further alerts to the reason why they may fire; none of them may notify anybody at a higher
    level than ``level``.
    """

    name: str
    title: str
    story: str
    level: str | None
    steps: tuple[Step, ...]
    expected: Expected | None
    watched_for: float
    may_fire: Mapping[str, str]

    @property
    def expected_alert(self) -> AlertId | None:
        """The alert that must fire, at the level of the scenario."""
        if self.expected is None or self.level is None:
            return None
        return AlertId(self.expected.alert, self.level)


def list_scenarios(folder: Path = FOLDER) -> list[str]:
    """Return the names of all scenarios."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_scenario(name: str, folder: Path = FOLDER) -> Scenario:
    """Read one scenario; raises ``ScenarioError``."""
    path = folder / f"{name}.yaml"
    known = list_scenarios(folder)
    if name not in known:
        raise ScenarioError(
            f"no scenario {name!r} in {folder}, expected one of {', '.join(known) or 'none'}"
        )
    try:
        document = load_yaml(path)
    except DocumentError as error:
        raise ScenarioError(f"{path}: {error.problem}") from error
    return _read_document(name, _Node(document, str(path)))


@dataclass(frozen=True)
class _Node:
    """A part of the document, with its place for errors."""

    value: Any
    where: str

    def fail(self, expected: str) -> ScenarioError:
        return ScenarioError(f"{self.where}: {show(self.value)}, expected {expected}")

    def fields(self, required: str, optional: str = "") -> dict[str, "_Node"]:
        """Return the fields of a mapping with all required and no unknown ones."""
        known = [*required.split(), *optional.split()]
        if not isinstance(self.value, dict):
            raise self.fail(f"a mapping with {', '.join(known)}")
        for field in self.value:
            if field not in known:
                raise ScenarioError(
                    f"{self.where}: no field {show(field)}, expected {', '.join(known)}"
                )
        for field in required.split():
            if field not in self.value:
                raise ScenarioError(f"{self.where}: {field} is missing")
        return {field: _Node(value, f"{self.where}: {field}") for field, value in self._items()}

    def items(self) -> list["_Node"]:
        if not isinstance(self.value, list):
            raise self.fail("a list")
        return [_Node(item, f"{self.where}[{index}]") for index, item in enumerate(self.value)]

    def texts(self) -> dict[str, str]:
        if not isinstance(self.value, dict):
            raise self.fail("a mapping of texts")
        return {
            _Node(key, self.where).text(): _Node(value, f"{self.where}: {key}").text()
            for key, value in self._items()
        }

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.fail("a text")
        return self.value.strip()

    def one_of(self, known: tuple[str, ...]) -> str:
        if self.value not in known:
            raise self.fail(f"one of {', '.join(known)}")
        return str(self.value)

    def number(self, at_most: float) -> float:
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not number or not 0 < self.value <= at_most:
            raise self.fail(f"a number above 0, at most {at_most:g}")
        return float(self.value)

    def _items(self) -> list[tuple[str, Any]]:
        return list(self.value.items())


def _read_document(name: str, node: _Node) -> Scenario:
    fields = node.fields("title story", "level steps expect nothing_for may_fire")
    if ("expect" in fields) == ("nothing_for" in fields):
        raise ScenarioError(f"{node.where}: expected one of the fields expect and nothing_for")
    if ("expect" in fields) != ("level" in fields):
        raise ScenarioError(f"{node.where}: level and expect require each other")
    quiet = "nothing_for" in fields
    return Scenario(
        name=name,
        title=fields["title"].text(),
        story=fields["story"].text(),
        level=None if quiet else fields["level"].one_of(LEVELS),
        steps=tuple(_read_step(step) for step in fields["steps"].items())
        if "steps" in fields
        else (),
        expected=None if quiet else _read_expected(fields["expect"]),
        watched_for=fields["nothing_for"].number(WAIT_LIMIT) if quiet else 0.0,
        may_fire=fields["may_fire"].texts() if "may_fire" in fields else {},
    )


def _read_expected(node: _Node) -> Expected:
    fields = node.fields("alert receiver fires_within clears_within")
    return Expected(
        alert=fields["alert"].text(),
        receiver=fields["receiver"].text(),
        fires_within=fields["fires_within"].number(WAIT_LIMIT),
        clears_within=fields["clears_within"].number(WAIT_LIMIT),
    )


def _read_step(node: _Node) -> Step:
    kinds: dict[str, Callable[[_Node], Step]] = {
        "fault": _read_fault,
        "stop": _read_stop,
        "load": _read_load,
    }
    given = [kind for kind in kinds if isinstance(node.value, dict) and kind in node.value]
    if len(given) != 1:
        raise node.fail(f"one of {', '.join(kinds)}")
    return kinds[given[0]](node)


def _read_fault(node: _Node) -> SetFault:
    parameters = {key: value for key, value in node.value.items() if key not in ("fault", "of")}
    service = _Node(node.value.get("of", "randsvc"), f"{node.where}: of").one_of(tuple(_FAULTS))
    known = _FAULTS[service]
    name = _Node(node.value["fault"], f"{node.where}: fault").one_of(tuple(known))
    fault = known[name]
    if not fault.lasts:
        raise node.fail("a fault with a duration; to end a process, use stop")
    if "duration" in parameters:
        raise ScenarioError(
            f"{node.where}: no field 'duration': a fault lasts until its alert has fired"
        )
    try:
        # Any duration passes the check: the run sets its own.
        checked = fault.check({**parameters, "duration": 1})
    except FaultError as error:
        raise ScenarioError(f"{node.where}: {error}") from error
    del checked["duration"]
    return SetFault(service=service, name=name, parameters=checked)


def _read_stop(node: _Node) -> StopProgram:
    return StopProgram(program=node.fields("stop")["stop"].one_of(PROGRAMS))


def _read_load(node: _Node) -> Load:
    fields = node.fields("load")["load"].fields("", "requests_per_second of_limit")
    if len(fields) != 1:
        raise node.fail("one of the fields requests_per_second and of_limit")
    if "of_limit" in fields:
        return Load(of_limit=fields["of_limit"].number(2))
    return Load(requests_per_second=fields["requests_per_second"].number(RATE_LIMIT))
