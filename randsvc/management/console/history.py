"""What the page draws over time: a short history in memory.

It is filled while somebody looks. Where nobody does, a sample every ``IDLE`` seconds lets who comes
after an incident see it. Collecting takes ms, so it is done in a thread, and once for all who look.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from randsvc.distributions import Distribution
from randsvc.management.console import signals
from randsvc.management.console.density import bars, distance, since
from randsvc.management.console.signals import Sample
from randsvc.telemetry.catalogue import Metric
from randsvc.telemetry.snapshot import Snapshot

__all__ = ("History",)

FRESH = 0.8
"""Seconds for which a sample serves everybody who asks; the page asks every second."""
IDLE = 10.0
"""Seconds between two samples where nobody looks."""
KEPT = 900.0
"""Seconds of samples that are kept."""
WINDOW = 15.0
"""Seconds that rates and quantiles are taken over: some 75 requests of the five simulated users."""
RECENT = 60.0
"""Seconds that count as recent in a distribution."""

_SLACK = 0.5  # a sample that was due then may have been taken a little earlier


class History:
    """What ``view`` gave in the last ``KEPT`` seconds, and the distributions as they are now.

    ``truths`` is what each exponential histogram really is, by its metric.
    """

    def __init__(
        self, view: Callable[[], Snapshot | None], truths: Mapping[Metric, Distribution]
    ) -> None:
        self._view = view
        self._truths = truths
        self._samples: deque[Sample] = deque()
        self._taken = 0
        self._snapshots: deque[Snapshot] = deque()
        self._looked = -math.inf
        self._looking = asyncio.Lock()  # one thread at a time

    async def keep(self) -> None:
        """Take a sample every ``IDLE`` seconds, for ever."""
        while True:
            async with self._looking:
                await self._look(IDLE - _SLACK)
            await asyncio.sleep(IDLE)

    async def live(self, instance: str, after: int) -> dict[str, Any] | None:
        """What the page shows now, as JSON; None where nothing is measured.

        The samples are those past number ``after`` where the page knows this ``instance``, and all
        where it knew another.
        """
        async with self._looking:
            await self._look(FRESH)
            if not self._snapshots:
                return None
            return await asyncio.to_thread(self._described, instance, after)

    async def _look(self, fresh_for: float) -> None:
        """Take a sample, unless the last one was taken so few seconds ago."""
        now = asyncio.get_running_loop().time()
        if now - self._looked >= fresh_for:
            self._looked = now
            await asyncio.to_thread(self._take)

    def _take(self) -> None:
        now = self._view()
        if now is None:
            return
        if self._snapshots:
            self._samples.append(signals.sample(self._earlier(now, WINDOW), now))
            self._taken += 1
            while now.time - self._samples[0].time > KEPT:
                self._samples.popleft()
        self._snapshots.append(now)
        earliest = self._earlier(now, RECENT)
        while self._snapshots[0] is not earliest:
            self._snapshots.popleft()

    def _earlier(self, now: Snapshot, seconds: float) -> Snapshot:
        """The earliest snapshot of the last ``seconds``; where there is none, the last."""
        for snapshot in self._snapshots:
            if now.time - snapshot.time <= seconds + _SLACK:
                return snapshot
        return self._snapshots[-1]

    def _described(self, instance: str, after: int) -> dict[str, Any]:
        now = self._snapshots[-1]
        ours = str(now.resource["service.instance.id"])
        samples = list(self._samples)
        if instance == ours:
            samples = samples[max(0, len(samples) - max(0, self._taken - after)) :]
        return {
            "instance": ours,
            "last": self._taken,
            "samples": {
                field.name: [_short(getattr(sample, field.name)) for sample in samples]
                for field in fields(Sample)
            },
            "totals": signals.totals(now),
            "distributions": {
                metric.name: self._distribution(metric, truth, now)
                for metric, truth in self._truths.items()
            },
        }

    def _distribution(self, metric: Metric, truth: Distribution, now: Snapshot) -> dict[str, Any]:
        histogram = now.exponential(metric)
        if histogram is None:
            return {"count": 0}
        recent = since(histogram, self._earlier(now, RECENT).exponential(metric))
        found = bars(histogram, recent, truth)
        return {
            "count": histogram.count,
            "mean": histogram.sum / histogram.count,
            "recent_count": recent.count,
            "edges": [_short(edge) for edge in found.edges],
            "counts": found.counts,
            "recent": found.recent,
            "expected": [_short(share) for share in found.expected],
            "distance": asdict(distance(found, recent.count)) if recent.count else None,
        }


def _short(number: float | None) -> float | None:
    """What is drawn needs no more digits than these, and the wire is spared the rest."""
    return None if number is None else float(f"{number:.10g}")
