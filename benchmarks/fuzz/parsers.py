"""Noise for every parser, by Hypothesis: each gives a result, or its own error in one line.

An error must not be longer than what was given and a few sentences, and must not repeat a secret.
"""

import asyncio
import contextlib
import io
import json
import math
import os
import random
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.fuzz.hostile_prometheus import Answer, HostilePrometheus
from benchmarks.promises import Promise
from randsvc.cli.main import main
from randsvc.course import dashboard, incident, recover
from randsvc.course.exercise import WorkError
from randsvc.distributions import DistributionError, parse, parse_delay
from randsvc.distributions.families import FAMILIES
from randsvc.errors import ConfigurationError, RecoveryError
from randsvc.histograms import baseline_file
from randsvc.incidents.scenario import FOLDER, ScenarioError, read_scenario
from randsvc.management.console.alerts import fetch_alerts
from randsvc.model.baselines import describe
from randsvc.model.default_baselines import make_default_baseline_files
from randsvc.prometheus_api import AsyncPrometheus, PrometheusError
from randsvc.review.subject import load_subject
from randsvc.settings import AuthSettings, Settings
from randsvc.stack.inbox import RECEIVERS, make_inbox
from randsvc.telemetry import environment
from randsvc.telemetry.variables import VARIABLES

__all__ = ("PARSERS", "Parser", "fuzz_parser")

Check = Callable[[Any], None]
"""Parses what is given; raises where a promise is broken."""

ERROR_LIMIT = 2000
"""Characters of an error, beyond four for each character that was given."""
SECRET = "-".join(("hunter2",) * 2)
"""Computed, as Hypothesis tries every constant of the project, also where it is no secret."""


@dataclass(frozen=True)
class Parser:
    """A parser: ``inputs`` are drawn, and ``ready`` gives what checks one inside a block.

    One in ``cost`` examples of the others is tried, for a parser that takes longer.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    ready: Callable[[], AbstractContextManager[Check]]
    cost: int = 1


def fuzz_parser(parser: Parser, examples: int, number: int) -> Promise:
    """Try so many examples with a seed; the promise has the smallest that breaks it."""
    tried = max(10, examples // parser.cost)
    problems: list[str] = []
    with parser.ready() as check:

        @seed(number)
        @settings(
            max_examples=tried,
            database=None,
            deadline=None,
            derandomize=False,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(parser.inputs)
        def try_one(given: Any) -> None:
            check(given)

        try:
            try_one()
        except (Exception, BaseExceptionGroup) as error:
            problems = list(_describe(error))
    return Promise(
        f"Parser: {parser.name}",
        f"{tried:,} examples" if not problems else "an example breaks it",
        "a result, or one line",
        not problems,
        problems,
    )


def _describe(error: BaseException) -> Iterator[str]:
    """One line for each failure that Hypothesis found, with its example."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _describe(each)
        return
    place = traceback.extract_tb(error.__traceback__)[-1]
    notes = " ".join(getattr(error, "__notes__", ()))
    said = f"{type(error).__name__}: {error}, {place.filename}:{place.lineno} {notes}"
    yield " ".join(said.split())[:1500]


def hold(error: BaseException, size: int) -> None:
    """Hold an error about that many characters against what errors are to be."""
    text = str(error)
    assert text.strip(), "the error says nothing"
    assert "\n" not in text, f"the error has several lines: {text[:200]!r}"
    assert len(text) <= ERROR_LIMIT + 4 * size, f"the error is too long: {text[:200]!r}"
    assert SECRET not in text, f"the error repeats a secret: {text[:200]!r}"


# -------------------------------------------------------------------------------------------- texts

anything = st.text(st.characters(), max_size=20)
"""Text with control characters and lone surrogates."""
writable = st.text(max_size=20)
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from((10**400, -(10**400), 1e308, 5e-324, -0.0, 2**63)),
)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """A document with some of its nodes replaced, dropped, or repeated."""
    change = draw(st.integers(0, 19))
    if change == 0:
        return draw(json_values)
    if isinstance(document, dict):
        found = {key: draw(mutated(value)) for key, value in document.items()}
        if change == 1 and found:
            del found[draw(st.sampled_from(sorted(found)))]
        if change == 2:
            found[draw(anything)] = draw(json_values)
        return found
    if isinstance(document, list):
        found_items = [draw(mutated(each)) for each in document]
        return found_items * draw(st.integers(0, 2)) if change == 1 else found_items
    return document


def mutated_json(document: Any) -> st.SearchStrategy[str]:
    """The text of a mutated document, or of none."""
    return st.one_of(mutated(document).map(json.dumps), writable, st.just("[" * 100_000))


FRAGMENTS = (
    *("a", ": ", "- ", "\n", "  ", "\t", "[", "]", "{", "}", ",", "&a ", "*a", "<<: ", "|\n", "? "),
    *("2024-99-99", "2024-01-01T25:61:61Z", "!!int x", "!!float x", "!!timestamp x", "!!binary x"),
    *("!!set ", "!!python/object:os.system", "9" * 5000, "0x", ".nan", "'", '"', "#", "---\n", "%"),
)


def mutated_yaml(document: Any) -> st.SearchStrategy[str]:
    """The text of a mutated document, of pieces of YAML, or of pieces in place of a value."""
    pieces = st.lists(st.sampled_from(FRAGMENTS) | writable, max_size=12).map("".join)
    texts = mutated(document).map(lambda found: yaml.safe_dump(found, allow_unicode=True))
    laughs = "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
    )
    keys = sorted(document)
    in_place = st.tuples(st.sampled_from(keys), pieces).map(
        lambda found: yaml.safe_dump({**document, found[0]: "@"}).replace("'@'", found[1])
    )
    return st.one_of(texts, pieces, in_place, st.just(laughs), st.just("[" * 10_000))


@contextmanager
def in_folder(check: Callable[[Path, str], None]) -> Iterator[Check]:
    """A check of texts that writes to a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield lambda text: check(Path(folder), text)


def write(path: Path, text: str) -> Path:
    """Write bytes where the text is none that UTF-8 has."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


# ------------------------------------------------------------------------------------ distributions


def check_distribution(text: str) -> None:
    """A distribution has a mean, a variance, values, and a text that gives it again."""
    for read in (parse, parse_delay):
        try:
            found = read(text)
        except DistributionError as error:
            hold(error, len(text))
            continue
        assert math.isfinite(found.mean)
        assert found.variance >= 0
        draw = found.sampler(random.Random(1))
        assert all(math.isfinite(draw()) for _ in range(3))
        assert 0 <= found.cdf(found.mean) <= 1
        assert read(str(found)) == found


TOKENS = (
    *FAMILIES,
    *("mixture", "mean=", "sd=", "min=", "max=", "low=", "high=", "(", ")", ",", "*", "=", " "),
    *("0", "1", "-1", "0.5", "1e-99", "1e99", "1e400", "nan", "inf", "50", "10", "0.1", "0x1", "_"),
)
distribution_texts = st.one_of(
    anything,
    st.lists(st.sampled_from(TOKENS) | writable, max_size=15).map("".join),
    st.builds(
        "{}({}, {})".format,
        st.sampled_from(list(FAMILIES)),
        st.floats().map(repr),
        st.floats().map(repr),
    ),
    st.just("mixture(1*" * 2000),
)

# ----------------------------------------------------------------------------------------- settings

SECRETS = ("TOKEN", "SECRET", "PASSWORD", "HEADERS")
names = st.sampled_from(
    sorted(
        {
            each.prefix + field.name.upper()
            for each in (Settings, AuthSettings)
            for field in fields(each)
        }
        | set(VARIABLES)
        | {"RANDSVC_PROT", "OTEL_TYPO"}
    )
)
setting_texts = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
    st.sampled_from(
        (
            *("0", "-1", "1e999", "nan", "inf", "9" * 5000, "true", "none", "otlp", "prometheus"),
            *("http://a", "http://[", f"http://u:{SECRET}@a", "a=b", "a=http://b", "a\nb", "a,b"),
            *("normal(mean=50, sd=10)", "normal(", "/", "/dev/null", ".", "--help", "127.0.0.1"),
        )
    ),
)
environments = st.dictionaries(names, setting_texts, max_size=4)


@contextmanager
def ready_for_settings() -> Iterator[Check]:
    """Parse as the commands do, without what they start then."""
    with (
        patch("uvloop.run", lambda service: service.close()),
        patch("randsvc.logs.configure"),
        patch("randsvc.cli.main.raise_limit"),
        patch.object(sys, "argv", ["randsvc"]),
    ):
        yield check_settings


def check_settings(variables: Mapping[str, str]) -> None:
    """Settings are read, or one line says which of them cannot be."""
    environ = {
        name: SECRET + text if name.endswith(SECRETS) and "OTEL" not in name else text
        for name, text in variables.items()
    }
    size = sum(map(len, environ.values()))
    with patch.dict(os.environ, environ):
        for command in ("serve", "auth"):
            try:
                main([command])
            except SystemExit as end:
                hold(ValueError(end.code), size)
    try:
        environment.read_configuration(environ)
    except ConfigurationError as error:
        hold(error, size)


# -------------------------------------------------------------------------------------------- files

SCENARIO = yaml.safe_load((FOLDER / "model-slow.yaml").read_text())
OBJECTIVES = {
    "metric": "http_server_request_duration_seconds",
    "labels": {"route": "http_route"},
    "objectives": [
        {"name": "a", "job": "shop", "route": "/a", "objective": 0.99, "within": 0.5},
    ],
}
ANSWER = {
    "seed": 1,
    "value": "normal(mean=50, sd=10)",
    "delay": "constant(value=0.1)",
    "query": "up",
    "fault": "errors",
    "level": "critical",
    "since": "2026-11-24T10:00:00Z",
}
BOARD = {
    "panels": [
        {
            "title": "Traffic",
            "targets": [{"expr": "up"}],
            "fieldConfig": {"defaults": {"unit": "s"}},
            "panels": [{"title": "Errors", "targets": []}],
        }
    ]
}
BASELINE = json.loads(make_default_baseline_files()["randsvc/model/baseline/value.json"])
BASELINE["bins"] = BASELINE["bins"][:3]
BASELINE["count"] = sum(count for *_, count in BASELINE["bins"])


def check_scenario(folder: Path, text: str) -> None:
    """A scenario is read whole, or refused."""
    write(folder / "tried.yaml", text)
    try:
        read_scenario("tried", folder)
    except ScenarioError as error:
        hold(error, len(text))


def check_objectives(folder: Path, text: str) -> None:
    """A file of objectives is read whole, or refused."""
    try:
        load_subject(write(folder / "objectives.yaml", text), ())
    except ConfigurationError as error:
        hold(error, len(text))


def check_answer(folder: Path, text: str) -> None:
    """An answer to an exercise is read, or the learner gets a hint."""
    write(folder / "answer.yaml", text)
    for read in (recover.RECOVER.read, incident.INCIDENT.read):
        try:
            read(folder)
        except WorkError as error:
            hold(error, len(text))


def check_board(folder: Path, text: str) -> None:
    """A dashboard of a learner is read, or the learner gets a hint."""
    write(folder / "dashboard.json", text)
    try:
        dashboard.DASHBOARD.read(folder)
    except WorkError as error:
        hold(error, len(text))


def check_baseline(folder: Path, text: str) -> None:
    """A baseline gives finite numbers, or is refused."""
    try:
        described = describe(baseline_file.load(write(folder / "baseline.json", text)))
    except RecoveryError as error:
        hold(error, len(text))
        return
    for group in (described.shares, described.statistics, described.edges, described.quantiles):
        assert all(math.isfinite(number) for number in group.values()), described


# --------------------------------------------------------------------------------------- Prometheus

label_texts = st.one_of(
    st.sampled_from(
        (
            *(
                "randsvc",
                "auth",
                "randsvc_value",
                "/random",
                "200",
                "500",
                "0.1",
                "+Inf",
                "nan",
                "x",
            ),
            *(
                "critical",
                "minor",
                "none",
                "model",
                "fallback",
                "errors",
                "<script>",
                "a|b",
                "`",
                "",
            ),
        )
    ),
    anything,
)
labels = st.dictionaries(
    st.sampled_from(
        (
            *("__name__", "job", "instance", "le", "alertname", "level", "severity", "service"),
            *("alertstate", "http_route", "http_response_status_code", "randsvc_source"),
            *("randsvc_fault", "randsvc_outcome", "quantile", "error_type"),
            *("randsvc_distribution", "against", "randsvc_segment", "reason"),
        )
    ),
    label_texts,
    max_size=6,
)
BEGIN, END = 1_767_225_600, 1_767_232_800
"""Two hours."""
times = st.integers(BEGIN, END) | st.sampled_from((0, END * 1000, -1, "x", None, 1e300))
values = st.sampled_from(
    ("0", "1", "17.5", "NaN", "+Inf", "-Inf", "-3", "1e308", "", "x", "1e-320")
)
samples = st.tuples(times, values).map(list)
histograms = st.fixed_dictionaries(
    {"count": values, "sum": values},
    optional={
        "buckets": st.lists(
            st.tuples(st.integers(0, 3), values, values, values).map(list), max_size=3
        )
    },
)
series = st.fixed_dictionaries(
    {"metric": labels},
    optional={
        "value": samples,
        "values": st.lists(samples, max_size=4),
        "histogram": st.tuples(times, histograms).map(list),
        "histograms": st.lists(st.tuples(times, histograms).map(list), max_size=3),
    },
)
alerts = st.fixed_dictionaries(
    {"labels": labels, "annotations": labels, "state": label_texts, "activeAt": label_texts}
)
data = st.fixed_dictionaries(
    {"resultType": st.sampled_from(("vector", "matrix", "scalar", "x"))},
    optional={
        "result": st.lists(series, max_size=4),
        "alerts": st.lists(alerts, max_size=3),
        "groups": st.lists(
            st.fixed_dictionaries({"file": label_texts, "rules": json_values}), max_size=2
        ),
    },
)
bodies = st.one_of(
    data.map(lambda found: {"status": "success", "data": found}),
    data.flatmap(lambda found: mutated({"status": "success", "data": found})),
    st.fixed_dictionaries(
        {"status": st.just("error"), "error": anything, "errorType": label_texts}
    ),
).map(json.dumps)
answers = st.builds(
    Answer,
    status=st.sampled_from((200, 200, 200, 200, 204, 302, 400, 401, 422, 500, 503)),
    body=st.one_of(
        bodies.map(str.encode),
        st.binary(max_size=50),
        st.sampled_from((b"<html><body>Log in</body></html>", b"[" * 100_000, b"\xff\xfe", b"")),
    ),
    headers=st.dictionaries(
        st.sampled_from(("Content-Type", "Content-Encoding", "Location", "Set-Cookie")),
        st.sampled_from(
            ("application/json", "text/html; charset=x", "gzip", "br", "http://[", "/")
        ),
        max_size=2,
    ),
)


@contextmanager
def ready_for_prometheus(*commands: Sequence[str]) -> Iterator[Check]:
    """Run commands that read a Prometheus whose answers are those given."""
    with (
        tempfile.TemporaryDirectory() as folder,
        HostilePrometheus() as server,
        patch.object(sys, "argv", ["randsvc"]),
        patch.dict(os.environ, {"PROMETHEUS_TOKEN": SECRET}),
    ):

        def check(answer: Answer) -> None:
            server.answer = answer
            for command in commands:
                words = [word.replace("FOLDER", folder) for word in command]
                said = io.StringIO()
                try:
                    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                        main([*words, "--prometheus", server.url])
                except SystemExit as end:
                    if end.code:
                        hold(ValueError(end.code), len(answer.body))
                assert SECRET not in said.getvalue()

        yield check


@contextmanager
def ready_for_alerts() -> Iterator[Check]:
    """Fetch the alerts for the console."""
    with HostilePrometheus() as server:

        def check(answer: Answer) -> None:
            server.answer = answer
            try:
                found = asyncio.run(fetch_alerts(AsyncPrometheus(server.url, SECRET)))
            except PrometheusError as error:
                hold(error, len(answer.body))
            else:
                json.dumps(found, allow_nan=False).encode()

        yield check


# ------------------------------------------------------------------------------------ notifications

NOTIFICATION = {
    "version": "4",
    "status": "firing",
    "truncatedAlerts": 0,
    "alerts": [
        {
            "status": "resolved",
            "labels": {"alertname": "A", "level": "major", "service": "randsvc"},
            "annotations": {"summary": "s", "runbook_url": "http://a", "dashboard_url": "http://b"},
            "startsAt": "2026-01-02T03:04:05.678Z",
            "endsAt": "2026-01-02T03:04:05.678Z",
        }
    ],
}
notifications = st.tuples(
    st.sampled_from((*RECEIVERS, "nobody")),
    mutated_json(NOTIFICATION),
    st.sampled_from(("application/json", "text/plain", "application/json; charset=x", "")),
)


@contextmanager
def ready_for_notifications() -> Iterator[Check]:
    """Post to an inbox, and look at its pages."""
    with asyncio.Runner() as runner:
        client = runner.run(open_inbox())

        async def check(found: tuple[str, str, str]) -> None:
            receiver, text, content_type = found
            sent = await client.post(
                f"/{receiver}",
                data=text.encode("utf-8", "surrogatepass"),
                headers={"Content-Type": content_type},
            )
            said = await sent.text()
            assert sent.status in (204, 400, 404, 413, 415), f"{sent.status}: {said[:200]}"
            assert len(said) <= ERROR_LIMIT + 4 * len(text), f"the error is too long: {said[:200]}"
            for path in ("/", "/notifications"):
                page = await client.get(path)
                assert page.status == 200, f"{path}: {page.status}"
                await page.text()

        yield lambda found: runner.run(check(found))
        runner.run(client.close())


async def open_inbox() -> TestClient[Any, Any]:
    """An inbox of its own."""
    client = TestClient(TestServer(make_inbox()))
    await client.start_server()
    return client


PERIOD = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T02:00:00Z")
READING = ("--at", "2026-01-01T02:00:00Z", "--window", "1h")

PARSERS = (
    Parser(
        "distributions",
        distribution_texts,
        lambda: contextlib.nullcontext(check_distribution),
    ),
    Parser("settings and OTEL_ variables", environments, ready_for_settings, cost=2),
    Parser("baselines", mutated_json(BASELINE), lambda: in_folder(check_baseline)),
    Parser("scenarios", mutated_yaml(SCENARIO), lambda: in_folder(check_scenario)),
    Parser("objectives of reviews", mutated_yaml(OBJECTIVES), lambda: in_folder(check_objectives)),
    Parser("answers of exercises", mutated_yaml(ANSWER), lambda: in_folder(check_answer)),
    Parser("dashboards of exercises", mutated_json(BOARD), lambda: in_folder(check_board)),
    Parser(
        "Prometheus, read by recover and baseline",
        answers,
        lambda: ready_for_prometheus(
            ("recover", "value", "--json", *READING),
            ("recover", "http_request_duration_seconds", *READING),
            ("baseline", "save", "value", "--output", "FOLDER/value.json", *READING),
        ),
        cost=5,
    ),
    Parser(
        "Prometheus, read by review (labels, alerts)",
        answers,
        lambda: ready_for_prometheus(
            ("review", *PERIOD, "--output", "FOLDER/review.html", "--output", "FOLDER/review.json"),
        ),
        cost=20,
    ),
    Parser("Prometheus, alerts of the console", answers, ready_for_alerts),
    Parser("notifications", notifications, ready_for_notifications),
)
"""Whatever reads what others write."""
