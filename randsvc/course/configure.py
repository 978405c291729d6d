"""Exercise 2: configure Prometheus. It runs as configured, and promtool tries what the rules do."""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from randsvc.course.exercise import Exercise, WorkError
from randsvc.course.promql import Node, averages, misused, parsed, types, unknown
from randsvc.course.stories import Asked, Told, evaluate
from randsvc.course.watched import PULLED, prometheus
from randsvc.stack.addresses import find_free_addresses
from randsvc.stack.programs import Program, make_randsvc
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
WITHIN = 8.0
"""Seconds until everything that is going to be recorded is, at two scrapes a second."""
FIRING = f'count(ALERTS{{alertname="{ALERT}",alertstate="firing"}})'
TOO_EARLY, LATE, OVER = ("firing at 6m30s", "firing at 8m15s", "firing at 14m")
ASKED: Asked = {
    **{record: (record, "10m") for record in RECORDS},
    TOO_EARLY: (FIRING, "6m30s"),
    LATE: (FIRING, "8m15s"),
    OVER: (FIRING, "14m"),
}


@dataclass(frozen=True)
class _Work:
    folder: Path
    config: Mapping[str, Any]
    rules: Sequence[Mapping[str, Any]]
    rule_files: Sequence[Path]


@dataclass(frozen=True)
class _Seen:
    """What came of it: in a Prometheus that reads a service, and in promtool by story."""

    work: _Work
    targets: Sequence[Mapping[str, Any]]
    recorded: Mapping[str, bool]
    trees: Mapping[str, Node]
    types: Mapping[str, str]
    told: Told
    labels: Mapping[str, frozenset[str]]
    """Of each record, the labels that its series have."""

    def rule(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """The rule of a name; ``kind`` is record or alert."""
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
    config = yaml.safe_load(path.read_text()) or {}
    files = [found for glob in config.get("rule_files") or () for found in folder.glob(glob)]
    groups = chain.from_iterable(
        (yaml.safe_load(file.read_text()) or {}).get("groups") or () for file in files
    )
    rules = [rule for group in groups for rule in group.get("rules") or ()]
    return _Work(folder, config, rules, files)


@contextmanager
def _system(work: _Work) -> Iterator[Stack]:
    """Run the service with users, as `make run` does, on ports of its own."""
    book = find_free_addresses()
    # Some are slow, so that an average is no quantile.
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


def _observe(work: _Work, system: Stack) -> _Seen:
    expressions = {str(rule["expr"]) for rule in work.rules}
    with tempfile.TemporaryDirectory() as folder:
        book = {**find_free_addresses(), "randsvc:9464": system.book["randsvc:9464"]}
        with run_programs([_prometheus(work, book, Path(folder))], book, Path(folder)) as stack:
            trees = {expr: parsed(stack, expr) for expr in expressions}
            there = {rule.get("record") for rule in work.rules}
            asked = [record for record in RECORDS if record in there]

            def all_known() -> bool:
                found = _targets(stack)
                scraped = bool(found) and all(target["health"] != "unknown" for target in found)
                return scraped and all(stack.query(record) for record in asked)

            # The checks say what is missing.
            with suppress(TimeoutError):
                wait_until(all_known, within=WITHIN, every=0.25)
            targets = _targets(stack)
            found = {record: stack.query(record) for record in RECORDS}
            labels = {
                record: frozenset(label for s in series for label in s["metric"]) - {"__name__"}
                for record, series in found.items()
            }
            known = types(stack)
    return _Seen(
        work=work,
        targets=targets,
        recorded={record: bool(series) for record, series in found.items()},
        trees=trees,
        types=known,
        told=evaluate(work.rule_files, ASKED),
        labels=labels,
    )


def _targets(stack: Stack) -> list[dict[str, Any]]:
    answer = json.loads(stack.get("prometheus:9090", "/api/v1/targets"))
    found: list[dict[str, Any]] = answer["data"]["activeTargets"]
    return found


def _prometheus(work: _Work, book: Mapping[str, str], folder: Path) -> Program:
    """The learner's configuration, with the service's port here, and faster."""
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
    return prometheus(config, book, folder)


def _scraped(seen: _Seen) -> str | None:
    """The job randsvc reads the service."""
    jobs = [job["job_name"] for job in seen.work.config.get("scrape_configs") or ()]
    if JOB not in jobs:
        there = f"there is {', '.join(jobs)}" if jobs else "scrape_configs is empty"
        return f"prometheus.yml has no job {JOB}: {there}"
    targets = [target for target in seen.targets if target["labels"]["job"] == JOB]
    if not targets:
        return f"the job {JOB} has no target: static_configs lists where the service listens"
    for target in targets:
        if target["health"] != "up":
            return (
                f"the target {target['scrapeUrl']} is {target['health']}"
                f" ({target['lastError'] or 'not read yet'}): /metrics is at the management port, "
                "localhost:9464"
            )
    return None


def _loaded(seen: _Seen) -> str | None:
    """Prometheus reads the rules."""
    if not seen.work.rule_files:
        return "rule_files in prometheus.yml names no file that there is"
    if not seen.work.rules:
        return "there is no rule yet: job:requests:rate1m is the sum by (job) of a rate"
    return None


def _uses(seen: _Seen) -> str | None:
    """Functions are used on the types of metrics that they are for."""
    for rule in seen.work.rules:
        expr = str(rule["expr"])
        if hint := misused(expr, seen.trees[expr], seen.types):
            return f"{rule.get('record') or rule.get('alert')}: {hint}"
    return None


def _is_recorded(record: str) -> Callable[[_Seen], str | None]:
    def check(seen: _Seen) -> str | None:
        rule = seen.rule("record", record)
        if rule is None:
            return f"there is no rule with record: {record}"
        if not seen.recorded[record]:
            missing = unknown(seen.trees[str(rule["expr"])], seen.types)
            why = (
                f"the service has no {missing[0]}"
                if missing
                else "are the labels that it selects, groups or matches by those of the service?"
            )
            return f"{record} has no data from the service: {why}"
        if seen.labels[record] != {"job"}:
            there = ", ".join(sorted(seen.labels[record])) or "none"
            return (
                f"{record} has the labels {there}, and should be one series for the job, however "
                "many instances there are: sum by (job)"
            )
        return None

    check.__doc__ = f"{record} is recorded, one series for the job."
    return check


def _traffic(seen: _Seen) -> str | None:
    """Traffic is the requests each second, all of them."""
    for story, expected in (("healthy", 11.0), ("broken", 14.0)):
        (found, *_) = seen.told[story][TRAFFIC] or (0.0,)
        if abs(found - expected) > 0.05 * expected:
            said = f"{TRAFFIC} is {found:g} where {expected:g} requests come each second"
            if abs(found - 60 * expected) < 3 * expected:
                return f"{said}: increase() is of the whole minute, rate() of a second of it"
            if found > 60 * expected:
                return f"{said}: a counter says how many there ever were; rate() of it is wanted"
            return f"{said}, 404 and 500 included, in two instances"
    return None


def _quantile(seen: _Seen) -> str | None:
    """Latency is a quantile."""
    rule = seen.rule("record", LATENCY)
    assert rule  # noqa: S101 - checked before
    if averages(seen.trees[str(rule["expr"])]):
        return (
            f"{LATENCY} is an average, which 97 fast requests make look well whatever happens to "
            "the other 3: histogram_quantile(0.99, ...) of the buckets"
        )
    for story, low, high, what in (
        ("healthy", 0.0, 0.1, "all take 0.05 s"),
        ("slow", 0.75, 1.0, "5% take 0.9 s"),
    ):
        (found, *_) = seen.told[story][LATENCY] or (float("nan"),)
        if not low <= found <= high:
            return (
                f"{LATENCY} is {found:g} where {what}: histogram_quantile(0.99, sum by (job, le) "
                "(rate(..._bucket[1m])))"
            )
    return None


def _saturation(seen: _Seen) -> str | None:
    """Saturation is a share of the limit."""
    for story, expected in (("healthy", 0.03), ("full", 0.9)):
        (found, *_) = seen.told[story][SATURATION] or (float("nan"),)
        if not abs(found - expected) < 0.001:
            return (
                f"{SATURATION} is {found:g} where {expected * 100:g} of 100 are in a handler in "
                f"each of two instances: expected {expected:g}"
            )
    return None


def _alert(seen: _Seen) -> str | None:
    """TooManyErrors is there, with its level and a summary that says the number."""
    rule = seen.rule("alert", ALERT)
    if rule is None:
        return f"there is no rule with alert: {ALERT}"
    if (rule.get("labels") or {}).get("level") != "major":
        return f"{ALERT} has no label level: major; by it Alertmanager knows whom to tell"
    if "$value" not in str((rule.get("annotations") or {}).get("summary")):
        return (
            f"the summary of {ALERT} says no number: "
            '"{{ $value | humanizePercentage }} of the requests fail"'
        )
    return None


def _quiet(seen: _Seen) -> str | None:
    """TooManyErrors does not fire while all is well."""
    if seen.told["healthy"][OVER]:
        return f"{ALERT} fires when healthy: nothing failed but a few 404, which are the client's"
    for story in ("slow", "full"):
        if seen.told[story][OVER]:
            return f"{ALERT} fires when the service is {story} and nothing fails"
    if seen.told["busy"][OVER]:
        return (
            f"{ALERT} fires on a busy day, when 2% of the requests fail: the share of them counts, "
            "not how many they are"
        )
    return None


def _fires(seen: _Seen) -> str | None:
    """TooManyErrors fires after 2 minutes of too many errors, and no sooner."""
    told = seen.told["broken"]
    if told[TOO_EARLY]:
        return f"{ALERT} fires after 90 s: `for: 2m` keeps a short burst from waking anybody"
    if not told[LATE]:
        wait = str((seen.rule("alert", ALERT) or {}).get("for", "0s"))
        return (
            f"21% of the requests have failed for 3m15s, and {ALERT} does not fire; its `for` is "
            f"{wait}, expected 2m, of a share over [1m] above 0.05. Are its labels those of "
            "/metrics?"
        )
    if told[OVER]:
        return f"{ALERT} still fires 4 minutes after the last error: look at the last minute only"
    return None


CONFIGURE = Exercise(
    number=2,
    name="2-configure",
    title="Configure Prometheus: scrape, record, alert",
    read=_read,
    system=_system,
    observe=_observe,
    checks=(
        _scraped,
        _loaded,
        _uses,
        _is_recorded(TRAFFIC),
        _traffic,
        _is_recorded(LATENCY),
        _quantile,
        _is_recorded(SATURATION),
        _saturation,
        _alert,
        _quiet,
        _fires,
    ),
)
