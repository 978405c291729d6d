"""Service level objectives, stated once.

The alerts follow them (randsvc/rules/slo.py) and the review judges by them; so they are here, as
the package is installed without observability/.
"""

from dataclasses import dataclass

__all__ = ("SLOS", "Slo")


@dataclass(frozen=True, kw_only=True)
class Slo:
    """An objective for the requests of one route: ``objective`` is the share that must be good.

    Without ``within`` a request is bad when it is answered 5xx. With it a request is bad when it
    takes longer, in seconds, which must be a bound of the metric's buckets; failed ones, which have
    a latency of their own, then do not count.
    """

    name: str
    alert: str
    service: str
    """``job`` in Prometheus."""
    route: str
    objective: float
    within: float | None = None

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.objective, 9)


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
