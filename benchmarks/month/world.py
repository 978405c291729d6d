"""What Prometheus would have scraped in a month: every series that an alert of production reads.

Conditions say how things are at each scrape: how many replicas run, which share of the requests
fails, and so on. ``healthy`` gives those of a month in which nothing is wrong but what always is:
deployments, a crash, lost scrapes, slow minutes, a few errors. Incidents change conditions for a
while. The functions in ``METRICS`` draw events under these conditions and give series of them.

To add a metric: write a function that takes a ``World`` and gives its ``Series``, and put it into
``METRICS``; what it reads that can go wrong is a condition of its own in ``healthy``, which an
incident then changes. A series that no rule selects costs nothing: ``replay`` leaves it out.

Draws outside of incidents are those of the healthy month, number by number.
"""

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.month.incidents import Incident
from randsvc.distributions import Distribution, parse
from randsvc.rules.golden_signals import format_bound
from randsvc.settings import Settings
from randsvc.simulation.daily_wave import rate_at
from randsvc.telemetry.catalogue import (
    ACTIVE_REQUESTS,
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    PREDICTIONS,
    REQUEST_DURATION,
    Metric,
)
from randsvc.telemetry.runtime import TICK

__all__ = (
    "DAY",
    "METRICS",
    "REPLICAS",
    "SCRAPE",
    "Array",
    "Series",
    "World",
    "healthy",
    "steps_in",
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Conditions = Mapping[str, Array]

SCRAPE = 15
"""Seconds; what the time scale production takes for granted."""
DAY = 86_400
REPLICAS: Mapping[str, tuple[str, ...]] = {"randsvc": ("a", "b"), "auth": ("a",)}
"""The authorization service has one, so that its restarts are seen as outages are."""
EXPIRES = 180 // SCRAPE
"""Scrapes for which the Collector shows what is no longer pushed: otel/collector.yaml."""
LOGINS = 0.1
"""Of a request: a visit is ten requests long."""
AMPLITUDE = 0.8
"""Of the daily wave, as a share of its mean."""
LATENCY: Mapping[str, Distribution] = {
    "randsvc": Settings().delay,
    "auth": parse("lognormal(median=0.01, sigma=0.5)"),
}
SLOW_BY = 1.0
"""Seconds that a slow request takes longer."""
LAG = parse("lognormal(median=0.0003, sigma=0.8)")
BLOCKED_FOR = 0.3
"""Seconds that a tick is late in a blocked event loop."""
FAILURES: Mapping[str, tuple[str, str]] = {
    "prometheus_rule_evaluation_failures_total": ("prometheus", "rules failing"),
    "prometheus_notifications_errors_total": ("prometheus", "notifications failing"),
    "prometheus_notifications_dropped_total": ("prometheus", "notifications dropped"),
    "alertmanager_notifications_failed_total": ("alertmanager", "notifications failing"),
    "otelcol_receiver_refused_metric_points_total": ("otel-collector-telemetry", "points refused"),
    "otelcol_receiver_failed_metric_points_total": ("otel-collector-telemetry", "points lost"),
    "otelcol_exporter_send_failed_metric_points_total": ("otel-collector-telemetry", "points lost"),
    "otelcol_exporter_enqueue_failed_metric_points_total": (
        "otel-collector-telemetry",
        "points lost",
    ),
}
"""Who counts a failure, and the condition that says how many there are each second."""


@dataclass(frozen=True)
class Series:
    """A series from the scrape number ``begin`` on; NaN where it is not there."""

    name: str
    labels: Mapping[str, str]
    begin: int
    values: Array

    def __str__(self) -> str:
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        return f"{self.name}{{{labels}}}"


def steps_in(days: float) -> int:
    """Give the number of scrapes."""
    return round(days * DAY / SCRAPE)


def healthy(steps: int, traffic: float, seed: int) -> dict[str, Array]:
    """Give the conditions of a healthy month; shares are of requests, ``traffic`` is requests/s."""
    rng = np.random.default_rng(_key(seed, "conditions"))
    at = np.arange(0, steps * SCRAPE, SCRAPE, dtype=np.float64)
    wave = [rate_at(t, mean=traffic, amplitude=AMPLITUDE * traffic, period=DAY) for t in at]
    found = {
        "requests": np.array(wave),
        "traffic": _flat(steps, 1),
        "failing": _flat(steps, 0.0002),
        "slow": _flat(steps, 0.0001),
        "shed": _flat(steps, 0),
        "logins failing": _flat(steps, 0.0002),
        "logins slow": _flat(steps, 0.0001),
        "wrong passwords": _flat(steps, 0.02),
        "fallback": _flat(steps, 0.001),
        "ticks late": _flat(steps, 0),
        "busy": _flat(steps, 0),
        "rules failing": _flat(steps, 0),
        "notifications failing": _flat(steps, 0),
        "notifications dropped": _flat(steps, 0),
        "points refused": _flat(steps, 0),
        "points lost": _flat(steps, 0),
    }
    for service, replicas in REPLICAS.items():
        found[f"{service} reached"] = _flat(steps, 1)
        found[f"{service} reporting"] = _flat(steps, 1)
        for replica in replicas:
            found[f"{service} {replica} runs"] = _flat(steps, 1)
            found[f"{service} {replica} release"] = _flat(steps, 0)
    for target in TARGETS:
        # One scrape in 5000 comes to nothing, for reasons of the network.
        found[f"{target} runs"] = (rng.random(steps) > 0.0002).astype(float)
    _add_restarts(found, at)
    _add_moments(found, at, rng)
    return found


TARGETS = (
    "otel-collector",
    "otel-collector-telemetry",
    "prometheus",
    "alertmanager",
    *(f"{s}-management {r}" for s, replicas in REPLICAS.items() for r in replicas),
    "blackbox randsvc",
    "blackbox auth",
)


def _flat(steps: int, value: float) -> Array:
    return np.full(steps, float(value))


def _during(at: Array, begin: float, seconds: float) -> Mask:
    """Give which scrapes are in a time that begins after so many days."""
    return (at >= begin * DAY) & (at < begin * DAY + seconds)


def _add_restarts(found: dict[str, Array], at: Array) -> None:
    """Add a deployment every other working day, one replica after the other, and crashes."""
    days = math.ceil(len(at) * SCRAPE / DAY)
    times = [day + 9.5 / 24 for day in range(days) if day % 7 in (1, 3, 5)]
    for number, begin in enumerate(times, 1):
        for service, replicas in REPLICAS.items():
            for i, replica in enumerate(replicas):
                when = begin + i * 180 / DAY
                found[f"{service} {replica} runs"][_during(at, when, 30)] = 0
                found[f"{service} {replica} release"][at >= when * DAY] = number
    for day in range(4, days, 9):
        # Started again in its place, so that its counters begin again.
        found["randsvc b runs"][_during(at, day + 0.6, 30)] = 0
        found["auth a runs"][_during(at, day + 0.7, 30)] = 0
        for target in ("otel-collector", "otel-collector-telemetry"):
            found[f"{target} runs"][_during(at, day + 0.8, 45)] = 0
        found["alertmanager runs"][_during(at, day + 0.85, 30)] = 0


def _add_moments(found: dict[str, Array], at: Array, rng: np.random.Generator) -> None:
    """Add what is no incident: slow minutes each night, bad moments, a rush, a lost message."""
    for day in range(math.ceil(len(at) * SCRAPE / DAY)):
        night = _during(at, day + 3 / 24, 120)
        found["slow"][night] = 0.05
        found["logins slow"][night] = 0.02
        found["ticks late"][_during(at, day + rng.random(), 15)] = 0.02
        if day % 6 == 2:
            moment = _during(at, day + rng.random(), 15)
            found["failing"][moment] = 0.2
            found["fallback"][moment] = 0.5
        if day % 6 == 3:
            found["traffic"][_during(at, day + 0.5, 1200)] = 3
            found["notifications failing"][_during(at, day + rng.random(), 15)] = 1 / SCRAPE
            found["points refused"][_during(at, day + rng.random(), 15)] = 10 / SCRAPE


class _Asked(dict[str, Array]):
    """Conditions that note which of them were read."""

    def __init__(self, conditions: Conditions) -> None:
        super().__init__(conditions)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Array:
        self.names.add(name)
        return super().__getitem__(name)


class World:
    """A month, ``healthy`` but for the incidents, which have conditions of their own for a while.

    The same seed gives the same draws; ``traffic`` is the mean of the requests each second.
    """

    def __init__(
        self, days: float, incidents: Sequence[Incident] = (), traffic: float = 10, seed: int = 1
    ) -> None:
        self.steps = steps_in(days)
        self.seed = seed
        self.healthy = healthy(self.steps, traffic, seed)
        self.conditions = {name: values.copy() for name, values in self.healthy.items()}
        for incident in incidents:
            lasts = slice(round(incident.begins / SCRAPE), round(incident.ends / SCRAPE))
            for name, value in incident.changes.items():
                self.conditions[name][lasts] = value

    def series(self) -> Iterator[Series]:
        """Give every series."""
        for metric in METRICS:
            yield from metric(self)

    def draw(
        self, name: str, sample: Callable[[np.random.Generator, Conditions], NDArray[np.int_]]
    ) -> Array:
        """Draw events for each scrape, and again where incidents change a condition that is read.

        ``name`` seeds it, so that one metric has no influence on another.
        """
        rng = np.random.default_rng(_key(self.seed, name))
        asked = _Asked(self.healthy)
        values = sample(rng, asked).astype(float)
        changed = np.any([self.healthy[n] != self.conditions[n] for n in asked.names], axis=0)
        if changed.any():
            now = {name: values[changed] for name, values in self.conditions.items()}
            rng = np.random.default_rng(_key(self.seed, f"{name}, changed"))
            values[changed] = sample(rng, now)
        return values

    def runs(self, service: str, replica: str) -> Mask:
        """Say when a replica runs."""
        return self.conditions[f"{service} {replica} runs"] > 0

    def scraped(self, target: str) -> Mask:
        """Say when a target was scraped, if what it belongs to runs."""
        return self.conditions[f"{target} runs"] > 0


def _key(seed: int, name: str) -> list[int]:
    return [seed, zlib.crc32(name.encode())]


# -------------------------------------------------------------------------------- what is pushed


@dataclass(frozen=True)
class _Instance:
    """A replica in one release: whence its series come, as ``begin`` to ``end`` are scraped."""

    labels: Mapping[str, str]
    begin: int
    end: int
    runs: Mask
    visible: Mask
    """Not so before it was pushed, when the Collector is not scraped, or forgot it."""

    def gauge(self, name: str, labels: Mapping[str, str], values: Array) -> Series:
        """Give a gauge of values at each scrape of the month; a dead one keeps its last value."""
        shown = np.where(self.visible, _held(values[self.begin : self.end], self.runs), np.nan)
        return Series(name, {**self.labels, **labels}, self.begin, shown)

    def counter(self, name: str, labels: Mapping[str, str], events: Array) -> Series:
        """Give the counter of events; there is none before the first."""
        counted = _counted(events[self.begin : self.end], self.runs)
        shown = np.where(self.visible & (counted > 0), counted, np.nan)
        return Series(name, {**self.labels, **labels}, self.begin, shown)

    def histogram(
        self, metric: Metric, labels: Mapping[str, str], events: Array
    ) -> Iterator[Series]:
        """Give the buckets and the count of events, which have a column for each bucket."""
        name = metric.prometheus_name
        count = self.counter(f"{name}_count", labels, events.sum(axis=1))
        yield count
        there = ~np.isnan(count.values)
        below = np.zeros(len(events))
        for edge, column in zip((*metric.buckets, math.inf), events.T, strict=True):
            below = below + column
            values = _counted(below[self.begin : self.end], self.runs)
            yield Series(
                f"{name}_bucket",
                {**count.labels, "le": format_bound(edge)},
                self.begin,
                np.where(there, values, np.nan),
            )


def _instances(world: World, service: str) -> Iterator[tuple[str, _Instance]]:
    reporting = world.conditions[f"{service} reporting"] > 0
    for replica in REPLICAS[service]:
        release = world.conditions[f"{service} {replica} release"]
        for number in np.unique(release):
            runs = world.runs(service, replica) & (release == number)
            if not runs.any():
                continue
            (there,) = np.nonzero(runs)
            begin, end = int(there[0]), min(int(there[-1]) + 1 + EXPIRES, world.steps)
            part = slice(begin, end)
            pushed = _held(np.arange(end - begin, dtype=float), runs[part] & reporting[part])
            recent = np.arange(end - begin) - pushed <= EXPIRES
            visible = recent & world.scraped("otel-collector")[part]
            labels = {"job": service, "instance": f"{service}-{replica}-{number:.0f}"}
            yield replica, _Instance(labels, begin, end, runs[part], visible)


def _held(values: Array, when: Mask) -> Array:
    """Give the last value at which ``when`` was true; NaN before the first."""
    last = np.maximum.accumulate(np.where(when, np.arange(len(values)), -1))
    return np.where(last >= 0, values[last], np.nan)


def _counted(events: Array, runs: Mask) -> Array:
    """Add events up while it runs, from 0 again whenever it starts."""
    events = np.where(runs, events, 0)
    total = np.cumsum(events)
    starts = runs & ~np.concatenate(([False], runs[:-1]))
    before = np.maximum.accumulate(np.where(starts, total - events, 0))
    return total - before


def _shares(distribution: Distribution, metric: Metric, later: float = 0) -> Array:
    """Give the share of each bucket, exactly; with ``later`` of what takes so much longer."""
    below = [distribution.cdf(edge - later) for edge in metric.buckets]
    return np.diff([0, *below, 1])


def _split(
    rng: np.random.Generator, number: NDArray[np.int_], slow: Array, usual: Array, late: Array
) -> NDArray[np.int_]:
    """Put events into buckets; a share is slow."""
    rare = rng.binomial(number, slow)
    found: NDArray[np.int_] = rng.multinomial(number - rare, usual) + rng.multinomial(rare, late)
    return found


def _requests(world: World) -> Iterator[Series]:
    """Requests for /random and /login by status, and how long they took."""
    yield from _route(world, "randsvc", "/random", {"500": "failing", "503": "shed"}, "slow", 1)
    yield from _route(
        world,
        "auth",
        "/login",
        {"503": "logins failing", "401": "wrong passwords"},
        "logins slow",
        LOGINS,
    )


def _route(
    world: World, service: str, route: str, refused: Mapping[str, str], slow: str, each: float
) -> Iterator[Series]:
    method = "GET" if service == "randsvc" else "POST"
    usual = _shares(LATENCY[service], REQUEST_DURATION)
    late = _shares(LATENCY[service], REQUEST_DURATION, later=SLOW_BY)
    # What is refused is refused at once.
    at_once = np.eye(len(usual))[0]
    drawn: dict[tuple[str, str], Array] = {}
    for replica in REPLICAS[service]:
        others = [f"{service} {other} runs" for other in REPLICAS[service] if other != replica]

        def number(
            rng: np.random.Generator, now: Conditions, others: Sequence[str] = tuple(others)
        ) -> NDArray[np.int_]:
            rate = now["requests"] * now["traffic"] * each * now[f"{service} reached"]
            among: Array = sum((now[other] for other in others), np.ones(len(rate)))
            return rng.poisson(rate * SCRAPE / among)

        def by_status(
            rng: np.random.Generator,
            now: Conditions,
            number: Callable[..., NDArray[np.int_]] = number,
        ) -> NDArray[np.int_]:
            left = number(rng, now)
            columns = []
            for condition in refused.values():
                columns.append(rng.binomial(left, now[condition]))
                left = left - columns[-1]
            return np.column_stack((*columns, _split(rng, left, now[slow], usual, late)))

        events = world.draw(f"{route} {replica}", by_status)
        for i, status in enumerate(refused):
            drawn[replica, status] = events[:, [i]] * at_once
        drawn[replica, "200"] = events[:, len(refused) :]
    for replica, instance in _instances(world, service):
        for status in (*refused, "200"):
            labels = {
                "http_request_method": method,
                "http_route": route,
                "http_response_status_code": status,
            }
            if status.startswith("5"):
                labels["error_type"] = status
            yield from instance.histogram(REQUEST_DURATION, labels, drawn[replica, status])


def _saturation(world: World) -> Iterator[Series]:
    """Concurrent requests, and how many are allowed."""
    limit = Settings().max_concurrency

    def active(rng: np.random.Generator, now: Conditions) -> NDArray[np.int_]:
        usual = now["requests"] * now["traffic"] * LATENCY["randsvc"].mean / 2
        return np.minimum(rng.poisson(usual + now["busy"] * limit), limit)

    for service in REPLICAS:
        for replica, instance in _instances(world, service):
            under_way = world.draw(f"active {service} {replica}", active)
            name = ACTIVE_REQUESTS.prometheus_name
            yield instance.gauge(name, {"http_request_method": "GET"}, under_way)
            name = CONCURRENCY_LIMIT.prometheus_name
            yield instance.gauge(name, {}, _flat(world.steps, limit))


def _event_loop(world: World) -> Iterator[Series]:
    """How late the ticks of the event loop are."""
    usual = _shares(LAG, EVENT_LOOP_LAG)
    late = _shares(LAG, EVENT_LOOP_LAG, later=BLOCKED_FOR)

    def ticks(rng: np.random.Generator, now: Conditions) -> NDArray[np.int_]:
        number = np.full(len(now["ticks late"]), round(SCRAPE / TICK))
        return _split(rng, number, now["ticks late"], usual, late)

    for service in REPLICAS:
        for replica, instance in _instances(world, service):
            events = world.draw(f"ticks {service} {replica}", ticks)
            yield from instance.histogram(EVENT_LOOP_LAG, {}, events)


def _predictions(world: World) -> Iterator[Series]:
    """Predictions by the model and by the fallback; one for each request that is answered."""

    def predicted(rng: np.random.Generator, now: Conditions) -> NDArray[np.int_]:
        rate = now["requests"] * now["traffic"] * now["randsvc reached"] * (1 - now["failing"])
        number = rng.poisson(rate * SCRAPE / 2)
        fallback = rng.binomial(number, now["fallback"])
        return np.column_stack((number - fallback, fallback))

    for replica, instance in _instances(world, "randsvc"):
        events = world.draw(f"predictions {replica}", predicted)
        for source, column in zip(("model", "fallback"), events.T, strict=True):
            labels = {"randsvc_source": source}
            yield instance.counter(PREDICTIONS.prometheus_name, labels, column)


# ------------------------------------------------------------------------ what is seen from outside


def _up(world: World) -> Iterator[Series]:
    """Whether the scrape of a target worked."""
    for target in TARGETS:
        job, _, which = target.partition(" ")
        up = world.scraped(target)
        service = job.removesuffix("-management")
        if service in REPLICAS:
            up = up & world.runs(service, which)
        labels = {"job": job, "instance": f"{target}:9000"}
        yield Series("up", labels, 0, up.astype(float))


def _probes(world: World) -> Iterator[Series]:
    """Whether a probe was answered: by any replica, as a user is."""
    fails = {"randsvc": ("failing", "shed"), "auth": ("logins failing",)}
    for service, replicas in REPLICAS.items():

        def answered(
            rng: np.random.Generator, now: Conditions, service: str = service
        ) -> NDArray[np.int_]:
            good = now[f"{service} reached"].copy()
            for condition in fails[service]:
                good *= 1 - now[condition]
            return rng.binomial(1, good)

        alive = np.any([world.runs(service, replica) for replica in replicas], axis=0)
        success = world.draw(f"probe {service}", answered) * alive
        scraped = world.scraped(f"blackbox {service}")
        labels = {"job": "blackbox", "service": service, "instance": service}
        yield Series("probe_success", labels, 0, np.where(scraped, success, np.nan))


def _failures(world: World) -> Iterator[Series]:
    """What the monitoring counts of its own failures."""
    for name, (job, condition) in FAILURES.items():

        def failures(
            rng: np.random.Generator, now: Conditions, condition: str = condition
        ) -> NDArray[np.int_]:
            return np.ceil(now[condition] * SCRAPE).astype(int)

        scraped = world.scraped(job)
        # A scrape that is lost is no restart, but two in a row are.
        runs = scraped | np.concatenate((scraped[1:], [True])) & np.concatenate(
            ([True], scraped[:-1])
        )
        counted = _counted(world.draw(name, failures), runs)
        yield Series(name, {"job": job, "instance": job}, 0, np.where(scraped, counted, np.nan))


METRICS: tuple[Callable[[World], Iterator[Series]], ...] = (
    _requests,
    _saturation,
    _event_loop,
    _predictions,
    _up,
    _probes,
    _failures,
)
"""One for each metric or few that belong together."""
