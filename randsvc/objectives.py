"""Service level objectives, stated once.

The alerts follow them (randsvc/rules/slo.py) and the review judges by them. They are in a module of
their own, as the package is installed without observability/.
"""

import re
from dataclasses import dataclass
from math import isfinite

from randsvc.telemetry.catalogue import REQUEST_DURATION

__all__ = ("SLOS", "Slo")


@dataclass(frozen=True, kw_only=True)
class Slo:
    """An objective for the requests of one route: ``objective`` is the share that must be good.

    Without ``within`` a request is bad when the service fails. With ``within`` a request is bad
    when it takes longer than that many seconds; failed requests then do not count, as they have a
    latency of their own. ``within`` is a bucket bound of ``http.server.request.duration``.

    Raises ``ValueError`` with one line that names the field, its value and what is expected.

    >>> Slo(name="orders-latency", alert="ShopOrdersSlow", service="shop", route="/orders",
    ...     objective=0.98, within=0.25).budget
    0.02
    """

    name: str
    alert: str
    """The alert's name: letters, digits and underscores, as it names a runbook too."""
    service: str
    """``job`` in Prometheus."""
    route: str
    objective: float
    within: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no alert could be made of."""
        for field, pattern, expected in _TEXTS:
            value = getattr(self, field)
            if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
                raise ValueError(f"Slo({field}={value!r}): expected {expected}")
        where = f"Slo {self.name!r}: "
        if not _is_number(self.objective) or not 0 < self.objective < 1:
            raise ValueError(
                f"{where}objective={self.objective!r}: expected a share of the requests, above 0 "
                "and below 1, such as 0.995"
            )
        if self.within is None:
            return
        if not _is_number(self.within) or self.within not in REQUEST_DURATION.buckets:
            bounds = ", ".join(f"{bound:g}" for bound in REQUEST_DURATION.buckets)
            raise ValueError(
                f"{where}within={self.within!r}: expected a bucket bound of "
                f"{REQUEST_DURATION.name} in seconds, one of {bounds}"
            )

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.objective, 9)


_TEXTS = (
    ("name", r"[\w.-]+", "letters, digits, '-', '_' or '.'"),
    ("alert", r"[A-Za-z_]\w*", "letters, digits and underscores, such as 'ShopOrdersFailing'"),
    ("service", r"[^\s\"\\]+", "the service's name, without spaces, quotes or backslashes"),
    ("route", r"[^\s\"\\]+", "a route such as '/orders/{number}', without spaces or quotes"),
)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


SLOS = (
    # 3.6 hours of a full outage a month: what one person on call can hold without a second site.
    Slo(
        name="random-availability",
        alert="RandsvcRandomFailing",
        service="randsvc",
        route="/random",
        objective=0.995,
    ),
    # Ten times the default median delay. Without a fault 2 of a million take longer; twice the
    # lecture's 1% may, as the strange loop is found by the tail against the median.
    Slo(
        name="random-latency",
        alert="RandsvcRandomSlow",
        service="randsvc",
        route="/random",
        objective=0.98,
        within=0.5,
    ),
    # Who cannot log in can do nothing else, and nothing slow is behind it.
    Slo(
        name="login-availability",
        alert="RandsvcLoginFailing",
        service="auth",
        route="/login",
        objective=0.995,
    ),
    Slo(
        name="login-latency",
        alert="RandsvcLoginSlow",
        service="auth",
        route="/login",
        objective=0.98,
        within=0.25,
    ),
)
