"""Exercise 2: the solution passes, the starter does not, and each mistake is told by its hint."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from randsvc.course import EXERCISES
from randsvc.stack.supervisor import Stack
from tests.support.exercises import Mistake, expect_passed, with_mistake

pytestmark = pytest.mark.native

EXERCISE = EXERCISES[2]


def config(hint: str, *edits: tuple[str, str]) -> Mistake:
    return Mistake("prometheus.yml", edits, hint)


def rules(hint: str, *edits: tuple[str, str]) -> Mistake:
    return Mistake("rules.yml", edits, hint)


COUNT = 'rate(http_server_request_duration_seconds_count{job="randsvc"}[1m])'
BUCKETS = COUNT.replace("_count", "_bucket")
QUANTILE = f"histogram_quantile(0.99,\n            sum by (job, le) ({BUCKETS}))"
ACTIVE = 'http_server_active_requests{job="randsvc"}'
SHARE = "/ job:requests:rate1m > 0.05"

MISTAKES = {
    "no job": config(
        "has no job randsvc: there is service", ("job_name: randsvc", "job_name: service")
    ),
    "no target": config(
        "the job randsvc has no target", ("targets: [localhost:9464]", "targets: []")
    ),
    "the public port": config(
        "/metrics is at the management port, localhost:9464", ("localhost:9464", "localhost:1")
    ),
    "a misspelt field": config(
        "promtool check config: parsing YAML file", ("scrape_configs", "scrape_config")
    ),
    "an expression that is none": rules("could not parse expression", (f"{COUNT})", COUNT)),
    "rules that are not read": config("names no file that there is", ("[rules.yml]", "[]")),
    "another name": rules(
        "there is no rule with record: job:requests:rate1m",
        ("- record: job:requests:rate1m", "- record: job:requests"),
    ),
    "a metric that there is not": rules(
        "job:requests:rate1m has no data from the service: the service has no http_requests_total",
        (COUNT, 'rate(http_requests_total{job="randsvc"}[1m])'),
    ),
    "a label that there is not": rules(
        "job:requests:rate1m has no data from the service: are the labels",
        (COUNT, COUNT.replace("job=", "service=")),
    ),
    "rate over a gauge": rules(
        "job:saturation:ratio: rate() of http_server_active_requests, which is a gauge",
        (ACTIVE, f"rate({ACTIVE}[1m])"),
    ),
    "rate of a sum": rules(
        "First rate(), then sum()",
        (COUNT, COUNT.replace("rate(", "rate(sum by (job) (").replace("[1m]", ")[1m:1s]")),
    ),
    "a counter as it is": rules(
        "a counter says how many there ever were",
        (COUNT, COUNT.removeprefix("rate(").removesuffix("[1m])")),
    ),
    "increase for rate": rules(
        "increase() is of the whole minute", (COUNT, COUNT.replace("rate", "increase"))
    ),
    "only what was answered well": rules(
        "job:requests:rate1m is 10 where 11 requests come each second, 404 and 500 included",
        (COUNT, COUNT.replace("}", ',http_response_status_code="200"}')),
    ),
    "a series for each instance": rules(
        "job:requests:rate1m has the labels instance, job, and should be one series for the job",
        (f"sum by (job) ({COUNT})", f"sum by (job, instance) ({COUNT})"),
    ),
    "an average for a quantile": rules(
        "job:latency_seconds:p99_rate1m is an average",
        (QUANTILE, f"sum by (job) ({COUNT.replace('_count', '_sum')}) / sum by (job) ({COUNT})"),
    ),
    "another quantile": rules("where 5% take 0.9 s", ("0.99,", "0.5,")),
    "le lost on the way": rules(
        "has no data from the service", ("sum by (job, le)", "sum by (job)")
    ),
    "a number for a share": rules(
        "job:saturation:ratio is 6 where 3 of 100 are in a handler in each of two instances",
        ('            / sum by (job) (http_server_concurrency_limit{job="randsvc"})\n', ""),
    ),
    "no alert": rules("there is no rule with alert: TooManyErrors", ("TooManyErrors", "Errors")),
    "no level": rules("has no label level: major", ("level: major", "team: shop")),
    "no number": rules("says no number", ("{{ $value | humanizePercentage }}", "Some")),
    "an alert that fires when healthy": rules(
        "fires when healthy: nothing failed but a few 404", ('=~"5.."', '!="200"')
    ),
    "an alert on a number": rules("fires on a busy day", (SHARE, "> 0.5")),
    "an alert on a slow service": rules(
        "fires when the service is slow and nothing fails",
        (SHARE, "> 9 or job:latency_seconds:p99_rate1m > 0.5"),
    ),
    "no for": rules("fires after 90 s: `for: 2m` keeps", ("        for: 2m\n", "")),
    "a for that is too long": rules("its `for` is 20m, expected 2m", ("for: 2m", "for: 20m")),
    "a share of a hundred": rules("does not fire", ("> 0.05", "> 5")),
    "a window that is too long": rules(
        "still fires 4 minutes after the last error",
        ("for: 2m", "for: 2m\n        keep_firing_for: 10m"),
    ),
}


@pytest.fixture(scope="module")
def service() -> Iterator[Stack]:
    with EXERCISE.system(None) as service:
        yield service


def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_is_told_how_to_begin(service: Stack) -> None:
    hint = EXERCISE.grade_on(service, EXERCISE.starter).hint
    assert hint == "prometheus.yml has no job randsvc: scrape_configs is empty"


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_its_hint(name: str, service: Stack, tmp_path: Path) -> None:
    mistake = MISTAKES[name]
    grade = EXERCISE.grade_on(service, with_mistake(EXERCISE, mistake, tmp_path))
    assert mistake.hint in grade.hint, grade


def test_a_folder_without_work_is_named(tmp_path: Path) -> None:
    assert EXERCISE.grade(tmp_path).hint == f"there is no {tmp_path}/prometheus.yml"
