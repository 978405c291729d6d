"""Recover and review an application that is not ours, in a Prometheus without our rules."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession

from randsvc.stack.addresses import find_unused_ports
from randsvc.stack.programs import Program, make_prometheus_of
from randsvc.stack.supervisor import run_programs, wait_until

GOOD, SLOW, BAD, OTHER = 300, 20, 10, 40
APP = Path(__file__).parents[1] / "support/media_app.py"
LENGTHS = [random.Random(7).gauss(45, 10) for _ in range(GOOD)]

OBJECTIVES = """
objectives:
  - name: clips-availability
    route: /clips/{id}
    objective: 0.99
  - name: clips-latency
    route: /clips/{id}
    objective: 0.9
    within: 0.05
  - name: no-bound
    route: /clips/{id}
    objective: 0.9
    within: 0.06
  - name: no-route
    route: /films/{id}
    objective: 0.9
"""


class Media(NamedTuple):
    """The URL of Prometheus, and the Unix time from which it pulled the application."""

    prometheus: str
    begun: float


@pytest.fixture(scope="module")
def media(
    programs: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Media]:
    """The application and a Prometheus that pulls it, after all requests have been counted."""
    folder = tmp_path_factory.mktemp("media")
    serving, scraping = find_unused_ports(2)
    book = {"media:8000": f"127.0.0.1:{serving}", "prometheus:9090": f"127.0.0.1:{scraping}"}
    job = {"job_name": "media", "static_configs": [{"targets": [book["media:8000"]]}]}
    config = {"global": {"scrape_interval": "500ms"}, "scrape_configs": [job]}
    application = Program(
        name="media",
        command=[sys.executable, str(APP), book["media:8000"].split(":")[1]],
        listens=["media:8000"],
        ready=("media:8000", "/metrics"),
    )
    prometheus = make_prometheus_of(config, programs, book, folder)
    with run_programs([application, prometheus], book, folder) as stack:
        begun = time.time()
        asyncio.run(send(stack.url("media:8000")))
        requests = "sum(http_server_request_duration_seconds_count{http_route=~'/clips.*|/'})"
        total = GOOD + SLOW + BAD + OTHER
        wait_until(lambda: stack.number(requests) == total, within=20)
        # A review is of a minute or more.
        wait_until(lambda: time.time() - begun > 61, within=61)
        yield Media(stack.url("prometheus:9090"), begun)


async def send(url: str) -> None:
    """Send the requests, some of them at once."""
    paths = [f"/clips/{i}?length={length}" for i, length in enumerate(LENGTHS)]
    paths += [f"/clips/slow-{i}" for i in range(SLOW)] + [f"/clips/bad-{i}" for i in range(BAD)]
    paths += ["/"] * OTHER
    async with ClientSession() as session, asyncio.TaskGroup() as group:
        at_once = asyncio.Semaphore(5)

        async def get(path: str) -> None:
            async with at_once, session.get(f"{url}{path}") as response:
                assert response.status == (500 if "bad" in path else 200)

        for path in paths:
            group.create_task(get(path))


def run(media: Media, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "randsvc", *arguments]
    return subprocess.run(
        [*command, "--prometheus", media.prometheus], capture_output=True, text=True
    )


def recovered(media: Media, *arguments: str) -> dict[str, Any]:
    done = run(media, "recover", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout, parse_constant=pytest.fail)
    return found


def test_the_latency_of_a_route_is_recovered_without_its_failures(media: Media) -> None:
    found = recovered(media, "latency", "--job", "media", "--route", "/clips/{id}")
    assert found["count"] == GOOD + SLOW
    assert sum(b["count"] for b in found["buckets"] if b["lower"] >= 0.05) >= SLOW


def test_any_histogram_is_recovered_by_its_labels(media: Media) -> None:
    found = recovered(media, "clip_length_seconds", "--match", "codec=av1", "--job", "media")
    assert found["count"] == GOOD + SLOW + BAD
    assert found["selector"] == 'clip_length_seconds{job="media", codec="av1"}'
    assert found["mean"]["value"] == pytest.approx(
        (sum(LENGTHS) + 30 * (SLOW + BAD)) / (GOOD + SLOW + BAD)
    )


def test_a_histogram_that_is_not_there_is_one_line(media: Media) -> None:
    done = run(media, "recover", "clip_length_seconds", "--job", "radio")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert 'has no histogram clip_length_seconds{job="radio"}' in done.stderr


def review(media: Media, folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """The figures by section, and the text."""
    files = folder / "review.json", folder / "review.md"
    output = [text for file in files for text in ("--output", str(file))]
    done = run(media, "review", "--from", f"{media.begun:.0f}", *arguments, *output)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(files[0].read_text(), parse_constant=pytest.fail)
    return figures["sections"], files[1].read_text()


def test_objectives_of_any_service_are_judged_and_what_cannot_be_is_said(
    media: Media, tmp_path: Path
) -> None:
    file = tmp_path / "objectives.yaml"
    file.write_text(OBJECTIVES)
    found, text = review(media, tmp_path, "--job", "media", "--objectives", str(file))
    availability, latency = (found["objectives"][f"clips-{x}"] for x in ("availability", "latency"))
    assert (availability["total"], availability["bad"]) == (GOOD + SLOW + BAD, BAD)
    assert latency["total"] == GOOD + SLOW
    assert SLOW <= latency["bad"] <= GOOD + SLOW
    assert "no-bound could not be judged: within 0.06 s is no upper bound of a bucket" in text
    assert "no-route could not be judged: no request of http_route='/films/{id}'" in text
    assert found["traffic"]["media /clips/{id}"]["requests"] == GOOD + SLOW + BAD
    assert found["coverage"]["media"]["seen"] > 0.5


def test_a_review_does_not_take_what_is_not_there_for_nothing(media: Media, tmp_path: Path) -> None:
    found, text = review(media, tmp_path, "--job", "media")
    assert "No objectives were given" in text
    assert "Incidents are not known: Prometheus has no alerting rules" in text
    assert found["traffic"]["media /"]["requests"] == OTHER
    assert found["traffic"]["media /clips/{id}"]["errors"] == BAD
    assert set(found["latency"]) == {"media /clips/{id}", "media /", "media /metrics"}
    unread = text.partition("## What could not be read")[2]
    for title in ("Saturation", "Seen from outside", "Fallback", "Drift", "Model quality"):
        assert f"- {title}: Prometheus has no " in unread
    assert "No request was counted" not in text


def test_a_job_that_prometheus_does_not_know_is_one_line(media: Media) -> None:
    done = run(media, "review", "--from", f"{media.begun:.0f}", "--job", "radio")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.rstrip().endswith("Jobs that it scrapes: media")
