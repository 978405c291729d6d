import json
import math
from collections.abc import Mapping
from typing import get_args

import pytest

from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS, Fault, FaultError, Faults, Name
from tests.support.breaking import Clock, faults_of

EVERY: dict[str, Fault] = {fault.name: fault for fault in (*RANDOM_FAULTS, *AUTH_FAULTS)}
ERRORS = {"share": 0.5, "duration": 60}


def test_every_fault_is_off_by_default() -> None:
    faults = faults_of()
    assert not faults.on
    assert faults.active() == {}
    assert faults.states() == {}
    assert faults.get("errors") is None


def test_every_fault_belongs_to_a_service() -> None:
    assert set(EVERY) == set(get_args(Name))


def test_a_fault_is_on_until_its_duration_is_over() -> None:
    clock = Clock()
    faults = faults_of(clock=clock)
    faults.set("model-slow", {"seconds": 2, "duration": 60})
    assert faults.on
    assert faults.get("model-slow") == {"seconds": 2.0, "duration": 60.0}
    clock.now += 59.5
    assert faults.active() == {"model-slow": {"seconds": 2.0, "duration": 0.5}}
    assert faults.states() == {"model-slow": True}
    clock.now += 0.5
    assert faults.active() == {}
    assert faults.states() == {"model-slow": False}
    assert faults.get("model-slow") is None
    assert not faults.on


def test_clearing_a_fault_ends_that_fault_alone() -> None:
    faults = faults_of()
    faults.set("model-down", {"duration": 60})
    faults.set("errors", ERRORS)
    faults.clear("errors")
    faults.clear("latency")  # which was not on
    assert faults.states() == {"model-down": True, "errors": False}
    faults.clear()
    assert not faults.on


def test_setting_a_fault_again_replaces_it() -> None:
    clock = Clock()
    faults = faults_of(clock=clock)
    faults.set("model-slow", {"seconds": 1, "duration": 10})
    clock.now += 9
    faults.set("model-slow", {"seconds": 2, "duration": 10})
    clock.now += 9
    assert faults.active() == {"model-slow": {"seconds": 2.0, "duration": 1.0}}


@pytest.mark.parametrize(("share", "hits"), [(0.0, (0, 0)), (0.3, (270, 330)), (1.0, (1000, 1000))])
def test_a_share_affects_that_share_of_the_requests(share: float, hits: tuple[int, int]) -> None:
    faults = faults_of()
    faults.set("errors", {"share": share, "duration": 60})
    hit = sum(faults.get("errors") is not None for _ in range(1000))
    assert hits[0] <= hit <= hits[1]  # 0.3 +- 2 standard deviations


def test_a_crash_happens_at_once_and_is_never_on() -> None:
    ended: list[bool] = []
    faults = Faults(RANDOM_FAULTS, crash=lambda: ended.append(True))
    faults.set("crash", {})
    faults.set("crash", {"duration": 60})
    assert len(ended) == 2
    assert not faults.on
    assert faults.states() == {}


def test_each_change_of_a_fault_is_reported() -> None:
    told: list[tuple[str, Mapping[str, float] | None]] = []
    faults = Faults(
        AUTH_FAULTS, crash=lambda: None, changed=lambda *change: told.append(change), clock=Clock()
    )
    faults.set("auth-down", {"duration": 5})
    faults.clear("auth-down")
    assert told == [("auth-down", {"duration": 5.0}), ("auth-down", None)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"share": 0.5}, "errors: duration is missing, expected a number from 0 to 86400: seconds"),
        ({"duration": 60}, "errors: share is missing, expected a number from 0 to 1"),
        ({**ERRORS, "share": -0.1}, "errors: share=-0.1, expected a number from 0 to 1"),
        ({**ERRORS, "share": 1.5}, "errors: share=1.5, expected a number from 0 to 1"),
        ({**ERRORS, "share": "all"}, "errors: share='all', expected a number"),
        ({**ERRORS, "share": True}, "errors: share=True, expected a number"),
        ({**ERRORS, "share": math.nan}, "errors: share=nan, expected a number"),
        ({**ERRORS, "shair": 1}, "errors: no parameter 'shair', expected share, duration"),
    ],
)
def test_an_invalid_parameter_is_named_with_the_expected_range(
    given: dict[str, object], said: str
) -> None:
    faults = faults_of()
    with pytest.raises(FaultError) as raised:
        faults.set("errors", given)
    assert str(raised.value).startswith(said)
    assert not faults.on


def test_a_fault_of_the_other_service_is_unknown() -> None:
    with pytest.raises(KeyError):
        faults_of().set("auth-down", {"duration": 1})
    with pytest.raises(KeyError):
        faults_of().clear("auth-down")


@pytest.mark.parametrize("name", EVERY)
def test_a_schema_allows_exactly_the_accepted_parameters(name: str) -> None:
    schema = json.loads(json.dumps(EVERY[name].schema()))
    assert schema["additionalProperties"] is False
    for bound in ("minimum", "maximum"):
        given = {name: each[bound] for name, each in schema["properties"].items()}
        assert EVERY[name].check(given) == given
    for missing in schema["required"]:
        with pytest.raises(FaultError, match=f"{missing} is missing"):
            EVERY[name].check({key: value for key, value in given.items() if key != missing})
