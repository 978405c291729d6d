import random

import pytest

from randsvc.management.console.signals import compute_quantile, compute_sample, compute_totals
from randsvc.metrics import FAULT_ACTIVE, MODEL_ERRORS, PREDICTIONS
from randsvc.telemetry.catalogue import (
    ACTIVE_REQUESTS,
    CLIENT_LEFT,
    CONCURRENCY_LIMIT,
    EVENT_LOOP_LAG,
    PROCESS_CPU_TIME,
    REQUEST_DURATION,
)
from randsvc.telemetry.snapshot import Exponential
from tests.support.snapshots import SCALE, at, by, histogram, requests

NOTHING = frozenset[tuple[str, object]]()


def test_traffic_and_errors_are_of_the_requests_between_two_states() -> None:
    before = at(0, {REQUEST_DURATION.name: requests(0.01, 0.01) | requests(0.01, status=500)})
    now = at(
        4,
        {REQUEST_DURATION.name: requests(*[0.01] * 8) | requests(0.01, 0.01, 0.01, status=503)},
    )
    found = compute_sample(before, now)
    assert found.traffic == (11 - 3) / 4
    assert found.errors == 2 / 8


def test_errors_are_the_requests_in_which_the_service_failed() -> None:
    failed = requests(0.01, status=500) | requests(0.01, 0.02, status=200, error="ValueError")
    good = requests(0.01, status=404) | requests(0.01, status=200, error=CLIENT_LEFT)
    now = at(1, {REQUEST_DURATION.name: failed | good})
    assert compute_totals(now)["requests"] == 5
    assert compute_totals(now)["errors"] == 3


def test_without_requests_latency_and_errors_are_not_known_rather_than_zero() -> None:
    found = compute_sample(at(0), at(1))
    assert (found.traffic, found.errors, found.p50, found.p99, found.lag) == (
        0,
        None,
        None,
        None,
        None,
    )


def test_latency_is_of_the_new_requests_alone() -> None:
    before = at(0, {REQUEST_DURATION.name: requests(*[9.0] * 100)})
    now = at(1, {REQUEST_DURATION.name: requests(*[9.0] * 100, *[0.06] * 90, *[0.6] * 10)})
    found = compute_sample(before, now)
    assert found.p50 == pytest.approx(0.06, rel=0.02)
    assert found.p95 == pytest.approx(0.6, rel=0.02)


def test_saturation_has_active_requests_limit_cpu_and_event_loop_lag() -> None:
    points = {
        ACTIVE_REQUESTS.name: by("http.request.method", GET=3, POST=1),
        CONCURRENCY_LIMIT.name: {NOTHING: 100},
        EVENT_LOOP_LAG.name: {NOTHING: histogram(*[0.001] * 10)},
    }
    found = compute_sample(
        at(0, {PROCESS_CPU_TIME.name: by("cpu.mode", user=1.0, system=0.5)}),
        at(2, points | {PROCESS_CPU_TIME.name: by("cpu.mode", user=1.5, system=1.0)}),
    )
    assert (found.active, found.limit, found.cpu) == (4, 100, 0.5)
    assert found.lag == pytest.approx(0.001, rel=0.02)


def test_sources_are_rates_and_faults_count_the_active_ones() -> None:
    before = at(0, {PREDICTIONS.name: by("randsvc.source", model=10, fallback=0)})
    now = at(
        2,
        {
            PREDICTIONS.name: by("randsvc.source", model=10, fallback=6),
            FAULT_ACTIVE.name: by("randsvc.fault", latency=0, errors=1),
        },
    )
    found = compute_sample(before, now)
    assert (found.model, found.fallback, found.faults) == (0, 3, 1)


def test_totals_count_from_the_start_of_the_process() -> None:
    now = at(
        9,
        {
            REQUEST_DURATION.name: requests(0.1, 0.2) | requests(0.3, status=500),
            PREDICTIONS.name: by("randsvc.source", model=2, fallback=1),
            MODEL_ERRORS.name: by("error.type", timeout=1),
        },
    )
    assert compute_totals(now) == {
        "requests": 3,
        "errors": 1,
        "active": 0,
        "predictions": {"model": 2, "fallback": 1},
        "model_errors": {"timeout": 1},
    }


def test_a_quantile_lies_within_two_percent_of_what_was_measured() -> None:
    rng = random.Random(1)
    durations = sorted(rng.lognormvariate(-3, 0.5) for _ in range(1000))
    for share in (0.5, 0.95, 0.99):
        real = durations[int(share * 1000) - 1]
        assert compute_quantile(share, histogram(*durations)) == pytest.approx(real, rel=0.025)


def test_of_nothing_there_is_no_quantile() -> None:
    assert compute_quantile(0.5, histogram()) is None


def test_the_quantile_of_values_that_are_all_zero_is_zero() -> None:
    assert compute_quantile(0.99, Exponential(SCALE, zeros=3, count=3)) == 0
