import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.request import urlopen

import pytest
from aiohttp import ClientSession, request, web
from yarl import URL

from randsvc.distributions import parse
from randsvc.faults.faults import Faults
from randsvc.metrics import ServiceMetrics
from randsvc.service.answer_ids import AnswerIds
from randsvc.service.feedback import OUTCOMES, FeedbackHandler, error_unit
from randsvc.service.feedback_store import FeedbackStore, StoreError
from randsvc.telemetry import Telemetry
from randsvc.web.problems import guard
from tests.support import feedback_mix
from tests.support.breaking import Clock, faults_of
from tests.support.feedback_mix import ERROR
from tests.support.reading import Measured
from tests.support.service import Service, running_service
from tests.support.serving import serving

SECRET = "s" * 32
LIMIT = 5
BODY_TIMEOUT = 0.5


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ids(clock: Clock) -> AnswerIds:
    return AnswerIds(SECRET, lifetime=60, clock=clock)


@pytest.fixture
def faults() -> Faults:
    return faults_of()


@pytest.fixture
def store(clock: Clock, tmp_path: Path) -> FeedbackStore:
    return FeedbackStore(tmp_path / "store", lifetime=60, clock=clock, timer=clock)


@pytest.fixture
async def feedback(
    ids: AnswerIds, store: FeedbackStore, telemetry: Telemetry, faults: Faults
) -> AsyncIterator[URL]:
    app = web.Application(client_max_size=1000)
    handler = FeedbackHandler(ids, store, ServiceMetrics(telemetry.meter), faults, unit=10.0)
    app.router.add_post("/", guard(handler.limit(LIMIT, BODY_TIMEOUT)))
    async with serving(app) as url:
        yield url
    store.close()


async def post(url: URL, body: object) -> tuple[int, dict[str, object]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with request("POST", url, data=data) as response:
        kind = "json" if response.status == 200 else "problem+json"
        assert response.content_type == f"application/{kind}"
        assert ("Retry-After" in response.headers) == (response.status == 503)
        return response.status, json.loads(await response.text())


def outcomes(measured: Measured) -> dict[str, int]:
    """Those that were not none."""
    return {
        value: point.value
        for ((_, value),), point in measured["randsvc.feedback"].items()
        if point.value
    }


async def test_feedback_is_measured_by_the_source_of_the_answer(
    feedback: URL, ids: AnswerIds, clock: Clock, read: Callable[[], Measured]
) -> None:
    given = [ids.issue(50.0, "model"), ids.issue(50.0, "fallback")]
    clock.now += 7
    assert await post(feedback, {"id": given[0], "actual": 52.5}) == (
        200,
        {"outcome": "accepted", "source": "model", "error": -2.5},
    )
    assert (await post(feedback, {"id": given[1], "actual": 40}))[0] == 200
    measured = read()
    assert outcomes(measured) == {"accepted": 2}
    for name, sums in (
        ("randsvc.feedback.error", {"model": -2.5, "fallback": 10}),
        ("randsvc.feedback.absolute_error", {"model": 2.5, "fallback": 10}),
    ):
        assert {source: p.sum for ((_, source),), p in measured[name].items()} == sums
    (delay,) = measured["randsvc.feedback.delay"].values()
    assert (delay.count, delay.sum) == (2, pytest.approx(14))


async def test_the_second_feedback_about_an_answer_is_a_duplicate_and_measured_as_none(
    feedback: URL, ids: AnswerIds, read: Callable[[], Measured]
) -> None:
    given = ids.issue(50.0, "model")
    statuses = [(await post(feedback, {"id": given, "actual": n}))[0] for n in range(3)]
    assert statuses == [200, 409, 409]
    measured = read()
    assert outcomes(measured) == {"accepted": 1, "duplicate": 2}
    (error,) = measured["randsvc.feedback.error"].values()
    assert (error.count, error.sum) == (1, 50)


async def test_of_many_at_once_about_one_answer_one_is_accepted(
    feedback: URL, ids: AnswerIds, read: Callable[[], Measured]
) -> None:
    body = {"id": ids.issue(50.0, "model"), "actual": 1}
    async with ClientSession() as session:

        async def send() -> int:
            async with session.post(feedback, json=body) as response:
                return response.status

        assert sorted(await asyncio.gather(*(send() for _ in range(LIMIT)))) == [200] + [409] * 4
    assert outcomes(read()) == {"accepted": 1, "duplicate": 4}


async def test_an_id_that_is_forged_or_has_expired_is_refused(
    feedback: URL, ids: AnswerIds, clock: Clock, read: Callable[[], Measured]
) -> None:
    late = ids.issue(50.0, "model")
    clock.now += 61
    assert (await post(feedback, {"id": late, "actual": 1}))[0] == 410
    forged = AnswerIds("t" * 32, lifetime=60, clock=clock).issue(50.0, "model")
    assert (await post(feedback, {"id": forged, "actual": 1}))[0] == 403
    assert outcomes(read()) == {"expired": 1, "forged": 1}
    assert "randsvc.feedback.error" not in read()


async def test_feedback_for_what_is_forgotten_counts_as_expired(
    feedback: URL, ids: AnswerIds, store: FeedbackStore, clock: Clock, read: Callable[[], Measured]
) -> None:
    given = ids.issue(50.0, "model")
    await store.add(ids.read(ids.issue(50.0, "model")))
    store._forget(int(clock.now * 1e6))
    status, problem = await post(feedback, {"id": given, "actual": 1})
    assert (status, problem["detail"]) == (410, "feedback is accepted only for later responses")
    assert outcomes(read()) == {"expired": 1}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"id=1", 400, "the body is not JSON"),
        (b"", 400, "the body is not JSON"),
        (b"[1]", 400, "expected an object"),
        (b" " * 1001, 413, ""),
        ({}, 422, 'expected {"id": ID, "actual": NUMBER}'),
        ({"id": 1, "actual": 1}, 422, "as a string"),
        ({"id": "x"}, 422, "as a string"),
        ({"id": "x", "actual": "1"}, 422, "as a string"),
        ({"id": "x", "actual": True}, 422, "as a string"),
        ({"id": "x", "actual": None}, 422, "as a string"),
        (b'{"id": "x", "actual": NaN}', 422, "from -1e+12 to 1e+12"),
        (b'{"id": "x", "actual": -Infinity}', 422, "from -1e+12 to 1e+12"),
        ({"id": "x", "actual": 10**400}, 422, "from -1e+12 to 1e+12"),
        ({"id": "x", "actual": 1.1e12}, 422, "from -1e+12 to 1e+12"),
    ],
)
async def test_an_invalid_body_is_malformed(
    feedback: URL, read: Callable[[], Measured], body: object, status: int, said: str
) -> None:
    got, problem = await post(feedback, body)
    assert got == status
    assert said in str(problem["detail"])
    assert outcomes(read()) == {"malformed": 1}


async def test_who_leaves_before_the_end_is_malformed_and_no_error_of_ours(
    feedback: URL, read: Callable[[], Measured], caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection(feedback.host, feedback.port)
    writer.write(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"id":')
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    for _ in range(500):
        await asyncio.sleep(0.01)
        if outcomes(read()):
            break
    assert outcomes(read()) == {"malformed": 1}
    assert caplog.records == []


async def test_a_body_that_does_not_arrive_in_time_is_malformed(
    feedback: URL, read: Callable[[], Measured]
) -> None:
    reader, writer = await asyncio.open_connection(feedback.host, feedback.port)
    writer.write(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"id":')
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"Connection: close" in head
    writer.close()
    assert outcomes(read()) == {"malformed": 1}


async def test_while_it_is_down_or_full_or_broken_feedback_is_unavailable(
    feedback: URL,
    ids: AnswerIds,
    store: FeedbackStore,
    faults: Faults,
    read: Callable[[], Measured],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = {"id": ids.issue(50.0, "model"), "actual": 1}
    faults.set("feedback-down", {"duration": 60})
    assert (await post(feedback, body))[0] == 503
    faults.clear()

    async def fail(answer: object) -> str:
        raise StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "add", fail)
        status, problem = await post(feedback, body)
        assert (status, problem["detail"]) == (503, "the feedback store fails: disk full")
    assert outcomes(read()) == {"unavailable": 2}
    # None of it was taken.
    assert (await post(feedback, body))[0] == 200


async def test_more_at_once_than_the_limit_is_shed_and_counted(
    feedback: URL, ids: AnswerIds, store: FeedbackStore, read: Callable[[], Measured],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    inside = asyncio.Barrier(LIMIT + 1)
    free = asyncio.Event()

    async def wait(answer: object) -> str:
        await inside.wait()
        await free.wait()
        return "first"

    monkeypatch.setattr(store, "add", wait)
    waiting = [
        asyncio.create_task(post(feedback, {"id": ids.issue(50.0, "model"), "actual": 1}))
        for _ in range(LIMIT)
    ]
    await inside.wait()
    assert (await post(feedback, {"id": ids.issue(50.0, "model"), "actual": 1}))[0] == 503
    free.set()
    assert [status for status, _ in await asyncio.gather(*waiting)] == [200] * LIMIT
    assert outcomes(read()) == {"accepted": LIMIT, "unavailable": 1}


async def test_no_report_coarsens_what_the_others_measured(
    feedback: URL, ids: AnswerIds, read: Callable[[], Measured]
) -> None:
    for error in (-3.0, 0.25, 2.0, 1e12, -1e12, 1e-9, 7e-15, -5e-324):
        given = ids.issue(error, "model")
        status, answer = await post(feedback, {"id": given, "actual": 0})
        assert (status, answer["error"]) == (200, error)
    measured = read()
    for name in ("randsvc.feedback.error", "randsvc.feedback.absolute_error"):
        (point,) = measured[name].values()
        assert point.count == 8
        assert point.scale >= 3
        assert point.zero_count == 3
        assert point.max == 1000
    (error,) = measured["randsvc.feedback.error"].values()
    assert (error.min, error.sum) == (-1000, pytest.approx(-0.75))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("normal(mean=50, sd=10)", 10),
        ("constant(value=-7)", 7),
        ("constant(value=0)", 1),
    ],
)
def test_errors_are_measured_by_how_much_the_values_vary(text: str, unit: float) -> None:
    assert error_unit(parse(text)) == pytest.approx(unit)


async def test_every_outcome_is_there_from_the_start(
    feedback: URL, read: Callable[[], Measured]
) -> None:
    assert {value for ((_, value),) in read()["randsvc.feedback"]} == set(OUTCOMES)


def service_of_the_mix(**environ: str) -> AbstractContextManager[Service]:
    return running_service(
        RANDSVC_FEEDBACK_SECRET=feedback_mix.SECRET,
        RANDSVC_FEEDBACK_LIFETIME=str(feedback_mix.LIFETIME),
        **environ,
    )


@pytest.mark.process
def test_of_ten_thousand_each_is_accounted_for_once_by_a_running_service() -> None:
    with service_of_the_mix() as service:
        answered = asyncio.run(feedback_mix.send(f"{service.public}/feedback"))
        with urlopen(f"{service.management}/metrics") as response:
            metrics = response.read().decode()

    def shown(name: str) -> dict[str, float]:
        """The samples of a metric by its one label."""
        found = re.findall(rf'^{name}{{\w+="(\w+)"}} (.+)$', metrics, re.MULTILINE)
        return {label: float(number) for label, number in found}

    assert answered == feedback_mix.MIX
    assert shown("randsvc_feedback_total") == {**feedback_mix.MIX, "unavailable": 0}
    accepted = feedback_mix.MIX["accepted"]
    for name, each in (("error", ERROR), ("absolute_error", abs(ERROR))):
        assert sum(shown(f"randsvc_feedback_{name}_count").values()) == accepted
        assert sum(shown(f"randsvc_feedback_{name}_sum").values()) == accepted * each
    assert f"randsvc_feedback_delay_seconds_count{{}} {accepted}\n" in metrics


@pytest.mark.process
def test_of_ten_thousand_two_workers_take_none_twice() -> None:
    with service_of_the_mix(RANDSVC_WORKERS="2", OTEL_METRICS_EXPORTER="none") as service:
        service.wait_until_ready()
        assert asyncio.run(feedback_mix.send(f"{service.public}/feedback")) == feedback_mix.MIX
