"""Exercise 4: recover the distributions of a seed. New requests check the answer."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from randsvc.course.exercise import Exercise, Say, WorkError, read_answer
from randsvc.course.small_stack import PULLED, run_small_stack, wait_for_interrupt
from randsvc.distributions import Distribution, DistributionError, parse, parse_delay
from randsvc.errors import RecoveryError
from randsvc.histograms import from_prometheus
from randsvc.histograms.binned import Binned
from randsvc.metrics import DELAY, VALUE
from randsvc.prometheus_api import Prometheus
from randsvc.stack.addresses import WELL_KNOWN_ADDRESSES
from randsvc.stack.programs import make_randsvc
from randsvc.stack.supervisor import wait_until

__all__ = ("RECOVER", "choose_distributions")

REQUESTS = 8000
CLIENTS = 80
DISTANCE_LIMIT = 0.04
"""The largest allowed difference of two cumulative distribution functions. For 8000 values the
distance of a sample stays below 0.022 in 999 of 1000 cases (Kolmogorov-Smirnov); the rest allows
for the error of the answer, which comes from a sample too."""
MEAN_ADVICE = {
    "value": "the mean of a mixture is the weighted mean of its parts",
    "delay": "latency is more than the delay",
}
WIDTHS = (0.5, 2.0)
"""Standard deviations, as a multiple of the right one, at which an answer is called too narrow or
too wide; within, it is another shape that is wrong."""
METRICS = {"value": VALUE, "delay": DELAY}


@dataclass(frozen=True)
class _Work:
    seed: int
    value: Distribution
    delay: Distribution


@dataclass(frozen=True)
class _Observations:
    answered: Mapping[str, Distribution]
    counted: Mapping[str, Binned]


def choose_distributions(seed: int) -> tuple[str, str]:
    """Return the distributions of value and delay of a seed."""
    rng = random.Random(f"randsvc exercise 4, seed {seed}")
    between = rng.uniform
    values = (
        f"normal(mean={between(30, 70):.0f}, sd={between(8, 14):.0f})",
        f"uniform(low={between(5, 20):.0f}, high={between(60, 90):.0f})",
        f"gamma(shape={between(2, 5):.1f}, scale={between(8, 12):.0f})",
        f"mixture(0.6*normal(mean={between(15, 25):.0f}, sd=5), "
        f"0.4*normal(mean={between(60, 80):.0f}, sd=8))",
    )
    delays = (
        f"lognormal(median={between(0.02, 0.05):.3f}, sigma={between(0.4, 0.7):.1f})",
        f"exponential(rate={between(20, 50):.0f})",
        f"weibull(shape={between(1.5, 3):.1f}, scale={between(0.03, 0.06):.3f})",
    )
    return rng.choice(values), rng.choice(delays)


def _read(folder: Path) -> _Work:
    answer = read_answer(folder, ("seed", "value", "delay"))
    return _Work(
        answer["seed"],
        _parsed("value", answer["value"], parse),
        _parsed("delay", answer["delay"], parse_delay),
    )


def _parsed(what: str, text: Any, parser: Callable[[str], Distribution]) -> Distribution:
    try:
        return parser(str(text))
    except DistributionError as error:
        raise WorkError(f"answer.yaml: {what}: {error}") from error
    except (RecursionError, OverflowError) as error:
        raise WorkError(f"answer.yaml: {what} is no distribution that can be computed") from error


def _env(seed: int) -> dict[str, str]:
    value, delay = choose_distributions(seed)
    return {**PULLED, "RANDSVC_VALUE": value, "RANDSVC_DELAY": delay}


def _play(seed: int, say: Say) -> None:
    """Run the service of a seed, with users."""
    env = {**_env(seed), "RANDSVC_USERS": "40"}
    with run_small_stack(partial(make_randsvc, env=env), book=WELL_KNOWN_ADDRESSES) as stack:
        say(
            f"The service of seed {seed} with 40 users is running. Prometheus: "
            f"{stack.url('prometheus:9090')}"
        )
        say(
            "Press Ctrl-C to stop. One minute of data is enough for a first answer; five are "
            "better."
        )
        wait_for_interrupt(stack)


@contextmanager
def _run_system(work: _Work) -> Iterator[Mapping[str, Binned]]:
    """Send requests to the service of the seed, and yield the histograms in Prometheus.

    The service draws the same numbers each time, so that an answer always gets the same grade.
    """
    began = time.time()
    env = {**_env(work.seed), "RANDSVC_SEED": str(abs(work.seed))}
    with run_small_stack(partial(make_randsvc, env=env)) as stack:
        asyncio.run(_send_requests(stack.url("randsvc:8080", "/random")))

        def counted() -> dict[str, Binned]:
            try:
                found = {
                    what: from_prometheus.read(
                        Prometheus(stack.url("prometheus:9090")),
                        metric.prometheus_name,
                        ['job="randsvc"'],
                        end=time.time(),
                        window=time.time() - began,
                    )
                    for what, metric in METRICS.items()
                }
            except RecoveryError:
                return {}
            return found if all(each.count >= REQUESTS for each in found.values()) else {}

        yield wait_until(counted, within=60, every=0.5)


async def _send_requests(url: str) -> None:
    async with aiohttp.ClientSession() as session:

        async def send_back_to_back() -> None:
            for _ in range(REQUESTS // CLIENTS):
                async with session.get(url) as answer:
                    await answer.read()

        await asyncio.gather(*(send_back_to_back() for _ in range(CLIENTS)))


def _observe(work: _Work, system: Mapping[str, Binned]) -> _Observations:
    return _Observations({"value": work.value, "delay": work.delay}, system)


def _check_spread(what: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        if observed.answered[what].variance > 0:
            return None
        return (
            f"{what} is constant: an average is only one number of a distribution. Look at the "
            f"buckets, or run `randsvc recover {what}`"
        )

    check.__doc__ = f"The {what} is a distribution, not an average."
    return check


def _check_mean(what: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        binned, answered = observed.counted[what], observed.answered[what]
        assert binned.sum is not None  # noqa: S101 - no bound is negative
        mean = binned.sum / binned.count
        error = 4 * math.sqrt(answered.variance / binned.count) + 0.03 * abs(mean)
        if abs(answered.mean - mean) <= error:
            return None
        said = (
            f"the mean of your {what} is {answered.mean:.4g}, and {binned.count} new ones have "
            f"{mean:.4g}"
        )
        factor = answered.mean / mean
        is_inverse = 0.8 < answered.mean * mean < 1.25
        units = (1e3, 1e6, 1e9)
        if what == "delay" and not is_inverse and any(u / 2 < factor < u * 2 for u in units):
            return f"{said}: the unit of the metric is seconds"
        return (
            f"{said}, which is sum divided by count. Check three things: the median of a skewed "
            "distribution is not its mean; the rate of an exponential distribution is 1 / mean; "
            + MEAN_ADVICE[what]
        )

    check.__doc__ = f"The {what} has the right mean."
    return check


def _check_shape(what: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        binned, answered = observed.counted[what], observed.answered[what]
        edges = sorted({edge for bin_ in binned.bins for edge in bin_[:2] if math.isfinite(edge)})
        apart = {edge: answered.cdf(edge) - binned.below(edge) for edge in edges}
        worst = max(apart, key=lambda edge: abs(apart[edge]))
        if abs(apart[worst]) <= DISTANCE_LIMIT:
            return None
        said = (
            f"in your answer {answered.cdf(worst):.0%} of the {what}s are at most {worst:g}, but "
            f"of {binned.count} new ones {binned.below(worst):.0%} are"
        )
        width = math.sqrt(answered.variance / _estimate_variance(binned))
        if width < WIDTHS[0]:
            return f"{said}: yours is too narrow; sd is the square root of the variance"
        if width > WIDTHS[1]:
            return f"{said}: yours is too wide; sd is the square root of the variance"
        return f"{said}: the mean is right, but the shape is not. Look for skew, or for two peaks"

    check.__doc__ = f"The {what} has the right shape."
    return check


def _estimate_variance(binned: Binned) -> float:
    """Return the variance if the values of a bin lie in its middle."""
    mean = sum(bin_.count * bin_.middle for bin_ in binned.bins) / binned.count
    return sum(bin_.count * (bin_.middle - mean) ** 2 for bin_ in binned.bins) / binned.count


RECOVER = Exercise(
    number=4,
    name="4-recover",
    title="Recover the distributions of a seed",
    read=_read,
    run_system=_run_system,
    observe=_observe,
    checks=tuple(
        check(what) for what in METRICS for check in (_check_spread, _check_mean, _check_shape)
    ),
    play=_play,
)
