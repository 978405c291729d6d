"""A simulated month of scrapes: every series that an alert of production reads.

Conditions describe each scrape: which replicas run, which share of the requests fails, and so on.
``make_healthy_conditions`` makes those of a healthy month, with its usual small problems:
deployments, a crash, lost scrapes, slow minutes, a few errors. Incidents change conditions for a
while. The functions in ``METRICS`` draw events under these conditions and return their series.

To add a metric, write a function that takes a ``SimulatedMonth`` and yields its ``Series``, and add
it to ``METRICS``. What can go wrong in it is a condition of its own, which an incident changes. A
series that no rule selects costs nothing: ``replay`` omits it.

Outside the incidents, every draw is that of the healthy month.
"""

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.month.incidents import Incident
from randsvc.distributions import Distribution, parse
from randsvc.metrics import FEEDBACK_STORED, FEEDBACK_STORED_LIMIT, PREDICTIONS
from randsvc.rules.golden_signals import format_bound
from randsvc.settings import Settings
from randsvc.simulation.daily_wave import compute_rate
from randsvc.telemetry.catalogue import (
    ACTIVE_REQUESTS,
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    PROCESS_MEMORY_LIMIT,
    PROCESS_MEMORY_USAGE,
    PROCESS_OPEN_FILES,
    PROCESS_OPEN_FILES_LIMIT,
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
    "SimulatedMonth",
    "count_scrapes",
    "make_healthy_conditions",
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Conditions = Mapping[str, Array]

SCRAPE = 15
"""Seconds; the scrape interval that the time scale production assumes."""
DAY = 86_400
REPLICAS: Mapping[str, tuple[str, ...]] = {"randsvc": ("a", "b"), "auth": ("a",)}
"""The authorization service has one replica, so that its restarts are short outages."""
EXPIRES = 180 // SCRAPE
"""Scrapes for which the Collector exports a series after its last push: otel/collector.yaml."""
LOGINS = 0.1
"""Logins per request: a visit has ten requests."""
AMPLITUDE = 0.8
"""Amplitude of the daily wave, as a share of its mean."""
LATENCY: Mapping[str, Distribution] = {
    "randsvc": Settings().delay,
    "auth": parse("lognormal(median=0.01, sigma=0.5)"),
}
SLOW_BY = 1.0
"""Additional seconds of a slow request."""
LAG = parse("lognormal(median=0.0003, sigma=0.8)")
MEMORY, STORAGE = 256e6, 8e9
"""Bytes: the memory limit of a container in docker-compose.yml, the size limit of Prometheus."""
BLOCKED_FOR = 0.3
"""Seconds of delay of a tick in a blocked event loop."""
FAILURES: Mapping[str, tuple[str, str]] = {
    "prometheus_rule_evaluation_failures_total": ("prometheus", "rules failing"),
    "prometheus_notifications_errors_total": ("prometheus", "notifications failing"),
    "prometheus_notifications_dropped_total": ("prometheus", "notifications dropped"),
    "alertmanager_notifications_failed_total": ("alertmanager", "notifications failing"),
    "otelcol_receiver_refused_metric_points_total": ("otel-collector-telemetry", "points refused"),
    "otelcol_receiver_failed_metric_points_total": ("otel-collector-telemetry", "points lost"),
    "otelcol_exporter_send_failed_metric_points_total": ("otel-collector-telemetry", "points lost"),
    "telemetry_logs_dropped_total": ("randsvc", "logs dropped"),
    "otelcol_exporter_enqueue_failed_metric_points_total": (
        "otel-collector-telemetry",
        "points lost",
    ),
}
"""By counter of failures: its job, and the condition with the failures/s."""


@dataclass(frozen=True)
class Series:
    """A series from scrape number ``begin`` on; NaN where it has no sample."""

    name: str
    labels: Mapping[str, str]
    begin: int
    values: Array

    def __str__(self) -> str:
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        return f"{self.name}{{{labels}}}"


def count_scrapes(days: float) -> int:
    """Return the number of scrapes."""
    return round(days * DAY / SCRAPE)


def make_healthy_conditions(steps: int, traffic: float, seed: int) -> dict[str, Array]:
    """Return the conditions of a healthy month: shares of requests; ``traffic`` in requests/s."""
    rng = np.random.default_rng(_key(seed, "conditions"))
    at = np.arange(0, steps * SCRAPE, SCRAPE, dtype=np.float64)
    wave = [compute_rate(t, mean=traffic, amplitude=AMPLITUDE * traffic, period=DAY) for t in at]
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
        "writes failed": _flat(steps, 0),
        "notifications failing": _flat(steps, 0),
        "notifications dropped": _flat(steps, 0),
        "points refused": _flat(steps, 0),
        "points lost": _flat(steps, 0),
        "logs dropped": _flat(steps, 0),
        "prometheus filling": _flat(steps, 0),
    }
    for service, replicas in REPLICAS.items():
        found[f"{service} reached"] = _flat(steps, 1)
        found[f"{service} reporting"] = _flat(steps, 1)
        found[f"{service} leaking"] = _flat(steps, 0)
        for replica in replicas:
            found[f"{service} {replica} runs"] = _flat(steps, 1)
            found[f"{service} {replica} release"] = _flat(steps, 0)
    for target in TARGETS:
        # The network loses one scrape in 5000.
        found[f"{target} runs"] = (rng.random(steps) > 0.0002).astype(float)
    _add_restarts(found, at)
    _add_disturbances(found, at, rng)
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
    """Select the scrapes in a period that starts after ``begin`` days."""
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
        # Restarted in place, so that its counters begin at 0.
        found["randsvc b runs"][_during(at, day + 0.6, 30)] = 0
        found["auth a runs"][_during(at, day + 0.7, 30)] = 0
        for target in ("otel-collector", "otel-collector-telemetry"):
            found[f"{target} runs"][_during(at, day + 0.8, 45)] = 0
        found["alertmanager runs"][_during(at, day + 0.85, 30)] = 0


def _add_disturbances(found: dict[str, Array], at: Array, rng: np.random.Generator) -> None:
    """Add small problems: slow nights, short disturbances, a rush hour, lost messages."""
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


class _ReadConditions(dict[str, Array]):
    """Conditions that record which of them were read."""

    def __init__(self, conditions: Conditions) -> None:
        super().__init__(conditions)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Array:
        self.names.add(name)
        return super().__getitem__(name)


class SimulatedMonth:
    """A month with ``healthy`` conditions, which each incident changes for a while.

    The same seed gives the same draws. ``traffic`` is the mean request rate, in requests/s.
    """

    def __init__(
        self, days: float, incidents: Sequence[Incident] = (), traffic: float = 10, seed: int = 1
    ) -> None:
        self.steps = count_scrapes(days)
        self.seed = seed
        self.healthy = make_healthy_conditions(self.steps, traffic, seed)
        self.conditions = {name: values.copy() for name, values in self.healthy.items()}
        for incident in incidents:
            lasts = slice(round(incident.begins / SCRAPE), round(incident.ends / SCRAPE))
            for name, value in incident.changes.items():
                self.conditions[name][lasts] = value

    def series(self) -> Iterator[Series]:
        """Yield every series."""
        for metric in METRICS:
            yield from metric(self)

    def draw(
        self, name: str, sample: Callable[[np.random.Generator, Conditions], NDArray[np.int_]]
    ) -> Array:
        """Draw events for each scrape, anew where incidents change a condition that is read.

        ``name`` is part of the seed, so that metrics do not influence each other.
        """
        rng = np.random.default_rng(_key(self.seed, name))
        asked = _ReadConditions(self.healthy)
        values = sample(rng, asked).astype(float)
        changed = np.any([self.healthy[n] != self.conditions[n] for n in asked.names], axis=0)
        if changed.any():
            now = {name: values[changed] for name, values in self.conditions.items()}
            rng = np.random.default_rng(_key(self.seed, f"{name}, changed"))
            values[changed] = sample(rng, now)
        return values

    def runs(self, service: str, replica: str) -> Mask:
        """Select the scrapes at which a replica runs."""
        return self.conditions[f"{service} {replica} runs"] > 0

    def scraped(self, target: str) -> Mask:
        """Select the scrapes that reach a target, if its program runs."""
        return self.conditions[f"{target} runs"] > 0


def _key(seed: int, name: str) -> list[int]:
    return [seed, zlib.crc32(name.encode())]


# -------------------------------------------------------------------------------- pushed series


@dataclass(frozen=True)
class _Instance:
    """A replica in one release; its series exist from scrape ``begin`` to ``end``."""

    labels: Mapping[str, str]
    begin: int
    end: int
    runs: Mask
    visible: Mask
    """Whether Prometheus gets its series: pushed, not expired, and the Collector is scraped."""

    def gauge(self, name: str, labels: Mapping[str, str], values: Array) -> Series:
        """Return a gauge with a value for each scrape; a stopped replica keeps its last value."""
        shown = np.where(self.visible, _hold(values[self.begin : self.end], self.runs), np.nan)
        return Series(name, {**self.labels, **labels}, self.begin, shown)

    def counter(self, name: str, labels: Mapping[str, str], events: Array) -> Series:
        """Return the counter of events, which begins with the first event."""
        counted = _accumulate(events[self.begin : self.end], self.runs)
        shown = np.where(self.visible & (counted > 0), counted, np.nan)
        return Series(name, {**self.labels, **labels}, self.begin, shown)

    def histogram(
        self, metric: Metric, labels: Mapping[str, str], events: Array
    ) -> Iterator[Series]:
        """Yield the buckets and the count of events; ``events`` has a column for each bucket."""
        name = metric.prometheus_name
        count = self.counter(f"{name}_count", labels, events.sum(axis=1))
        yield count
        there = ~np.isnan(count.values)
        below = np.zeros(len(events))
        for edge, column in zip((*metric.buckets, math.inf), events.T, strict=True):
            below = below + column
            values = _accumulate(below[self.begin : self.end], self.runs)
            yield Series(
                f"{name}_bucket",
                {**count.labels, "le": format_bound(edge)},
                self.begin,
                np.where(there, values, np.nan),
            )


def _instances(month: SimulatedMonth, service: str) -> Iterator[tuple[str, _Instance]]:
    reporting = month.conditions[f"{service} reporting"] > 0
    for replica in REPLICAS[service]:
        release = month.conditions[f"{service} {replica} release"]
        for number in np.unique(release):
            runs = month.runs(service, replica) & (release == number)
            if not runs.any():
                continue
            (there,) = np.nonzero(runs)
            begin, end = int(there[0]), min(int(there[-1]) + 1 + EXPIRES, month.steps)
            part = slice(begin, end)
            pushed = _hold(np.arange(end - begin, dtype=float), runs[part] & reporting[part])
            recent = np.arange(end - begin) - pushed <= EXPIRES
            visible = recent & month.scraped("otel-collector")[part]
            labels = {"job": service, "instance": f"{service}-{replica}-{number:.0f}"}
            yield replica, _Instance(labels, begin, end, runs[part], visible)


def _hold(values: Array, when: Mask) -> Array:
    """Return the latest value for which ``when`` was true; NaN before the first."""
    last = np.maximum.accumulate(np.where(when, np.arange(len(values)), -1))
    return np.where(last >= 0, values[last], np.nan)


def _accumulate(events: Array, runs: Mask) -> Array:
    """Sum up events while a process runs, from 0 after each start."""
    events = np.where(runs, events, 0)
    total = np.cumsum(events)
    starts = runs & ~np.concatenate(([False], runs[:-1]))
    before = np.maximum.accumulate(np.where(starts, total - events, 0))
    return total - before


def _shares(distribution: Distribution, metric: Metric, later: float = 0) -> Array:
    """Return the exact share of each bucket, of durations ``later`` seconds longer."""
    below = [distribution.cdf(edge - later) for edge in metric.buckets]
    return np.diff([0, *below, 1])


def _split(
    rng: np.random.Generator, number: NDArray[np.int_], slow: Array, usual: Array, late: Array
) -> NDArray[np.int_]:
    """Distribute events over the buckets; a share of them is slow."""
    rare = rng.binomial(number, slow)
    found: NDArray[np.int_] = rng.multinomial(number - rare, usual) + rng.multinomial(rare, late)
    return found


def _requests(month: SimulatedMonth) -> Iterator[Series]:
    """Requests for /random and /login by status, with their durations."""
    yield from _route(month, "randsvc", "/random", {"500": "failing", "503": "shed"}, "slow", 1)
    yield from _route(
        month,
        "auth",
        "/login",
        {"503": "logins failing", "401": "wrong passwords"},
        "logins slow",
        LOGINS,
    )


def _route(
    month: SimulatedMonth,
    service: str,
    route: str,
    refused: Mapping[str, str],
    slow: str,
    each: float,
) -> Iterator[Series]:
    method = "GET" if service == "randsvc" else "POST"
    usual = _shares(LATENCY[service], REQUEST_DURATION)
    late = _shares(LATENCY[service], REQUEST_DURATION, later=SLOW_BY)
    # Errors take no time.
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

        events = month.draw(f"{route} {replica}", by_status)
        for i, status in enumerate(refused):
            drawn[replica, status] = events[:, [i]] * at_once
        drawn[replica, "200"] = events[:, len(refused) :]
    for replica, instance in _instances(month, service):
        for status in (*refused, "200"):
            labels = {
                "http_request_method": method,
                "http_route": route,
                "http_response_status_code": status,
            }
            if status.startswith("5"):
                labels["error_type"] = status
            yield from instance.histogram(REQUEST_DURATION, labels, drawn[replica, status])


def _saturation(month: SimulatedMonth) -> Iterator[Series]:
    """Active requests, and the concurrency limit."""
    limit = Settings().max_concurrency

    def active(rng: np.random.Generator, now: Conditions) -> NDArray[np.int_]:
        usual = now["requests"] * now["traffic"] * LATENCY["randsvc"].mean / 2
        return np.minimum(rng.poisson(usual + now["busy"] * limit), limit)

    for service in REPLICAS:
        for replica, instance in _instances(month, service):
            under_way = month.draw(f"active {service} {replica}", active)
            name = ACTIVE_REQUESTS.prometheus_name
            yield instance.gauge(name, {"http_request_method": "GET"}, under_way)
            name = CONCURRENCY_LIMIT.prometheus_name
            yield instance.gauge(name, {}, _flat(month.steps, limit))


def _event_loop(month: SimulatedMonth) -> Iterator[Series]:
    """The lag of the event loop."""
    usual = _shares(LAG, EVENT_LOOP_LAG)
    late = _shares(LAG, EVENT_LOOP_LAG, later=BLOCKED_FOR)

    def ticks(rng: np.random.Generator, now: Conditions) -> NDArray[np.int_]:
        number = np.full(len(now["ticks late"]), round(SCRAPE / TICK))
        return _split(rng, number, now["ticks late"], usual, late)

    for service in REPLICAS:
        for replica, instance in _instances(month, service):
            events = month.draw(f"ticks {service} {replica}", ticks)
            yield from instance.histogram(EVENT_LOOP_LAG, {}, events)


def _resources(month: SimulatedMonth) -> Iterator[Series]:
    """What has a limit, and the limits: memory, file descriptors, feedback store, storage."""

    def rest(rng: np.random.Generator, now: Conditions) -> NDArray[np.int_]:
        return rng.integers(0, 10_000, len(now["requests"]))

    for service in REPLICAS:
        leaked = MEMORY * _rise(month.conditions[f"{service} leaking"])
        traffic = month.conditions["requests"] * month.conditions["traffic"]
        for replica, instance in _instances(month, service):
            noise = month.draw(f"memory {service} {replica}", rest)
            # A process warms up in the first hour.
            age = (np.arange(month.steps) - instance.begin) * SCRAPE / 3600
            warm = 60e6 + 30e6 * np.clip(age, 0, 1)
            used = {
                PROCESS_MEMORY_USAGE: warm + 100 * noise + leaked,
                PROCESS_MEMORY_LIMIT: _flat(month.steps, MEMORY),
                PROCESS_OPEN_FILES: np.round(30 + 2 * traffic),
                PROCESS_OPEN_FILES_LIMIT: _flat(month.steps, 65_536),
            }
            if service == "randsvc":
                # Half of the requests have feedback, which is remembered for an hour.
                used[FEEDBACK_STORED] = np.round(traffic * 3600 / 2)
                used[FEEDBACK_STORED_LIMIT] = _flat(month.steps, 500_000)
            for metric, values in used.items():
                yield instance.gauge(metric.prometheus_name, {}, values)
    labels = {"job": "prometheus", "instance": "prometheus:9090"}
    # A block of 10 MB every two hours, so that 8 GB are not full before 35 days.
    blocks = 1.2e9 + 10e6 * (np.arange(month.steps) * SCRAPE // 7200)
    blocks = blocks + STORAGE * _rise(month.conditions["prometheus filling"])
    yield Series("prometheus_tsdb_storage_blocks_bytes", labels, 0, blocks)
    yield Series("prometheus_tsdb_retention_limit_bytes", labels, 0, _flat(month.steps, STORAGE))
    # A restart of Prometheus ends the incident, and sets its counters back.
    failed = month.conditions["writes failed"]
    yield Series("prometheus_tsdb_wal_writes_failed_total", labels, 0, failed)


def _rise(rate: Array) -> Array:
    """Return what has accumulated while a rate per hour lasts; 0 without one."""
    total = np.cumsum(rate) * SCRAPE / 3600
    return np.where(rate > 0, total - np.maximum.accumulate(np.where(rate > 0, 0, total)), 0)


def _predictions(month: SimulatedMonth) -> Iterator[Series]:
    """Predictions of the model and of the fallback, one for each successful request."""

    def predicted(rng: np.random.Generator, now: Conditions) -> NDArray[np.int_]:
        rate = now["requests"] * now["traffic"] * now["randsvc reached"] * (1 - now["failing"])
        number = rng.poisson(rate * SCRAPE / 2)
        fallback = rng.binomial(number, now["fallback"])
        return np.column_stack((number - fallback, fallback))

    for replica, instance in _instances(month, "randsvc"):
        events = month.draw(f"predictions {replica}", predicted)
        for source, column in zip(("model", "fallback"), events.T, strict=True):
            labels = {"randsvc_source": source}
            yield instance.counter(PREDICTIONS.prometheus_name, labels, column)


# ------------------------------------------------------------------------ observed from outside


def _up(month: SimulatedMonth) -> Iterator[Series]:
    """Whether the scrape of a target worked."""
    for target in TARGETS:
        job, _, which = target.partition(" ")
        up = month.scraped(target)
        service = job.removesuffix("-management")
        if service in REPLICAS:
            up = up & month.runs(service, which)
        labels = {"job": job, "instance": f"{target}:9000"}
        yield Series("up", labels, 0, up.astype(float))


def _probes(month: SimulatedMonth) -> Iterator[Series]:
    """Whether a probe succeeds; like a user, it may reach any replica."""
    fails = {"randsvc": ("failing", "shed"), "auth": ("logins failing",)}
    for service, replicas in REPLICAS.items():

        def answered(
            rng: np.random.Generator, now: Conditions, service: str = service
        ) -> NDArray[np.int_]:
            good = now[f"{service} reached"].copy()
            for condition in fails[service]:
                good *= 1 - now[condition]
            return rng.binomial(1, good)

        alive = np.any([month.runs(service, replica) for replica in replicas], axis=0)
        success = month.draw(f"probe {service}", answered) * alive
        scraped = month.scraped(f"blackbox {service}")
        labels = {"job": "blackbox", "service": service, "instance": service}
        yield Series("probe_success", labels, 0, np.where(scraped, success, np.nan))


def _failures(month: SimulatedMonth) -> Iterator[Series]:
    """The failures of the monitoring itself."""
    for name, (job, condition) in FAILURES.items():

        def failures(
            rng: np.random.Generator, now: Conditions, condition: str = condition
        ) -> NDArray[np.int_]:
            return np.ceil(now[condition] * SCRAPE).astype(int)

        scraped = month.scraped(job if job in TARGETS else "otel-collector")  # if it is pushed
        # One lost scrape is no restart, but two in a row are.
        runs = scraped | np.concatenate((scraped[1:], [True])) & np.concatenate(
            ([True], scraped[:-1])
        )
        counted = _accumulate(month.draw(name, failures), runs)
        yield Series(name, {"job": job, "instance": job}, 0, np.where(scraped, counted, np.nan))


METRICS: tuple[Callable[[SimulatedMonth], Iterator[Series]], ...] = (
    _requests,
    _saturation,
    _event_loop,
    _resources,
    _predictions,
    _up,
    _probes,
    _failures,
)
"""One function for each metric or group of metrics."""
