"""Exercise 2: configure Prometheus. The configuration runs, and promtool tests the rules."""

import glob
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randsvc.course.exercise import Exercise, WorkError
from randsvc.course.promql import (
    Node,
    find_misuse,
    is_average,
    list_unknown_metrics,
    parse_query,
    query_types,
)
from randsvc.course.rule_cases import Queries, Results, evaluate
from randsvc.course.small_stack import PULLED, QUICK_DISCOVERY
from randsvc.documents import DocumentError, load_yaml
from randsvc.stack.addresses import find_free_addresses
from randsvc.stack.build import build_programs
from randsvc.stack.programs import Program, make_prometheus_of, make_randsvc
from randsvc.stack.promtool import run_promtool
from randsvc.stack.supervisor import Stack, run_programs, wait_until

__all__ = ("CONFIGURE",)

JOB = "randsvc"
TRAFFIC = "job:requests:rate1m"
LATENCY = "job:latency_seconds:p99_rate1m"
SATURATION = "job:saturation:ratio"
RECORDS = (TRAFFIC, LATENCY, SATURATION)
ALERT = "TooManyErrors"

INTERVAL = "500ms"
RECORD_WITHIN = 8.0
"""Seconds until every rule with data has recorded it, at two scrapes a second."""
FIRING = f'count(ALERTS{{alertname="{ALERT}",alertstate="firing"}})'
BEFORE_WAIT, AFTER_WAIT, AFTER_ERRORS = ("firing at 6m30s", "firing at 8m15s", "firing at 14m")
QUERIES: Queries = {
    **{record: (record, "10m") for record in RECORDS},
    BEFORE_WAIT: (FIRING, "6m30s"),
    AFTER_WAIT: (FIRING, "8m15s"),
    AFTER_ERRORS: (FIRING, "14m"),
}


@dataclass(frozen=True)
class _Work:
    folder: Path
    config: Mapping[str, Any]
    rules: Sequence[Mapping[str, Any]]
    rule_files: Sequence[Path]


@dataclass(frozen=True)
class _Observations:
    """The results: in a Prometheus that scrapes a service, and in promtool by case."""

    work: _Work
    targets: Sequence[Mapping[str, Any]]
    recorded: Mapping[str, bool]
    trees: Mapping[str, Node]
    types: Mapping[str, str]
    results: Results
    labels: Mapping[str, frozenset[str]]
    """By record, the labels of its series."""

    def rule(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Return the rule with a name; ``kind`` is record or alert."""
        return next((rule for rule in self.work.rules if rule.get(kind) == name), None)


def _read(folder: Path) -> _Work:
    path = folder / "prometheus.yml"
    if not path.is_file():
        raise WorkError(f"there is no {path}")
    done = run_promtool("check", "config", path, timeout=60)
    if done.returncode:
        # A heading for each file; the error follows FAILED:, on the same line or the next.
        said = done.stdout.partition("FAILED:")[2] or done.stdout
        raise WorkError(f"promtool check config: {' '.join(said.split())}")
    try:
        config = load_yaml(path) or {}
        patterns = config.get("rule_files") or ()
        files = [found for pattern in patterns for found in _find_files(folder, pattern)]
        groups = [group for file in files for group in (load_yaml(file) or {}).get("groups") or ()]
    except DocumentError as error:
        raise WorkError(str(error)) from error
    rules = [rule for group in groups for rule in group.get("rules") or ()]
    return _Work(folder, config, rules, files)


def _find_files(folder: Path, pattern: str) -> list[Path]:
    """Find files as Prometheus does; ``Path.glob`` refuses an absolute pattern."""
    return [Path(found) for found in glob.glob(str(folder / pattern))]  # noqa: PTH207


@contextmanager
def _run_system(work: _Work) -> Iterator[Stack]:
    """Run the service with users, as `make run` does, on free ports."""
    book = find_free_addresses()
    # A few are slow, so that the average differs from the quantile.
    env = {
        **PULLED,
        "RANDSVC_USERS": "20",
        "RANDSVC_DELAY": "mixture(0.97*constant(value=0.01), 0.03*constant(value=0.4))",
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        run_programs([make_randsvc(book, env=env)], book, Path(folder)) as stack,
    ):
        yield stack


def _observe(work: _Work, system: Stack) -> _Observations:
    expressions = {str(rule["expr"]) for rule in work.rules}
    with tempfile.TemporaryDirectory() as folder:
        book = {**find_free_addresses(), "randsvc:9464": system.book["randsvc:9464"]}
        with run_programs(
            [_make_prometheus(work, book, Path(folder))], book, Path(folder)
        ) as stack:
            trees = {expr: parse_query(stack, expr) for expr in expressions}
            there = {rule.get("record") for rule in work.rules}
            asked = [record for record in RECORDS if record in there]

            def all_known() -> bool:
                found = _targets(stack)
                scraped = bool(found) and all(target["health"] != "unknown" for target in found)
                return scraped and all(stack.query(record) for record in asked)

            # The checks report missing data.
            with suppress(TimeoutError):
                wait_until(all_known, within=RECORD_WITHIN, every=0.25)
            targets = _targets(stack)
            found = {record: stack.query(record) for record in RECORDS}
            labels = {
                record: frozenset(label for s in series for label in s["metric"]) - {"__name__"}
                for record, series in found.items()
            }
            known = query_types(stack)
    return _Observations(
        work=work,
        targets=targets,
        recorded={record: bool(series) for record, series in found.items()},
        trees=trees,
        types=known,
        results=evaluate(work.rule_files, QUERIES),
        labels=labels,
    )


def _targets(stack: Stack) -> list[dict[str, Any]]:
    answer = json.loads(stack.get("prometheus:9090", "/api/v1/targets"))
    found: list[dict[str, Any]] = answer["data"]["activeTargets"]
    return found


def _make_prometheus(work: _Work, book: Mapping[str, str], folder: Path) -> Program:
    """Run the learner's configuration on the port of the service, with short intervals."""
    config = json.loads(
        re.sub(
            r"\b(localhost|127\.0\.0\.1|randsvc):9464\b",
            book["randsvc:9464"],
            json.dumps(work.config, default=str),
        )
    )
    config["rule_files"] = [str(file) for file in work.rule_files]
    faster = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL}
    config["global"] = {**(config.get("global") or {}), **faster, "evaluation_interval": INTERVAL}
    for job in config.get("scrape_configs") or ():
        job.update({key: value for key, value in faster.items() if key in job})
    return make_prometheus_of(config, build_programs(), book, folder, QUICK_DISCOVERY)


def _check_target(observed: _Observations) -> str | None:
    """The job randsvc scrapes the service."""
    jobs = [job["job_name"] for job in observed.work.config.get("scrape_configs") or ()]
    if JOB not in jobs:
        there = f"its jobs are {', '.join(jobs)}" if jobs else "scrape_configs is empty"
        return f"prometheus.yml has no job {JOB}: {there}"
    targets = [target for target in observed.targets if target["labels"]["job"] == JOB]
    if not targets:
        return f"the job {JOB} has no target: add the address of the service to static_configs"
    for target in targets:
        if target["health"] != "up":
            return (
                f"the target {target['scrapeUrl']} is {target['health']}"
                f" ({target['lastError'] or 'not scraped yet'}): /metrics is at the management "
                "port, localhost:9464"
            )
    return None


def _check_rules(observed: _Observations) -> str | None:
    """Prometheus loads the rules."""
    if not observed.work.rule_files:
        return "rule_files in prometheus.yml matches no file"
    if not observed.work.rules:
        return "there are no rules: begin with job:requests:rate1m, a sum by (job) of a rate"
    return None


def _check_functions(observed: _Observations) -> str | None:
    """Functions are used on the right types of metrics."""
    for rule in observed.work.rules:
        expr = str(rule["expr"])
        if hint := find_misuse(expr, observed.trees[expr], observed.types):
            return f"{rule.get('record') or rule.get('alert')}: {hint}"
    return None


def _check_record(record: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        rule = observed.rule("record", record)
        if rule is None:
            return f"there is no rule with `record: {record}`"
        if not observed.recorded[record]:
            missing = list_unknown_metrics(observed.trees[str(rule["expr"])], observed.types)
            why = (
                f"the service has no metric {missing[0]}"
                if missing
                else "check that the service has the labels in its selectors, by () and on ()"
            )
            return f"{record} has no data from the service: {why}"
        if observed.labels[record] != {"job"}:
            there = ", ".join(sorted(observed.labels[record])) or "none"
            return (
                f"{record} has the labels {there}; expected only job, as one series for all "
                "instances of the job: sum by (job)"
            )
        return None

    check.__doc__ = f"{record} is recorded, as one series for the job."
    return check


def _check_traffic(observed: _Observations) -> str | None:
    """Traffic is the rate of all requests, per second."""
    for case, expected in (("healthy", 11.0), ("broken", 14.0)):
        (found, *_) = observed.results[case][TRAFFIC] or (0.0,)
        if abs(found - expected) > 0.05 * expected:
            said = f"{TRAFFIC} is {found:g}, expected {expected:g} requests/s"
            if abs(found - 60 * expected) < 3 * expected:
                return f"{said}: increase() counts over the whole minute, rate() per second"
            if found > 60 * expected:
                return f"{said}: a counter has the total since the start; use rate()"
            return f"{said}: sum all statuses, including 404 and 500, over both instances"
    return None


def _check_latency(observed: _Observations) -> str | None:
    """Latency is a quantile, not an average."""
    rule = observed.rule("record", LATENCY)
    assert rule  # noqa: S101 - checked before
    if is_average(observed.trees[str(rule["expr"])]):
        return (
            f"{LATENCY} is an average, in which 97 fast requests hide 3 slow ones: use "
            "histogram_quantile(0.99, ...) of the buckets"
        )
    for case, low, high, what in (
        ("healthy", 0.0, 0.1, "all requests take 0.05 s"),
        ("slow", 0.75, 1.0, "5% of the requests take 0.9 s"),
    ):
        (found, *_) = observed.results[case][LATENCY] or (float("nan"),)
        if not low <= found <= high:
            return (
                f"{LATENCY} is {found:g} when {what}: use histogram_quantile(0.99, sum by (job, "
                "le) (rate(..._bucket[1m])))"
            )
    return None


def _check_saturation(observed: _Observations) -> str | None:
    """Saturation is a share of the concurrency limit."""
    for case, expected in (("healthy", 0.03), ("full", 0.9)):
        (found, *_) = observed.results[case][SATURATION] or (float("nan"),)
        if not abs(found - expected) < 0.001:
            return (
                f"{SATURATION} is {found:g}, expected {expected:g}: each of two instances has "
                f"{expected * 100:g} requests in progress, and a limit of 100"
            )
    return None


def _check_alert(observed: _Observations) -> str | None:
    """TooManyErrors exists, with its level and a summary that contains the share."""
    rule = observed.rule("alert", ALERT)
    if rule is None:
        return f"there is no rule with `alert: {ALERT}`"
    if (rule.get("labels") or {}).get("level") != "major":
        return f"{ALERT} has no label `level: major`, by which Alertmanager chooses the receiver"
    if "$value" not in str((rule.get("annotations") or {}).get("summary")):
        return (
            f"the summary of {ALERT} does not contain the share: "
            '"{{ $value | humanizePercentage }} of the requests fail"'
        )
    return None


def _check_no_alert_when_healthy(observed: _Observations) -> str | None:
    """TooManyErrors does not fire while the service is healthy."""
    if observed.results["healthy"][AFTER_ERRORS]:
        return (
            f"{ALERT} fires for a healthy service, which has only a few 404: these are client "
            "errors"
        )
    for case in ("slow", "full"):
        if observed.results[case][AFTER_ERRORS]:
            return f"{ALERT} fires when the service is {case} and no request fails"
    if observed.results["busy"][AFTER_ERRORS]:
        return (
            f"{ALERT} fires when 2% of many requests fail: compare the share of the requests, not "
            "their number"
        )
    return None


def _check_alert_when_failing(observed: _Observations) -> str | None:
    """TooManyErrors fires after 2 minutes of too many errors, and not before."""
    results = observed.results["broken"]
    if results[BEFORE_WAIT]:
        return f"{ALERT} fires after 90 s: with `for: 2m` a short burst wakes nobody"
    if not results[AFTER_WAIT]:
        wait = str((observed.rule("alert", ALERT) or {}).get("for", "0s"))
        return (
            f"{ALERT} does not fire after 3m15s with 21% of the requests failing. Its `for` is "
            f"{wait}; expected 2m, of a share over [1m] above 0.05. Compare its labels with "
            "those of /metrics"
        )
    if results[AFTER_ERRORS]:
        return f"{ALERT} still fires 4 minutes after the last error: use a window of 1 minute"
    return None


CONFIGURE = Exercise(
    number=2,
    name="2-configure",
    title="Configure Prometheus: scrape, record, alert",
    read=_read,
    run_system=_run_system,
    observe=_observe,
    checks=(
        _check_target,
        _check_rules,
        _check_functions,
        _check_record(TRAFFIC),
        _check_traffic,
        _check_record(LATENCY),
        _check_latency,
        _check_record(SATURATION),
        _check_saturation,
        _check_alert,
        _check_no_alert_when_healthy,
        _check_alert_when_failing,
    ),
)
