"""Records of Python's ``logging``, exported to a receiver that takes, refuses or is not there."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from aiohttp import request, web
from opentelemetry import trace
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from randsvc.telemetry import Telemetry
from randsvc.telemetry.http_server import IS_LOGGED
from randsvc.telemetry.log_records import RateLimit, get_drops
from tests.support.otlp import Receiver, otlp_receiver
from tests.support.reading import Measured
from tests.support.serving import serving

LOGGER = logging.getLogger("shop.orders")


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with otlp_receiver("up") as receiver:
        yield receiver


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Telemetry]]:
    """Makes a telemetry that exports logs, and stops it in the end."""
    made: list[Telemetry] = []
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)

    def make(receiver: Receiver, **environ: str) -> Telemetry:
        variables = {
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BLRP_SCHEDULE_DELAY": "10",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "500",
            **environ,
        }
        made.append(Telemetry("shop", "1.0", environ=variables, readers=[]))
        return made[-1]

    yield make
    for telemetry in made:
        telemetry.shutdown(0.1)


def attributes(record: LogRecord) -> dict[str, object]:
    return {a.key: getattr(a.value, str(a.value.WhichOneof("value"))) for a in record.attributes}


def test_a_record_has_its_time_its_severity_its_logger_and_its_extra_fields(
    collector: Receiver, export: Callable[..., Telemetry]
) -> None:
    telemetry = export(collector)
    before = time.time_ns()
    LOGGER.warning("%d left", 3, extra={"shop.item": "book", "shop.price": 2.5})
    telemetry.shutdown()
    ((resource, scope, record),) = collector.logs
    assert resource["service.name"] == "shop"
    assert resource["service.instance.id"]
    assert scope == "shop.orders"
    assert record.body.string_value == "3 left"
    assert (record.severity_number, record.severity_text) == (13, "WARNING")
    assert before - 1000 <= record.time_unix_nano <= time.time_ns()
    assert attributes(record) == {"shop.item": "book", "shop.price": 2.5}


def test_a_record_has_the_span_in_which_it_was_logged(
    collector: Receiver, export: Callable[..., Telemetry]
) -> None:
    telemetry = export(collector)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer(__name__)
    with tracer.start_as_current_span("order") as span:
        LOGGER.info("inside")
    LOGGER.info("outside")
    telemetry.shutdown()
    (_, _, inside), (_, _, outside) = collector.logs
    context = span.get_span_context()
    assert inside.trace_id.hex() == trace.format_trace_id(context.trace_id)
    assert inside.span_id.hex() == trace.format_span_id(context.span_id)
    assert outside.trace_id == b""


@pytest.mark.parametrize(
    ("extra", "exported"),
    [
        ({"a": "caf\udce9"}, {"a": "caf?"}),
        ({"a": 2**80}, {"a": str(2**80)}),
        ({"a": object}, {"a": "<class 'object'>"}),
        ({"caf\udce9": True}, {"caf?": True}),
        ({"a": "x" * 100_000}, {"a": "x" * 16_384}),
    ],
    ids=("surrogate", "integer", "object", "name", "long"),
)
def test_a_value_that_otlp_has_not_is_exported_as_text_and_fails_no_other_record(
    extra: Mapping[str, object],
    exported: Mapping[str, object],
    collector: Receiver,
    export: Callable[..., Telemetry],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What pytest captures could not be sent from one of its processes to another.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    telemetry = export(collector)
    LOGGER.info("odd \udce9", extra=extra)
    LOGGER.info("usual")
    telemetry.shutdown()
    odd, usual = (record for _, _, record in collector.logs)
    assert odd.body.string_value == "odd ?"
    assert attributes(odd) == exported
    assert usual.body.string_value == "usual"


async def get(app: web.Application, telemetry: Telemetry) -> int:
    async with (
        serving(app, telemetry, access_log=None) as url,
        request("GET", url / "orders") as response,
    ):
        return response.status


def app_of(answer: Callable[[], web.Response]) -> web.Application:
    async def handle(_: web.Request) -> web.Response:
        return answer()

    app = web.Application()
    app.router.add_get("/orders", handle)
    return app


TRACED = {"OTEL_TRACES_EXPORTER": "otlp"}


async def test_an_exception_that_a_handler_raises_is_logged_once_with_its_request_and_its_trace(
    collector: Receiver, export: Callable[..., Telemetry]
) -> None:
    def fail() -> web.Response:
        raise ZeroDivisionError("no orders")

    telemetry = export(collector, **TRACED)
    assert await get(app_of(fail), telemetry) == 500
    telemetry.shutdown()
    ((_, _, record),) = collector.logs
    said = attributes(record)
    assert "Traceback" in str(said.pop("exception.stacktrace"))
    assert said == {
        "http.request.method": "GET",
        "url.path": "/orders",
        "http.route": "/orders",
        "error.type": "ZeroDivisionError",
        "exception.type": "ZeroDivisionError",
        "exception.message": "no orders",
    }
    assert record.trace_id.hex() in collector.traces


async def test_a_response_of_failure_is_logged_once_with_its_request_and_its_trace(
    collector: Receiver, export: Callable[..., Telemetry]
) -> None:
    telemetry = export(collector, **TRACED)
    assert await get(app_of(lambda: web.Response(status=502)), telemetry) == 502
    telemetry.shutdown()
    ((_, _, record),) = collector.logs
    assert record.body.string_value == "GET /orders was answered 502"
    assert attributes(record)["error.type"] == "502"
    assert record.trace_id.hex() in collector.traces


async def test_a_failure_that_the_application_has_logged_is_not_logged_again(
    collector: Receiver, export: Callable[..., Telemetry]
) -> None:
    def answer() -> web.Response:
        response = web.Response(status=502)
        response[IS_LOGGED] = True
        return response

    telemetry = export(collector, **TRACED)
    assert await get(app_of(answer), telemetry) == 502
    telemetry.shutdown()
    assert collector.logs == []


@pytest.mark.parametrize("behaviour", ["refusing", "hanging"])
def test_logging_never_waits_for_a_collector_and_the_oldest_are_dropped_and_counted(
    behaviour: str, export: Callable[..., Telemetry]
) -> None:
    before = get_drops().get("queue_full", 0)
    with otlp_receiver(behaviour) as receiver:  # type: ignore[arg-type]
        telemetry = export(receiver, OTEL_BLRP_MAX_QUEUE_SIZE="20")
        logging_takes = 0.0
        for number in range(99):
            started = time.monotonic()
            LOGGER.info("record %d", number)
            logging_takes = max(logging_takes, time.monotonic() - started)
        assert logging_takes < 5  # a Collector that hangs takes 10
        # One batch of 20 at most is with the exporter, and 20 wait.
        assert 59 <= get_drops()["queue_full"] - before <= 79
        telemetry.shutdown(0.1)


def test_records_wait_until_the_collector_is_back(export: Callable[..., Telemetry]) -> None:
    with otlp_receiver("up") as receiver:
        receiver.status = 503
        telemetry = export(receiver, OTEL_EXPORTER_OTLP_TIMEOUT="100")
        LOGGER.info("first")
        while len(receiver.paths) < 2:
            time.sleep(0.01)
        LOGGER.info("second")
        receiver.status = 200
        while not any(scope == LOGGER.name for _, scope, _ in receiver.logs[1:]):
            time.sleep(0.01)
        telemetry.shutdown()
        of_shop = [r.body.string_value for _, scope, r in receiver.logs if scope == LOGGER.name]
        assert of_shop == ["first", "second"]
        # The outage of the logs themselves is exported too, once it is over.
        of_outage = [r.body.string_value for _, scope, r in receiver.logs if scope != LOGGER.name]
        assert [message.split()[0] for message in of_outage] == ["cannot", "delivering"]


def test_records_that_a_collector_will_never_take_are_dropped_and_counted(
    collector: Receiver, export: Callable[..., Telemetry]
) -> None:
    before = get_drops().get("refused", 0)
    collector.status = 400
    telemetry = export(collector)
    LOGGER.info("no")
    telemetry.shutdown()
    assert get_drops()["refused"] - before == 1
    assert len(collector.paths) == 1


def test_over_grpc_a_batch_that_nobody_takes_is_dropped_and_counted(
    export: Callable[..., Telemetry],
) -> None:
    with otlp_receiver("refusing") as receiver:
        telemetry = export(
            receiver, OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_TIMEOUT="100"
        )
        LOGGER.info("no")
        telemetry.shutdown(20)
    assert get_drops()["refused"] == 1


def test_a_statement_that_logs_very_often_is_limited_and_what_is_dropped_is_counted(
    collector: Receiver, export: Callable[..., Telemetry]
) -> None:
    before = get_drops().get("rate_limited", 0)
    telemetry = export(collector)
    for _ in range(5000):
        LOGGER.info("in a loop")
    LOGGER.info("after it")
    telemetry.shutdown()
    lost = get_drops()["rate_limited"] - before
    assert lost > 2500  # it takes less than 20 s
    assert len(collector.logs) == 5001 - lost
    assert collector.logs[-1][2].body.string_value == "after it"


def test_the_next_record_of_a_kind_says_how_many_were_suppressed() -> None:
    limit = RateLimit(2)
    kept: list[object] = []
    record = logging.makeLogRecord({"pathname": "shop.py", "lineno": 7})
    deadline = time.monotonic() + 30
    while not any(vars(each).get("log.suppressed") for each in kept):
        assert time.monotonic() < deadline
        record = logging.makeLogRecord({"pathname": "shop.py", "lineno": 7})
        if limit.filter(record):
            kept.append(record)
    assert limit.filter(record)  # as another handler asks, and the record is counted once


async def test_dropped_records_are_a_metric(
    reader: InMemoryMetricReader, read: Callable[[], Measured]
) -> None:
    telemetry = Telemetry("shop", environ={}, readers=[reader])
    RateLimit()
    points = read()["telemetry.logs.dropped"]
    assert frozenset({("error.type", "rate_limited")}) in points
    telemetry.shutdown()


def test_an_outage_is_exported_and_what_exporting_logs_itself_is_not(
    collector: Receiver, export: Callable[..., Telemetry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    telemetry = export(collector)
    other = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "200",
    }
    traced = Telemetry("shop", environ={**other, "OTEL_BSP_SCHEDULE_DELAY": "1"}, readers=[])
    assert traced._tracers
    with traced._tracers.get_tracer("shop").start_as_current_span("order"):
        pass
    traced.shutdown(30)
    telemetry.shutdown()
    (message,) = (record.body.string_value for _, _, record in collector.logs)
    assert message.startswith("cannot deliver traces to http://127.0.0.1:9")


STRANGER = """
import logging, os
from aiohttp import web
from randsvc.telemetry import Telemetry
import asyncio

telemetry = Telemetry("media")


async def main():
    async with telemetry.running():
        logging.getLogger("media").warning("unhandled")
        logging.getLogger("media").info("below the level")
        if os.fork() == 0:
            logging.getLogger("media").warning("of the child")
            os._exit(0)
        os.wait()
    logging.getLogger("media").warning("afterwards")


asyncio.run(main())
"""


def test_an_application_without_handlers_prints_as_before_and_exports(
    collector: Receiver, tmp_path: Path
) -> None:
    script = tmp_path / "media.py"
    script.write_text(STRANGER)
    environ = {name: text for name, text in os.environ.items() if "OTEL" not in name}
    environ |= {
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        # Python 3.12 warns of a fork next to threads, which is what is tested.
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
    }
    done = subprocess.run(
        [sys.executable, script], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["unhandled", "of the child", "afterwards"]
    assert [record.body.string_value for _, _, record in collector.logs] == ["unhandled"]


def test_no_thread_and_no_handler_is_left(
    collector: Receiver, export: Callable[..., Telemetry]
) -> None:
    handlers = logging.getLogger().handlers[:]
    export(collector).shutdown()
    assert logging.getLogger().handlers == handlers
    assert not [t for t in threading.enumerate() if t.name.startswith("OtelBatchLog")]
