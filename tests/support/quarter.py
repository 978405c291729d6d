"""A simulated quarter, and the one before: what happened, and what Prometheus saw of it.

``Quarter`` keeps two books. One is of events, as they happen: ``happened`` by interval. The other
is of counters as they are scraped, with restarts, a replaced process and gaps; it goes to
Prometheus. What no scrape saw before a process ended is in ``lost``. A review reads the second, and
is to find what the first one has.
"""

import math
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from randsvc.metrics import VALUE
from randsvc.stack.programs import make_prometheus_of
from randsvc.stack.supervisor import Stack
from randsvc.telemetry.catalogue import REQUEST_DURATION

__all__ = ("Alerting", "Quarter", "serve")

STEP = 600.0
"""Seconds between samples."""
DAY = 86_400.0
DAYS = 90
START = datetime(2026, 7, 1, tzinfo=UTC).timestamp()
END = START + DAYS * DAY
BEFORE = START - DAYS * DAY
EVALUATION = 30.0

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


def at(day: float, hour: float = 0.0) -> float:
    """A moment of the quarter; negative days are of the one before."""
    return START + day * DAY + hour * 3600


@dataclass(frozen=True)
class Alerting:
    """An alert as Prometheus records it; each span in Unix seconds."""

    name: str
    level: str
    service: str
    firing: Sequence[tuple[float, float]]
    pending: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Route:
    """Requests that are counted together, and how long they take: lognormal."""

    service: str
    path: str
    status: str
    per_second: float
    median: float
    sigma: float = 0.5


ROUTES = (
    Route("randsvc", "/random", "200", 2.0, 0.05),
    Route("randsvc", "/random", "500", 0.004, 0.002),
    Route("auth", "/login", "200", 0.5, 0.06),
    Route("auth", "/login", "401", 0.05, 0.06),
    Route("auth", "/login", "500", 0.001, 0.002),
)
BOUNDS = (*REQUEST_DURATION.buckets, math.inf)
# Days of the quarter on which requests fail, and on which they are slow: factors.
FAILING = {10: 40.0, -30: 10.0}
SLOW = {20: 8.0}

# Nothing is scraped: Prometheus is down. In the second one the process of auth is replaced.
BLIND = ((at(35, 3), at(35, 12)), (at(60, 1), at(60, 4)))
# auth is down, which is a gap in its data alone.
AUTH_DOWN = (at(70, 6), at(70, 9))
# When a process began anew under the same name, and its counters with it.
RESTARTS = {
    "auth": (at(-40, 5), at(15, 7), at(15, 8), at(60, 2), AUTH_DOWN[1], at(80, 0)),
    "randsvc": (at(25, 13),),
}
# When one ended and another began under another name, as pushed series have it.
REPLACED = {"randsvc": at(40, 2)}

ALERTS = (
    Alerting(
        "RandsvcRandomFailing",
        "critical",
        "randsvc",
        firing=[(at(10, 1), at(10, 2)), (at(10, 2) + 300, at(10, 3))],
        pending=[(at(10, 1) - 120, at(10, 1) - EVALUATION)],
    ),
    Alerting("RandsvcRandomFailing", "minor", "randsvc", firing=[(at(10, 6), at(12, 6))]),
    Alerting(
        "RandsvcModelReplaced",
        "major",
        "randsvc",
        # Twice, hours apart.
        firing=[(at(50, 1), at(50, 2)), (at(50, 8), at(50, 9))],
        pending=[
            (at(50, 1) - 300, at(50, 1) - EVALUATION),
            (at(50, 8) - 300, at(50, 8) - EVALUATION),
        ],
    ),
    # Across a gap in the data: one.
    Alerting(
        "RandsvcEventLoopBlocked",
        "major",
        "randsvc",
        firing=[(at(35, 1), BLIND[0][0] - EVALUATION), (BLIND[0][1] + EVALUATION, at(35, 14))],
    ),
    # Nobody saw it end.
    Alerting("RandsvcLoginSlow", "major", "auth", firing=[(at(60, 0), BLIND[1][0] - EVALUATION)]),
    Alerting("RandsvcServiceDown", "critical", "auth", firing=[(at(70, 6) + 90, at(70, 9))]),
    # In the quarter before.
    Alerting("RandsvcNearItsLimit", "major", "randsvc", firing=[(at(-20, 1), at(-20, 2))]),
)
FAULTS = {
    ("randsvc", "errors"): (at(10, 1) - 180, at(10, 3)),
    ("randsvc", "model-down"): (at(50, 8) - 330, at(50, 8) + 3000),
}
MEAN = {True: 53.0, False: 50.0}
"""Of the values, in the quarter and before it; their standard deviation is 10."""


@dataclass
class Quarter:
    """What happened, and the file of what was scraped."""

    seed: int = 7
    times: NDArray[np.float64] = field(init=False)
    happened: dict[Route, Integers] = field(init=False)
    """By interval and bucket, each up to a bound of ``BOUNDS`` and no more."""
    lost: dict[Route, Integers] = field(init=False)
    predicted: dict[str, Integers] = field(init=False)
    saturation: NDArray[np.float64] = field(init=False)
    probes: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        # Each interval ends with its sample.
        self.times = np.arange(BEFORE, END, STEP) + STEP
        self.happened = {route: self._requests(route, rng) for route in ROUTES}
        self.lost = {route: self._lost(route) for route in ROUTES}
        random = self.happened[ROUTES[0]].sum(axis=1)
        fallback = np.where(self._day(50), random // 2, random // 1000)
        self.predicted = {"fallback": fallback, "model": random - fallback}
        self.saturation = rng.uniform(0.05, 0.6, len(self.times)).round(3)
        self.probes = (rng.uniform(size=len(self.times)) > 0.002).astype(float)

    @property
    def within(self) -> Booleans:
        """Which intervals are of the quarter."""
        return self.times > START

    def counted(self, service: str, path: str, *, quarter: bool = True) -> dict[str, Integers]:
        """What there is to be found, by status and bucket."""
        which = self.within if quarter else ~self.within
        return {
            route.status: (self.happened[route] - self.lost[route])[which].sum(axis=0)
            for route in ROUTES
            if (route.service, route.path) == (service, path)
        }

    def seen(self, service: str) -> Booleans:
        """Which samples Prometheus has of a service."""
        blind = [*BLIND, *([AUTH_DOWN] if service == "auth" else [])]
        unseen = [(a < self.times) & (self.times < b) for a, b in blind]
        seen: Booleans = ~np.any(unseen, axis=0)
        return seen

    def across_gaps(self, service: str) -> Booleans:
        """Which intervals of the quarter do not lie between two samples of a service."""
        seen = self.seen(service)
        across: Booleans = ~(seen & np.append(True, seen[:-1])) & self.within
        return across

    def write(self, file: Path) -> None:
        """Write what Prometheus saw, as OpenMetrics."""
        with file.open("w") as out:
            for lines in self._lines():
                out.write("\n".join(lines))
                out.write("\n")
            out.write("# EOF\n")

    def _day(self, day: int) -> Booleans:
        of_day: Booleans = (at(day) < self.times) & (self.times <= at(day + 1))
        return of_day

    def _requests(self, route: Route, rng: np.random.Generator) -> Integers:
        daily = 1 + 0.5 * np.sin(2 * np.pi * self.times / DAY)
        rate = route.per_second * daily
        medians = np.full(len(self.times), route.median)
        for day, factor in FAILING.items():
            rate = np.where(self._day(day) & (route.status == "500"), rate * factor, rate)
        for day, factor in SLOW.items():
            medians = np.where(self._day(day) & (route.status == "200"), medians * factor, medians)
        if route.service == "auth":
            down = (AUTH_DOWN[0] < self.times) & (self.times <= AUTH_DOWN[1])
            rate = np.where(down, 0.0, rate)
        numbers = rng.poisson(rate * STEP)
        normal = NormalDist()
        upto = {
            median: [
                normal.cdf(math.log(bound / median) / route.sigma) if bound < math.inf else 1.0
                for bound in BOUNDS
            ]
            for median in set(medians)
        }
        shares = np.array([np.diff([0.0, *upto[median]]) for median in medians])
        return rng.multinomial(numbers, shares)

    def _lost(self, route: Route) -> Integers:
        """Up to a restart, what came after the last sample that was seen."""
        lost = np.zeros_like(self.happened[route])
        for moment in self._ends(route.service):
            ended = int(np.searchsorted(self.times, moment))
            before = np.nonzero(self.seen(route.service)[:ended])[0][-1]
            lost[before + 1 : ended + 1] = self.happened[route][before + 1 : ended + 1]
        return lost

    def _ends(self, service: str) -> list[float]:
        return [*RESTARTS[service], *([REPLACED[service]] if service in REPLACED else [])]

    def _counters(self, service: str, events: Integers) -> Iterator[tuple[str, Booleans, Integers]]:
        """A counter as it is scraped: instance, which samples, their values.

        A process that ends takes with it what it counted in that interval; the next begins at 0.
        """
        value = np.zeros(len(events), dtype=np.int64)
        total = 0
        ends = {int(np.searchsorted(self.times, moment)) for moment in self._ends(service)}
        for index, count in enumerate(events):
            total = 0 if index in ends else total + int(count)
            value[index] = total
        seen = self.seen(service)
        replaced = REPLACED.get(service)
        if replaced is None:
            yield f"{service}:9464", seen, value
            return
        first = self.times < replaced
        yield "a", seen & first, value
        yield "b", seen & ~first, value

    def _series(
        self,
        name: str,
        labels: Mapping[str, str],
        which: Booleans,
        values: NDArray[np.generic],
    ) -> list[str]:
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        return [
            f"{name}{{{text}}} {value} {time:.0f}"
            for time, value in zip(self.times[which].tolist(), values[which].tolist(), strict=True)
        ]

    def _lines(self) -> Iterator[list[str]]:
        name = REQUEST_DURATION.prometheus_name
        for route in ROUTES:
            labels = {
                "job": route.service,
                "http_route": route.path,
                "http_response_status_code": route.status,
            }
            if route.status.startswith("5"):
                labels["error_type"] = route.status
            upto = self.happened[route].cumsum(axis=1)
            for index, bound in enumerate(BOUNDS):
                for instance, which, value in self._counters(route.service, upto[:, index]):
                    yield self._series(
                        f"{name}_bucket",
                        {**labels, "instance": instance, "le": _le(bound)},
                        which,
                        value,
                    )
            for instance, which, value in self._counters(route.service, upto[:, -1]):
                yield self._series(f"{name}_count", {**labels, "instance": instance}, which, value)
        for source, events in self.predicted.items():
            for instance, which, value in self._counters("randsvc", events):
                labels = {"job": "randsvc", "instance": instance, "randsvc_source": source}
                yield self._series("randsvc_predictions_total", labels, which, value)
        yield from self._gauges()
        yield from self._values()
        for alert in ALERTS:
            yield from self._alert(alert)
        for (job, fault), (on, off) in FAULTS.items():
            labels_ = f'job="{job}",instance="a",randsvc_fault="{fault}"'
            yield [
                f"randsvc_fault_active{{{labels_}}} {int(time <= off)} {time:.0f}"
                for time in np.arange(on, off + 1800, EVALUATION)
            ]

    def _gauges(self) -> Iterator[list[str]]:
        ones = np.ones(len(self.times))
        for service in ("randsvc", "auth"):
            seen = self.seen(service)
            labels = {"job": service, "instance": "x"}
            yield self._series("http_server_concurrency_limit", labels, seen, ones * 100)
        seen = self.seen("randsvc")
        yield self._series("up", {"job": "randsvc-management"}, seen, ones)
        yield self._series(
            "job:http_server_active_requests_per_limit:ratio",
            {"job": "randsvc"},
            seen,
            self.saturation,
        )
        yield self._series(
            "probe_success", {"job": "blackbox", "service": "auth"}, seen, self.probes
        )

    def _values(self) -> Iterator[list[str]]:
        """Hourly, as no count of these is to be exact; a thousand in each interval."""
        hourly = self.seen("randsvc") & (np.arange(len(self.times)) % 6 == 0)
        name = VALUE.prometheus_name
        for bound in (*VALUE.buckets, math.inf):
            shares = np.where(
                self.within,
                NormalDist(MEAN[True], 10).cdf(bound),
                NormalDist(MEAN[False], 10).cdf(bound),
            )
            labels = {
                "job": "randsvc",
                "instance": "x",
                "le": f"{float(bound)}".replace("inf", "+Inf"),
            }
            yield self._series(f"{name}_bucket", labels, hourly, (1000 * shares).cumsum().round())

    def _alert(self, alert: Alerting) -> Iterator[list[str]]:
        for state, spans in (("pending", alert.pending), ("firing", alert.firing)):
            labels = (
                f'alertname="{alert.name}",alertstate="{state}",level="{alert.level}",'
                f'service="{alert.service}"'
            )
            for begin, end in spans:
                yield [
                    f"ALERTS{{{labels}}} 1 {time:.0f}"
                    for time in np.arange(begin, end + 1, EVALUATION)
                ]


def _le(bound: float) -> str:
    return "+Inf" if math.isinf(bound) else f"{float(bound)}"


@contextmanager
def serve(quarter: Quarter, programs: Path, folder: Path, port: int) -> Iterator[str]:
    """Run a Prometheus that has recorded the quarter and the one before; gives its URL."""
    quarter.write(folder / "openmetrics")
    # One block for half a year, as the file is read once for each.
    subprocess.run(
        [
            *(programs / "promtool", "tsdb", "create-blocks-from", "--max-block-duration=4374h"),
            *("openmetrics", "--quiet", folder / "openmetrics", folder / "data"),
        ],
        check=True,
    )
    (folder / "openmetrics").unlink()
    book = {"prometheus:9090": f"127.0.0.1:{port}"}
    flag = "--storage.tsdb.retention.time=100y"
    stack = Stack([make_prometheus_of({"global": {}}, programs, book, folder, flag)], book, folder)
    stack.start("prometheus")
    try:
        yield stack.url("prometheus:9090")
    finally:
        stack.stop("prometheus")
