"""Every query of every panel and every rule gives data on a running stack with users."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from randsvc.dashboards import Query, list_queries
from randsvc.rules.feedback import ERROR_NOW, WORTH
from randsvc.rules.golden_signals import SILENT
from randsvc.rules.slo import BUDGET_TIME
from randsvc.stack.programs import make_randsvc
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack, wait_until
from tests.support.chart import find, render

SECONDS = 25
"""Until the rules have evaluated what the first rules recorded, at an interval of 1 s."""

NOT_YET = {
    **dict.fromkeys((WORTH, f"{WORTH}_low", f"{WORTH}_high"), "the fallback has not answered"),
    ERROR_NOW: "there has not been a day before",
    SILENT: "no instance has died",
    BUDGET_TIME: "no error budget is being spent",
}
"""Rules that record nothing on a healthy stack that has just been started, and why."""


@pytest.fixture(scope="module")
def used(programs: Path) -> Iterator[Stack]:
    """The chain with users and a few traces, as docker compose runs it, for a while."""
    env = {
        "RANDSVC_USERS": "20",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_TRACES_EXPORTER": "otlp",
    }
    with run_stack(
        services=[lambda book: make_randsvc(book, env=env)], free_ports=True, interval="1s"
    ) as stack:
        time.sleep(SECONDS)
        yield stack


def ask(stack: Stack, query: str) -> list[Any]:
    """Series of a query, as Prometheus answers them: a value can be NaN."""
    found: list[Any] = stack.prometheus.get("query", query=query)["result"]
    return found


@pytest.mark.parametrize(
    "query", list_queries(), ids=lambda query: f"{query.dashboard}: {query.panel}"
)
def test_a_panel_shows_data(used: Stack, query: Query) -> None:
    found = ask(used, query.expr)
    assert found or query.empty, query.expr
    for series in found:
        for value in series.get("value", [])[1:]:
            assert value != "NaN", query.expr


def test_every_rule_is_evaluated_without_error_and_records(used: Stack) -> None:
    groups = used.prometheus.get("rules")["groups"]
    assert groups
    for group in groups:
        for rule in group["rules"]:
            assert rule["health"] == "ok", rule
            if rule["type"] == "recording" and rule["name"] not in NOT_YET:
                assert wait_until(partial(ask, used, rule["name"]), within=10), rule


def test_the_query_of_keda_gives_one_number(used: Stack) -> None:
    """KEDA refuses an answer with several."""
    scaled = find(
        render("--set=autoscaling.mode=concurrency", "--set=autoscaling.prometheusUrl=http://x"),
        *("ScaledObject", "randsvc"),
    )
    (trigger,) = scaled["spec"]["triggers"]
    (found,) = ask(used, trigger["metadata"]["query"])
    assert 0 <= float(found["value"][1]) <= 1
