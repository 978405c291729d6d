"""Exercise 3: the solution passes, the starter does not, and each mistake gets its hint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from randsvc.course import EXERCISES
from tests.support.exercises import Mistake, expect_passed, with_mistake

pytestmark = pytest.mark.native

EXERCISE = EXERCISES[3]


def board(hint: str, *edits: tuple[str, str]) -> Mistake:
    return Mistake("dashboard.json", edits, hint)


TRAFFIC = (
    'sum (rate(http_server_request_duration_seconds_count{job=\\"randsvc\\"}[$__rate_interval]))'
)
REQUESTS = f'"expr": "{TRAFFIC}"'
BUCKETS = TRAFFIC.replace("sum (", "sum by (le) (").replace("_count", "_bucket")
P99 = f"histogram_quantile(0.99, {BUCKETS})"
SHARE = f" or vector(0)) / {TRAFFIC}"
ACTIVE = 'sum (http_server_active_requests{job=\\"randsvc\\"})'
LIMIT = ' / sum (http_server_concurrency_limit{job=\\"randsvc\\"})'

MISTAKES = {
    "no JSON": board("dashboard.json is not JSON", ('"panels": [', '"panels": [,')),
    "no panels": board("has no list of panels", ('"panels"', '"rows"')),
    "a panel under another title": board("there is no panel Traffic", ("Traffic", "Requests")),
    "no query": board("the panel Traffic has no query", (REQUESTS, '"expr": ""')),
    "a query that is none": board("parse error", (REQUESTS, REQUESTS.replace("))", ")"))),
    "rate over a gauge": board(
        "Saturation: rate() of http_server_active_requests, which is a gauge",
        (ACTIVE, ACTIVE.replace("sum (", "sum (rate(").replace("})", "}[$__rate_interval]))")),
    ),
    "an average for a quantile": board(
        "Latency is an average",
        (P99, f"{TRAFFIC.replace('_count', '_sum')} / {TRAFFIC}"),
    ),
    "another quantile": board(
        "Latency shows", ("histogram_quantile(0.99", "histogram_quantile(0.9")
    ),
    "le lost on the way": board(
        "Latency shows no data while the service is healthy", ("by (le) ", "")
    ),
    "milliseconds": board(
        "both the metric and the unit s of the panel are in seconds",
        (P99, f"1000 * {P99}"),
        ("histogram_quantile(0.5, ", "1000 * histogram_quantile(0.5, "),
    ),
    "a window of its own": board(
        "Traffic has a fixed window", (REQUESTS, REQUESTS.replace("$__rate_interval", "5m"))
    ),
    "increase for rate": board(
        "increase() counts over the whole window",
        (REQUESTS, REQUESTS.replace("rate(", "increase(")),
    ),
    "a counter as it is": board(
        "a counter has the total since the start",
        (REQUESTS, REQUESTS.replace("rate(", "(").replace("[$__rate_interval]", "")),
    ),
    "errors that vanish when there are none": board(
        "Errors shows no data while the service is healthy", (" or vector(0)", "")
    ),
    "a number for a share": board(
        "divide the sum of the rates of 5xx responses by the sum of all rates",
        (SHARE, " or vector(0))"),
    ),
    "a share of a hundred": board(
        "percentunit expects a share from 0 to 1", (SHARE, f" or vector(0)) * 100 / {TRAFFIC}")
    ),
    "saturation without the limit": board(
        "divide the requests in progress by the concurrency limit", (LIMIT, "")
    ),
    "no unit": board("the unit of Traffic is not set, expected reqps", ('"unit": "reqps",', "")),
    "the wrong unit": board(
        "the unit of Latency is ms, expected s", ('"unit": "s"', '"unit": "ms"')
    ),
}


@pytest.fixture(scope="module")
def system() -> Iterator[Any]:
    with EXERCISE.run_system(None) as system:
        yield system


def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step(system: Any) -> None:
    hint = EXERCISE.grade_on(system, EXERCISE.starter).hint
    assert hint.startswith("the panel Traffic has no query")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_its_hint(name: str, system: Any, tmp_path: Path) -> None:
    mistake = MISTAKES[name]
    grade = EXERCISE.grade_on(system, with_mistake(EXERCISE, mistake, tmp_path))
    assert mistake.hint in grade.hint, grade


def test_a_series_for_each_status_is_traffic_too(system: Any, tmp_path: Path) -> None:
    by_status = REQUESTS.replace("sum (", "sum by (http_response_status_code) (")
    work = with_mistake(EXERCISE, board("", (REQUESTS, by_status)), tmp_path)
    expect_passed(EXERCISE.grade_on(system, work), EXERCISE)


def test_a_dashboard_from_grafanas_api_is_read_too(system: Any, tmp_path: Path) -> None:
    text = (EXERCISE.solution / "dashboard.json").read_text()
    (tmp_path / "dashboard.json").write_text(f'{{"dashboard": {text}, "meta": {{}}}}')
    expect_passed(EXERCISE.grade_on(system, tmp_path), EXERCISE)


def test_a_folder_without_work_is_named(tmp_path: Path) -> None:
    assert EXERCISE.grade(tmp_path).hint == f"there is no {tmp_path}/dashboard.json"
