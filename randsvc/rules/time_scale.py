"""How long the rules look and wait: the textbook's times, and the same compressed for a class.

A time scale is a value, so both rule sets are made by the same code and differ in times alone.
All times are Prometheus durations such as ``30s``, ``5m``, ``3d``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from randsvc.levels import Level
from randsvc.times import parse_duration

__all__ = (
    "DEMO",
    "PRODUCTION",
    "SCALES",
    "SEVERITY",
    "Burn",
    "Level",
    "TimeScale",
    "spell",
    "spell_last",
)

SEVERITY: Mapping[Level, str] = {"critical": "critical", "major": "warning", "minor": "info"}
"""The word of the usual label ``severity``: what dashboards of others expect."""
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}


@dataclass(frozen=True, kw_only=True)
class Burn:
    """An error budget that is spent ``factor`` times too fast, over two windows.

    ``long`` tells that it matters, ``short``, usually a twelfth, that it still goes on.
    """

    level: Level
    factor: float
    long: str
    short: str
    wait: str = ""
    """For how long that must hold."""


@dataclass(frozen=True, kw_only=True)
class TimeScale:
    """Every time, and every number of events, that the rules have."""

    name: str
    interval: str
    """Between evaluations; empty for Prometheus' own ``evaluation_interval``."""
    burns: tuple[Burn, ...]
    significance: float
    """The chance, per long window, that an alert on a budget is one of low traffic: the bound on
    the probability of that many bad events if the burn rate were a tenth of the alert's factor."""
    budget: str
    """The period that an error budget is for."""
    settling: str
    """After Prometheus' own start, for how long nothing is said to be down. It looks for targets
    only 5 s after its start, and what starts with it may take longer."""
    unseen: str
    """For how long nothing is seen of a service before that is an alert. Longer than Prometheus
    takes after its start to scrape itself, since ``settling`` is known only then."""
    unreported: str
    """The same for its pushed series: longer than a push interval, as a Collector begins empty."""
    probe: tuple[str, str]
    """A window in which every probe fails, and for how long that must hold. The window reaches to
    the evaluation before, so that a probe that succeeds between two evaluations counts too. In
    all longer than ``unseen``, so that a dead service is called dead."""
    answered: str
    """The window in which users are answered or not, while a probe fails: a short one, since a full
    outage is to be called so before an error budget is."""
    logins: str
    """The window in which not one login works."""
    min_logins: int
    """Attempts within it. Where there are fewer, the probe of /login notices."""
    window: str
    """Of shares and rates whose change is an alert of level major."""
    wait: str
    """For how long these must hold. Alerts on the monitoring must hold for as long as the window,
    so that one failure, which stays in the window for its length, is no alert."""
    min_events: int
    """Requests or predictions in that window below which a share says nothing."""
    tail: str
    """The window of the tail of the latency, of which 1% must be enough requests to count."""
    min_tail: int
    """Requests within it."""
    trend: str
    """The window whose trend says when a limit is reached, and how far ahead it is followed."""
    horizon: str
    lookback: str
    """How far a dashboard looks back at least where an alert links to it."""
    hold: str
    """For how long an alert stays on after it last held, so that one incident is one alert."""
    ml_interval: str
    """Between evaluations of what is about the model: a drift takes longer than an outage."""
    samples: tuple[str, str]
    """The windows of what is compared with the baseline and with the truth: a short one, which sees
    a large change soon, and a long one, which sees a small one at little traffic too."""
    min_values: int
    """Values or inputs in such a window below which nothing is said of drift."""
    min_labels: int
    """Answers in such a window of which the truth is known, for the same."""
    drift_wait: str
    """For how long a drift must hold."""
    day: str
    """How long ago yesterday was, at the same time of the day; labels are compared with it too."""
    week: str

    def find_lookback(self, level: str) -> str:
        """Give how far a dashboard looks back for an alert: over all that raised it, or longer."""
        longest = [burn.long for burn in self.burns if burn.level == level][-1:]
        return max((*longest, self.lookback), key=parse_duration)


# The windows and factors of https://sre.google/workbook/alerting-on-slos/, table 5-8, with its
# ticket level, 1x over three days, and between page and ticket 3x over one day from the same page.
# Beyond the workbook: 21.6x over 8 minutes, which spends 0.4% of the month's budget. The workbook's
# page spends 2%, which takes 9 minutes when half of the requests fail, and 29 when 60% are slow.
# A scrape interval of 15s or shorter is taken for granted: 1m must hold several scrapes.
PRODUCTION = TimeScale(
    name="production",
    interval="30s",
    burns=(
        # The wait leaves a full outage, which spends any budget, to the alert that says so.
        Burn(level="critical", factor=14.4, long="1h", short="5m", wait="1m"),
        # Two minutes hold a push even where services push once a minute.
        Burn(level="critical", factor=21.6, long="8m", short="2m", wait="1m"),
        Burn(level="major", factor=6, long="6h", short="30m"),
        Burn(level="minor", factor=3, long="1d", short="2h"),
        Burn(level="minor", factor=1, long="3d", short="6h"),
    ),
    significance=1e-6,
    budget="30d",
    settling="2m",
    unseen="1m",
    unreported="2m",
    probe=("75s", "30s"),
    answered="30s",
    logins="1m",
    min_logins=10,
    window="5m",
    wait="5m",
    min_events=100,
    tail="1h",
    min_tail=1000,
    trend="1h",
    horizon="4h",
    lookback="1h",
    hold="5m",
    # At 5 requests/s 1,500 values, in which a quarter of a standard deviation shows.
    samples=("5m", "1h"),
    ml_interval="30s",
    min_values=100,
    min_labels=30,
    drift_wait="1m",
    day="1d",
    week="7d",
)

# For scrapes, pushes and evaluations every 1 s or 2 s, and 10 to 25 requests/s. A fault is to be
# noticed within 20 s (critical), 40 s (major), 90 s (minor), pipeline included, which takes up to
# 6 s: so the long windows are not one and the same part of the textbook's. Each holds at least
# three scrapes of 2 s. A budget lasts for a lesson.
DEMO = TimeScale(
    name="demo",
    interval="",
    burns=(
        Burn(level="critical", factor=14.4, long="30s", short="10s", wait="6s"),
        Burn(level="critical", factor=21.6, long="20s", short="10s", wait="6s"),
        Burn(level="major", factor=6, long="45s", short="15s"),
        Burn(level="minor", factor=3, long="90s", short="20s"),
        Burn(level="minor", factor=1, long="2m", short="30s"),
    ),
    significance=1e-3,
    budget="1h",
    settling="30s",
    # A service that is restarted on a busy machine is back within 8 s.
    unseen="8s",
    unreported="16s",
    probe=("6s", "6s"),
    answered="2s",
    logins="6s",
    min_logins=5,
    window="15s",
    wait="5s",
    min_events=20,
    tail="1m",
    min_tail=500,
    trend="1m",
    horizon="5m",
    lookback="15m",
    hold="10s",
    samples=("20s", "60s"),
    ml_interval="2s",
    min_values=100,
    min_labels=30,
    drift_wait="4s",
    # That of the simulated users, in randsvc/simulation/users.py.
    day="10m",
    week="70m",
)

SCALES = {scale.name: scale for scale in (PRODUCTION, DEMO)}


def spell(duration: str) -> str:
    """Give a duration of one unit in words.

    >>> spell("75s"), spell("1h")
    ('75 seconds', '1 hour')
    """
    number, unit = duration[:-1], _UNITS[duration[-1]]
    return f"{number} {unit}{'' if number == '1' else 's'}"


def spell_last(duration: str) -> str:
    """Give the same after "the".

    >>> spell_last("75s"), spell_last("1h")
    ('last 75 seconds', 'last hour')
    """
    return f"last {spell(duration).removeprefix('1 ')}"
