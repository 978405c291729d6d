"""Exercise 2: the solution passes, the starter does not, and answers are judged rightly."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from randsvc.course import EXERCISES, configure
from tests.course.corpus import FAMILIES, Judge, judging, take_sample
from tests.course.corpus.answer import Answer
from tests.support.exercises import expect_passed

pytestmark = pytest.mark.native

EXERCISE = EXERCISES[2]


SAMPLE = take_sample("configuration", 7) + take_sample("queries", 7)


def test_the_solution_passes() -> None:
    expect_passed(EXERCISE.grade(EXERCISE.solution), EXERCISE)


def test_the_starter_gets_a_hint_for_its_first_step() -> None:
    hint = EXERCISE.grade(EXERCISE.starter).hint
    assert hint == "prometheus.yml has no job randsvc: scrape_configs is empty"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with judging(FAMILIES["configuration"], []) as judge:
        yield judge


@pytest.mark.parametrize(("name", "answer"), SAMPLE)
def test_an_answer_is_judged_rightly(name: str, answer: Answer, judge: Judge) -> None:
    assert not judge.explain(answer), name


@pytest.fixture
def slow_service(judge: Judge) -> Iterator[Any]:
    """The system of the exercise, whose service answers a scrape after 0.6 s."""
    stack = judge.system

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = stack.get("randsvc:9464", self.path)
            time.sleep(0.6)
            with suppress(OSError):  # of a scrape that has given up
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(page)

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield SimpleNamespace(book={"randsvc:9464": f"127.0.0.1:{server.server_port}"})
        server.shutdown()


def test_a_service_that_is_too_busy_for_the_first_scrapes_is_given_longer(
    slow_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SCRAPES": 3, "SCRAPES_WHEN_DOWN": 3, "LONGER_INTERVAL": "1500ms"}.items():
        monkeypatch.setattr(configure, name, value)
    expect_passed(EXERCISE.grade_on(slow_service, EXERCISE.solution), EXERCISE)


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
