"""What can be broken, for how long, and the faults of a trial, drawn from a seed."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.chaos.chain import LINKS, PROGRAMS

__all__ = ("KINDS", "MACHINE", "Fault", "Kind", "draw_faults", "list_kinds")

MACHINE = "all programs"
"""The target of a fault that every program feels."""

SHORT = (2.0, 6.0)
"""Seconds, too short for an alert on an outage."""
LONG = (24.0, 28.0)
"""Seconds, long enough for one: those on the monitoring wait 15 s from the first failed scrape."""
PAIR_SHARE = 0.4
"""Of the trials that have two faults at a time."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault, and what it can befall.

    ``needs`` is what it takes: "" for nothing, "root" or "libfaketime". ``longest`` is the limit
    of its time in seconds.
    """

    name: str
    targets: Sequence[str]
    needs: str = ""
    longest: float = LONG[1]


KINDS = (
    Kind("kill", PROGRAMS),
    Kind("kill worker", ("randsvc",), longest=1.0),
    Kind("freeze", PROGRAMS),
    Kind("restart", PROGRAMS),
    Kind("cut", tuple(LINKS)),
    Kind("blackhole", tuple(LINKS)),
    Kind("slow", tuple(LINKS)),
    Kind("truncate", tuple(LINKS)),
    Kind("full queue", ("otel-collector",)),
    Kind("clock ahead", ("inbox", "auth", "randsvc"), needs="libfaketime"),
    Kind("full disk", (MACHINE,), needs="root"),
    Kind("slow disk", (MACHINE,), needs="root", longest=SHORT[1]),
    Kind("restart", (MACHINE,)),
    Kind("kill", (MACHINE,)),
)
"""A program is killed, frozen (SIGSTOP, later SIGCONT) or restarted (SIGTERM, later a start).

A connection is cut (refused), a blackhole (open, but nothing arrives), slow (a second or more in
each direction) or truncated (closed after the first bytes of a response).
"""


@dataclass(frozen=True)
class Fault:
    """A fault that begins ``after`` seconds of its trial, and lasts for ``lasts`` seconds."""

    kind: str
    target: str
    after: float
    lasts: float

    @property
    def until(self) -> float:
        """Seconds of the trial at which it ends."""
        return self.after + self.lasts

    def __str__(self) -> str:
        return f"{self.kind}: {self.target}"

    @property
    def part(self) -> str:
        """The target without the numbers of replicas."""
        return re.sub(r"-\d+\b", "", self.target)

    def befalls(self, *targets: str) -> bool:
        """Whether it breaks one of these programs or connections, or a replica of one."""
        return self.target in (*targets, MACHINE) or self.part in targets


def list_kinds(available: Sequence[str], kinds: Sequence[Kind] = KINDS) -> list[Kind]:
    """Return the kinds that are possible with what is available."""
    return [kind for kind in kinds if kind.needs in ("", *available)]


def draw_faults(
    seed: int,
    trial: int,
    available: Sequence[str] = (),
    *,
    of: Sequence[Kind] = KINDS,
    times: Sequence[tuple[float, float]] = (SHORT, LONG),
    pair_share: float = PAIR_SHARE,
) -> tuple[Fault, ...]:
    """Draw one fault, or two that overlap; a seed and a trial always give the same.

    Every kind of ``of`` comes once before one comes again. ``times`` are the ranges in seconds from
    which a fault has its time, ``pair_share`` the share of the trials that have two faults.
    """
    kinds = list_kinds(available, of)
    turn, place = divmod(trial, len(kinds))
    random.Random(f"{seed}/{turn}").shuffle(kinds)
    rng = random.Random(f"{seed}/{turn}/{place}")
    faults = [_draw(kinds[place], rng, times)]
    if rng.random() < pair_share and faults[0].target != MACHINE:
        others = [kind for kind in kinds if MACHINE not in kind.targets]
        while (second := _draw(rng.choice(others), rng, times)).target == faults[0].target:
            pass
        faults.append(second)
    return tuple(faults)


def _draw(kind: Kind, rng: random.Random, times: Sequence[tuple[float, float]]) -> Fault:
    lasts = rng.uniform(*rng.choice(times))
    return Fault(
        kind.name,
        rng.choice(list(kind.targets)),
        round(rng.uniform(0.5, 4.0), 1),
        round(min(lasts, kind.longest), 1),
    )
