import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import jsonschema_rs
import pytest
from aiohttp import ClientSession, request
from yarl import URL

from randsvc.distributions import Distribution, parse
from randsvc.faults.faults import Faults
from randsvc.model.fallback import Known, predict_by_rules
from randsvc.model.features import SEGMENTS
from randsvc.service.random_app import make_app
from randsvc.service.tokens import Tokens
from randsvc.settings import Settings
from randsvc.telemetry import Telemetry
from tests.support.breaking import faults_of
from tests.support.reading import Measured, counts
from tests.support.serving import serving

LIMIT = 5
SECRET = "s" * 32


def app_of(
    telemetry: Telemetry,
    *,
    value: str = "constant(value=1)",
    delay: str = "constant(value=0)",
    seed: int = 1,
    secret: str | None = SECRET,
    faults: Faults | None = None,
    feedback_secret: str | None = None,
) -> AbstractAsyncContextManager[URL]:
    settings = Settings(
        value=parse(value),
        delay=parse(delay),
        seed=seed,
        max_concurrency=LIMIT,
        model_budget=0.05,
        auth_secret=secret,
        feedback_secret=feedback_secret,
    )
    return serving(make_app(settings, telemetry, faults or faults_of()))


async def get_values(url: URL, number: int) -> list[float]:
    async with ClientSession() as session:
        values = []
        for _ in range(number):
            async with session.get(url.joinpath("random")) as response:
                assert response.status == 200
                assert response.content_type == "application/json"
                values.append((await response.json())["value"])
        return values


async def test_the_value_comes_from_the_value_distribution(telemetry: Telemetry) -> None:
    async with app_of(telemetry, value="uniform(low=3, high=4)", delay="constant(value=0)") as url:
        values = await get_values(url, 20)
    assert all(3 <= value <= 4 for value in values)
    assert len(set(values)) == 20


async def test_a_seed_gives_the_same_values_again(telemetry: Telemetry) -> None:
    sequences = []
    for _ in range(2):
        async with app_of(
            telemetry, value="normal(mean=0, sd=1)", delay="constant(value=0)", seed=7
        ) as url:
            sequences.append(await get_values(url, 5))
    assert sequences[0] == sequences[1]


async def test_the_answer_comes_after_the_delay(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with app_of(telemetry, value="constant(value=1)", delay="constant(value=0.2)") as url:
        await get_values(url, 1)
    measured = read()
    (duration,) = measured["http.server.request.duration"].values()
    assert duration.sum >= 0.2
    (delay,) = measured["randsvc.delay"].values()
    assert delay.sum == pytest.approx(0.2)


async def test_every_answered_value_is_observed(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with app_of(telemetry, value="normal(mean=50, sd=10)", delay="constant(value=0)") as url:
        values = await get_values(url, 30)
    (point,) = read()["randsvc.value"].values()
    assert point.count == 30
    assert point.sum == pytest.approx(sum(values))


async def test_more_requests_than_the_limit_are_shed_with_503_and_counted(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with app_of(telemetry, value="constant(value=1)", delay="constant(value=0.2)") as url:

        async def ask() -> tuple[int, str | None]:
            async with request("GET", url.joinpath("random")) as response:
                return response.status, response.headers.get("Retry-After")

        answers = await asyncio.gather(*(ask() for _ in range(LIMIT + 3)))
        assert sorted(answers, key=str) == [(200, None)] * LIMIT + [(503, "1")] * 3
        # The places are free again.
        assert await ask() == (200, None)
    statuses = counts(
        read()["http.server.request.duration"], "http.response.status_code", "error.type"
    )
    assert statuses == {(200, None): LIMIT + 1, (503, "503"): 3}


async def test_head_is_answered_like_get_without_a_body(telemetry: Telemetry) -> None:
    async with (
        app_of(telemetry, value="constant(value=1)", delay="constant(value=0)") as url,
        request("HEAD", url.joinpath("random")) as response,
    ):
        assert response.status == 200
        assert await response.read() == b""


async def get(url: URL, query: str = "", **headers: str) -> tuple[int, dict[str, object]]:
    asked = url.joinpath("random").with_query(query)
    async with request("GET", asked, headers=headers) as response:
        answer: dict[str, object] = json.loads(await response.text())
        return response.status, answer


def predictions(measured: Measured) -> dict[object, int]:
    """Predictions by source, and errors of the model by type."""
    points = {**measured["randsvc.predictions"], **measured.get("randsvc.model.errors", {})}
    return {value: point.value for ((_, value),), point in points.items()}


async def test_a_healthy_model_answers_and_the_fallback_is_counted_as_none(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with app_of(telemetry) as url:
        status, answer = await get(url)
        assert status == 200
        assert answer.pop("id")
        assert answer == {"value": 1.0, "source": "model"}
    measured = read()
    assert predictions(measured) == {"model": 1, "fallback": 0}
    (duration,) = measured["randsvc.model.duration"].values()
    assert duration.count == 1
    assert duration.sum < 0.01


async def test_a_model_that_is_down_is_stood_in_for_and_named_in_the_log_once(
    telemetry: Telemetry, read: Callable[[], Measured], caplog: pytest.LogCaptureFixture
) -> None:
    faults = faults_of()
    faults.set("model-down", {"duration": 60})
    async with app_of(telemetry, value="constant(value=3)", faults=faults) as url:
        for _ in range(2):
            status, answer = await get(url)
            assert (status, answer["value"], answer["source"]) == (200, 3.0, "fallback")
    measured = read()
    assert predictions(measured) == {"model": 0, "fallback": 2, "ModelDownError": 2}
    (duration,) = measured["randsvc.model.duration"].values()
    assert duration.count == 2
    (value,) = measured["randsvc.value"].values()
    assert value.count == 2
    assert [record.message for record in caplog.records] == [
        "the model failed, the first time with ModelDownError"
    ]


@pytest.mark.parametrize(
    ("seconds", "counted"),
    [
        (0.01, {"model": 1, "fallback": 0}),
        (9, {"model": 0, "fallback": 1, "timeout": 1}),
    ],
)
async def test_a_slow_model_is_waited_for_within_its_budget(
    telemetry: Telemetry,
    read: Callable[[], Measured],
    seconds: float,
    counted: dict[str, int],
) -> None:
    faults = faults_of()
    faults.set("model-slow", {"seconds": seconds, "duration": 60})
    async with app_of(telemetry, faults=faults) as url:
        assert (await get(url))[0] == 200
    measured = read()
    assert predictions(measured) == counted
    (duration,) = measured["randsvc.model.duration"].values()
    assert min(seconds, 0.05) * 0.9 <= duration.sum < 0.5


async def test_errors_and_latency_hit_their_share(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    faults = faults_of()
    faults.set("errors", {"share": 0.5, "duration": 60})
    faults.set("latency", {"share": 0.25, "seconds": 0.1, "duration": 60})
    async with app_of(telemetry, faults=faults) as url:
        statuses = [(await get(url))[0] for _ in range(40)]
        assert 10 <= statuses.count(500) <= 30
        faults.clear()
        assert (await get(url))[0] == 200
    durations = read()["http.server.request.duration"]
    assert counts(durations, "error.type") == {
        ("500",): statuses.count(500),
        (None,): statuses.count(200) + 1,
    }
    late = sum(round(point.sum / 0.1) for point in durations.values())
    assert 3 <= late <= 20


async def test_a_delay_shift_moves_delays_down_to_none(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    faults = faults_of()
    async with app_of(telemetry, delay="constant(value=0.1)", faults=faults) as url:
        for by in (0.1, -1):
            faults.set("delay-shift", {"by": by, "duration": 60})
            await get(url)
    (delay,) = read()["randsvc.delay"].values()
    assert (delay.min, delay.max) == (0, pytest.approx(0.2))


async def test_a_block_holds_up_everybody(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    faults = faults_of()
    faults.set("block", {"seconds": 0.2, "duration": 60})
    async with telemetry.running(), app_of(telemetry, faults=faults) as url:
        await get(url)
        await asyncio.sleep(0.15)
    (lag,) = read()["asyncio.event_loop.lag"].values()
    assert lag.max > 0.08


async def test_a_good_token_is_taken_and_known_to_the_fallback(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = faults_of()
    faults.set("model-down", {"duration": 60})
    seen = []

    def rules(known: Known, value: Distribution) -> float:
        seen.append(known.logged_in)
        return predict_by_rules(known, value)

    monkeypatch.setattr("randsvc.service.random_app.predict_by_rules", rules)
    token = Tokens(SECRET, lifetime=60).issue("ada")
    async with app_of(telemetry, faults=faults) as url:
        assert (await get(url, Authorization=f"Bearer {token}"))[0] == 200
        assert (await get(url))[0] == 200
    assert seen == [True, False]


@pytest.mark.parametrize(
    ("secret", "credentials", "said"),
    [
        (SECRET, "Bearer nonsense", "not issued by this service"),
        (SECRET, "Bearer " + Tokens(SECRET, lifetime=-1).issue("ada"), "expired"),
        (SECRET, "Basic YTpi", "Bearer TOKEN"),
        (None, "Bearer " + Tokens(SECRET, lifetime=60).issue("ada"), "RANDSVC_AUTH_SECRET"),
    ],
    ids=["bad", "expired", "another scheme", "no secret"],
)
async def test_a_token_that_shows_nothing_is_401(
    telemetry: Telemetry, secret: str | None, credentials: str, said: str
) -> None:
    async with app_of(telemetry, secret=secret) as url:
        headers = {"Authorization": credentials}
        async with request("GET", url.joinpath("random"), headers=headers) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith('Bearer realm="randsvc"')
            assert response.content_type == "application/problem+json"
            assert said in (await response.json())["detail"]


async def test_a_token_that_is_no_text_is_401(telemetry: Telemetry) -> None:
    async with app_of(telemetry) as url:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET /random HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
        writer.close()


def by(measured: Measured, name: str) -> dict[object, int]:
    """The values of a counter by its one attribute."""
    return {value: point.value for ((_, value),), point in measured[name].items()}


async def test_features_are_counted_and_known_to_the_fallback(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    faults = faults_of()
    faults.set("model-down", {"duration": 60})
    async with app_of(telemetry, value="normal(mean=50, sd=10)", faults=faults) as url:
        assert (await get(url, "segment=premium&amount=12"))[1]["value"] == 55
        assert (await get(url, "segment=premium&amount=1000"))[1]["value"] == 60
        assert (await get(url, "segment=new"))[1]["value"] == 45
        await get(url)
    measured = read()
    assert by(measured, "randsvc.inputs") == {"new": 1, "regular": 0, "premium": 2, "missing": 1}
    assert by(measured, "randsvc.inputs.missing") == {"segment": 1, "amount": 2}
    assert set(by(measured, "randsvc.inputs.refused").values()) == {0}


@pytest.mark.parametrize(
    ("query", "reason", "said"),
    [
        (
            "segment=gold",
            "unknown_segment",
            "segment='gold', expected one of new, regular, premium",
        ),
        ("amount=much", "not_a_number", "amount='much', expected a number from 0 to 10000"),
        ("amount=-1", "out_of_range", "amount='-1', expected a number from 0 to 10000"),
        ("color=red", "unknown_feature", "unknown feature 'color', expected segment or amount"),
        ("segment=new&segment=new", "repeated", "segment is given 2 times, expected once"),
    ],
)
async def test_features_that_cannot_be_used_are_422_with_what_was_expected_and_counted(
    telemetry: Telemetry, read: Callable[[], Measured], query: str, reason: str, said: str
) -> None:
    async with app_of(telemetry) as url:
        status, problem = await get(url, query)
        assert (status, problem["detail"]) == (422, said)
    measured = read()
    refused = by(measured, "randsvc.inputs.refused")
    assert {key: number for key, number in refused.items() if number} == {reason: 1}
    assert set(by(measured, "randsvc.inputs").values()) == {0}
    assert by(measured, "randsvc.predictions") == {"model": 0, "fallback": 0}


@pytest.mark.parametrize(
    ("fault", "segment"), [("feature-missing", "missing"), ("segment-change", "premium")]
)
async def test_a_fault_of_the_features_hits_its_share(
    telemetry: Telemetry, read: Callable[[], Measured], fault: str, segment: str
) -> None:
    faults = faults_of()
    faults.set(fault, {"share": 0.5, "duration": 60})
    async with app_of(telemetry, faults=faults) as url:
        for _ in range(40):
            await get(url, "segment=new&amount=1")
        faults.clear()
        await get(url, "segment=new&amount=1")
    measured = read()
    inputs = by(measured, "randsvc.inputs")
    assert inputs["new"] == 41 - inputs[segment]
    assert 10 <= inputs[segment] <= 30
    lost = inputs["missing"]
    assert by(measured, "randsvc.inputs.missing") == {"segment": lost, "amount": 0}


async def test_the_schema_of_the_features_is_published(telemetry: Telemetry) -> None:
    async with (
        app_of(telemetry) as url,
        request("GET", url.joinpath("features")) as response,
    ):
        assert response.status == 200
        assert response.content_type == "application/schema+json"
        schema = json.loads(await response.text())
    jsonschema_rs.meta.validate(schema)
    assert schema["properties"].keys() == {"segment", "amount"}


async def test_only_simulated_users_get_the_ground_truth(telemetry: Telemetry) -> None:
    faults = faults_of()
    faults.set("outcome-shift", {"by": 9, "duration": 60})
    async with app_of(telemetry, faults=faults) as url:
        for headers, told in (({}, None), ({"Simulated-User": "ada"}, "10.0")):
            async with request("GET", url.joinpath("random"), headers=headers) as response:
                assert response.headers.get("Simulated-Outcome") == told
                assert (await response.json())["value"] == 1


async def send_truth(url: URL, given: object, actual: float) -> int:
    body = {"id": given, "actual": actual}
    async with request("POST", url.joinpath("feedback"), json=body) as response:
        return response.status


async def test_feedback_about_an_answer_is_taken_once(
    telemetry: Telemetry, read: Callable[[], Measured]
) -> None:
    async with app_of(telemetry) as url:
        given = (await get(url))[1]["id"]
        assert [await send_truth(url, given, 3) for _ in range(2)] == [200, 409]
    (error,) = read()["randsvc.feedback.error"].values()
    assert (error.count, error.sum) == (1, -2)


@pytest.mark.parametrize(("secret", "status"), [("f" * 32, 200), (None, 403)])
async def test_replicas_take_feedback_about_each_others_answers_where_they_share_a_secret(
    telemetry: Telemetry, secret: str | None, status: int
) -> None:
    async with (
        app_of(telemetry, feedback_secret=secret) as one,
        app_of(telemetry, feedback_secret=secret) as other,
    ):
        given = (await get(one))[1]["id"]
        assert await send_truth(other, given, 1) == status


async def test_the_baselines_are_series(telemetry: Telemetry, read: Callable[[], Measured]) -> None:
    async with app_of(telemetry):  # a value and a delay that are not the default ones
        measured = read()
    shares = {
        (dict(key)["randsvc.distribution"], dict(key)["randsvc.bin"]): point.value
        for key, point in measured["randsvc.baseline.share"].items()
    }
    assert shares == {("segment", name): share for name, share in SEGMENTS.items()}
    (count,) = measured["randsvc.baseline.statistic"].items()
    assert dict(count[0]) == {"randsvc.distribution": "segment", "randsvc.statistic": "count"}
