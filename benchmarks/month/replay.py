"""Evaluate the production rules on a month in promtool, and return when which alerts fired.

The rules are those of the generated files. They are replayed in independent parts: an alert with
its recording rules, on the series that they select, from one lookback earlier. Additional recording
rules record when an alert begins and stops firing. promtool is a test tool: it prints their values
as unexpected results.

promtool reads at most 10000 samples of a series, but three days of scrapes every 15 s are 17280. So
rules with long windows get only some of the scrapes, and are evaluated as often: see ``Part``.
"""

import hashlib
import json
import math
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.month.incidents import Kind
from benchmarks.month.simulated_month import DAY, SCRAPE, Series
from randsvc.project import ROOT
from randsvc.rules.service_alerts import WATCHDOG
from randsvc.rules.time_scale import PRODUCTION
from randsvc.stack.promtool import RULE_FILE, find_promtool, run_rule_tests
from randsvc.times import parse_duration

__all__ = (
    "Part",
    "Raised",
    "ReplayError",
    "Replayed",
    "find_needed",
    "replay",
    "rules",
    "split_rules",
)

Rule = Mapping[str, Any]
FOLDER = ROOT / "observability/prometheus/rules"
ML_RULES = "ml.yml"
"""The rules of the model; benchmarks/drift.py tests their alerts, as they need many more draws."""
FIRING, BEGAN, ENDED = "month:firing", "month:began", "month:ended"
HOUR = 3600
LOOKBACK = 300
"""Seconds before a window in which Prometheus looks for the first sample of ``anchored``."""
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
_RANGE = re.compile(r"\[(\d+[smhd])[\]:]")
_OFFSET = re.compile(r" offset (\d+[smhd])")


class ReplayError(Exception):
    """promtool could not evaluate the rules; the message is one line."""


@dataclass(frozen=True)
class Part:
    """Alerts that are replayed together, after the recording rules that they read."""

    name: str
    rules: tuple[Rule, ...]

    @property
    def windows(self) -> tuple[float, ...]:
        """The windows and offsets of its rules in seconds, ascending."""
        found = {
            parse_duration(w)
            for rule in self.rules
            for pattern in (_RANGE, _OFFSET)
            for w in pattern.findall(rule["expr"])
        }
        return tuple(sorted(found))

    @property
    def thinned(self) -> int:
        """The part gets one of this many scrapes, but at least ten in its shortest window."""
        shortest = min(self.windows, default=0)
        return next(
            (every for every in (20, 8, 2) if shortest >= 10 * every * SCRAPE),
            1,
        )

    @property
    def interval(self) -> int:
        """Seconds between evaluations: those of production, or between its scrapes."""
        return max(round(parse_duration(PRODUCTION.interval)), self.thinned * SCRAPE)

    @property
    def before(self) -> float:
        """Seconds after which earlier samples have no influence."""
        times = [parse_duration(rule[key]) for rule in self.rules for key in _TIMES if key in rule]
        waits = 2 * max(times, default=0) + 10 * self.interval
        return max(self.windows, default=0) + LOOKBACK + waits

    def reads(self, series: Series) -> bool:
        """Whether a rule selects a series."""
        return any(
            _selects(series.name, series.labels, selector)
            for selector in _find_selectors("\n".join(rule["expr"] for rule in self.rules))
        )


_TIMES = ("for", "keep_firing_for")


@dataclass(frozen=True)
class Raised:
    """An alert, and when it began and stopped firing, in seconds from the beginning of the month.

    Infinity is after the end of the replay.
    """

    kind: Kind
    at: float
    until: float


@dataclass(frozen=True)
class Replayed:
    """The result of a part: the raised alerts, and the number of evaluations of its rules."""

    raised: tuple[Raised, ...]
    evaluations: int


def rules(folder: Path = FOLDER) -> list[Rule]:
    """Return the production rules without those of the model, those of all time scales first."""
    files = [*sorted(folder.glob("*.yml")), *sorted((folder / PRODUCTION.name).glob("*.yml"))]
    groups = [group for file in files if file.name != ML_RULES for group in _read(file)]
    return [rule for group in groups for rule in group["rules"]]


def _read(file: Path) -> Any:
    return yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))[  # noqa: S506
        "groups"
    ]


def split_rules(all_rules: Sequence[Rule]) -> list[Part]:
    """Group all alerts into parts whose rules have windows of similar length.

    Each part has the Watchdog too, which proves that its rules were evaluated.
    """
    records = [rule for rule in all_rules if "record" in rule]
    alerts = [rule for rule in all_rules if "alert" in rule]
    (watchdog,) = (rule for rule in alerts if rule["alert"] == WATCHDOG)
    found: dict[tuple[str, ...], list[Rule]] = {}
    for alert in alerts:
        if alert is watchdog:
            continue
        own = Part("", (*find_needed([alert], records), alert))
        # A part for each level of each error budget; the other alerts by their shortest window.
        budget = any("slo" in rule.get("labels", {}) for rule in own.rules)
        key = (
            (alert["alert"], alert["labels"]["level"])
            if budget
            else (f"others, every {own.interval} s",)
        )
        found.setdefault(key, []).append(alert)
    return [
        Part(" ".join(key), (*find_needed(some, records), *some, watchdog))
        for key, some in found.items()
    ]


def find_needed(some: Sequence[Rule], records: Sequence[Rule]) -> list[Rule]:
    """Return the recording rules that rules read, directly or not, in order."""
    read: list[Rule] = []
    unread = list(some)
    while unread:
        selectors = _find_selectors(unread.pop()["expr"])
        for rule in records:
            if rule not in read and any(
                _selects(rule["record"], rule.get("labels", {}), selector, only_known=True)
                for selector in selectors
            ):
                read.append(rule)
                unread.append(rule)
    return [rule for rule in records if rule in read]


@cache
def _find_selectors(expr: str) -> tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]:
    """Return possible selectors: names and matchers. Function names among them do no harm."""
    return tuple(
        dict.fromkeys(
            (name, tuple(_MATCHER.findall(matchers))) for name, matchers in _SELECTOR.findall(expr)
        )
    )


def _selects(
    name: str,
    labels: Mapping[str, str],
    selector: tuple[str, tuple[tuple[str, str, str], ...]],
    *,
    only_known: bool = False,
) -> bool:
    """Whether a selector selects a series; with ``only_known`` the series may have more labels."""
    selected, matchers = selector
    if selected != name:
        return False
    for label, operator, text in matchers:
        if only_known and label not in labels:
            continue
        value = labels.get(label, "")
        same = value == text if operator in ("=", "!=") else bool(re.fullmatch(text, value))
        if same != (operator in ("=", "=~")):
            return False
    return True


def replay(
    part: Part,
    series: Iterable[Series],
    begin: float,
    end: float,
    kept: Path | None = None,
) -> Replayed:
    """Return the alerts of a part from ``begin`` to ``end``, in seconds from the month's beginning.

    The evaluation starts ``part.before`` seconds earlier. ``kept`` is the folder of cached results.
    Raises ``ReplayError``.
    """
    step = part.thinned * SCRAPE
    first = math.floor(max(0.0, begin - part.before) / DAY * 24) * HOUR
    last = math.ceil((end - first) / HOUR) * HOUR
    span = slice(first // SCRAPE, (first + last) // SCRAPE + 1)
    test = {
        "interval": f"{step}s",
        "input_series": [
            {"series": str(one), "values": values}
            for one in series
            if part.reads(one) and (values := text(one, span, part.thinned))
        ],
        "promql_expr_test": list(_make_queries(last)),
    }
    groups = [
        {"name": "rules", "rules": part.rules},
        {"name": "recorders", "rules": _make_recorders(part.interval)},
    ]
    asked = {
        "rule_files": [RULE_FILE],
        "evaluation_interval": f"{part.interval}s",
        "group_eval_order": ["rules", "recorders"],
        "tests": [test],
    }
    said = _run_promtool({"groups": groups}, asked, kept)
    answers = _parse_results(said)
    expected = last // part.interval + 1
    evaluations = round(answers.get(("count", last), {}).get(_WATCHDOG, 0))
    if evaluations != expected:
        raise ReplayError(
            f"{part.name}: {evaluations} evaluations instead of {expected}; promtool: "
            + " ".join(said[-500:].split())
        )
    raised = [one for one in _list_raised(answers, first) if begin <= one.at < end]
    counted = round((end - begin) / part.interval)
    return Replayed(tuple(raised), counted)


def _run_promtool(rules: object, tests: Mapping[str, Any], kept: Path | None) -> str:
    """Return the output of promtool; that of the same test in an earlier run is in ``kept``.

    So a month that was interrupted continues where it stopped.
    """
    asked = json.dumps([rules, tests, str(find_promtool())])
    digest = hashlib.sha256(asked.encode())
    before = kept / f"{digest.hexdigest()}.txt" if kept else None
    if before and before.is_file():
        return before.read_text()
    said = run_rule_tests(tests, rules).stdout
    if before:
        before.parent.mkdir(parents=True, exist_ok=True)
        unfinished = before.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        unfinished.write_text(said)
        unfinished.rename(before)
    return said


_WATCHDOG = Kind(WATCHDOG, "none", "monitoring")


def _make_recorders(interval: int) -> list[Rule]:
    """Return the rules that record when alerts fire."""
    before = f"{FIRING} offset {interval}s"
    firing = 'max by (alertname, level, service) (ALERTS{alertstate="firing"})'
    return [
        {"record": FIRING, "expr": firing},
        {"record": BEGAN, "expr": f"timestamp({FIRING} unless {before})"},
        {"record": ENDED, "expr": f"timestamp({before} unless {FIRING})"},
    ]


def _make_queries(last: int) -> Iterator[Mapping[str, Any]]:
    """Query what began and ended in each hour, and at the end how often the Watchdog fired."""

    def ask(expr: str, at: int) -> Mapping[str, Any]:
        return {"expr": expr, "eval_time": f"{at}s", "exp_samples": []}

    for at in range(HOUR, last + 1, HOUR):
        for which, name in (("sum", BEGAN), ("min", BEGAN), ("max", BEGAN), ("max", ENDED)):
            counted = "count" if which == "sum" else which
            yield ask(f"{counted}_over_time({name}[1h])", at)
    watchdog = f'{FIRING}{{alertname="{WATCHDOG}"}}'
    yield ask(f"count_over_time({watchdog}[{last + HOUR}s])", last)


_ANSWER = re.compile(
    r'expr: "(?P<which>\w+)_over_time\((?P<name>[\w:]+).*", time: (?P<at>\S+),\s+exp: nil\s+'
    r"got: (?P<got>.*)"
)
_SAMPLE = re.compile(r"\{([^}]*)\} (\S+?)(?:, |$)")


def _parse_results(output: str) -> dict[tuple[str, int], dict[Kind, float]]:
    """Parse the unexpected results: by query and time, the value of each alert."""
    found: dict[tuple[str, int], dict[Kind, float]] = {}
    for answer in _ANSWER.finditer(output):
        name = answer["name"]
        which = "count" if name == FIRING else f"{answer['which']} {name}"
        values = found.setdefault((which, round(parse_duration(answer["at"]))), {})
        for labels, value in _SAMPLE.findall(answer["got"]):
            of = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            values[Kind(of["alertname"], of["level"], of["service"])] = float(value)
    return found


def _list_raised(
    answers: Mapping[tuple[str, int], Mapping[Kind, float]], first: int
) -> list[Raised]:
    began: dict[Kind, list[float]] = {}
    ended: dict[Kind, list[float]] = {}
    for (which, at), values in sorted(answers.items(), key=lambda item: item[0][1]):
        for kind, value in values.items():
            if kind == _WATCHDOG:
                continue
            if which == f"count {BEGAN}":
                times = [answers[f"{end} {BEGAN}", at][kind] for end in ("min", "max")]
                # Of three or more in an hour, the middle ones get the time of the first.
                middle = [times[0]] * (round(value) - 2)
                began.setdefault(kind, []).extend([*middle, *times][-round(value) :])
            elif which == f"max {ENDED}":
                ended.setdefault(kind, []).append(value)
    return [
        Raised(
            kind,
            first + at,
            first + min((end for end in ended.get(kind, []) if end > at), default=math.inf),
        )
        for kind, times in began.items()
        for at in times
    ]


def text(series: Series, span: slice, thinned: int) -> str:
    """Write a span of a series in the notation of promtool; empty without samples.

    Only one of ``thinned`` scrapes is written. A series that ends gets a staleness marker, as in
    Prometheus, which writes one after a scrape without the series.
    """
    values = np.full(span.stop - span.start, np.nan)
    begin, end = max(span.start, series.begin), min(span.stop, series.begin + len(series.values))
    if begin < end:
        values[begin - span.start : end - span.start] = series.values[
            begin - series.begin : end - series.begin
        ]
    values = values[::thinned]
    if np.isnan(values).all():
        return ""
    # Repetitions of a value are written as one item.
    numbers = np.where(np.isnan(values), -1.0, values)
    edges = np.concatenate(([0], np.flatnonzero(np.diff(numbers)) + 1, [len(numbers)]))
    words: list[str] = []
    for start, length in zip(edges[:-1].tolist(), np.diff(edges).tolist(), strict=True):
        value = numbers[start]
        if value >= 0:
            number = str(int(value)) if value == int(value) else repr(float(value))
            words.append(number if length == 1 else f"{number}x{length - 1}")
            continue
        if words:
            words.append("stale")
            length -= 1
        if length:
            words.append(f"_x{length}")
    return " ".join(words)
