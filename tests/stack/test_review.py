"""The review of a simulated quarter, in a real Prometheus, against what happened in it."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from randsvc.metrics import VALUE
from randsvc.stack.addresses import find_unused_ports
from tests.support.quarter import (
    AUTH_DOWN,
    BLIND,
    BOUNDS,
    END,
    EVALUATION,
    MEAN,
    START,
    STEP,
    Quarter,
    at,
    serve,
)

SERVICES = {"auth": "/login", "randsvc": "/random"}


@pytest.fixture(scope="module")
def quarter() -> Quarter:
    return Quarter()


@pytest.fixture(scope="module")
def prometheus(
    programs: Path,
    quarter: Quarter,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A Prometheus that has recorded the quarter and the one before; gives its URL."""
    folder = tmp_path_factory.mktemp("quarter")
    (port,) = find_unused_ports(1)
    with serve(quarter, programs, folder, port) as url:
        yield url


@pytest.fixture(scope="module")
def found(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of the review, by section."""
    file = tmp_path_factory.mktemp("review") / "review.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "randsvc", "review", "--from", f"{START:.0f}"),
            *("--to", f"{END:.0f}", "--prometheus", prometheus, "--output", file),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    sections: dict[str, Any] = json.loads(file.read_text(), parse_constant=pytest.fail)["sections"]
    return sections


@pytest.mark.parametrize("service", SERVICES)
def test_every_request_that_was_scraped_is_counted_once(
    found: dict[str, Any], quarter: Quarter, service: str
) -> None:
    path = SERVICES[service]
    now, before = (quarter.counted(service, path, quarter=q) for q in (True, False))
    traffic = found["traffic"][f"{service} {path}"]
    assert traffic["requests"] == sum(each.sum() for each in now.values())
    assert traffic["requests_before"] == sum(each.sum() for each in before.values())
    assert traffic["errors"] == now["500"].sum()


@pytest.mark.parametrize("service", SERVICES)
def test_requests_in_gaps_are_counted_separately(
    found: dict[str, Any], quarter: Quarter, service: str
) -> None:
    traffic = found["traffic"][f"{service} {SERVICES[service]}"]
    across = quarter.across_gaps(service)
    counted = sum(
        (quarter.happened[route] - quarter.lost[route]).sum(axis=1)
        for route in quarter.happened
        if route.service == service
    )
    assert traffic["unseen_requests"] == counted[across].sum() > 0
    seen = quarter.within & ~across
    assert traffic["per_second"] == pytest.approx(counted[seen].sum() / (seen.sum() * STEP))


@pytest.mark.parametrize(
    ("objective", "service", "share", "within"),
    [
        ("random-availability", "randsvc", 0.995, None),
        ("random-latency", "randsvc", 0.98, 0.5),
        ("login-availability", "auth", 0.995, None),
        ("login-latency", "auth", 0.98, 0.25),
    ],
)
def test_objectives_are_attained_as_they_were(
    found: dict[str, Any],
    quarter: Quarter,
    objective: str,
    service: str,
    share: float,
    within: float | None,
) -> None:
    def expected(*, in_quarter: bool) -> tuple[int, int]:
        by_status = quarter.counted(service, SERVICES[service], quarter=in_quarter)
        if within is None:
            return sum(int(each.sum()) for each in by_status.values()), int(by_status["500"].sum())
        served = np.sum([each for status, each in by_status.items() if status != "500"], axis=0)
        return int(served.sum()), int(served[BOUNDS.index(within) + 1 :].sum())

    this = found["objectives"][objective]
    total, bad = expected(in_quarter=True)
    assert (this["total"], this["bad"]) == (total, bad)
    assert this["attained"] == pytest.approx(1 - bad / total, abs=1e-12)
    assert this["budget_left"] == pytest.approx(1 - bad / total / (1 - share), abs=1e-9)
    total, bad = expected(in_quarter=False)
    assert this["attained_before"] == pytest.approx(1 - bad / total, abs=1e-12)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_a_quantile_lies_in_its_bucket(
    found: dict[str, Any], quarter: Quarter, service: str, q: float
) -> None:
    path = SERVICES[service]
    by_status = quarter.counted(service, path)
    served = np.sum([each for status, each in by_status.items() if status != "500"], axis=0)
    bucket = int(np.searchsorted(served.cumsum(), q * served.sum()))
    quantile = found["latency"][f"{service} {path}"][f"p{q * 100:g}"]
    assert (quantile["low"], quantile["high"]) == (BOUNDS[bucket - 1], BOUNDS[bucket])
    assert quantile["low"] <= quantile["value"] <= quantile["high"]


def test_incidents_are_those_that_were(found: dict[str, Any]) -> None:
    incidents = {
        (each["alert"], each["level"], each["start"]): (
            each["end"],
            each["fault"],
            each["seconds_to_detect"],
            each["seconds_to_clear"],
        )
        for each in found["incidents"]["each"]
    }
    hour, day = 3600, 86400
    (_, blind_end), (login_blind, _) = BLIND
    failing, replaced = "RandsvcRandomFailing", "RandsvcModelReplaced"
    assert blind_end < at(35, 14)
    assert incidents == {
        # A short interruption is none; it follows a fault, though it was pending later.
        (failing, "critical", at(10, 1)): (at(10, 3), "errors", 180, 2 * hour),
        (failing, "minor", at(10, 6)): (at(12, 6), None, None, 2 * day),
        (replaced, "major", at(50, 1)): (at(50, 2), None, 300, hour),
        (replaced, "major", at(50, 8)): (at(50, 9), "model-down", 330, hour),
        # Across a gap in the data it is one.
        ("RandsvcEventLoopBlocked", "major", at(35, 1)): (at(35, 14), None, None, 13 * hour),
        # The data ended with it.
        ("RandsvcLoginSlow", "major", at(60, 0)): (login_blind - EVALUATION, None, None, None),
        ("RandsvcServiceDown", "critical", at(70, 6) + 90): (
            *(at(70, 9), None, None),
            3 * hour - 90,
        ),
    }
    assert {
        level: found["incidents"][level]["number"] for level in ("critical", "major", "minor")
    } == {
        "critical": 2,
        "major": 4,
        "minor": 1,
    }
    assert found["incidents"]["major"]["number_before"] == 1
    assert found["incidents"]["major"]["seconds_to_detect"] == {"median": 315, "longest": 330}


def test_gaps_are_where_nothing_was_scraped(found: dict[str, Any]) -> None:
    def gaps(service: str) -> list[tuple[float, float]]:
        return [(gap["start"], gap["end"]) for gap in found["coverage"][service]["gaps"]]

    assert gaps("randsvc") == list(BLIND)
    assert gaps("auth") == [*BLIND, AUTH_DOWN]
    blind = sum(end - start for start, end in BLIND)
    assert found["coverage"]["randsvc"]["seen"] == pytest.approx(1 - blind / (END - START))
    assert found["objectives"]["random-latency"]["seen"] == found["coverage"]["randsvc"]["seen"]


def test_the_fallback_stood_in_as_often_as_it_did(found: dict[str, Any], quarter: Quarter) -> None:
    ended = quarter.lost[next(iter(quarter.lost))].sum(axis=1) > 0
    kept = quarter.within & ~ended
    expected = {source: events[kept].sum() for source, events in quarter.predicted.items()}
    assert found["fallback"]["fallback"] == expected["fallback"]
    assert found["fallback"]["predictions"] == sum(expected.values())


def test_gauges_are_of_the_samples_that_were_taken(found: dict[str, Any], quarter: Quarter) -> None:
    taken = quarter.within & quarter.seen("randsvc")
    saturation = quarter.saturation[taken]
    assert found["saturation"]["randsvc"]["mean"] == pytest.approx(saturation.mean())
    assert found["saturation"]["randsvc"]["greatest"] == saturation.max()
    assert found["outside"]["auth"]["probes"] == taken.sum()
    assert found["outside"]["auth"]["succeeded"] == pytest.approx(quarter.probes[taken].mean())


def test_drift_is_how_far_the_distribution_has_moved(found: dict[str, Any]) -> None:
    now, before = (NormalDist(MEAN[in_quarter], 10) for in_quarter in (True, False))
    edges = (-math.inf, *VALUE.buckets, math.inf)
    distance = sum(
        abs((now.cdf(b) - now.cdf(a)) - (before.cdf(b) - before.cdf(a))) for a, b in pairwise(edges)
    )
    assert found["drift"]["distance"] == pytest.approx(distance, rel=0.02)
    assert found["drift"]["mean"] == pytest.approx(MEAN[True], abs=0.1)
    assert found["drift"]["mean_before"] == pytest.approx(MEAN[False], abs=0.1)


def test_a_metric_without_data_is_no_figure(found: dict[str, Any]) -> None:
    assert found["quality"] == {}
    assert "randsvc" not in found["outside"]


def test_a_post_mortem_counts_the_requests_of_its_incident(
    prometheus: str, quarter: Quarter, tmp_path: Path
) -> None:
    file = tmp_path / "post-mortem.md"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "randsvc", "review", "post-mortem", "--from", f"{START:.0f}"),
            *("--to", f"{END:.0f}", "--prometheus", prometheus, "--output", file),
            *("--alert", "RandsvcRandomFailing"),
            *("--inbox", "http://127.0.0.1:1", "--alertmanager", "http://127.0.0.1:1"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    # From the fault to the last sample of the alert.
    during = (at(10, 1) - 180 < quarter.times) & (quarter.times <= at(10, 3))
    total, bad = (
        sum(
            int(events[during].sum())
            for route, events in quarter.happened.items()
            if route.path == "/random" and route.status in statuses
        )
        for statuses in (("200", "500"), ("500",))
    )
    whole = sum(int(each.sum()) for each in quarter.counted("randsvc", "/random").values())
    assert bad > 0
    assert (
        f"| /random without error | {total:,} | {bad:,} | "
        f"{100 * bad / total:.1f}% | {math.floor(0.005 * whole):,} |" in text
    )
    assert "RandsvcRandomFailing detected it 3 min after the fault errors was set." in text
    assert "| 00:58:00 | The condition of RandsvcRandomFailing (critical) holds. |" in text
    assert "Notifications: not known, as the inbox did not respond." in text
