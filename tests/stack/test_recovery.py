"""A distribution drawn at random is served, and the truth is in what the command recovers."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from randsvc.distributions import Distribution, parse
from randsvc.errors import RecoveryError
from randsvc.histograms import from_prometheus
from randsvc.histograms.binned import Binned
from randsvc.prometheus_api import Prometheus, PrometheusError
from randsvc.stack.addresses import AddressBook
from randsvc.stack.programs import Program, make_randsvc
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack, wait_until

REQUESTS = 2000
FAST = {"OTEL_METRIC_EXPORT_INTERVAL": "500"}
Drawn = Callable[[random.Random], str]

# What the value and the delay may turn out to be; delays short, so that the test is.
VALUES: Mapping[str, Drawn] = {
    "normal": lambda r: f"normal(mean={r.uniform(-50, 200):.4g}, sd={r.uniform(1, 40):.4g})",
    "uniform": lambda r: f"uniform(low={r.uniform(-9, 9):.4g}, high={r.uniform(10, 99):.4g})",
    "gamma": lambda r: f"gamma(shape={r.uniform(1.5, 9):.4g}, scale={r.uniform(0.1, 50):.4g})",
    "mixture of normals": lambda r: (
        f"mixture(0.6*normal(mean={r.uniform(10, 20):.4g}, sd=2), 0.4*normal(mean=40, sd=4))"
    ),
}
DELAYS: Mapping[str, Drawn] = {
    "lognormal": lambda r: (
        f"lognormal(median={r.uniform(0.005, 0.02):.4g}, sigma={r.uniform(0.2, 0.7):.4g})"
    ),
    "exponential": lambda r: f"exponential(rate={r.uniform(60, 300):.4g})",
    "normal with min": lambda r: (
        f"normal(mean={r.uniform(0.01, 0.02):.4g}, sd={r.uniform(0.01, 0.02):.4g}, min=0)"
    ),
    "weibull": lambda r: (
        f"weibull(shape={r.uniform(1.5, 4):.4g}, scale={r.uniform(0.005, 0.03):.4g})"
    ),
}


def serving(value: str, delay: str, **more: str) -> Callable[[AddressBook], Program]:
    variables = {"RANDSVC_VALUE": value, "RANDSVC_DELAY": delay, **FAST, **more}
    return lambda book: make_randsvc(book, env=variables)


async def ask(url: str, requests: int) -> None:
    """Send requests, twenty at a time."""
    async with ClientSession() as session:

        async def one_after_the_other() -> None:
            for _ in range(requests // 20):
                async with session.get(f"{url}/random") as response:
                    assert response.status == 200

        await asyncio.gather(*(one_after_the_other() for _ in range(20)))


def counted(stack: Stack, metric: str = "randsvc_value", window: float = 300) -> Binned:
    """What is read of a metric now."""
    try:
        server = Prometheus(stack.url("prometheus:9090"))
        return from_prometheus.read(
            server, metric, ['job="randsvc"'], end=time.time(), window=window
        )
    except (PrometheusError, RecoveryError):
        return Binned()


def send(stack: Stack, requests: int, total: int) -> None:
    """Send requests, and wait until so many in all are counted."""
    asyncio.run(ask(stack.url("randsvc:8080"), requests))
    wait_until(lambda: counted(stack).count == total, within=20)


def recovered(stack: Stack, *arguments: str) -> dict[str, Any]:
    """What the command says, with a window that holds everything."""
    command = ("recover", *arguments, "--json", "--window", "5m")
    url = stack.url("prometheus:9090")
    done = subprocess.run(
        [sys.executable, "-m", "randsvc", *command, "--prometheus", url],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout, parse_constant=pytest.fail)
    return result


def expect_the_truth(truth: Distribution, family: str, found: dict[str, Any]) -> None:
    """Mean and quantiles are within their intervals, and the family is not turned away.

    A 95% interval is missed once in twenty times; a test must not fail so often. So each is made
    twice as wide on either side, which is missed once in ten thousand times.
    """

    def holds(estimate: Mapping[str, Any], x: float) -> bool:
        low, high, value = estimate["low"], estimate["high"], estimate["value"]
        return (low is None or value - 2 * (value - low) <= x) and (
            high is None or x <= value + 2 * (high - value)
        )

    assert found["count"] == REQUESTS
    assert holds(found["mean"], truth.mean), found["mean"]
    assert holds(found["sd"], truth.variance**0.5), found["sd"]
    for quantile in found["quantiles"]:
        ends = (quantile["low"], quantile["high"])
        low, high = (2 * x - quantile["value"] for x in ends)
        assert truth.cdf(low) <= quantile["q"] <= truth.cdf(high), quantile
    (fit,) = (fit for fit in found["families"] if fit["family"] == family)
    assert fit["goodness_of_fit"]["p_value"] > 1e-4
    # No other density is so much likelier in more than one of ten thousand samples (e**-9).
    assert fit["bic"] - found["families"][0]["bic"] < 18
    assert found["verdict"].startswith("consistent with ")


def test_a_distribution_chosen_at_random_is_recovered(programs: Path) -> None:
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    value_family, delay_family = rng.choice(list(VALUES)), rng.choice(list(DELAYS))
    value, delay = VALUES[value_family](rng), DELAYS[delay_family](rng)
    print(f"seed {seed}: value {value}, delay {delay}")  # noqa: T201 - to repeat a failure
    with run_stack(services=[serving(value, delay)], free_ports=True, interval="500ms") as stack:
        send(stack, REQUESTS, REQUESTS)
        expect_the_truth(parse(value), value_family, recovered(stack, "value"))
        expect_the_truth(parse(delay), delay_family, recovered(stack, "delay"))
        latency = recovered(stack, "latency")
        assert latency["count"] == REQUESTS
        # The event loop and the handler add to it; uvloop's timers round to a millisecond.
        added = latency["mean"]["value"] - recovered(stack, "delay")["mean"]["value"]
        assert -0.001 < added < 0.1


def test_a_restart_and_replicas_add_up_and_the_bins_of_two_scales_merge(programs: Path) -> None:
    # Two workers, each of another scale after the restart than before.
    narrow, wide = "normal(mean=50, sd=1)", "lognormal(median=50, sigma=2)"
    workers = {"RANDSVC_WORKERS": "2"}
    no_delay = "constant(value=0)"
    program = serving(narrow, no_delay, **workers)
    with run_stack(services=[program], free_ports=True, interval="500ms") as stack:
        send(stack, 400, 400)
        begun = time.time()
        stack.stop("randsvc")
        stack.programs["randsvc"] = serving(wide, no_delay, **workers)(stack.book)
        stack.start("randsvc")
        send(stack, 600, 1000)
        assert counted(stack, "randsvc_delay_seconds").bins == ((0.0, 0.0, 1000.0),)
        # Of a window that begins after the first were counted, only the others.
        assert counted(stack, window=time.time() - begun).count == 600


def test_a_restart_of_what_is_pulled_loses_nothing_that_was_scraped(programs: Path) -> None:
    pulled = {"OTEL_METRICS_EXPORTER": "prometheus"}
    program = serving("uniform(low=0, high=100)", "constant(value=0)", **pulled)
    with run_stack(services=[program], free_ports=True, interval="500ms", pull=True) as stack:
        send(stack, 400, 400)
        stack.stop("randsvc")
        stack.start("randsvc")
        # A scrape that shows fewer is what tells Prometheus, and us, that it began anew.
        send(stack, 100, 500)
        # In the end more than before, so that the ends of the window alone do not show it.
        send(stack, 500, 1000)
        found = recovered(stack, "value")
        assert found["count"] == 1000
        assert 45 < found["mean"]["value"] < 55
        assert all(bucket["upper"] % 5 == 0 for bucket in found["buckets"])
