import pytest

from randsvc.model.model import Model, ModelDownError
from tests.support.breaking import Clock, faults_of


def predictions(*faults_set: tuple[str, dict[str, object]]) -> list[object]:
    """What a model predicts of 1, 2 and 3."""
    faults = faults_of()
    for name, parameters in faults_set:
        faults.set(name, {**parameters, "duration": 60})
    model = Model(faults)
    return [model.predict(x) for x in (1.0, 2.0, 3.0)]


def test_a_model_in_good_order_predicts_what_can_be_predicted() -> None:
    assert predictions() == [1.0, 2.0, 3.0]


def test_values_can_be_scaled_and_shifted() -> None:
    assert predictions(("value-shift", {"by": 10})) == [11.0, 12.0, 13.0]
    assert predictions(("value-scale", {"factor": 2})) == [2.0, 4.0, 6.0]
    both: list[tuple[str, dict[str, object]]] = [
        ("value-shift", {"by": 10}),
        ("value-scale", {"factor": 2}),
    ]
    assert predictions(*both) == [12.0, 14.0, 16.0]


def test_a_frozen_value_is_the_first_one_of_each_time_it_freezes() -> None:
    clock = Clock()
    faults = faults_of(clock=clock)
    model = Model(faults)
    seen = []
    for x in (1.0, 4.0):
        faults.set("value-frozen", {"duration": 60})
        seen += [model.predict(x), model.predict(x + 1)]
        clock.now += 60
        seen.append(model.predict(x + 2))
    assert seen == [1.0, 1.0, 3.0, 4.0, 4.0, 6.0]


def test_a_model_that_is_down_raises_until_it_is_up_again() -> None:
    faults = faults_of()
    model = Model(faults)
    faults.set("model-down", {"duration": 60})
    with pytest.raises(ModelDownError):
        model.predict(1.0)
    faults.clear()
    assert model.predict(2.0) == 2.0


async def test_a_slow_model_gives_its_prediction_later() -> None:
    faults = faults_of()
    faults.set("model-slow", {"seconds": 0.01, "duration": 60})
    prediction = Model(faults).predict(7.0)
    assert not isinstance(prediction, float)
    assert await prediction == 7.0
