"""The books of the logs: each record that was logged is stored or counted, whatever is down.

The bound: a record may be stored twice if the Collector is killed while it answers a batch of a
service (512 records), or while it sends one request to the store, which holds one batch too.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack, wait_until
from randsvc.telemetry import Telemetry
from randsvc.telemetry.log_records import get_drops

pytestmark = pytest.mark.native

OUTAGE = 3.0
"""Seconds of each step of the outage; the short form of two minutes."""
RATE = 80
"""Records a second, below the limit of one statement."""
BATCH = 512

LOGGER = logging.getLogger("books")


@pytest.fixture
def stack(programs: Path) -> Iterator[Stack]:
    with run_stack(services=(), free_ports=True, interval="1s", logs=True) as stack:
        yield stack


def log_for(seconds: float, first: int) -> int:
    """Log numbered records for some time; give the number of the next."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        LOGGER.info("entry", extra={"book.entry": first})
        first += 1
        time.sleep(1 / RATE)
    return first


def stored(stack: Stack) -> Counter[int]:
    """How often each entry is stored."""
    found = stack.get(
        "victorialogs:9428",
        "/select/logsql/query",
        query='service.name:="books" scope.name:="books" | fields book.entry',
        limit="1000000",
    )
    return Counter(int(json.loads(line)["book.entry"]) for line in found.splitlines())


def test_no_record_is_lost_while_the_store_is_down_and_the_collector_is_killed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)
    telemetry = Telemetry(
        "books",
        environ={
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otel-collector:4318"),
        },
        readers=[],
    )
    entries = log_for(OUTAGE, 0)
    stack.stop("victorialogs")
    entries = log_for(OUTAGE, entries)
    stack.kill("otel-collector")
    entries = log_for(OUTAGE, entries)
    stack.start("otel-collector")
    entries = log_for(OUTAGE, entries)
    stack.kill("otel-collector")
    stack.start("otel-collector")
    stack.start("victorialogs")
    entries = log_for(OUTAGE, entries)
    telemetry.shutdown(30)
    dropped = sum(get_drops().values())
    wait_until(lambda: len(stored(stack)) >= entries - dropped, within=30)
    books = stored(stack)
    assert books.keys() <= set(range(entries))
    assert entries - len(books) == dropped
    assert dropped == 0  # the queue holds more than is logged while the Collector is down
    assert books.total() - entries <= 2 * BATCH


def test_records_that_do_not_fit_are_counted_to_the_record(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)
    stack.kill("otel-collector")
    telemetry = Telemetry(
        "books",
        environ={
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otel-collector:4318"),
            "OTEL_BLRP_MAX_QUEUE_SIZE": "50",
        },
        readers=[],
    )
    entries = log_for(2 * OUTAGE, 0)
    # Besides the entries, the outage itself is a record.
    assert get_drops()["queue_full"] > 0
    stack.start("otel-collector")
    wait_until(lambda: stored(stack), within=30)
    telemetry.shutdown(30)
    wait_until(lambda: entries - 1 in stored(stack), within=30)
    assert 0 <= len(stored(stack)) + sum(get_drops().values()) - entries <= 2
