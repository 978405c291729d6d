"""Exercise 4: recover distributions that a seed hides. The answer is held against new requests."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from randsvc.course.exercise import Exercise, Say, WorkError, read_answer
from randsvc.course.watched import PULLED, hold, watched
from randsvc.distributions import Distribution, DistributionError, parse, parse_delay
from randsvc.errors import RecoveryError
from randsvc.histograms import from_prometheus
from randsvc.histograms.binned import Binned
from randsvc.prometheus_api import Prometheus
from randsvc.stack.addresses import WELL_KNOWN_ADDRESSES
from randsvc.stack.programs import make_randsvc
from randsvc.stack.supervisor import wait_until
from randsvc.telemetry.catalogue import DELAY, VALUE

__all__ = ("RECOVER", "hidden")

REQUESTS = 8000
AT_ONCE = 80
FAR = 0.04
"""The largest difference of two cumulative shares. Of 8000 values it stays below 0.022 in 999 of
1000 samples (Kolmogorov-Smirnov); the rest is for what the answer was made from."""
METRICS = {"value": VALUE, "delay": DELAY}


@dataclass(frozen=True)
class _Work:
    seed: int
    value: Distribution
    delay: Distribution


@dataclass(frozen=True)
class _Seen:
    answered: Mapping[str, Distribution]
    counted: Mapping[str, Binned]


def hidden(seed: int) -> tuple[str, str]:
    """Give the distributions of value and delay that a seed stands for."""
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


def _env(seed: int) -> dict[str, str]:
    value, delay = hidden(seed)
    return {**PULLED, "RANDSVC_VALUE": value, "RANDSVC_DELAY": delay}


def _play(seed: int, say: Say) -> None:
    """Run the service of a seed, with users."""
    env = {**_env(seed), "RANDSVC_USERS": "40"}
    with watched(partial(make_randsvc, env=env), book=WELL_KNOWN_ADDRESSES) as stack:
        say(f"A service of seed {seed}, 40 users, Prometheus at {stack.url('prometheus:9090')}.")
        say("Ctrl-C ends it. A minute tells a lot, five tell more.")
        hold(stack)


@contextmanager
def _system(work: _Work) -> Iterator[Mapping[str, Binned]]:
    """Ask the service of the seed anew, and give what Prometheus has counted."""
    began = time.time()
    with watched(partial(make_randsvc, env=_env(work.seed))) as stack:
        asyncio.run(_ask(stack.url("randsvc:8080", "/random")))

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

        yield wait_until(counted, within=20, every=0.5)


async def _ask(url: str) -> None:
    async with aiohttp.ClientSession() as session:

        async def one_after_the_other() -> None:
            for _ in range(REQUESTS // AT_ONCE):
                async with session.get(url) as answer:
                    await answer.read()

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


def _observe(work: _Work, system: Mapping[str, Binned]) -> _Seen:
    return _Seen({"value": work.value, "delay": work.delay}, system)


def _spreads(what: str) -> Callable[[_Seen], str | None]:
    def check(seen: _Seen) -> str | None:
        if seen.answered[what].variance > 0:
            return None
        return (
            f"{what} is constant: an average is one number of a distribution, and all else is lost "
            f"in it. Look at the buckets, or let `randsvc recover {what}` do it"
        )

    check.__doc__ = f"The {what} is a distribution, and no average."
    return check


def _centred(what: str) -> Callable[[_Seen], str | None]:
    def check(seen: _Seen) -> str | None:
        binned, answered = seen.counted[what], seen.answered[what]
        assert binned.sum is not None  # noqa: S101 - no bound is negative
        mean = binned.sum / binned.count
        error = 4 * math.sqrt(answered.variance / binned.count) + 0.03 * abs(mean)
        if abs(answered.mean - mean) <= error:
            return None
        said = f"the mean of your {what} is {answered.mean:.4g}, that of {binned.count} new ones is"
        if 500 < answered.mean / mean < 2000:
            return f"{said} {mean:.4g}: delays are in seconds, as the unit of the metric says"
        if what == "delay":
            return (
                f"{said} {mean:.4g}, which is sum over count. The median of a skewed distribution "
                "is not its mean, a rate is one over it, and latency has more in it than delay"
            )
        return f"{said} {mean:.4g}, which is sum over count"

    check.__doc__ = f"The {what} has the right mean."
    return check


def _shaped(what: str) -> Callable[[_Seen], str | None]:
    def check(seen: _Seen) -> str | None:
        binned, answered = seen.counted[what], seen.answered[what]
        edges = sorted({edge for bin_ in binned.bins for edge in bin_[:2] if math.isfinite(edge)})
        apart = {edge: answered.cdf(edge) - binned.below(edge) for edge in edges}
        worst = max(apart, key=lambda edge: abs(apart[edge]))
        if abs(apart[worst]) <= FAR:
            return None
        said = (
            f"your {what} has {answered.cdf(worst):.0%} up to {worst:g}, and of {binned.count} new "
            f"ones {binned.below(worst):.0%} are"
        )
        ends = _share_at_the_ends(answered, binned, edges)
        if ends < 1 / 4:
            return f"{said}: yours is too narrow; sd is the root of the variance"
        if ends > 3:
            return f"{said}: yours is too wide; sd is the root of the variance"
        return f"{said}: the mean is right, the shape is not. Is it skewed? Has it two humps?"

    check.__doc__ = f"The {what} has the right shape."
    return check


def _share_at_the_ends(answered: Distribution, binned: Binned, edges: Sequence[float]) -> float:
    """How many times the share that is counted outside the middle 80% (in whole buckets) it has."""
    low = max((edge for edge in edges if binned.below(edge) <= 0.1), default=edges[0])
    high = min((edge for edge in edges if binned.below(edge) >= 0.9), default=edges[-1])
    inside = answered.cdf(high) - answered.cdf(low)
    outside = 1 - (binned.below(high) - binned.below(low))
    return (1 - inside) / max(outside, 0.1)  # none is outside where both ends are at an edge


RECOVER = Exercise(
    number=4,
    name="4-recover",
    title="Recover distributions that a seed hides",
    read=_read,
    system=_system,
    observe=_observe,
    checks=tuple(check(what) for what in METRICS for check in (_spreads, _centred, _shaped)),
    play=_play,
)
