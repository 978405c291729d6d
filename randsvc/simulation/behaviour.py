"""The behaviour of a simulated user, with any HTTP client.

A user logs in, sends requests for ``/random`` with the features of a customer, reports the ground
truth of some predictions later, and logs out after a while.
"""

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from randsvc.model.features import LARGEST_AMOUNT, SEGMENTS

__all__ = (
    "REPORTED_SHARE",
    "SIMULATED_OUTCOME",
    "SIMULATED_USER",
    "Feedback",
    "User",
    "draw_features",
)

SIMULATED_USER = "Simulated-User"
"""The request header, of any value, by which a simulated user asks for the ground truth."""
SIMULATED_OUTCOME = "Simulated-Outcome"
"""The response header with the ground truth. It simulates the outside world: real users learn the
ground truth elsewhere, so responses to them do not have it."""

MISSING_SHARE = 0.02
"""Share of the requests that lack a feature, for each feature."""
REPORTED_SHARE = 0.3
"""Share of the predictions whose ground truth the user reports."""
REPORT_DELAY = 5.0
"""Mean seconds from a prediction to the report, exponentially distributed."""
REQUESTS_PER_VISIT = 10
"""Mean requests until the user logs out."""
RENEWAL_SHARE = 0.8
"""Share of the lifetime of a token after which the user gets a new one."""


@dataclass(frozen=True)
class Feedback:
    """A report on a prediction: the body for ``POST /feedback``, and when to send it."""

    delay: float
    """Seconds from now."""
    body: Mapping[str, object]


class User:
    """One simulated user: what it sends next, and what it does with the response."""

    def __init__(self, name: str, password: str) -> None:
        self.name = name
        self._password = password
        self._token = ""
        self._renew_at = self._expires_at = 0.0

    @property
    def wants_login(self) -> bool:
        """Whether the user has no token, or one that expires soon."""
        return time.monotonic() >= self._renew_at

    @property
    def credentials(self) -> dict[str, str]:
        """The body for ``POST /login``."""
        return {"user": self.name, "password": self._password}

    def log_in(self, status: int, body: bytes) -> None:
        """Take the response to a login; after a failure the user goes on without a token."""
        if status != 200:
            return
        granted = json.loads(body)
        now = time.monotonic()
        self._token = granted["token"]
        self._renew_at = now + RENEWAL_SHARE * granted["expires_in"]
        self._expires_at = now + granted["expires_in"]

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request for ``/random``."""
        headers = {SIMULATED_USER: self.name}
        if time.monotonic() < self._expires_at:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def receive(self, status: int, headers: Mapping[str, str], body: bytes) -> Feedback | None:
        """Take the response of ``/random``; return the feedback that the user will send, if any."""
        if status == 401 or random.random() * REQUESTS_PER_VISIT < 1:
            self._renew_at = self._expires_at = 0.0  # logged out
        outcome = headers.get(SIMULATED_OUTCOME)
        if not outcome or (delay := draw_report_delay()) is None:
            return None
        return Feedback(delay, {"id": json.loads(body)["id"], "actual": float(outcome)})


def draw_features() -> dict[str, str]:
    """Return the query of one request for ``/random``."""
    given = {}
    if random.random() >= MISSING_SHARE:
        (given["segment"],) = random.choices(list(SEGMENTS), weights=list(SEGMENTS.values()))
    if random.random() >= MISSING_SHARE:
        # The median customer spends 100, and one in a hundred more than 1,000.
        given["amount"] = f"{min(random.lognormvariate(4.6, 1.0), LARGEST_AMOUNT):.2f}"
    return given


def draw_report_delay() -> float | None:
    """Return the seconds until the ground truth is reported; None if it never is."""
    return random.expovariate(1 / REPORT_DELAY) if random.random() < REPORTED_SHARE else None
