"""Let promtool evaluate the production rules over a month, and give which alerts were raised when.

The rules are those of the generated files, word for word. They are replayed in parts that do not
depend on each other: an alert with the recording rules that it reads, over the series that these
select, from as long before as they look back. Two recording rules are added that note when an alert
begins and ends to fire; promtool, which is for tests, tells their values as what it did not expect.

promtool reads 10000 samples of a series at most, where three days of scrapes every 15 s are 17280.
So what looks back for long is given a part of the scrapes, and is evaluated as often: see ``Part``.
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
from benchmarks.month.world import DAY, SCRAPE, Series
from randsvc.project import ROOT
from randsvc.rules.service_alerts import WATCHDOG
from randsvc.rules.time_scale import PRODUCTION
from randsvc.stack.promtool import RULE_FILE, find_promtool, run_rule_tests
from randsvc.times import parse_duration

__all__ = ("Part", "Raised", "ReplayError", "Replayed", "needed", "parts", "replay", "rules")

Rule = Mapping[str, Any]
FOLDER = ROOT / "observability/prometheus/rules"
OF_THE_MODEL = "ml.yml"
"""Whose alerts have a month of their own, in benchmarks/drift.py: it takes many more draws."""
FIRING, BEGAN, ENDED = "month:firing", "month:began", "month:ended"
HOUR = 3600
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
_RANGE = re.compile(r"\[(\d+[smhd])[\]:]")


class ReplayError(Exception):
    """promtool did not do what it was asked; the message is one line."""


@dataclass(frozen=True)
class Part:
    """Alerts that are replayed together, with the recording rules that they read before them."""

    name: str
    rules: tuple[Rule, ...]

    @property
    def windows(self) -> tuple[float, ...]:
        """Over how many seconds its rules look back, ascending."""
        found = {parse_duration(w) for rule in self.rules for w in _RANGE.findall(rule["expr"])}
        return tuple(sorted(found))

    @property
    def thinned(self) -> int:
        """Of how many scrapes it is given one: the shortest window holds ten, or all it has."""
        shortest = min(self.windows, default=0)
        return next(
            (every for every in (20, 8, 2) if shortest >= 10 * every * SCRAPE),
            1,
        )

    @property
    def interval(self) -> int:
        """Seconds between evaluations: those of production, or of the scrapes it is given."""
        return max(round(parse_duration(PRODUCTION.interval)), self.thinned * SCRAPE)

    @property
    def before(self) -> float:
        """Seconds after which nothing that was before has any influence."""
        times = [parse_duration(rule[key]) for rule in self.rules for key in _TIMES if key in rule]
        return max(self.windows, default=0) + 2 * max(times, default=0) + 10 * self.interval

    def reads(self, series: Series) -> bool:
        """Whether a rule selects a series."""
        return any(
            _selects(series.name, series.labels, selector)
            for selector in _selectors("\n".join(rule["expr"] for rule in self.rules))
        )


_TIMES = ("for", "keep_firing_for")


@dataclass(frozen=True)
class Raised:
    """An alert that began to fire, and ended, in seconds since the beginning of the month.

    Infinity is after all that was replayed.
    """

    kind: Kind
    at: float
    until: float


@dataclass(frozen=True)
class Replayed:
    """What came of a part: what was raised, and how many times all of its rules were evaluated."""

    raised: tuple[Raised, ...]
    evaluations: int


def rules(folder: Path = FOLDER) -> list[Rule]:
    """Give the rules of production but for those on the model, those of every time scale first."""
    files = [*sorted(folder.glob("*.yml")), *sorted((folder / PRODUCTION.name).glob("*.yml"))]
    groups = [group for file in files if file.name != OF_THE_MODEL for group in _read(file)]
    return [rule for group in groups for rule in group["rules"]]


def _read(file: Path) -> Any:
    return yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))[  # noqa: S506
        "groups"
    ]


def parts(all_rules: Sequence[Rule]) -> list[Part]:
    """Give all alerts but the Watchdog, in parts by what they read: what looks back equally long.

    The Watchdog is in each of them, as proof that its rules were evaluated.
    """
    records = [rule for rule in all_rules if "record" in rule]
    alerts = [rule for rule in all_rules if "alert" in rule]
    (watchdog,) = (rule for rule in alerts if rule["alert"] == WATCHDOG)
    found: dict[tuple[str, ...], list[Rule]] = {}
    for alert in alerts:
        if alert is watchdog:
            continue
        own = Part("", (*needed([alert], records), alert))
        # A part for each level of each error budget; the others by how far they look back at least.
        budget = any("slo" in rule.get("labels", {}) for rule in own.rules)
        key = (
            (alert["alert"], alert["labels"]["level"])
            if budget
            else (f"others, every {own.interval} s",)
        )
        found.setdefault(key, []).append(alert)
    return [
        Part(" ".join(key), (*needed(some, records), *some, watchdog))
        for key, some in found.items()
    ]


def needed(some: Sequence[Rule], records: Sequence[Rule]) -> list[Rule]:
    """Give the recording rules that rules read, and those that these read, in their order."""
    read: list[Rule] = []
    unread = list(some)
    while unread:
        selectors = _selectors(unread.pop()["expr"])
        for rule in records:
            if rule not in read and any(
                _selects(rule["record"], rule.get("labels", {}), selector, only_known=True)
                for selector in selectors
            ):
                read.append(rule)
                unread.append(rule)
    return [rule for rule in records if rule in read]


@cache
def _selectors(expr: str) -> tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]:
    """Give what may be a selector: a name, and its matchers. Functions look like one: no harm."""
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
    """Whether a selector takes a series; with ``only_known`` it may have more labels than these."""
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
    """Give what a part raised from ``begin`` to ``end``, in seconds since the month began.

    It is evaluated from ``part.before`` earlier on. ``kept`` is a folder for what promtool said.
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
        "promql_expr_test": list(_questions(last)),
    }
    groups = [
        {"name": "rules", "rules": part.rules},
        {"name": "seen", "rules": _seen(part.interval)},
    ]
    asked = {
        "rule_files": [RULE_FILE],
        "evaluation_interval": f"{part.interval}s",
        "group_eval_order": ["rules", "seen"],
        "tests": [test],
    }
    said = _run_promtool({"groups": groups}, asked, kept)
    answers = _answers(said)
    expected = last // part.interval + 1
    evaluations = round(answers.get(("count", last), {}).get(_WATCHDOG, 0))
    if evaluations != expected:
        raise ReplayError(
            f"{part.name}: {evaluations} evaluations where {expected} were asked for; promtool: "
            + " ".join(said[-500:].split())
        )
    raised = [one for one in _raised(answers, first) if begin <= one.at < end]
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


def _seen(interval: int) -> list[Rule]:
    """Give the rules that note what fires."""
    before = f"{FIRING} offset {interval}s"
    firing = 'max by (alertname, level, service) (ALERTS{alertstate="firing"})'
    return [
        {"record": FIRING, "expr": firing},
        {"record": BEGAN, "expr": f"timestamp({FIRING} unless {before})"},
        {"record": ENDED, "expr": f"timestamp({before} unless {FIRING})"},
    ]


def _questions(last: int) -> Iterator[Mapping[str, Any]]:
    """Ask for each hour what began and ended in it, and at the end how often the Watchdog fired."""

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


def _answers(output: str) -> dict[tuple[str, int], dict[Kind, float]]:
    """Read what promtool did not expect: by question and time, the value of each alert."""
    found: dict[tuple[str, int], dict[Kind, float]] = {}
    for answer in _ANSWER.finditer(output):
        name = answer["name"]
        which = "count" if name == FIRING else f"{answer['which']} {name}"
        values = found.setdefault((which, round(parse_duration(answer["at"]))), {})
        for labels, value in _SAMPLE.findall(answer["got"]):
            of = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            values[Kind(of["alertname"], of["level"], of["service"])] = float(value)
    return found


def _raised(answers: Mapping[tuple[str, int], Mapping[Kind, float]], first: int) -> list[Raised]:
    began: dict[Kind, list[float]] = {}
    ended: dict[Kind, list[float]] = {}
    for (which, at), values in sorted(answers.items(), key=lambda item: item[0][1]):
        for kind, value in values.items():
            if kind == _WATCHDOG:
                continue
            if which == f"count {BEGAN}":
                times = [answers[f"{end} {BEGAN}", at][kind] for end in ("min", "max")]
                # Of three and more in an hour, those between are given the time of the first.
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
    """Give a span of a series as promtool reads it, every so manyth scrape; empty if it has none.

    A series that is no longer there ends by a marker, as in Prometheus, where a scrape that no
    longer finds it writes one.
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
    # Runs of one value are written as one.
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
