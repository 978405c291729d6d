"""Synthetic series of healthy and failing services, and the results of queries on them.

The series have the names and labels of the real service; the rates change where a query with
another window, function or selector than the right one would show another number.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from randsvc.course.handed_in import WorkError
from randsvc.stack.promtool import RULE_FILE, run_rule_tests
from randsvc.telemetry.catalogue import ACTIVE_REQUESTS, CONCURRENCY_LIMIT, REQUEST_DURATION

__all__ = ("CASES", "Moment", "Queries", "Results", "evaluate")

Moment = tuple[str, str]
"""A case, and a time since its start such as 6m30s."""
Queries = Mapping[str, tuple[str, str]]
"""By name, an expression and its evaluation time."""
Results = Mapping[str, Mapping[str, Sequence[float]]]
"""By case and query, the values of the expression."""

STEP = 15
"""Seconds between scrapes."""
MINUTES = 15
TEST_SECONDS = 30
"""Seconds of the processor for all cases: thirty times what the rules of the exercise take."""
LIMIT = 80
INSTANCES = ("a:9464", "b:9464")

Phases = Sequence[tuple[float, float]]
"""Minutes, and a value since then, such as requests/s; the last one holds until the end."""


@dataclass(frozen=True)
class _Stream:
    """Requests of one kind to one instance: how long each takes, and how many there are."""

    instance: str
    status: int
    seconds: float
    phases: Phases
    job: str = "randsvc"
    route: str = "/random"


def _service(
    *,
    fast: Phases,
    slow: Phases = (),
    slower: Phases = (),
    failing: Phases = (),
    unavailable: Phases = (),
    unreachable: Phases = (),
    failing_on: Collection[str] = INSTANCES,
    other_failing: float = 0,
    active: Phases = ((0, 3),),
) -> dict[str, str]:
    """Return the series of two instances of randsvc, and of another job; rates for each instance.

    ``fast`` requests take 0.05 s, ``slow`` ones 0.6 s, ``slower`` ones 2 s (all on the second
    instance); ``failing`` ones have status 500, ``unavailable`` ones 503, and ``unreachable`` ones
    502 or 504, after 6 s. A few more match no route and have status 404.
    """
    a, b = INSTANCES
    streams = [
        *(_Stream(at, 200, 0.05, fast) for at in (a, b)),
        *(_Stream(b, 200, seconds, _scale(p, 2)) for seconds, p in ((0.6, slow), (2, slower))),
        *(_Stream(at, 500, 6, failing) for at in failing_on),
        *(_Stream(at, 503, 6, unavailable) for at in failing_on),
        _Stream(a, 502, 6, unreachable),
        _Stream(b, 504, 6, unreachable),
        *(_Stream(at, 404, 0.05, [(0, 0.5)], route="") for at in (a, b)),
        # Another job with the same metrics, as a real Prometheus has.
        _Stream("c:9464", 200, 0.2, [(0, 40 - other_failing)], job="other"),
        _Stream("c:9464", 500, 0.2, [(0, other_failing)], job="other"),
    ]
    series = _histograms([each for each in streams if each.phases])
    gauges = (
        ("randsvc", a, active, LIMIT),
        ("randsvc", b, active, LIMIT),
        ("other", "c:9464", [(0, 30)], 50),
    )
    for job, instance, phases, limit in gauges:
        where = f'{{job="{job}",instance="{instance}"}}'
        series[f"{ACTIVE_REQUESTS.prometheus_name}{where}"] = _write(_follow(phases))
        series[f"{CONCURRENCY_LIMIT.prometheus_name}{where}"] = f"{limit}x{_steps()}"
    return series


def _steps() -> int:
    return MINUTES * 60 // STEP


def _scale(phases: Phases, factor: float) -> Phases:
    return [(minutes, factor * rate) for minutes, rate in phases]


def _histograms(streams: Iterable[_Stream]) -> dict[str, str]:
    """Return the series of all streams: classic buckets, and the native histogram of a scrape."""
    by_labels: dict[str, list[_Stream]] = {}
    for stream in streams:
        found = {
            "job": stream.job,
            "instance": stream.instance,
            "http_route": stream.route,
            "http_response_status_code": str(stream.status),
            "error_type": str(stream.status) if stream.status >= 500 else "",
        }
        labels = ",".join(f'{label}="{value}"' for label, value in found.items() if value)
        by_labels.setdefault(labels, []).append(stream)
    name = REQUEST_DURATION.prometheus_name
    bounds = [*(float(bound) for bound in REQUEST_DURATION.buckets), float("inf")]
    series = {}
    for labels, group in by_labels.items():
        counts = [_count(stream.phases) for stream in group]
        columns = list(zip(*counts, strict=True))
        cumulative = [
            [_sum(c for c, s in zip(column, group, strict=True) if s.seconds <= bound)
             for column in columns]
            for bound in bounds
        ]  # fmt: skip
        sums = [_sum(c * s.seconds for c, s in zip(col, group, strict=True)) for col in columns]
        for bound, values in zip(bounds, cumulative, strict=True):
            le = "+Inf" if bound == float("inf") else str(bound)
            series[f'{name}_bucket{{{labels},le="{le}"}}'] = _write(values)
        series[f"{name}_count{{{labels}}}"] = _write(cumulative[-1])
        series[f"{name}_sum{{{labels}}}"] = _write(sums)
        series[f"{name}{{{labels}}}"] = _write_native(bounds[:-1], cumulative, sums)
    return series


def _count(phases: Phases) -> list[float]:
    """Return the value of a counter at each scrape."""
    added = (STEP * rate for rate in _follow(phases)[:-1])
    return [round(value, 3) for value in accumulate(added, initial=0.0)]


def _follow(phases: Phases) -> list[float]:
    """Return the value of a phase at each scrape; a phase begins at its minute."""
    minutes = [step * STEP / 60 for step in range(_steps() + 1)]
    return [[value for begin, value in phases if begin <= each][-1] for each in minutes]


def _sum(values: Iterable[float]) -> float:
    return round(sum(values), 3)


def _write(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" if value < 1e5 else f"{value:.3f}" for value in values)


def _write_native(
    bounds: Sequence[float], cumulative: Sequence[Sequence[float]], sums: Sequence[float]
) -> str:
    """Write a native histogram with custom buckets, which Prometheus makes from a classic one."""
    samples = []
    for column, total in zip(zip(*cumulative, strict=True), sums, strict=True):
        each = [column[0], *(b - a for a, b in pairwise(column))]
        buckets = " ".join(f"{value:.3f}" for value in each)
        custom = " ".join(f"{bound:g}" for bound in bounds)
        samples.append(
            f"{{{{schema:-53 count:{column[-1]:.3f} sum:{total:.3f} custom_values:[{custom}] "
            f"buckets:[{buckets}]}}}}"
        )
    return " ".join(samples)


_FAST: Phases = [(0, 5)]
CASES: Mapping[str, Mapping[str, str]] = {
    "healthy": _service(fast=_FAST),
    # After 8 minutes four times the requests, so that every other window shows another rate.
    "step": _service(fast=[(0, 5), (8, 20)], slow=[(0, 0.05), (8, 0.1)]),
    # The 0.95, 0.98, 0.99 and 0.999 quantiles lie in different buckets, from minute 5 to 8.
    "slow": _service(
        fast=_FAST, slow=[(0, 0), (5, 0.2), (8, 0)], slower=[(0, 0), (5, 0.08), (8, 0)]
    ),
    # Full from minute 5 to 10.
    "full": _service(fast=_FAST, active=[(0, 3), (5, 72), (10, 3)]),
    # 2% fail, but more requests/s than in the case broken.
    "busy": _service(fast=[(0, 200)], failing=[(0, 2)], unavailable=[(0, 2)]),
    # All failures at one instance, of whose requests 9% fail.
    "below 5%": _service(
        fast=[(0, 9)], failing=[(0, 0.479)], unavailable=[(0, 0.479)], failing_on=INSTANCES[:1]
    ),
    "above 5%": _service(fast=[(0, 9)], failing=[(0, 0.2605)], unavailable=[(0, 0.2605)]),
    # 21% fail from minute 5 to 10.
    "broken": _service(
        fast=_FAST, failing=[(0, 0), (5, 0.75), (10, 0)], unavailable=[(0, 0), (5, 0.75), (10, 0)]
    ),
    "outage": _service(
        fast=_FAST, failing=[(0, 0), (5, 4), (10, 0)], unavailable=[(0, 0), (5, 4), (10, 0)]
    ),
    "unavailable": _service(
        fast=_FAST,
        unavailable=[(0, 0), (5, 0.75), (10, 0)],
        unreachable=[(0, 0), (5, 0.75), (10, 0)],
    ),
    "another job fails": _service(fast=_FAST, other_failing=30),
}


def evaluate(
    queries: Queries,
    *,
    files: Sequence[Path] = (),
    rules: Mapping[str, str] | None = None,
    cases: Collection[str] = (),
) -> Results:
    """Evaluate queries on cases, by default all, in promtool; raises ``WorkError`` if one fails.

    The rules of ``files`` are loaded, and ``rules``: expressions by the name of their record.
    """
    tests = [
        {
            "interval": f"{STEP}s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            # promtool prints the samples of an expression that is expected to have none.
            "promql_expr_test": [
                {"expr": _mark(case, expr), "eval_time": at, "exp_samples": []}
                for expr, at in queries.values()
            ],
        }
        for case, series in CASES.items()
        if not cases or case in cases
    ]
    content: dict[str, Any] = {
        "rule_files": [*map(str, files), RULE_FILE],
        "evaluation_interval": f"{STEP}s",
        "tests": tests,
    }
    own = [{"record": name, "expr": expr} for name, expr in (rules or {}).items()]
    groups = {"groups": [{"name": "own", "rules": own}]}
    try:
        output = run_rule_tests(content, groups, cpu_seconds=TEST_SECONDS).stdout
    except TimeoutError as expired:
        raise WorkError(
            f"promtool needs more than {TEST_SECONDS} s for the queries: use short windows, and no "
            "subqueries in subqueries"
        ) from expired
    if error := re.search(
        r'expression: "(.*)", time: .*, err: (.*)|rule: (.*), .*err: (.*)', output
    ):
        raise WorkError(" ".join(filter(None, error.groups()))[:500])
    found: dict[tuple[str, str], list[float]] = {}
    for expr, at, got in re.findall(r'expr: "(.*)", time: (\S+),\n.*\n\s+got: (.*)', output):
        values = re.findall(r"\} ([-+.\dE]+|NaN|[-+]Inf)(?=,|$)", got)
        found[expr.replace('\\"', '"'), at] = [float(value) for value in values]
    return {
        case: {name: found.get((_mark(case, expr), at), []) for name, (expr, at) in queries.items()}
        for case in cases or CASES
    }


def _mark(case: str, expr: str) -> str:
    """Add a label with the case, which then appears in the output of promtool."""
    return f'label_replace({expr}, "case", "{case}", "", "")'
