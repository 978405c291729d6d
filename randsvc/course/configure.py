"""Exercise 2: configure Prometheus. The configuration runs, and promtool tests the rules."""

import glob
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from randsvc.course import signals
from randsvc.course.exercise import MARKING, Exercise
from randsvc.course.handed_in import WorkError, find_file
from randsvc.course.promql import (
    Node,
    find_misuse,
    has_threshold,
    is_average,
    list_metrics,
    list_unknown_metrics,
    list_windows,
    looks_back,
    parse_query,
    query_types,
)
from randsvc.course.rule_cases import Queries, Results, evaluate
from randsvc.course.signals import judge
from randsvc.course.small_stack import PULLED, QUICK_DISCOVERY
from randsvc.documents import DocumentError, load_yaml
from randsvc.stack.addresses import AddressBook, find_free_addresses
from randsvc.stack.build import build_programs
from randsvc.stack.programs import Program, make_prometheus_of, make_randsvc
from randsvc.stack.promtool import run_promtool
from randsvc.stack.supervisor import Stack, run_programs, wait_until
from randsvc.telemetry.catalogue import REQUEST_DURATION
from randsvc.times import parse_duration

__all__ = ("CONFIGURE",)

JOB = "randsvc"
TRAFFIC = "job:requests:rate1m"
LATENCY = "job:latency_seconds:p99_rate1m"
SATURATION = "job:saturation:ratio"
RECORDS = (TRAFFIC, LATENCY, SATURATION)
ALERT = "TooManyErrors"
REQUESTS = f"{REQUEST_DURATION.prometheus_name}_count"

INTERVAL = "500ms"
LONGER_INTERVAL = "5s"
"""For a machine that is too busy to answer within the shorter one."""
SCRAPES = 6
"""Scrapes of each target until the rules are judged."""
SCRAPES_WHEN_DOWN = 12
SCRAPED_WITHIN = 180.0
"""Seconds until then; a busy machine takes longer than the three seconds of the scrapes."""
LONGEST_SCRAPE_INTERVAL = 30.0
"""Seconds at which a window of 1 minute still has the two samples that rate() needs."""
LONGEST_EVALUATION_INTERVAL = 60.0
SERVICE = re.compile(
    r"(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]|randsvc|host\.docker\.internal):9464"
)
"""What a learner may call the management port of the service."""
PROMTOOL_SECONDS = 10
MOST_RULES = 100
"""Rules that are evaluated, each on many series."""
QUERY_LIMITS = ("--query.timeout=60s", "--query.max-samples=5000000")
"""The samples limit a query on any machine, and the time only one that never ends."""
VALUE = re.compile(r"\{\{.*(\$value|\.Value).*\}\}")
"""A template that contains the value of an alert."""
LOOPBACK = re.compile(r"(localhost|127\.[\d.]+|\[::1\])(:\d+)?")
KEPT_SETTINGS = ("scrape_interval", "scrape_timeout", "evaluation_interval", "external_labels")
"""Settings of global that are run: others write files."""
DROPPED_SETTINGS = ("proxy_url", "proxy_from_environment", "scrape_failure_log_file")

SIGNALS = {TRAFFIC: signals.TRAFFIC, LATENCY: signals.LATENCY, SATURATION: signals.SATURATION}
SHARE = "share"
"""The name of the query for the value of the alert."""
# Another job with the same metrics has an alert of its own.
FIRING = f'count(ALERTS{{alertname="{ALERT}",alertstate="firing",job!="other"}})'
BEFORE_WAIT, AFTER_WAIT, AFTER_ERRORS, AT_END = ("7m", "7m45s", "11m30s", "9m30s")
QUERIES: Queries = {
    **{
        f"{record} {at}": (f'{record}{{job="randsvc"}}', at)
        for record, signal in SIGNALS.items()
        for _, at in signal.moments
    },
    **{at: (FIRING, at) for at in (BEFORE_WAIT, AFTER_WAIT, AFTER_ERRORS, AT_END)},
    SHARE: (SHARE, "9m30s"),
}


@dataclass(frozen=True)
class _Work:
    folder: Path
    config: Mapping[str, Any]
    groups: Sequence[Mapping[str, Any]]
    rule_files: Sequence[Path]

    @property
    def rules(self) -> list[Mapping[str, Any]]:
        """The rules of all groups."""
        return [rule for group in self.groups for rule in group.get("rules") or ()]

    @property
    def job(self) -> Mapping[str, Any] | None:
        """The scrape job of the service."""
        jobs = self.config["scrape_configs"]
        return next((job for job in jobs if job["job_name"] == JOB), None)


def _is_major(rule: Mapping[str, Any]) -> bool:
    return bool((rule.get("labels") or {}).get("level") == "major")


@dataclass(frozen=True)
class _Observations:
    """The results: in a Prometheus that scrapes a service, and in promtool by case."""

    work: _Work
    targets: Sequence[Mapping[str, Any]]
    was_up: bool
    """Whether a scrape of each target has succeeded."""
    has_missed: bool
    """Whether a scrape took too long."""
    recorded: Mapping[str, bool]
    trees: Mapping[str, Node]
    types: Mapping[str, str]
    results: Results
    labels: Mapping[str, frozenset[str]]
    """By record, the labels of its series."""
    absent: frozenset[str]
    """The metrics in rules of which Prometheus has no series."""

    @property
    def is_uncertain(self) -> bool:
        """Whether something is absent that may be there, as scrapes took too long."""
        return self.has_missed and not (self.was_up and all(self.recorded.values()))

    def rule(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Return the rule with a name; ``kind`` is record or alert."""
        found = [rule for rule in self.work.rules if rule.get(kind) == name]
        # An alert may have a rule for each level.
        return next(filter(_is_major, found), found[0] if found else None)


def _read(folder: Path) -> _Work:
    path = find_file(folder, "prometheus.yml")
    if MARKING.get():
        _expect_own_files(folder, path)
    try:
        done = run_promtool("check", "config", path, cpu_seconds=PROMTOOL_SECONDS)
    except TimeoutError as error:
        raise WorkError(f"promtool check config took more than {PROMTOOL_SECONDS} s") from error
    if done.returncode:
        # A heading for each file; the error follows FAILED:, on the same line or the next.
        said = done.stdout.partition("FAILED:")[2] or done.stdout
        raise WorkError(f"promtool check config: {' '.join(said.split())}")
    try:
        return _read_documents(folder, load_yaml(path) or {})
    except DocumentError as error:
        raise WorkError(str(error)) from error


def _read_documents(folder: Path, config: dict[str, Any]) -> _Work:
    jobs = list(config.get("scrape_configs") or ())
    for file in _find_files(folder, config.get("scrape_config_files")):
        jobs += (load_yaml(file) or {}).get("scrape_configs") or ()
    config["scrape_configs"] = [_find_targets(job, folder) for job in jobs]
    files = _find_files(folder, config.get("rule_files"))
    groups = [group for file in files for group in (load_yaml(file) or {}).get("groups") or ()]
    work = _Work(folder, config, groups, files)
    if len(work.rules) > MOST_RULES:
        raise WorkError(f"there are {len(work.rules)} rules, expected at most {MOST_RULES}")
    for record in RECORDS:
        number = sum(rule.get("record") == record for rule in work.rules)
        if number > 1:
            raise WorkError(f"{number} rules record {record}: the samples of one are lost")
    return work


def _expect_own_files(folder: Path, path: Path) -> None:
    """Raise ``WorkError`` if the configuration of another person names a file outside the work."""
    with suppress(DocumentError):  # promtool says what is wrong
        config = load_yaml(path)
        for name in _list_files(config):
            if not Path(os.path.normpath(folder / name)).is_relative_to(folder):
                raise WorkError(
                    f"{path.name} names {name}, outside the work: name files relative to "
                    "prometheus.yml"
                )
        for file in _find_files(folder, (config or {}).get("scrape_config_files")):
            _expect_own_files(folder, file)


def _list_files(config: Any) -> Iterator[str]:
    """Yield the files that a configuration names, and patterns of files."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            if key in ("labels", "external_labels"):
                continue
            if str(key).endswith(("_file", "files")):
                yield from map(str, value if isinstance(value, list) else [value])
            else:
                yield from _list_files(value)
    elif isinstance(config, list):
        for each in config:
            yield from _list_files(each)


def _find_files(folder: Path, patterns: Sequence[str] | None) -> list[Path]:
    """Return the files of patterns, absolute ones or relative to the configuration."""
    # Unlike Path.glob, glob.glob knows absolute patterns.
    found = (sorted(glob.glob(str(folder / pattern))) for pattern in patterns or ())  # noqa: PTH207
    return [find_file(folder, name) for name in chain.from_iterable(found)]


def _find_targets(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a job with the targets of its files as static ones."""
    found = {key: value for key, value in job.items() if not key.endswith("_sd_configs")}
    others = set(job) - set(found) - {"file_sd_configs"}
    if job["job_name"] == JOB and others:
        raise WorkError(
            f"the job {JOB} has {min(others)}, which cannot be checked here: use static_configs or "
            "file_sd_configs"
        )
    static = list(job.get("static_configs") or ())
    for discovery in job.get("file_sd_configs") or ():
        for file in _find_files(folder, discovery.get("files")):
            static += load_yaml(file) or ()
    return {**found, "static_configs": static}


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
    observed = _scrape(work, system, INTERVAL)
    return _scrape(work, system, LONGER_INTERVAL) if observed.is_uncertain else observed


def _scrape(work: _Work, system: Stack, interval: str) -> _Observations:
    expressions = {str(rule["expr"]) for rule in work.rules}
    with tempfile.TemporaryDirectory() as folder:
        book = {**find_free_addresses(), "randsvc:9464": system.book["randsvc:9464"]}
        with run_programs(
            [_make_prometheus(work, book, Path(folder), interval)], book, Path(folder)
        ) as stack:
            trees = {expr: parse_query(stack, expr) for expr in expressions}
            _wait_for_samples(stack, has_targets=bool((work.job or {}).get("static_configs")))
            targets = _list_targets(stack)
            down = stack.query("max_over_time(up[1h]) == 0")
            found = {record: _find_stored(stack, record) for record in RECORDS}
            labels = {
                record: frozenset(label for labels in series for label in labels) - {"__name__"}
                for record, series in found.items()
            }
            known = query_types(stack)
            names = {name for tree in trees.values() for name in list_metrics(tree) if name}
            absent = frozenset(name for name in names if not _find_stored(stack, name))
            has_missed = _has_missed_scrapes(stack, targets)
    return _Observations(
        work=work,
        targets=targets,
        was_up=not down,
        has_missed=has_missed,
        recorded={record: bool(series) for record, series in found.items()},
        trees=trees,
        types=known,
        results=_evaluate(work),
        labels=labels,
        absent=absent,
    )


def _find_stored(stack: Stack, name: str) -> list[dict[str, str]]:
    """Return the labels of the series of a name, also of those that a missed scrape has ended."""
    found: list[dict[str, str]] = stack.prometheus.get(
        "series", **{"match[]": f'{{__name__="{name}"}}'}
    )
    return found


def _has_missed_scrapes(stack: Stack, targets: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a scrape took too long, as on a busy machine, or failed after one that did not."""
    return any("deadline exceeded" in target["lastError"] for target in targets) or bool(
        stack.query("min_over_time(up[1h]) < max_over_time(up[1h])")
    )


def _wait_for_samples(stack: Stack, *, has_targets: bool) -> None:
    """Wait until every target was scraped a few times, and every rule evaluated since."""

    def is_scraped() -> bool:
        counts = stack.query("count_over_time(up[1h])")
        down = stack.query("max_over_time(up[1h]) == 0")
        # One scrape of a busy machine may time out.
        wanted = SCRAPES_WHEN_DOWN if down else SCRAPES
        return len(counts) >= len(_list_targets(stack)) >= has_targets and all(
            each.values[-1][1] >= wanted for each in counts
        )

    def is_evaluated() -> bool:
        groups = stack.prometheus.get("rules")["groups"]
        # A rule may need the result of another one, whose turn is later.
        return all(
            datetime.fromisoformat(group["lastEvaluation"]).timestamp() > scraped + 1
            for group in groups
        )

    # The checks report what is missing.
    with suppress(TimeoutError):
        wait_until(is_scraped, within=SCRAPED_WITHIN, every=0.25)
        scraped = time.time()
        wait_until(is_evaluated, within=SCRAPED_WITHIN, every=0.25)


def _evaluate(work: _Work) -> Results:
    """Evaluate the rules on synthetic series, and the expression of the alert."""
    alerts = [rule for rule in work.rules if rule.get("alert") == ALERT]
    alert = next(filter(_is_major, alerts), alerts[0] if alerts else None)
    rules = {SHARE: str(alert["expr"])} if alert else {}
    return evaluate(QUERIES, files=work.rule_files, rules=rules)


def _list_targets(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.prometheus.get("targets")["activeTargets"]
    return found


def _make_prometheus(work: _Work, book: AddressBook, folder: Path, interval: str) -> Program:
    """Run the learner's job on the port of the service, with short intervals, and the rules.

    Nothing else of the configuration is run: it could send data to other machines.
    """
    faster = {"scrape_interval": interval, "scrape_timeout": interval}
    global_ = work.config.get("global") or {}
    kept = {key: value for key, value in global_.items() if key in KEPT_SETTINGS}
    # A rule may wait as long as its group says; the group is checked apart.
    groups = [{**group, "interval": interval} for group in work.groups]
    rules = folder / "rules.json"
    rules.write_text(json.dumps({"groups": groups}, default=str))
    config = {
        "global": {**kept, **faster, "evaluation_interval": interval},
        "rule_files": [str(rules)] if groups else [],
        "scrape_configs": [_make_job(work.job, book, faster)] if work.job else [],
    }
    return make_prometheus_of(
        config, build_programs(), book, folder, QUICK_DISCOVERY, *QUERY_LIMITS
    )


def _make_job(job: Mapping[str, Any], book: AddressBook, faster: Mapping[str, str]) -> object:
    """Return a job with the address of the service; raises ``WorkError`` for another machine."""
    text = SERVICE.sub(book["randsvc:9464"], json.dumps(job, default=str))
    changed: dict[str, Any] = json.loads(text)
    addresses = [
        str(target)
        for static in changed["static_configs"]
        for target in static.get("targets") or ()
    ]
    if len(set(addresses)) < len(addresses):
        raise WorkError(f"the job {JOB} has the service twice: each request would count twice")
    addresses += [
        str(rule.get("replacement", "localhost"))
        for rule in changed.get("relabel_configs") or ()
        if rule.get("target_label") == "__address__"
    ]
    for address in addresses:
        if not LOOPBACK.fullmatch(address) and "$" not in address:
            raise WorkError(
                f"the job {JOB} has the target {address}, on another machine: /metrics is at the "
                "management port, localhost:9464"
            )
    kept = {key: value for key, value in changed.items() if key not in DROPPED_SETTINGS}
    return {**kept, **{key: value for key, value in faster.items() if key in kept}}


def _check_target(observed: _Observations) -> str | None:
    """The job randsvc scrapes the service."""
    jobs = [job["job_name"] for job in observed.work.config["scrape_configs"]]
    if JOB not in jobs:
        there = f"its jobs are {', '.join(jobs)}" if jobs else "scrape_configs is empty"
        return f"prometheus.yml has no job {JOB}: {there}"
    targets = [target for target in observed.targets if target["labels"]["job"] == JOB]
    if not targets:
        return (
            f"the job {JOB} has no target with this label job: add the address of the service to "
            "static_configs, and look for relabel_configs"
        )
    for target in targets:
        if not observed.was_up:
            said = target["lastError"] or "not scraped yet"
            return f"the target {target['scrapeUrl']} is {target['health']} ({said}): " + (
                "raise the limit of the job, or leave it out"
                if "limit" in said
                else "/metrics is at the management port, localhost:9464"
            )
    return None


def _check_rules(observed: _Observations) -> str | None:
    """Prometheus loads the rules."""
    if not observed.work.rule_files:
        return "rule_files in prometheus.yml matches no file"
    if not observed.work.rules:
        return "there are no rules: begin with job:requests:rate1m, a sum by (job) of a rate"
    return None


def _check_intervals(observed: _Observations) -> str | None:
    """A window of 1 minute has several scrapes and an evaluation."""
    global_ = observed.work.config.get("global") or {}
    job = observed.work.job or {}
    settings = (str(each.get("scrape_interval") or "0") for each in (job, global_))
    # Prometheus takes 0 as no setting.
    interval = next(filter(_parse_seconds, settings), "1m")
    if _parse_seconds(interval) > LONGEST_SCRAPE_INTERVAL:
        return (
            f"the scrape_interval of the job {JOB} is {interval}: rate(...[1m]) needs two scrapes "
            "in each minute, better four; use 15s"
        )
    evaluations = {"global": str(global_.get("evaluation_interval") or "1m")} | {
        f"group {group['name']}": str(group["interval"])
        for group in observed.work.groups
        if group.get("interval")
    }
    for where, evaluation in evaluations.items():
        if _parse_seconds(evaluation) > LONGEST_EVALUATION_INTERVAL:
            return (
                f"the evaluation interval of {where} is {evaluation}: rules over [1m] that are "
                "evaluated less often than each minute miss requests, and the alert is late; use "
                "15s"
            )
    return None


def _parse_seconds(text: str) -> float:
    """Return the seconds of a duration that promtool has checked; it may be 0."""
    try:
        return parse_duration(text)
    except ValueError:
        return 0.0


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
            if looks_back(observed.trees[str(rule["expr"])]):
                return None  # the next check has longer series
            return f"{record} has no data from the service: {_explain_absence(observed, rule)}"
        # A rule may add labels of its own.
        if observed.labels[record] - set(rule.get("labels") or ()) - {"job"} or (
            "job" not in observed.labels[record]
        ):
            there = ", ".join(sorted(observed.labels[record])) or "none"
            return (
                f"{record} has the labels {there}; expected only job, as one series for all "
                "instances of the job: sum by (job)"
            )
        return None

    check.__doc__ = f"{record} is recorded, as one series for the job."
    return check


def _explain_absence(observed: _Observations, rule: Mapping[str, Any]) -> str:
    tree = observed.trees[str(rule["expr"])]
    if missing := list_unknown_metrics(tree, observed.types):
        return f"the service has no metric {missing[0]}"
    if dropped := [name for name in list_metrics(tree) if name in observed.absent]:
        return (
            f"the job {JOB} stores no series {dropped[0]}, although the service has them: look for "
            "metric_relabel_configs, and for settings of native histograms"
        )
    return "check that the service has the labels in its selectors, by () and on ()"


def _check_value(record: str) -> Callable[[_Observations], str | None]:
    def check(observed: _Observations) -> str | None:
        rule = observed.rule("record", record)
        assert rule  # noqa: S101 - checked before
        if record == LATENCY and is_average(observed.trees[str(rule["expr"])]):
            return (
                f"{LATENCY} is an average, in which 97 fast requests hide 3 slow ones: use "
                "histogram_quantile(0.99, ...) of the buckets"
            )
        found = {
            (case, at): observed.results[case][f"{record} {at}"]
            for case, at in SIGNALS[record].moments
        }
        hint = judge(SIGNALS[record], found)
        if hint is None:
            return None
        windows = [each for each in _list_windows(observed, str(rule["expr"])) if each != 60]
        if windows and hint.endswith(SIGNALS[record].advice):
            said = hint.removesuffix(SIGNALS[record].advice)
            return f"{record} is {said}its window is {windows[0]:g} s: use a window of 1 minute"
        return f"{record} is {hint}"

    check.__doc__ = f"{record} has the right values while load, durations and errors change."
    return check


def _check_alert(observed: _Observations) -> str | None:
    """TooManyErrors exists, with its level and a summary that contains the share."""
    rule = observed.rule("alert", ALERT)
    if rule is None:
        return f"there is no rule with `alert: {ALERT}`"
    if not _is_major(rule):
        return f"{ALERT} has no label `level: major`, by which Alertmanager chooses the receiver"
    summary = str((rule.get("annotations") or {}).get("summary"))[:1000]
    for label, value in rule["labels"].items():
        if VALUE.search(str(value)[:1000]):
            return (
                f"the label {label} of {ALERT} contains $value: each value is another alert, whose "
                "wait begins again. Write it into an annotation"
            )
    if not VALUE.search(summary):
        return (
            f"the summary of {ALERT} does not contain the share: "
            '"{{ $value | humanizePercentage }} of the requests fail"'
        )
    return None


def _check_no_alert_when_healthy(observed: _Observations) -> str | None:
    """TooManyErrors does not fire while few requests fail."""
    for case, hint in QUIET_CASES.items():
        if observed.results[case][AFTER_WAIT] or observed.results[case][AT_END]:
            return f"{ALERT} fires {hint}{_explain_expression(observed)}"
    return None


def _explain_expression(observed: _Observations) -> str:
    """Return a sentence about what the alert has instead of a share; empty if it has one."""
    rule = observed.rule("alert", ALERT)
    assert rule  # noqa: S101 - checked before
    tree = observed.trees[str(rule["expr"])]
    if not has_threshold(tree):
        return ". Its expression has no comparison, such as > 0.05, without bool"
    for name in list_metrics(tree):
        if name.endswith(("_sum", "_bucket")):
            return f". {name} does not have the number of the requests, which is {REQUESTS}"
    return ""


QUIET_CASES = {
    "healthy": (
        "for a healthy service, which has only a few 404: these are client errors, or its "
        "expression has a result whatever happens"
    ),
    "slow": "when the service is slow and no request fails",
    "full": "when the service is full and no request fails",
    "busy": (
        "when 2% of many requests fail: compare the share of the requests, not their number, with "
        "0.05"
    ),
    "below 5%": (
        "when 4.8% of the requests fail: the share of all requests must be above 0.05, of all "
        "instances together, with 404 among all, not among the failures"
    ),
    "another job fails": (
        'when another job fails: select job="randsvc", or keep the label job with sum by (job)'
    ),
}


def _check_alert_when_failing(observed: _Observations) -> str | None:
    """TooManyErrors fires after 2 minutes of too many errors, and not before."""
    results = observed.results
    rule = observed.rule("alert", ALERT)
    assert rule  # noqa: S101 - checked before
    wait = str(rule.get("for", "0s"))
    windows = set(_list_windows(observed, str(rule["expr"])))
    kind = _explain_expression(observed)
    others = ", ".join(f"{window:g} s" for window in sorted(windows - {60}))
    said = f" Its windows are {others}." if others else ""
    if not windows:
        said = " Its counters have the total since the start: use rate(...[1m])."
    if results["outage"][BEFORE_WAIT]:
        return (
            f"{ALERT} fires less than 2 minutes after the first error: with `for: 2m` a short "
            f"burst wakes nobody. Its `for` is {wait}"
        )
    shares = [share for case in ("broken", "unavailable") for share in results[case][SHARE]]
    is_partial = not others and any(0.01 < share < 0.213 for share in shares)
    is_blind = results["broken"][AT_END] and not results["unavailable"][AT_END]
    if windows and (is_partial or is_blind):
        return (
            f"{ALERT} does not count every request that fails with 500, 502, 503 or 504: select "
            f'http_response_status_code=~"5.."{kind}'
        )
    if not results["outage"][AFTER_WAIT]:
        missing = list_unknown_metrics(observed.trees[str(rule["expr"])], observed.types)
        advice = (
            f" The service has no metric {missing[0]}"
            if missing
            else f"{said} Compare its labels, on both sides of an operator, with those of /metrics"
        )
        return (
            f"{ALERT} does not fire after 2m45s with 62% of the requests failing. Its `for` is "
            f"{wait}; expected 2m, of a share over [1m] above 0.05.{advice}"
        )
    if not results["above 5%"][AT_END]:
        return (
            f"{ALERT} does not fire when 5.2% of the requests fail: the threshold is 0.05, of "
            f"failures by all requests.{said}"
        )
    if not results["broken"][AFTER_WAIT]:
        return (
            f"{ALERT} does not fire after 2m45s with 21% of the requests failing: use a window of "
            f"1 minute.{said}"
        )
    if results["outage"][AFTER_ERRORS]:
        return (
            f"{ALERT} still fires 90 s after the last error: use a window of 1 minute, and no "
            f"keep_firing_for.{said}"
        )
    return None


def _list_windows(observed: _Observations, expr: str) -> list[float]:
    """Return the windows of an expression, and of the records in it, in seconds."""
    tree = observed.trees[expr]
    found = list_windows(tree)
    for name in list_metrics(tree):
        rule = observed.rule("record", name)
        if rule and rule["expr"] != expr:
            found += list_windows(observed.trees[str(rule["expr"])])
    return found


def _check_alert_value(observed: _Observations) -> str | None:
    """The value of TooManyErrors is the share of the requests."""
    found = observed.results["broken"][SHARE]
    if any(abs(value / factor - 0.2143) < 0.001 for value in found for factor in (1, 100)):
        return None
    shown = ", ".join(f"{value:.3g}" for value in found) or "nothing"
    return (
        f"$value of {ALERT} is {shown} when 21% of the requests fail, so that its summary does not "
        "tell the share: divide before you compare, as in `failed / all > 0.05`"
    )


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
        _check_intervals,
        _check_functions,
        _check_record(TRAFFIC),
        _check_value(TRAFFIC),
        _check_record(LATENCY),
        _check_value(LATENCY),
        _check_record(SATURATION),
        _check_value(SATURATION),
        _check_alert,
        _check_no_alert_when_healthy,
        _check_alert_when_failing,
        _check_alert_value,
    ),
)
