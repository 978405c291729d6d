import jwt
import pytest

from randsvc.errors import ConfigurationError
from randsvc.service import tokens
from randsvc.service.tokens import TokenError, Tokens
from tests.support.breaking import Clock

SECRET = "s" * 32


def test_a_token_names_its_user_until_it_expires() -> None:
    clock = Clock()
    service = Tokens(SECRET, clock=clock)
    token = Tokens(SECRET, lifetime=60, clock=clock).issue("ada")
    for seconds in (0, 59):
        clock.now = Clock.now + seconds
        assert service.verify(token) == "ada"
    clock.now = Clock.now + 60
    with pytest.raises(TokenError, match="expired"):
        service.verify(token)


def test_an_expired_token_that_was_never_seen_has_expired_too() -> None:
    clock = Clock()
    token = Tokens(SECRET, lifetime=60, clock=clock).issue("ada")
    clock.now += 61
    with pytest.raises(TokenError, match="expired"):
        Tokens(SECRET, clock=clock).verify(token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        Tokens("t" * 32, lifetime=60).issue("ada"),
        jwt.encode({"sub": "ada", "exp": 9e9}, "", "none"),
        jwt.encode({"sub": "ada", "exp": 9e9}, "s" * 64, "HS512"),
        jwt.encode({"sub": "ada"}, SECRET),
        jwt.encode({"exp": 9e9}, SECRET),
        jwt.encode({"sub": "ada", "exp": "soon"}, SECRET),
    ],
    ids=["empty", "nonsense", "other secret", "unsigned", "other hash", "no end", "nobody", "soon"],
)
def test_a_token_of_others_shows_nothing(token: str) -> None:
    with pytest.raises(TokenError, match="not issued by this service"):
        Tokens(SECRET).verify(token)


def test_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Tokens(SECRET, lifetime=60)
    token = service.issue("ada")
    assert service.verify(token) == "ada"
    monkeypatch.setattr(jwt, "decode", None)
    assert service.verify(token) == "ada"


def test_only_so_many_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED", 3)
    service = Tokens(SECRET, lifetime=60)
    for i in range(10):
        assert service.verify(service.issue(f"user-{i}")) == f"user-{i}"
        assert len(service._verified) <= 3


@pytest.mark.parametrize(
    ("secret", "said"), [(None, "is not set"), ("", "is not set"), ("guess", "5 bytes")]
)
def test_a_secret_that_cannot_be_is_refused_without_being_shown(
    secret: str | None, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"RANDSVC_AUTH_SECRET .*{said}") as raised:
        Tokens(secret)
    assert "at least 32" in str(raised.value)
    assert "guess" not in str(raised.value)
