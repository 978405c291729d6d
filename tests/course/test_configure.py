"""Exercise 2: the solution passes, the starter does not, and each mistake gets its hint."""

import shutil
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
        "has no job randsvc: its jobs are service", ("job_name: randsvc", "job_name: service")
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
    "a syntax error": rules("could not parse expression", (f"{COUNT})", COUNT)),
    "rules that are not loaded": config(
        "rule_files in prometheus.yml matches no file", ("[rules.yml]", "[]")
    ),
    "another name": rules(
        "there is no rule with `record: job:requests:rate1m`",
        ("- record: job:requests:rate1m", "- record: job:requests"),
    ),
    "an unknown metric": rules(
        "job:requests:rate1m has no data from the service: the service has no metric "
        "http_requests_total",
        (COUNT, 'rate(http_requests_total{job="randsvc"}[1m])'),
    ),
    "an unknown label": rules(
        "job:requests:rate1m has no data from the service: check that the service has the labels",
        (COUNT, COUNT.replace("job=", "service=")),
    ),
    "rate over a gauge": rules(
        "job:saturation:ratio: rate() of http_server_active_requests, which is a gauge",
        (ACTIVE, f"rate({ACTIVE}[1m])"),
    ),
    "rate of a sum": rules(
        "Use rate() first, then sum()",
        (COUNT, COUNT.replace("rate(", "rate(sum by (job) (").replace("[1m]", ")[1m:1s]")),
    ),
    "a counter as it is": rules(
        "a counter has the total since the start",
        (COUNT, COUNT.removeprefix("rate(").removesuffix("[1m])")),
    ),
    "increase for rate": rules(
        "increase() counts over the whole minute", (COUNT, COUNT.replace("rate", "increase"))
    ),
    "only successes": rules(
        "job:requests:rate1m is 10, expected 11 requests/s: sum all statuses, including 404 and "
        "500",
        (COUNT, COUNT.replace("}", ',http_response_status_code="200"}')),
    ),
    "a series for each instance": rules(
        "job:requests:rate1m has the labels instance, job; expected only job, as one series",
        (f"sum by (job) ({COUNT})", f"sum by (job, instance) ({COUNT})"),
    ),
    "an average for a quantile": rules(
        "job:latency_seconds:p99_rate1m is an average",
        (QUANTILE, f"sum by (job) ({COUNT.replace('_count', '_sum')}) / sum by (job) ({COUNT})"),
    ),
    "another quantile": rules("when 5% of the requests take 0.9 s", ("0.99,", "0.5,")),
    "le lost on the way": rules(
        "has no data from the service", ("sum by (job, le)", "sum by (job)")
    ),
    "a number for a share": rules(
        "job:saturation:ratio is 6, expected 0.03: each of two instances has 3 requests in "
        "progress",
        ('            / sum by (job) (http_server_concurrency_limit{job="randsvc"})\n', ""),
    ),
    "no alert": rules("there is no rule with `alert: TooManyErrors`", ("TooManyErrors", "Errors")),
    "no level": rules("has no label `level: major`", ("level: major", "team: shop")),
    "no number": rules("does not contain the share", ("{{ $value | humanizePercentage }}", "Some")),
    "an alert that fires when healthy": rules(
        "fires for a healthy service, which has only a few 404", ('=~"5.."', '!="200"')
    ),
    "an alert on a number": rules("fires when 2% of many requests fail", (SHARE, "> 0.5")),
    "an alert on a slow service": rules(
        "fires when the service is slow and no request fails",
        (SHARE, "> 9 or job:latency_seconds:p99_rate1m > 0.5"),
    ),
    "no for": rules(
        "fires after 90 s: with `for: 2m` a short burst wakes nobody", ("        for: 2m\n", "")
    ),
    "a for that is too long": rules("Its `for` is 20m; expected 2m", ("for: 2m", "for: 20m")),
    "a share of a hundred": rules("does not fire", ("> 0.05", "> 5")),
    "a window that is too long": rules(
        "still fires 4 minutes after the last error",
        ("for: 2m", "for: 2m\n        keep_firing_for: 10m"),
    ),
}


@pytest.fixture(scope="module")
def service() -> Iterator[Stack]:
    with EXERCISE.run_system(None) as service:
        yield service


def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step(service: Stack) -> None:
    hint = EXERCISE.grade_on(service, EXERCISE.starter).hint
    assert hint == "prometheus.yml has no job randsvc: scrape_configs is empty"


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_its_hint(name: str, service: Stack, tmp_path: Path) -> None:
    mistake = MISTAKES[name]
    grade = EXERCISE.grade_on(service, with_mistake(EXERCISE, mistake, tmp_path))
    assert mistake.hint in grade.hint, grade


def test_a_folder_without_work_is_named(tmp_path: Path) -> None:
    assert EXERCISE.grade(tmp_path).hint == f"there is no {tmp_path}/prometheus.yml"


def test_rule_files_may_have_absolute_paths(tmp_path: Path) -> None:
    shutil.copytree(EXERCISE.solution, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "prometheus.yml"
    text = config.read_text()
    relative = EXERCISE.read(tmp_path)
    pattern = str(next(iter(relative.config["rule_files"])))
    config.write_text(text.replace(pattern, str(tmp_path / pattern)))
    absolute = EXERCISE.read(tmp_path)
    assert absolute.rule_files == relative.rule_files
    assert absolute.rules == relative.rules
