"""A short history of the golden signals in memory, for the charts of the page.

While a page is open, it requests a sample every second. Otherwise the history takes one every
``IDLE`` seconds, so that a user who opens the page after an incident still sees it. Collecting
takes milliseconds, so it runs in a thread, and all open pages share the result.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from randsvc.distributions import Distribution
from randsvc.management.console import signals
from randsvc.management.console.density import join_buckets, measure_distance, subtract
from randsvc.management.console.signals import Sample
from randsvc.telemetry.catalogue import Metric
from randsvc.telemetry.snapshot import Attributes, Point, Snapshot

__all__ = ("History",)

FRESH = 0.8
"""Seconds for which all pages share a sample; a page asks every second."""
IDLE = 10.0
"""Seconds between two samples while no page is open."""
KEPT = 900.0
"""Seconds for which samples are kept."""
WINDOW = 15.0
"""Window of rates and quantiles in seconds: about 75 requests of the five simulated users."""
RECENT = 60.0
"""Seconds whose observations count as recent in a distribution."""

_SLACK = 0.5  # a sample that was due then may have been taken a little earlier


class History:
    """The samples of the last ``KEPT`` seconds, and the current distributions.

    ``view`` returns the metrics of the process. ``true_distributions`` has the real distribution of
    each exponential histogram, by metric.
    """

    def __init__(
        self, view: Callable[[], Snapshot | None], true_distributions: Mapping[Metric, Distribution]
    ) -> None:
        self._view = view
        self._true_distributions = true_distributions
        self._samples: deque[Sample] = deque()
        self._taken = 0
        self._snapshots: deque[Snapshot] = deque()
        self._sampled_at = -math.inf
        self._sampling = asyncio.Lock()  # one thread at a time

    async def keep(self) -> None:
        """Take a sample every ``IDLE`` seconds, until cancelled."""
        while True:
            async with self._sampling:
                await self._refresh(IDLE - _SLACK)
            await asyncio.sleep(IDLE)

    async def live(self, instance: str, after: int) -> dict[str, Any] | None:
        """Return the current content of the page as JSON, or None if nothing is measured.

        ``instance`` is the one whose samples the page has, up to number ``after``. The result has
        the samples after that, or all samples if this process is another instance.
        """
        async with self._sampling:
            await self._refresh(FRESH)
            if not self._snapshots:
                return None
            return await asyncio.to_thread(self._describe, instance, after)

    async def _refresh(self, fresh_for: float) -> None:
        """Take a sample, unless the last one is less than ``fresh_for`` seconds old."""
        now = asyncio.get_running_loop().time()
        if now - self._sampled_at >= fresh_for:
            self._sampled_at = now
            await asyncio.to_thread(self._take_sample)

    def _take_sample(self) -> None:
        now = self._view()
        if now is None:
            return
        if self._snapshots:
            self._samples.append(signals.compute_sample(self._find_earlier(now, WINDOW), now))
            self._taken += 1
            while now.time - self._samples[0].time > KEPT:
                self._samples.popleft()
        self._snapshots.append(_share(now, self._snapshots[-1]) if self._snapshots else now)
        earliest = self._find_earlier(now, RECENT)
        while self._snapshots[0] is not earliest:
            self._snapshots.popleft()

    def _find_earlier(self, now: Snapshot, seconds: float) -> Snapshot:
        """Return the earliest snapshot of the last ``seconds``, or the latest if there is none."""
        for snapshot in self._snapshots:
            if now.time - snapshot.time <= seconds + _SLACK:
                return snapshot
        return self._snapshots[-1]

    def _describe(self, instance: str, after: int) -> dict[str, Any]:
        now = self._snapshots[-1]
        ours = str(now.resource["service.instance.id"])
        samples = list(self._samples)
        if instance == ours:
            samples = samples[max(0, len(samples) - max(0, self._taken - after)) :]
        return {
            "instance": ours,
            "last": self._taken,
            "samples": {
                field.name: [_round(getattr(sample, field.name)) for sample in samples]
                for field in fields(Sample)
            },
            "totals": signals.compute_totals(now),
            "distributions": {
                metric.name: self._describe_distribution(metric, real, now)
                for metric, real in self._true_distributions.items()
            },
        }

    def _describe_distribution(
        self, metric: Metric, real: Distribution, now: Snapshot
    ) -> dict[str, Any]:
        histogram = now.histogram(metric)
        if histogram is None:
            return {"count": 0}
        recent = subtract(histogram, self._find_earlier(now, RECENT).histogram(metric))
        found = join_buckets(histogram, recent, real)
        return {
            "count": histogram.count,
            "mean": histogram.sum / histogram.count,
            "recent_count": recent.count,
            "edges": [_round(edge) for edge in found.edges],
            "counts": found.counts,
            "recent": found.recent,
            "expected": [_round(share) for share in found.expected],
            "distance": asdict(measure_distance(found, recent.count)) if recent.count else None,
        }


def _share(now: Snapshot, before: Snapshot) -> Snapshot:
    """Take the points that did not change from the snapshot before: most of many series rest.

    A client can make as many series as a metric may have, each with hundreds of buckets.
    """
    points: dict[str, dict[Attributes, Point]] = {}
    for name, found in now.points.items():
        known = before.points.get(name, {})
        keys = {attributes: attributes for attributes in known}
        points[name] = {
            keys.get(attributes, attributes): known[attributes]
            if known.get(attributes) == point
            else point
            for attributes, point in found.items()
        }
    return replace(now, points=points)


def _round(number: float | None) -> float | None:
    """Round to 10 digits: the picture needs no more, and the response becomes smaller."""
    return None if number is None else float(f"{number:.10g}")
