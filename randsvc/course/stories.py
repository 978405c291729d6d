"""Made-up traffic for rules, healthy and not, and what the rules make of it in promtool."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from randsvc.stack.promtool import run_rule_tests
from randsvc.telemetry.catalogue import ACTIVE_REQUESTS, CONCURRENCY_LIMIT, REQUEST_DURATION

__all__ = ("Asked", "Told", "evaluate")

Asked = Mapping[str, tuple[str, str]]
"""Expressions, and the time of a story at which each is asked, such as 6m30s, by a name."""
Told = Mapping[str, Mapping[str, Sequence[float]]]
"""By the name of a story, the values that each expression had."""

STEP = 15
"""Seconds between two scrapes."""

Phases = Sequence[tuple[int, float]]
"""So many minutes, and the requests each second then."""

INSTANCES = ("a:9464", "b:9464")
"""As everything is done twice, twice as much is expected of the job."""
MINUTES = 15


def _series(
    *, fast: float, slow: float = 0.0, failing: Phases = (), active: int = 3
) -> dict[str, str]:
    """Traffic of each instance; ``failing`` are answered 500 at once, the others 200.

    ``slow`` take 0.9 s, all others 0.05 s. There are a few 404 besides, which matched no route.
    """
    series = {}
    for instance in INSTANCES:
        where = f'job="randsvc",instance="{instance}"'
        series[f"{ACTIVE_REQUESTS.prometheus_name}{{{where}}}"] = f"{active}x{_steps(MINUTES)}"
        series[f"{CONCURRENCY_LIMIT.prometheus_name}{{{where}}}"] = f"100x{_steps(MINUTES)}"
        kinds: list[tuple[str, Phases, Phases]] = [
            (f"{where},{_answered(200, '/random')}", _all(fast), _all(slow)),
            (f"{where},{_answered(404)}", _all(0.5), ()),
        ]
        if failing:
            kinds.append((f"{where},{_answered(500, '/random', 'ValueError')}", failing, ()))
        for labels, quick, late in kinds:
            series |= _histogram(labels, quick, late)
    return series


def _answered(status: int, route: str = "", error: str = "") -> str:
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
    """The values of a counter as promtool writes them: start, step and number, phase by phase."""
    parts, value = [], 0.0
    for minutes, rate in phases:
        parts.append(f"{value:g}+{rate * STEP:g}x{_steps(minutes) - 1}")
        value += rate * STEP * _steps(minutes)
    return " ".join(parts)


STORIES: Mapping[str, Mapping[str, str]] = {
    "healthy": _series(fast=5),
    "slow": _series(fast=5, slow=0.3),
    "full": _series(fast=5, active=90),
    # 2% of the requests, and more errors each second than of the broken one.
    "busy": _series(fast=200, failing=_all(4)),
    "broken": _series(fast=5, failing=[(5, 0), (5, 1.5), (5, 0)]),
}


def evaluate(rule_files: Sequence[Path], asked: Asked) -> Told:
    """Evaluate the rules of these files over each story, in promtool."""
    tests = [
        {
            "interval": f"{STEP}s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            # promtool prints the samples of an expression that is expected to have none.
            "promql_expr_test": [
                {"expr": _of(story, expr), "eval_time": at, "exp_samples": []}
                for expr, at in asked.values()
            ],
        }
        for story, series in STORIES.items()
    ]
    content = {
        "rule_files": [str(file) for file in rule_files],
        "evaluation_interval": f"{STEP}s",
        "tests": tests,
    }
    said = run_rule_tests(content).stdout
    found: dict[tuple[str, str], list[float]] = {}
    for expr, at, got in re.findall(r'expr: "(.*)", time: (\S+),\n.*\n\s+got: (.*)', said):
        values = re.findall(r"\} ([-+.\dE]+|NaN|[-+]Inf)(?=,|$)", got)
        found[expr.replace('\\"', '"'), at] = [float(value) for value in values]
    return {
        story: {name: found.get((_of(story, expr), at), []) for name, (expr, at) in asked.items()}
        for story in STORIES
    }


def _of(story: str, expr: str) -> str:
    """The same with a label, so that what promtool says tells which story it is of."""
    return f'label_replace({expr}, "story", "{story}", "", "")'
