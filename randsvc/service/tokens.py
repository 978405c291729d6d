"""Short-lived signed tokens that identify a user: JSON Web Tokens (RFC 7519).

A service with the secret verifies tokens by itself, without a request to the login service.
"""

import time
from collections.abc import Callable

import jwt

from randsvc.errors import ConfigurationError

__all__ = ("SECRET_BYTES", "TokenError", "Tokens")

ALGORITHM = "HS256"
SECRET_BYTES = 32
"""The shortest secret: as long as the hash of HS256, https://www.rfc-editor.org/rfc/rfc7518#section-3.2."""
REMEMBERED = 1000
"""Verified tokens that are kept: verifying one takes some 30 us, looking it up 0.1 us."""


class TokenError(Exception):
    """An invalid token, with the reason."""


class Tokens:
    """Issues and verifies tokens with a ``secret`` of at least ``SECRET_BYTES``.

    ``lifetime`` is in seconds; ``clock`` gives Unix time. Raises ``ConfigurationError`` for a
    secret that is missing or too short.
    """

    def __init__(
        self, secret: str | None, *, lifetime: float = 0.0, clock: Callable[[], float] = time.time
    ) -> None:
        if secret is None or len(secret.encode()) < SECRET_BYTES:
            # It is not shown, as every other value is: it may be nearly the right one.
            what = "is not set" if not secret else f"has {len(secret.encode())} bytes"
            raise ConfigurationError(
                f"RANDSVC_AUTH_SECRET {what}, expected at least {SECRET_BYTES} bytes, the same for "
                "randsvc auth and randsvc serve"
            )
        self._secret = secret
        self._lifetime = lifetime
        self._clock = clock
        self._verified: dict[str, tuple[str, float]] = {}

    def issue(self, user: str) -> str:
        """A token that says until ``lifetime`` is over that its bearer is ``user``."""
        now = self._clock()
        claims = {"sub": user, "iat": now, "exp": now + self._lifetime}
        return jwt.encode(claims, self._secret, ALGORITHM)

    def verify(self, token: str) -> str:
        """Whom a token names; raises ``TokenError``."""
        user, expires = self._verified.get(token) or self._verify(token)
        if expires <= self._clock():
            raise TokenError("the token has expired")
        return user

    def _verify(self, token: str) -> tuple[str, float]:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                [ALGORITHM],
                # The time is looked at each time a token is used, not only now.
                options={"require": ["sub", "exp"], "verify_exp": False, "verify_iat": False},
            )
            verified = claims["sub"], float(claims["exp"])
        except (jwt.InvalidTokenError, TypeError, ValueError) as error:
            raise TokenError("the token was not issued by this service") from error
        if len(self._verified) >= REMEMBERED:
            self._verified.clear()
        self._verified[token] = verified
        return verified
