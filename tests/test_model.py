import itertools

import pytest

from randsvc.model import Model, ModelDownError
from tests.breaking import Clock, faults_of


def predictions(*faults_set: tuple[str, dict[str, object]]) -> list[object]:
    """What a model predicts that draws 1, 2, 3."""
    faults = faults_of()
    for name, parameters in faults_set:
        faults.set(name, {**parameters, "duration": 60})
    model = Model(itertools.count(1.0).__next__, faults)
    return [model.predict() for _ in range(3)]


def test_a_prediction_is_drawn() -> None:
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
    model = Model(itertools.count(1.0).__next__, faults)
    seen = []
    for _ in range(2):
        faults.set("value-frozen", {"duration": 60})
        seen += [model.predict(), model.predict()]
        clock.now += 60
        seen.append(model.predict())
    assert seen == [1.0, 1.0, 3.0, 4.0, 4.0, 6.0]


def test_a_model_that_is_down_raises_and_draws_all_the_same() -> None:
    faults = faults_of()
    model = Model(itertools.count(1.0).__next__, faults)
    faults.set("model-down", {"duration": 60})
    with pytest.raises(ModelDownError):
        model.predict()
    faults.clear()
    assert model.predict() == 2.0


async def test_a_slow_model_gives_its_prediction_later() -> None:
    faults = faults_of()
    faults.set("model-slow", {"seconds": 0.01, "duration": 60})
    prediction = Model(lambda: 7.0, faults).predict()
    assert not isinstance(prediction, float)
    assert await prediction == 7.0
