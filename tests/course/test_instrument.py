"""Exercise 1: the solution passes, the starter does not, and each mistake gets its hint."""

from pathlib import Path

import pytest

from randsvc.course import EXERCISES
from tests.support.exercises import Mistake, expect_passed, with_mistake

EXERCISE = EXERCISES[1]


def app(hint: str, *edits: tuple[str, str]) -> Mistake:
    return Mistake("app.py", edits, hint)


COUNT = "        REQUESTS.labels(route, status).inc()\n"
OBSERVE = "        DURATION.labels(route).observe(perf_counter() - started)\n"
FINALLY = f"    finally:\n{COUNT}{OBSERVE}"
RETURN = "        return response\n    except"
COUNTER = 'REQUESTS = Counter(\n    "shop_requests"'
HISTOGRAM = "DURATION = Histogram("
TRACKED = (
    "        with IN_PROGRESS.track_inprogress():\n            response = await handler(request)\n"
)
HANDLED_STATUS = "        status = response.status\n"
HANDLED = "        response = await handler(request)\n"
BOUNDS = "buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),"
DURATION_BLOCK = f"""{HISTOGRAM}
    "shop_request_duration_seconds",
    "Request durations.",
    ["route"],
    # The buckets of the OpenTelemetry semantic conventions.
    {BOUNDS}
)"""
SIMPLER = DURATION_BLOCK.replace(
    "    # The buckets of the OpenTelemetry semantic conventions.\n", ""
).replace(f"    {BOUNDS}\n", "")

MISTAKES = {
    "a gauge for a counter": app(
        "shop_requests_total is a gauge: use a Counter for a number that only increases",
        (COUNTER, 'REQUESTS = Gauge(\n    "shop_requests_total"'),
    ),
    "a counter that is set back": app(
        "a counter must not decrease while its process runs",
        (
            "    return web.Response(body=generate_latest()",
            "    body = generate_latest()\n    REQUESTS.clear()\n    return web.Response(body=body",
        ),
    ),
    "no counter": app("there is no metric shop_requests_total", ('"shop_requests"', '"requests"')),
    "no status": app(
        "shop_requests_total has no label status: it distinguishes errors from successes",
        ('["route", "status"]', '["route"]'),
        ("REQUESTS.labels(route, status)", "REQUESTS.labels(route)"),
    ),
    "no route": app(
        "shop_requests_total has no label route: without it the other routes hide a slow or "
        "failing",
        ('["route", "status"]', '["status"]'),
        ("REQUESTS.labels(route, status)", "REQUESTS.labels(status)"),
    ),
    "the raw path as a label": app(
        "Clients can invent any number of paths, and each adds a series",
        ('resource.canonical if resource else "none"', "request.path"),
    ),
    "the raw path where no route matches": app(
        "and one fixed value if resource is None", ('else "none"', "else request.path")
    ),
    "an item as a label": app(
        'shop_items_total{item="tea"}: this value is from the path',
        ("IN_PROGRESS = ", 'ITEMS = Counter("shop_items", "Items.", ["item"])\nIN_PROGRESS = '),
        ("    if name not in PRICES", "    ITEMS.labels(name).inc()\n    if name not in PRICES"),
    ),
    "one route for all": app(
        "expected /items/{name}, /orders, and one value for requests that match no route",
        ('resource.canonical if resource else "none"', '"all"'),
    ),
    "errors lost on exceptions": app(
        "requests that end in an exception are lost: after an exception the following lines do",
        (COUNT, ""),
        (HANDLED_STATUS, f"{HANDLED_STATUS}{COUNT}"),
        ("exception.status\n", f"exception.status\n{COUNT}"),
    ),
    "exceptions counted as successes": app(
        "shop_requests_total{status=", ("status = 500", "status = 200")
    ),
    "raised answers counted as errors": app(
        "a handler can also respond by raising web.HTTPException, which has the status in",
        ("        status = exception.status\n", ""),
    ),
    "what no route matches is left out": app(
        "only a middleware sees requests that match no route",
        (COUNT, f"        if resource:\n    {COUNT}"),
    ),
    "everything counted twice": app("count each request once", (COUNT, COUNT * 2)),
    "an average in a gauge": app(
        "shop_request_duration_seconds is a gauge, which has one number",
        (DURATION_BLOCK, SIMPLER.replace("Histogram", "Gauge")),
        (".observe(", ".set("),
    ),
    "an average by a summary": app(
        "is a summary, from which only an average can be computed",
        (DURATION_BLOCK, SIMPLER.replace("Histogram", "Summary")),
        (
            "import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram",
            "import *\nfrom prometheus_client import CONTENT_TYPE_LATEST",
        ),
    ),
    "an average by another name": app(
        "there is shop_request_duration_avg_seconds, from which only an average can be computed",
        (
            DURATION_BLOCK,
            SIMPLER.replace("Histogram", "Gauge").replace("duration_", "duration_avg_"),
        ),
        (".observe(", ".set("),
    ),
    "milliseconds": app(
        "record seconds, as the name says, not milliseconds",
        ("(perf_counter() - started)", "(1000 * (perf_counter() - started))"),
    ),
    "the clock stopped before the handler": app(
        "start the clock before you await the handler",
        (FINALLY, FINALLY.replace("perf_counter() - started", "0.0")),
    ),
    "durations of failures lost": app(
        "requests failed; observe in `finally`",
        (OBSERVE, ""),
        (RETURN, f"{OBSERVE}{RETURN}"),
    ),
    "buckets too wide": app(
        "so add a bound between them and one above", (BOUNDS, "buckets=(1, 10),")
    ),
    "buckets that end too early": app(
        "so add a bound between them and one above", (BOUNDS, "buckets=(0.01, 0.1),")
    ),
    "in progress never": app("but shop_requests_in_progress was 0 at most", (TRACKED, HANDLED)),
    "in progress for ever": app(
        "an exception skips the decrement",
        (TRACKED, f"        IN_PROGRESS.inc()\n{HANDLED}        IN_PROGRESS.dec()\n"),
    ),
    "a counter for a gauge": app(
        "shop_requests_in_progress is a counter: use a Gauge for a number that rises and falls",
        ('Gauge("shop_requests_in_progress"', 'Counter("shop_requests_in_progress"'),
        (TRACKED, f"        IN_PROGRESS.inc()\n{HANDLED}"),
    ),
    "an exception made an answer": app(
        "an exception (POST /orders) now gets status 200; the unchanged shop responds with 500",
        ("    finally:", "    except KeyError:\n        return web.Response()\n    finally:"),
    ),
    "a crash at start": app(
        "app.py ended with exit code 1; its last output:\n",
        ("PRICES = {", "PRICES = unknown\nPRICES = {"),
    ),
    "a crash while serving": app(
        "app.py ended with exit code 3",
        ("    try:\n        order", "    os._exit(3)\n    try:\n        order"),
    ),
    "a page in a format of its own": app(
        "GET /metrics is not in the Prometheus text format",
        ("body=generate_latest()", "body=b'requests: 3 {'"),
    ),
}


def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step() -> None:
    hint = EXERCISE.grade(EXERCISE.starter).hint
    assert hint.startswith("GET /metrics gets status 404: add a route")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_its_hint(name: str, tmp_path: Path) -> None:
    mistake = MISTAKES[name]
    grade = EXERCISE.grade(with_mistake(EXERCISE, mistake, tmp_path))
    assert mistake.hint in grade.hint, grade


def test_a_learner_sees_the_output_of_their_program_and_no_traceback_of_ours(
    tmp_path: Path,
) -> None:
    mistake = MISTAKES["a crash at start"]
    hint = EXERCISE.grade(with_mistake(EXERCISE, mistake, tmp_path)).hint
    assert "NameError: name 'unknown' is not defined" in hint
    assert "observability" not in hint


def test_a_program_that_does_not_listen_gets_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("randsvc.course.learner_program.START_WITHIN", 1.0)
    (tmp_path / "app.py").write_text("import time\ntime.sleep(60)\n")
    hint = EXERCISE.grade(tmp_path).hint
    assert hint.startswith("app.py does not listen at 127.0.0.1:$PORT within 1 s")


def test_a_folder_without_work_is_named(tmp_path: Path) -> None:
    assert EXERCISE.grade(tmp_path).hint == f"there is no {tmp_path}/app.py"
