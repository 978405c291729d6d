"""Signed ids of responses, which contain the response.

Any replica with the same secret can read the value and the time from an id, so no replica has to
store its responses.
"""

import time
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from struct import Struct
from typing import NamedTuple

from itsdangerous import BadSignature, Signer
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.signer import SigningAlgorithm

from randsvc.errors import ConfigurationError
from randsvc.metrics import SOURCES

__all__ = ("SECRET_BYTES", "Answer", "AnswerIds", "ExpiredError", "ForgedError")

SECRET_BYTES = 32
"""The shortest secret: as long as the key that is made of it."""

# Value, microseconds since 1970, a number that sets apart what was answered within one of them, and
# the source. The length and that of the signature are multiples of 3: base64 has no bits to spare.
_PAYLOAD = Struct("<dqIB")
_SIGNATURE_BYTES = 18


class ForgedError(Exception):
    """An id that was not made with the secret."""


class ExpiredError(Exception):
    """An id whose time is over."""


class Answer(NamedTuple):
    """What an id tells: the answer, and when it was given (``issued``, Unix microseconds).

    ``issued`` and ``nonce`` together are of this answer alone; ``age`` is in seconds, below zero
    where the clock of the replica that answered is ahead.
    """

    value: float
    source: str
    issued: int
    nonce: int
    age: float


class _KeyedBlake2b(SigningAlgorithm):
    """BLAKE2b with a key is a message authentication code by itself (RFC 7693, section 2.9).

    It takes 1 us where HMAC takes 3, and every answer is signed.
    """

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return blake2b(value, key=key, digest_size=_SIGNATURE_BYTES).digest()


class AnswerIds:
    """Issues and reads ids with a ``secret`` of at least ``SECRET_BYTES``.

    ``lifetime`` is in seconds; ``clock`` gives Unix time. Raises ``ConfigurationError`` for a
    secret that is too short.
    """

    def __init__(
        self, secret: str, *, lifetime: float, clock: Callable[[], float] = time.time
    ) -> None:
        if (length := len(secret.encode())) < SECRET_BYTES:
            # It is not shown, as every other value is: it may be nearly the right one.
            raise ConfigurationError(
                f"RANDSVC_FEEDBACK_SECRET has {length} bytes, expected at least {SECRET_BYTES}, "
                "the same for all replicas"
            )
        # Derived once; the signer would do it for each id.
        key = blake2b(secret.encode(), digest_size=32, person=b"randsvc.answer").digest()
        self._signer = Signer(key, key_derivation="none", algorithm=_KeyedBlake2b())
        self._lifetime = lifetime
        self._clock = clock
        self._nonce = Random().getrandbits  # from the system's entropy, in each worker

    def issue(self, value: float, source: str) -> str:
        """The id of an answer that is given now."""
        issued = int(self._clock() * 1e6)
        payload = _PAYLOAD.pack(value, issued, self._nonce(32), SOURCES.index(source))
        return self._signer.sign(base64_encode(payload)).decode()

    def read(self, text: str) -> Answer:
        """What was answered; raises ``ForgedError`` and ``ExpiredError``."""
        try:
            payload = self._signer.unsign(text.encode())
        except (BadSignature, UnicodeEncodeError) as error:
            raise ForgedError("the id was not issued by this service") from error
        value, issued, nonce, source = _PAYLOAD.unpack(base64_decode(payload))
        age = self._clock() - issued / 1e6
        if age > self._lifetime:
            raise ExpiredError(
                f"the response is {age:.0f} s old; feedback is accepted for {self._lifetime:g} s"
            )
        return Answer(value, SOURCES[source], issued, nonce, age)
