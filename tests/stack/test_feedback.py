"""Ten thousand feedbacks, of which it is known what has to become of each: so Prometheus counts."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from randsvc.stack.addresses import AddressBook
from randsvc.stack.programs import Program, make_randsvc
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack, wait_until
from tests.support import feedback_mix

MIX = {**feedback_mix.MIX, "unavailable": 0}
ENVIRONMENT = {
    # Both take feedback about what either has answered.
    "RANDSVC_WORKERS": "2",
    "RANDSVC_FEEDBACK_SECRET": feedback_mix.SECRET,
    "RANDSVC_FEEDBACK_LIFETIME": str(feedback_mix.LIFETIME),
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_METRIC_EXPORT_INTERVAL": "500",
}


def two_workers(book: AddressBook) -> Program:
    return make_randsvc(book, env=ENVIRONMENT)


def counted(stack: Stack) -> dict[str, int]:
    """What Prometheus says became of them, summed over the workers."""
    result = stack.query('sum by (randsvc_outcome) (randsvc_feedback_total{job="randsvc"})')
    return {each.labels["randsvc_outcome"]: int(each.values[-1][1]) for each in result}


@pytest.fixture(scope="module")
def stack(programs: Path) -> Iterator[Stack]:
    with run_stack(services=[two_workers], free_ports=True, interval="500ms") as stack:
        url = stack.url("randsvc:8080", "/feedback")
        assert asyncio.run(feedback_mix.send(url)) == feedback_mix.MIX
        try:
            wait_until(lambda: counted(stack) == MIX, within=15)
        except TimeoutError:
            assert counted(stack) == MIX  # which shows the difference
        time.sleep(2)  # some pushes and scrapes more, which must not add to it
        yield stack


def test_prometheus_counts_each_feedback_once_by_outcome(stack: Stack) -> None:
    assert counted(stack) == MIX


def test_both_workers_received_every_kind_of_feedback(stack: Stack) -> None:
    for outcome in feedback_mix.MIX:
        some = f'randsvc_feedback_total{{job="randsvc",randsvc_outcome="{outcome}"}} > 0'
        assert stack.number(f"count(count by (instance) ({some}))") == 2


@pytest.mark.parametrize(
    ("name", "mean"),
    [("error", feedback_mix.ERROR), ("absolute_error", abs(feedback_mix.ERROR))],
)
def test_the_errors_are_those_of_accepted_feedback(stack: Stack, name: str, mean: float) -> None:
    errors = f'sum(randsvc_feedback_{name}{{job="randsvc"}})'
    assert stack.number(f"histogram_count({errors})") == MIX["accepted"]
    assert stack.number(f"histogram_avg({errors})") == mean
    sources = f'count(count by (randsvc_source) (randsvc_feedback_{name}{{job="randsvc"}}))'
    assert stack.number(sources) == 2


def test_the_delay_of_all_accepted_feedback_is_recorded(stack: Stack) -> None:
    delays = 'sum(randsvc_feedback_delay_seconds_count{job="randsvc"})'
    assert stack.number(delays) == MIX["accepted"]
