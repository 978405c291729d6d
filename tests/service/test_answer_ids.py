from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from itsdangerous import Signer

from randsvc.errors import ConfigurationError
from randsvc.metrics import SOURCES
from randsvc.service.answer_ids import AnswerIds, ExpiredError, ForgedError
from tests.support.breaking import Clock

SECRET = "s" * 32
ID = AnswerIds(SECRET, lifetime=60).issue(51.5, "model")


def ids(clock: Clock | None = None, secret: str = SECRET) -> AnswerIds:
    return AnswerIds(secret, lifetime=60, clock=clock or Clock())


@given(st.floats(allow_nan=False), st.sampled_from(SOURCES))
def test_an_id_tells_the_answer_to_any_replica_with_the_secret(value: float, source: str) -> None:
    clock = Clock()
    given = ids(clock).issue(value, source)
    clock.now += 12.5
    answer = ids(clock).read(given)
    assert (answer.value, answer.source, answer.age) == (value, source, 12.5)
    assert answer.issued == 1_000_000_000


def test_an_id_expires_when_its_lifetime_is_over() -> None:
    clock = Clock()
    given = ids(clock).issue(1.0, "model")
    clock.now += 60
    assert ids(clock).read(given).age == 60
    clock.now += 1
    with pytest.raises(
        ExpiredError, match="the response is 61 s old; feedback is accepted for 60 s"
    ):
        ids(clock).read(given)


def test_a_replica_whose_clock_is_behind_takes_the_id_of_another() -> None:
    ahead, behind = Clock(), Clock()
    ahead.now += 5
    assert ids(behind).read(ids(ahead).issue(1.0, "model")).age == -5


def test_no_two_answers_have_one_id_even_in_the_same_instant_on_two_replicas() -> None:
    replicas = ids(), ids()
    given = Counter(replica.issue(1.0, "model") for replica in replicas for _ in range(1000))
    assert len(given) == 2000
    keys = {(answer.issued, answer.nonce) for answer in map(ids().read, given)}
    assert len(keys) == 2000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        ID[:-1],
        f"{ID}A",
        f".{ID}",
        ID.replace(".", ""),
        ID.partition(".")[0],
        AnswerIds("t" * 32, lifetime=60).issue(51.5, "model"),
        Signer(SECRET).sign("AAAA").decode(),
        "é" + ID[1:],
        "\ud800",
    ],
    ids=[
        *("empty", "nonsense", "too short", "too long", "another dot", "no dot", "unsigned"),
        *("another secret", "another use of the secret", "not ASCII", "not even text"),
    ],
)
def test_an_id_that_was_not_issued_here_is_forged(text: str) -> None:
    with pytest.raises(ForgedError, match="not issued by this service"):
        AnswerIds(SECRET, lifetime=60).read(text)


@given(st.integers(0, len(ID) - 1), st.characters(codec="latin-1"))
@example(len(ID) - 1, "!")
def test_no_character_of_an_id_can_be_another(place: int, character: str) -> None:
    changed = ID[:place] + character + ID[place + 1 :]
    if changed != ID:
        with pytest.raises(ForgedError):
            AnswerIds(SECRET, lifetime=60).read(changed)


@given(st.text())
def test_no_text_is_worse_than_forged(text: str) -> None:
    with pytest.raises(ForgedError):
        ids().read(text)


@pytest.mark.parametrize("secret", ["", "guess"])
def test_a_secret_that_is_too_short_is_refused_without_being_shown(secret: str) -> None:
    said = f"RANDSVC_FEEDBACK_SECRET has {len(secret)} bytes, expected at least 32"
    with pytest.raises(ConfigurationError, match=said) as raised:
        AnswerIds(secret, lifetime=60)
    assert "guess" not in str(raised.value)
