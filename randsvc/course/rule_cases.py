"""Synthetic series of healthy and failing services, and the results of rules on them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from randsvc.stack.promtool import run_rule_tests
from randsvc.telemetry.catalogue import ACTIVE_REQUESTS, CONCURRENCY_LIMIT, REQUEST_DURATION

__all__ = ("Queries", "Results", "evaluate")

Queries = Mapping[str, tuple[str, str]]
"""By name, an expression and its evaluation time, such as 6m30s."""
Results = Mapping[str, Mapping[str, Sequence[float]]]
"""By case and query, the values of the expression."""

STEP = 15
"""Seconds between scrapes."""

Phases = Sequence[tuple[int, float]]
"""Minutes, and the requests/s during them."""

INSTANCES = ("a:9464", "b:9464")
"""Two instances with the same series, so that the job has twice the values of one."""
MINUTES = 15


def _series(
    *, fast: float, slow: float = 0.0, failing: Phases = (), active: int = 3
) -> dict[str, str]:
    """Return the series of both instances; rates in requests/s for each instance.

    ``fast`` requests take 0.05 s, ``slow`` ones 0.9 s; ``failing`` ones have status 500. A few more
    match no route and have status 404.
    """
    series = {}
    for instance in INSTANCES:
        where = f'job="randsvc",instance="{instance}"'
        series[f"{ACTIVE_REQUESTS.prometheus_name}{{{where}}}"] = f"{active}x{_steps(MINUTES)}"
        series[f"{CONCURRENCY_LIMIT.prometheus_name}{{{where}}}"] = f"100x{_steps(MINUTES)}"
        kinds: list[tuple[str, Phases, Phases]] = [
            (f"{where},{_label_response(200, '/random')}", _all(fast), _all(slow)),
            (f"{where},{_label_response(404)}", _all(0.5), ()),
        ]
        if failing:
            kinds.append((f"{where},{_label_response(500, '/random', 'ValueError')}", failing, ()))
        for labels, quick, late in kinds:
            series |= _histogram(labels, quick, late)
    return series


def _label_response(status: int, route: str = "", error: str = "") -> str:
    found = {"http_route": route, "http_response_status_code": str(status), "error_type": error}
    return ",".join(f'{label}="{value}"' for label, value in found.items() if value)


def _histogram(labels: str, quick: Phases, late: Phases) -> dict[str, str]:
    name = REQUEST_DURATION.prometheus_name
    both = _both(quick, late) if late else quick
    series = {
        f'{name}_bucket{{{labels},le="{bound}"}}': _counter(
            both if float(bound) >= 0.9 else quick if float(bound) >= 0.05 else _all(0)
        )
        for bound in (*(str(float(bucket)) for bucket in REQUEST_DURATION.buckets), "+Inf")
    }
    series[f"{name}_count{{{labels}}}"] = _counter(both)
    seconds = [(m, 0.05 * rate) for m, rate in quick]
    series[f"{name}_sum{{{labels}}}"] = _counter(
        _both(seconds, [(m, 0.9 * rate) for m, rate in late]) if late else seconds
    )
    return series


def _all(rate: float) -> Phases:
    return [(MINUTES, rate)]


def _both(some: Phases, others: Phases) -> Phases:
    return [(m, x + y) for (m, x), (_, y) in zip(some, others, strict=True)]


def _steps(minutes: int) -> int:
    return minutes * 60 // STEP


def _counter(phases: Phases) -> str:
    """Return the values of a counter in the notation of promtool, phase by phase."""
    parts, value = [], 0.0
    for minutes, rate in phases:
        parts.append(f"{value:g}+{rate * STEP:g}x{_steps(minutes) - 1}")
        value += rate * STEP * _steps(minutes)
    return " ".join(parts)


CASES: Mapping[str, Mapping[str, str]] = {
    "healthy": _series(fast=5),
    "slow": _series(fast=5, slow=0.3),
    "full": _series(fast=5, active=90),
    # Only 2% fail, but more requests/s than in the case broken.
    "busy": _series(fast=200, failing=_all(4)),
    "broken": _series(fast=5, failing=[(5, 0), (5, 1.5), (5, 0)]),
}


def evaluate(rule_files: Sequence[Path], queries: Queries) -> Results:
    """Evaluate the rules of these files on each case, in promtool."""
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
    ]
    content = {
        "rule_files": [str(file) for file in rule_files],
        "evaluation_interval": f"{STEP}s",
        "tests": tests,
    }
    output = run_rule_tests(content).stdout
    found: dict[tuple[str, str], list[float]] = {}
    for expr, at, got in re.findall(r'expr: "(.*)", time: (\S+),\n.*\n\s+got: (.*)', output):
        values = re.findall(r"\} ([-+.\dE]+|NaN|[-+]Inf)(?=,|$)", got)
        found[expr.replace('\\"', '"'), at] = [float(value) for value in values]
    return {
        case: {name: found.get((_mark(case, expr), at), []) for name, (expr, at) in queries.items()}
        for case in CASES
    }


def _mark(case: str, expr: str) -> str:
    """Add a label with the case, which then appears in the output of promtool."""
    return f'label_replace({expr}, "case", "{case}", "", "")'
