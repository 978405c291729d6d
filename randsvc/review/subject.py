"""What a review is about: services, their objectives, and the metric that counts their requests.

A file of objectives, for ``randsvc review --objectives``, is YAML::

    metric: http_server_request_duration_seconds    # classic histogram of durations; the default
    labels:                                         # of that metric; the defaults
      route: http_route
      status: http_response_status_code
    objectives:
      - name: clips-availability
        job: media                                  # optional with one --job
        route: /clips/{id}                          # optional: every route
        objective: 0.995                            # share of good requests
      - name: clips-latency
        route: /clips/{id}
        objective: 0.98
        within: 0.5                                 # seconds, an upper bound of a bucket

Without ``within`` a request is bad if it fails: its status is 5xx, or its ``error_type`` names an
error of the service. With it, a request is bad if it takes longer; failed requests then do not
count.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randsvc.documents import DocumentError, load_yaml, show
from randsvc.errors import ConfigurationError
from randsvc.objectives import SLOS
from randsvc.prometheus_api import format_matcher, format_selector
from randsvc.telemetry.catalogue import CLIENT_LEFT, REQUEST_DURATION

__all__ = ("Objective", "Subject", "load_subject")


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The share ``objective`` of the requests of a job must be good; of one route, or of all."""

    name: str
    job: str
    route: str | None
    objective: float
    within: float | None = None

    @property
    def budget(self) -> float:
        """The share of requests that may be bad."""
        return round(1 - self.objective, 9)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a review is about; ``jobs`` are services as the label ``job`` names them.

    ``metric`` is the classic histogram of request durations in seconds. ``only_jobs`` is whether
    alerts that name other services are left out.
    """

    jobs: tuple[str, ...]
    objectives: tuple[Objective, ...]
    metric: str = REQUEST_DURATION.prometheus_name
    route_label: str = "http_route"
    status_label: str = "http_response_status_code"
    only_jobs: bool = True

    @property
    def main_job(self) -> str:
        """The service whose predictions and event loop are reviewed."""
        return self.jobs[0]

    @property
    def matcher(self) -> str:
        """The matcher of all jobs."""
        return format_matcher("job", "|".join(map(re.escape, self.jobs)), "=~")

    def is_failed(self, label: Mapping[str, str]) -> bool:
        """Whether the service failed in the requests of a series."""
        is_server_error = label.get(self.status_label, "").startswith("5")
        return is_server_error or label.get("error_type", "") not in ("", CLIENT_LEFT)

    @property
    def buckets(self) -> str:
        """The selector of the buckets of the metric."""
        return format_selector(f"{self.metric}_bucket", [self.matcher])


def load_subject(file: Path | None, jobs: Sequence[str]) -> Subject:
    """What a file and the jobs named with it are about; with neither, randsvc and auth.

    Raises ``ConfigurationError``.
    """
    if file is None and not jobs:
        own = tuple(
            Objective(
                name=slo.name,
                job=slo.service,
                route=slo.route,
                objective=slo.objective,
                within=slo.within,
            )
            for slo in SLOS
        )
        return Subject(jobs=_unique(each.job for each in own), objectives=own, only_jobs=False)
    if file is None:
        return Subject(jobs=_unique(jobs), objectives=())
    return _Reader(file, jobs).read()


def _unique(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


class _Reader:
    """Reads a file of objectives; every error names the file and the place in it."""

    def __init__(self, file: Path, jobs: Sequence[str]) -> None:
        self._file = file
        self._jobs = _unique(jobs)

    def read(self) -> Subject:
        """Read the file."""
        content = self._mapping(self._load(), "the file", ("metric", "labels", "objectives"))
        labels = self._mapping(content.get("labels", {}), "labels", ("route", "status"))
        listed = content.get("objectives")
        if not isinstance(listed, list) or not listed:
            raise self._error("objectives", listed, "a list of one objective or more")
        objectives = tuple(self._objective(each, i) for i, each in enumerate(listed, start=1))
        names = [each.name for each in objectives]
        for name in names:
            if names.count(name) > 1:
                raise self._error("name", name, "a name of its own for each objective")
        defaults = Subject(jobs=(), objectives=())
        metric = self._text(content, "metric", "", defaults.metric)
        return Subject(
            jobs=_unique([*self._jobs, *(each.job for each in objectives)]),
            objectives=objectives,
            metric=re.sub(r"_(bucket|count|sum)$", "", metric),
            route_label=self._text(labels, "route", "labels.", defaults.route_label),
            status_label=self._text(labels, "status", "labels.", defaults.status_label),
        )

    def _load(self) -> Any:
        try:
            return load_yaml(self._file)
        except OSError as error:
            raise ConfigurationError(f"cannot read {self._file}: {error.strerror}") from None
        except DocumentError as error:
            raise ConfigurationError(str(error)) from None

    def _objective(self, node: Any, number: int) -> Objective:
        place = f"objective {number}"
        known = ("name", "job", "route", "objective", "within")
        given = self._mapping(node, place, known)
        prefix = f"{place}, "
        name = self._text(given, "name", prefix, None)
        share = self._number(given, "objective", prefix)
        if share is None or not 0 < share < 1:
            expected = "a share above 0 and below 1, such as 0.995"
            raise self._error(f"{prefix}objective", given.get("objective"), expected)
        within = self._number(given, "within", prefix)
        if within is not None and within <= 0:
            raise self._error(f"{prefix}within", within, "seconds above 0, such as 0.5")
        job = self._jobs[0] if len(self._jobs) == 1 else None
        route = self._text(given, "route", prefix, "")
        return Objective(
            name=name,
            job=self._text(given, "job", prefix, job),
            route=route or None,
            objective=share,
            within=within,
        )

    def _mapping(self, node: Any, place: str, known: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(node, dict):
            raise self._error(place, node, f"a mapping with {', '.join(known)}")
        for key in node:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(known)}"
                raise ConfigurationError(
                    f"{self._file}: {place} has an unknown key {show(key)}: {hint}"
                )
        return node

    def _text(self, given: Mapping[str, Any], key: str, prefix: str, default: str | None) -> str:
        value = given.get(key, default)
        if not isinstance(value, str) or not (value or default == ""):
            raise self._error(f"{prefix}{key}", value, "text")
        return value

    def _number(self, given: Mapping[str, Any], key: str, prefix: str) -> float | None:
        value = given.get(key)
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool | str) else float(value)
        except (TypeError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self._error(f"{prefix}{key}", value, "a number")
        return number

    def _error(self, place: str, value: Any, expected: str) -> ConfigurationError:
        empty = "empty" if place == "the file" else "missing"
        said = empty if value is None else show(value)
        return ConfigurationError(f"{self._file}: {place} is {said}: expected {expected}")
