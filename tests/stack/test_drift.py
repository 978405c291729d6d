"""The distances on the real chain: those of numpy from the same buckets, and near the raw draws'.

With one process, with two workers of one service, with two replicas that share the requests and
know nothing of each other, and pulled instead of pushed. However many count, it is one sample.
"""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from aiohttp import ClientSession

from randsvc.model.baselines import QUANTILE_LEVELS, BaselineNumbers, load_baselines
from randsvc.prometheus_api import Series
from randsvc.rules.cusum import CAP, EVIDENCE, GAIN, STEP_COUNT, compute_weights
from randsvc.rules.drift import BIN_ERROR, COUNT, PER_SD, SAMPLE, name_distance, name_floor
from randsvc.settings import Settings
from randsvc.stack.addresses import AddressBook, find_unused_ports
from randsvc.stack.programs import Program, Service, make_randsvc
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack, wait_until
from tests.support.drift_reference import Array, Buckets, distances, floors, shares, wasserstein

REQUESTS = 1200
ENV = {"OTEL_METRIC_EXPORT_INTERVAL": "500", "RANDSVC_DELAY": "constant(0)"}


@dataclass(frozen=True)
class Kind:
    """Who counts the values."""

    workers: int = 1
    replicas: int = 1
    pulled: bool = False

    @property
    def processes(self) -> int:
        return self.workers * self.replicas

    @property
    def env(self) -> dict[str, str]:
        pulled = {"OTEL_METRICS_EXPORTER": "prometheus"} if self.pulled else {}
        return {**ENV, **pulled, "RANDSVC_WORKERS": str(self.workers)}


KINDS = {
    "one process": Kind(),
    "two workers": Kind(workers=2),
    "two replicas": Kind(replicas=2),
    "pulled": Kind(pulled=True),
}
SAMPLED = 'randsvc_distribution="value",window="60s"'
BASELINES: dict[bool, BaselineNumbers] = {
    is_pulled: load_baselines(Settings(), is_pulled=is_pulled)["value"]
    for is_pulled in (False, True)
}
BASELINE = BASELINES[False]
"""Bins and statistics are those of pulled series too; quantiles are not."""


def replica(book: AddressBook, *, env: Mapping[str, str], serving: int, managing: int) -> Program:
    """Another service of the same name on these ports, which pushes where the first one does."""
    at = {"randsvc:8080": f"127.0.0.1:{serving}", "randsvc:9464": f"127.0.0.1:{managing}"}
    program = make_randsvc({**book, **at}, env=env)
    return replace(program, name=f"replica-{serving}", listens=(), ready=None)


async def ask(urls: Sequence[str], number: int) -> list[float]:
    """Send requests, ten at a time and to each URL in turn; what they are answered."""
    async with ClientSession() as session:

        async def some() -> list[float]:
            found = []
            for turn in range(number // 10):
                url = urls[turn % len(urls)]
                # Any of the workers takes a connection, and one alone would take all that is sent.
                async with session.get(f"{url}/random", headers={"Connection": "close"}) as answer:
                    found.append((await answer.json())["value"])
            return found

        return [
            value for each in await asyncio.gather(*(some() for _ in range(10))) for value in each
        ]


class Asked:
    """A chain whose service has answered, and what it answered."""

    def __init__(self, stack: Stack, kind: Kind, urls: Sequence[str]) -> None:
        self.stack = stack
        self.processes = kind.processes
        self.pulled = kind.pulled
        self.values: list[float] = []
        self.urls = urls
        born = 'count(randsvc_value{job="randsvc",randsvc_source="model"})'

        def is_born() -> bool:
            self.ask(20)
            return stack.number(born) == self.processes

        # Every process is known before the requests that are compared.
        wait_until(is_born, within=30)
        # An evaluation later, and a scrape that an evaluation reads is a second old.
        time.sleep(5)
        before, self.since = self.total(), time.time()
        self.ask(REQUESTS)
        wait_until(lambda: self.total() == before + REQUESTS, within=20)
        time.sleep(5)
        self.at = time.time()

    def ask(self, number: int) -> None:
        self.values += asyncio.run(ask(self.urls, number))

    def total(self) -> float:
        return self.stack.number("sum(histogram_count(randsvc_value))") or 0.0

    def series(self, selector: str) -> Series:
        (found,) = self.stack.query(f"{selector} @ {self.at:.3f}")
        return found

    def number(self, series: str, labels: str = "") -> float:
        return self.series(f"{series}{{{SAMPLED}{labels}}}").values[-1][1]

    def draws(self) -> Array:
        """The values that are in the sample: the newest, of all that were answered."""
        return np.array(self.values[-round(self.number(COUNT)) :])

    def buckets(self) -> Buckets:
        _, histogram = self.series(f"{SAMPLE}{{{SAMPLED}}}").histograms[-1]
        lower, upper, count = np.array(histogram.buckets).T
        return Buckets(lower, upper, count, exponential=not self.pulled)


@pytest.fixture(scope="module", params=KINDS)
def asked(request: pytest.FixtureRequest, programs: Path) -> Iterator[Asked]:
    kind = KINDS[request.param]
    services: list[Service] = [partial(make_randsvc, env=kind.env)]
    others: list[tuple[int, int]] = []
    for _ in range(kind.replicas - 1):
        serving, managing = find_unused_ports(2)
        services.append(partial(replica, env=kind.env, serving=serving, managing=managing))
        others.append((serving, managing))
    with run_stack(services=services, free_ports=True, interval="1s", pull=kind.pulled) as stack:
        urls = [stack.url("randsvc:8080")]
        for serving, managing in others:
            wait_until(partial(is_ready, managing), within=30)
            urls.append(f"http://127.0.0.1:{serving}")
        yield Asked(stack, kind, urls)


async def put(url: str, body: Mapping[str, float]) -> None:
    async with ClientSession() as session, session.put(url, json=body) as response:
        response.raise_for_status()


def is_ready(management_port: int) -> bool:
    with suppress(OSError), urlopen(f"http://127.0.0.1:{management_port}/readyz"):
        return True
    return False


def expected(p: Array, quantiles: list[float], baseline: BaselineNumbers) -> Mapping[str, float]:
    q = np.array(list(baseline.shares.values()))
    return {
        **distances(p, q),
        "wasserstein": wasserstein(quantiles, list(baseline.quantiles.values())),
    }


def test_the_rules_give_what_numpy_gives_from_the_same_buckets(asked: Asked) -> None:
    buckets = asked.buckets()
    p, now = shares(buckets, BASELINE), [buckets.quantile(level) for level in QUANTILE_LEVELS]
    of_baseline = ',against="baseline"'
    for name, value in expected(p, now, BASELINES[asked.pulled]).items():
        assert asked.number(name_distance(name), of_baseline) == pytest.approx(value, abs=1e-9), (
            name
        )
    uncertainty = 1 / buckets.total + 1 / BASELINE.statistics["count"]
    for name, value in floors(uncertainty, len(p), BASELINE.statistics).items():
        assert asked.number(name_floor(name), of_baseline) == pytest.approx(value, abs=1e-9), name


def test_they_are_as_near_to_those_of_the_raw_draws_as_is_stated(asked: Asked) -> None:
    draws = asked.draws()
    edges = np.array(list(BASELINE.edges.values()))
    cumulated = (draws[:, None] <= edges).mean(axis=0)
    p = np.diff([0.0, *cumulated, 1.0])
    raw = expected(p, list(np.quantile(draws, QUANTILE_LEVELS)), BASELINE)
    of_baseline = ',against="baseline"'
    # Where in its bucket a value lies is not known, and a bucket holds a part of the sample: a
    # sixteenth of an octave at most a tenth of it, half a standard deviation twice as much.
    coarser = 4 if asked.pulled else 1
    off = {name: asked.number(name_distance(name), of_baseline) - raw[name] for name in raw}
    # How many values of a bucket lie below an edge within it is chance: three deviations of it.
    chance = 3 * math.sqrt(0.1 * coarser / len(draws)) / 2
    assert abs(off["ks"]) < (0.1 / 8 + BIN_ERROR) * coarser + chance
    assert abs(off["total_variation"]) < 0.03 * coarser
    assert abs(off["wasserstein"]) / 10 < (5 * BIN_ERROR + 0.03) * coarser
    assert abs(asked.number(PER_SD, of_baseline) - raw["wasserstein"] / 10) < 0.04 * coarser


def test_every_process_has_its_part_in_the_sample(asked: Asked) -> None:
    counted = asked.stack.query('histogram_count(randsvc_value{randsvc_source="model"})')
    assert len(counted) == asked.processes
    for series in counted:
        assert series.values[-1][1] > REQUESTS / asked.processes / 4
    # The requests that made every process known may be in the window too.
    assert REQUESTS <= asked.number(COUNT) <= len(asked.values)


def test_a_baseline_is_one_however_many_export_it(asked: Asked) -> None:
    exported = asked.stack.query('randsvc_baseline_share{randsvc_distribution="value"}')
    recorded = asked.stack.query(
        'job_distribution_bin:baseline_share:max{randsvc_distribution="value"}'
    )
    instances = {series.labels["instance"] for series in exported}
    assert len(exported) == len(instances) * len(BASELINE.shares)
    assert {s.labels["randsvc_bin"]: s.values[-1][1] for s in recorded} == BASELINE.shares


def test_every_value_is_counted_by_one_evaluation(asked: Asked) -> None:
    window = f"{round(asked.at - asked.since)}s"
    counted = asked.stack.number(
        f'sum_over_time({STEP_COUNT}{{randsvc_distribution="value"}}[{window}] @ {asked.at:.3f})'
    )
    assert counted
    # A scrape that takes longer than SETTLED, on a busy machine, may be seen by none.
    assert 0.95 * REQUESTS <= counted <= REQUESTS


def test_evidence_is_the_evidence_before_and_what_is_new(asked: Asked) -> None:
    sums, gains = (
        {
            tuple(series.labels[label] for label in ("change", "size")): dict(series.values)
            for series in asked.stack.query(
                f'{name}{{randsvc_distribution="value"}}[50s] @ {asked.at:.3f}'
            )
        }
        for name in (EVIDENCE, GAIN)
    )
    assert len(sums) == len(compute_weights())
    followed = 0
    for change, series in sums.items():
        for before, now in pairwise(series):
            gain = gains[change].get(now, 0.0)
            expected = min(max(series[before] + gain, 0.0), CAP)
            assert series[now] == pytest.approx(expected, abs=1e-9)
            followed += now in gains[change]
    assert followed >= len(sums)


@pytest.mark.parametrize("asked", ["one process"], indirect=True)
def test_evidence_survives_a_restart_of_prometheus(asked: Asked) -> None:
    fault = asked.stack.url("randsvc:9464", "/faults/value-shift")
    asyncio.run(put(fault, {"by": 20, "duration": 60}))
    asyncio.run(ask(asked.urls, 200))
    most = f'max({EVIDENCE}{{randsvc_distribution="value",change="higher"}})'
    wait_until(lambda: asked.stack.number(most) == CAP, within=20)
    # Soon after the last values: what Prometheus has added before, it must not add again.
    time.sleep(4)
    stopped = time.time()
    asked.stack.stop("prometheus")
    asked.stack.start("prometheus")
    newest = f"max(timestamp({EVIDENCE})) > {time.time() + 2:.3f}"
    wait_until(lambda: asked.stack.query(newest), within=20)
    assert asked.stack.number(most) == CAP
    added = f"timestamp({GAIN}) > {stopped:.3f}"
    assert not asked.stack.query(added)
