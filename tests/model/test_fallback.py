import pytest

from randsvc.distributions import parse
from randsvc.model.fallback import Known, predict_by_rules
from randsvc.model.features import Features

VALUE = parse("normal(mean=50, sd=10)")


@pytest.mark.parametrize(
    ("logged_in", "hour", "answer"),
    [
        (True, 7, 50),
        (True, 8, 55),
        (True, 17, 55),
        (True, 18, 50),
        (True, 23, 50),
        (False, 0, 45),
        (False, 5, 45),
        (False, 6, 50),
        (False, 12, 50),
        (False, 21, 50),
        (False, 22, 45),
    ],
)
def test_the_rules_answer_by_login_and_hour(*, logged_in: bool, hour: int, answer: float) -> None:
    assert predict_by_rules(Known(hour=hour, logged_in=logged_in), VALUE) == answer


@pytest.mark.parametrize(
    ("segment", "amount", "answer"),
    [
        ("new", None, 45),
        ("new", 5000.0, 45),
        ("regular", 5000.0, 50),
        ("premium", None, 55),
        ("premium", 999.0, 55),
        ("premium", 1000.0, 60),
    ],
)
def test_a_known_segment_answers_whoever_asks_when(
    segment: str, amount: float | None, answer: float
) -> None:
    known = Features(segment=segment, amount=amount)
    for logged_in, hour in ((True, 12), (False, 0)):
        assert (
            predict_by_rules(Known(hour=hour, logged_in=logged_in, features=known), VALUE) == answer
        )


def test_no_answer_is_out_of_the_range_of_the_value() -> None:
    rare = parse("mixture(0.99*constant(value=0), 0.01*constant(value=100))")
    assert predict_by_rules(Known(hour=0, logged_in=False), rare) == 0
