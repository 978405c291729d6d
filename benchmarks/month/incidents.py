"""The incidents of the month, as data: time, changed conditions, and expected alert.

At least one incident expects each production alert on the service and its monitoring; alerts on the
model have benchmarks/drift.py. The time between incidents is longer than alerts take to clear, and
between incidents of one error budget longer than its longest window, as an earlier incident would
otherwise contribute to a later alert.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from randsvc.rules.time_scale import Level
from randsvc.times import parse_duration

__all__ = ("INCIDENTS", "Incident", "Kind")


class Kind(NamedTuple):
    """An alert by name, level and service, as notifications have it."""

    alert: str
    level: str
    service: str


@dataclass(frozen=True, kw_only=True)
class Incident:
    """An incident that begins at ``hour`` of ``day``, both from 0; ``lasts`` is such as ``2h``.

    ``changes`` maps conditions (see ``simulated_month``) to their values during the incident.
    ``may_fire`` maps names of further alerts to the reason why they may fire.
    """

    name: str
    day: int
    hour: float
    lasts: str
    changes: Mapping[str, float]
    alert: str
    level: Level
    service: str = "randsvc"
    may_fire: Mapping[str, str] = field(default_factory=dict)

    @property
    def begins(self) -> float:
        """Seconds since the beginning of the month."""
        return self.day * 86_400 + self.hour * 3600

    @property
    def ends(self) -> float:
        """Seconds from the beginning of the month to the end of the incident."""
        return self.begins + parse_duration(self.lasts)

    @property
    def expected(self) -> Kind:
        """The alert that must be raised exactly once."""
        return Kind(self.alert, self.level, self.service)


_OTHER_LEVELS = "the other levels measure the same requests"
_TAIL = "slow requests are far from the median as long as they are fewer than half"

INCIDENTS = (
    Incident(
        name="strange loop",
        day=1, hour=12, lasts="6h",
        changes={"slow": 0.01},
        alert="RandsvcStrangeLoop", level="minor",
    ),
    Incident(
        name="model down",
        day=2, hour=10, lasts="1h",
        changes={"fallback": 1},
        alert="RandsvcModelReplaced", level="major",
    ),
    Incident(
        name="model slow for every third",
        day=2, hour=15, lasts="1h",
        changes={"fallback": 0.3},
        alert="RandsvcModelReplaced", level="major",
    ),
    Incident(
        name="authorization leaks memory",
        day=2, hour=20, lasts="2h",
        changes={"auth leaking": 0.25},
        alert="RandsvcFillingUp", level="major", service="auth",
    ),
    Incident(
        name="slow error burn: 2% fail",
        day=3, hour=0, lasts="30h",
        changes={"failing": 0.02},
        alert="RandsvcRandomFailing", level="minor",
    ),
    Incident(
        name="near the concurrency limit",
        day=5, hour=14, lasts="40m",
        changes={"busy": 0.88},
        alert="RandsvcNearItsLimit", level="major",
    ),
    Incident(
        name="the storage of Prometheus fills",
        day=5, hour=18, lasts="90m",
        changes={"prometheus filling": 0.4},
        alert="RandsvcFillingUp", level="major", service="monitoring",
    ),
    Incident(
        name="8% take a second longer",
        day=6, hour=0, lasts="30h",
        changes={"slow": 0.08},
        alert="RandsvcRandomSlow", level="minor",
        may_fire={"RandsvcStrangeLoop": _TAIL},
    ),
    Incident(
        name="service down",
        day=8, hour=12, lasts="30m",
        changes={"randsvc a runs": 0, "randsvc b runs": 0},
        alert="RandsvcServiceDown", level="critical",
        may_fire={"RandsvcNotAnswering": "the probe gets no response either"},
    ),
    Incident(
        name="authorization down",
        day=8, hour=16, lasts="30m",
        changes={"auth a runs": 0},
        alert="RandsvcServiceDown", level="critical", service="auth",
        may_fire={"RandsvcNotAnswering": "the probe gets no response either"},
    ),
    Incident(
        name="2% of the logins fail",
        day=9, hour=0, lasts="30h",
        changes={"logins failing": 0.02},
        alert="RandsvcLoginFailing", level="minor", service="auth",
    ),
    Incident(
        name="overload: 5% shed",
        day=11, hour=12, lasts="40m",
        changes={"traffic": 3, "busy": 0.97, "shed": 0.05},
        alert="RandsvcSheddingLoad", level="major",
        may_fire={
            "RandsvcNearItsLimit": "the service is at its limit",
            "RandsvcRandomFailing": "a request that is shed fails",
        },
    ),
    Incident(
        name="8% of the logins take a second longer",
        day=12, hour=0, lasts="30h",
        changes={"logins slow": 0.08},
        alert="RandsvcLoginSlow", level="minor", service="auth",
    ),
    Incident(
        name="no user reaches the service",
        day=13, hour=12, lasts="20m",
        changes={"randsvc reached": 0},
        alert="RandsvcNotAnswering", level="critical",
    ),
    Incident(
        name="no user reaches the login",
        day=13, hour=16, lasts="20m",
        changes={"auth reached": 0},
        alert="RandsvcNotAnswering", level="critical", service="auth",
    ),
    Incident(
        name="the service pushes nothing",
        day=14, hour=12, lasts="30m",
        changes={"randsvc reporting": 0},
        alert="RandsvcNotReporting", level="critical",
    ),
    Incident(
        name="authorization pushes nothing",
        day=14, hour=16, lasts="30m",
        changes={"auth reporting": 0},
        alert="RandsvcNotReporting", level="critical", service="auth",
    ),
    Incident(
        name="nobody can log in",
        day=15, hour=12, lasts="30m",
        changes={"logins failing": 1},
        alert="RandsvcNobodyCanLogIn", level="critical", service="auth",
        may_fire={
            "RandsvcLoginFailing": "each failed login spends the error budget",
            "RandsvcNotAnswering": "the probe cannot log in either",
        },
    ),
    Incident(
        name="event loop blocked",
        day=16, hour=10, lasts="1h",
        changes={"ticks late": 0.05},
        alert="RandsvcEventLoopBlocked", level="major",
    ),
    Incident(
        name="rules fail",
        day=16, hour=14, lasts="20m",
        changes={"rules failing": 0.1},
        alert="RandsvcRulesFailing", level="major", service="monitoring",
    ),
    Incident(
        name="the disk of Prometheus is full",
        day=16, hour=16, lasts="20m",
        changes={"writes failed": 7},
        alert="RandsvcStorageFailing", level="major", service="monitoring",
    ),
    Incident(
        name="the Collector loses points",
        day=16, hour=18, lasts="30m",
        changes={"points lost": 1},
        alert="RandsvcMeasurementsLost", level="major", service="monitoring",
    ),
    Incident(
        name="a loop logs without end",
        day=16, hour=20, lasts="30m",
        changes={"logs dropped": 100},
        alert="RandsvcLogsDropped", level="minor", service="monitoring",
    ),
    Incident(
        name="telemetry path down",
        day=17, hour=12, lasts="30m",
        changes={"otel-collector runs": 0, "otel-collector-telemetry runs": 0},
        alert="RandsvcCollectorDown", level="major", service="monitoring",
    ),
    Incident(
        name="notifications fail",
        day=17, hour=16, lasts="30m",
        changes={"notifications failing": 0.1},
        alert="RandsvcNotificationsFailing", level="major", service="monitoring",
    ),
    Incident(
        name="one of two replicas down",
        day=18, hour=12, lasts="1h",
        changes={"randsvc b runs": 0},
        alert="RandsvcTargetsLost", level="major", service="monitoring",
    ),
    Incident(
        name="the service leaks memory",
        day=18, hour=18, lasts="2h",
        changes={"randsvc leaking": 0.25},
        alert="RandsvcFillingUp", level="major",
    ),
    Incident(
        name="error burst: half fail",
        day=19, hour=12, lasts="40m",
        changes={"failing": 0.5},
        alert="RandsvcRandomFailing", level="critical",
        may_fire={"RandsvcRandomFailing": _OTHER_LEVELS},
    ),
    Incident(
        name="60% of the logins take a second longer",
        day=20, hour=12, lasts="1h",
        changes={"logins slow": 0.6},
        alert="RandsvcLoginSlow", level="critical", service="auth",
        may_fire={"RandsvcLoginSlow": _OTHER_LEVELS},
    ),
    Incident(
        name="half of the logins fail",
        day=21, hour=12, lasts="40m",
        changes={"logins failing": 0.5},
        alert="RandsvcLoginFailing", level="critical", service="auth",
        may_fire={"RandsvcLoginFailing": _OTHER_LEVELS},
    ),
    Incident(
        name="60% take a second longer",
        day=22, hour=12, lasts="1h",
        changes={"slow": 0.6},
        alert="RandsvcRandomSlow", level="critical",
        may_fire={"RandsvcRandomSlow": _OTHER_LEVELS, "RandsvcStrangeLoop": _TAIL},
    ),
    Incident(
        name="5.5% fail",
        day=23, hour=12, lasts="5h",
        changes={"failing": 0.055},
        alert="RandsvcRandomFailing", level="major",
        may_fire={"RandsvcRandomFailing": _OTHER_LEVELS},
    ),
    Incident(
        name="20% of the logins take a second longer",
        day=24, hour=12, lasts="5h",
        changes={"logins slow": 0.2},
        alert="RandsvcLoginSlow", level="major", service="auth",
        may_fire={"RandsvcLoginSlow": _OTHER_LEVELS},
    ),
    Incident(
        name="5.5% of the logins fail",
        day=25, hour=12, lasts="5h",
        changes={"logins failing": 0.055},
        alert="RandsvcLoginFailing", level="major", service="auth",
        may_fire={"RandsvcLoginFailing": _OTHER_LEVELS},
    ),
    Incident(
        name="20% take a second longer",
        day=26, hour=12, lasts="5h",
        changes={"slow": 0.2},
        alert="RandsvcRandomSlow", level="major",
        may_fire={"RandsvcRandomSlow": _OTHER_LEVELS, "RandsvcStrangeLoop": _TAIL},
    ),
)  # fmt: skip
"""In time order."""
