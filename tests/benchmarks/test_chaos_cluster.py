"""Chaos in a cluster: each promise can break."""

from typing import Any

import pytest

from benchmarks.chaos.books import Books, Kind
from benchmarks.chaos_cluster import Trial, find_faults, judge, write_markdown

BEGAN = 1_000.0
PAGE = "RandsvcServiceDown"


def act(*_: object) -> None:
    """Do nothing."""


def trial(**promise: Any) -> Trial:
    return Trial(name="upgrade", act=act, **({"requests": 100} | promise))


def books(*, served: int = 100, failures: tuple[float, ...] = (), errors: int = 0) -> Books:
    """Give books with responses, failures at seconds after the beginning, and responses 503."""
    kinds = [*[Kind("randsvc", "200")] * served, *[Kind("randsvc", "503")] * errors]
    return Books(
        responses=[(BEGAN + 1, kind) for kind in kinds],
        failures=[(BEGAN + after, "TimeoutError") for after in failures],
    )


def problems(
    of: Trial,
    found: Books,
    alerts: frozenset[str] = frozenset(),
    paged: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    return judge(of, found, BEGAN, 30, set(alerts), set(paged)).problems


def test_a_trial_without_failures_keeps_its_promise() -> None:
    outcome = judge(trial(), books(), BEGAN, 30, set(), set())
    assert (outcome.sent, outcome.failed, outcome.trouble, outcome.problems) == (100, 0, 0, ())


def test_a_refused_request_breaks_the_promise() -> None:
    assert problems(trial(trouble=9), books(failures=(5.0,))) == (
        "1 of 101 requests failed, at most 0 may: 1 TimeoutError",
    )


def test_a_status_of_5xx_is_a_failure() -> None:
    assert problems(trial(failed=1, trouble=9), books(errors=2)) == (
        "2 of 102 requests failed, at most 1 may: 2 status 503",
    )


def test_a_failure_after_the_promised_time_breaks_the_promise() -> None:
    assert problems(trial(failed=9, trouble=20), books(failures=(5.0, 21.5))) == (
        "a request failed after 21.5 s, none may after 20 s",
    )


def test_too_few_requests_prove_nothing() -> None:
    assert problems(trial(), books(served=99)) == ("only 99 requests were sent, expected 100",)


def test_an_alert_that_is_not_promised_breaks_the_promise() -> None:
    assert problems(trial(), books(), frozenset({PAGE})) == (f"{PAGE} fired",)
    assert not problems(trial(alerts=frozenset({PAGE})), books(), frozenset({PAGE}))


def test_a_page_must_reach_the_pager() -> None:
    assert problems(trial(page=PAGE), books()) == (f"{PAGE} reached nobody",)
    assert not problems(trial(page=PAGE), books(), paged=frozenset({PAGE}))


def target(health: str) -> dict[str, str]:
    return {"scrapeUrl": "http://10.212.0.2:9464/metrics", "health": health, "lastError": "refused"}


def group(*healths: str) -> dict[str, Any]:
    return {"groups": [{"rules": [{"name": "r", "health": health} for health in healths]}]}


@pytest.mark.parametrize(
    ("health", "rules", "said"),
    [
        ("up", group("ok", "ok"), []),
        ("down", group("ok", "ok"), ["target http://10.212.0.2:9464/metrics: refused"]),
        ("up", group("ok", "err"), ["rule r: err"]),
        ("up", group("ok"), ["Prometheus has 1 rules, expected 2"]),
    ],
)
def test_a_target_or_a_rule_that_is_not_healthy_is_found(
    health: str, rules: dict[str, Any], said: list[str]
) -> None:
    assert find_faults({"activeTargets": [target(health)]}, rules, expected=2) == said


def test_the_document_names_broken_promises() -> None:
    outcomes = [
        judge(trial(), found, BEGAN, 30, set(), set()) for found in (books(), books(failures=(5,)))
    ]
    text = write_markdown(outcomes)
    assert "| upgrade | 101 | 1 | 5 s | 30 s | none |" in text
    assert "- upgrade: 1 of 101 requests failed, at most 0 may: 1 TimeoutError" in text
    assert "None." in write_markdown(outcomes[:1])
