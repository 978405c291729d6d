"""The OpenAPI documents, held against the applications that they describe."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from aiohttp import ClientResponse, ClientSession, web
from hypothesis import HealthCheck, settings
from yarl import URL

from randsvc.distributions import parse
from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS, Faults
from randsvc.model.features import SCHEMA
from randsvc.service.answer_ids import AnswerIds
from randsvc.service.login_app import make_auth_app
from randsvc.service.openapi import DOCUMENTS, PATH, Document
from randsvc.service.random_app import make_app
from randsvc.settings import AuthSettings, Settings
from randsvc.telemetry import Telemetry
from tests.support.breaking import faults_of
from tests.support.reading import Measured, counts
from tests.support.service import running_service
from tests.support.serving import serving

SECRET = "s" * 32
GOOD = {"user": "ada", "password": "random"}
CLIENT_TIMEOUT = 0.5
TOO_LARGE = b'"' + b"x" * 20_000 + b'"'


def app_of(service: str, telemetry: Telemetry, faults: Faults, limit: int) -> web.Application:
    if service == "auth":
        auth = AuthSettings(secret=SECRET, max_concurrency=limit, client_timeout=CLIENT_TIMEOUT)
        return make_auth_app(auth, telemetry, faults)
    random = Settings(
        delay=parse("constant(value=0)"),
        max_concurrency=limit,
        feedback_secret=SECRET,
        client_timeout=CLIENT_TIMEOUT,
    )
    return make_app(random, telemetry, faults)


@dataclass(frozen=True, kw_only=True)
class Provoked:
    """A request that a status is the answer to.

    ``faults`` are on; at a ``limit`` of 0 all load is shed; ``breaks`` is what raises in the
    service; ``again`` asks twice; a ``slow`` body takes longer than the service waits.
    """

    service: str
    path: str
    status: int
    method: str = "get"
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    faults: dict[str, dict[str, float]] = field(default_factory=dict)
    limit: int = 5
    breaks: str = ""
    again: bool = False
    slow: bool = False


def random(status: int, **how: Any) -> Provoked:
    return Provoked(service="randsvc", path="/random", status=status, **how)


def feedback(status: int, body: object = b"", **how: Any) -> Provoked:
    return Provoked(
        service="randsvc", path="/feedback", method="post", status=status, body=raw(body), **how
    )


def login(status: int, body: object = b"", **how: Any) -> Provoked:
    return Provoked(
        service="auth", path="/login", method="post", status=status, body=raw(body), **how
    )


def raw(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


async def slow_body() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.sleep(4 * CLIENT_TIMEOUT)


def of_an_answer(age: float = -3600) -> dict[str, object]:
    """A feedback for an answer of so many seconds ago.

    By default it is of an hour from now, as services that start later take none of before.
    """
    ids = AnswerIds(SECRET, lifetime=60, clock=lambda: time.time() - age)
    return {"id": ids.issue(50.0, "model"), "actual": 49}


PROVOKED = [
    random(200, query="segment=new&amount=10"),
    random(401, headers={"Authorization": "Bearer nonsense"}),
    random(422, query="segment=nobody"),
    random(500, faults={"errors": {"share": 1}}),
    random(503, limit=0),
    Provoked(service="randsvc", path="/features", status=200),
    feedback(200, of_an_answer()),
    feedback(400, b"nonsense"),
    feedback(403, {"id": "forged", "actual": 1}),
    feedback(408, slow=True),
    feedback(409, of_an_answer(), again=True),
    feedback(410, of_an_answer(age=1e6)),
    feedback(413, TOO_LARGE),
    feedback(422, {"id": "forged", "actual": "none"}),
    feedback(500, of_an_answer(), breaks="randsvc.service.feedback._number"),
    feedback(503, faults={"feedback-down": {}}),
    Provoked(service="randsvc", path=PATH, status=200),
    login(200, GOOD),
    login(400, b"[]"),
    login(401, {**GOOD, "password": "wrong"}),
    login(408, slow=True),
    login(413, TOO_LARGE),
    login(422, {"user": ""}),
    login(500, GOOD, breaks="randsvc.service.login_app.hmac.compare_digest"),
    login(503, faults={"auth-down": {}}),
    Provoked(service="auth", path=PATH, status=200),
]


@pytest.fixture
async def ask(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[Provoked], Any]]:
    """Serve what is asked, and give its last answer, still open."""
    async with AsyncExitStack() as stack:

        async def answer(provoked: Provoked) -> ClientResponse:
            faults = faults_of((*RANDOM_FAULTS, *AUTH_FAULTS))
            for name, parameters in provoked.faults.items():
                faults.set(name, {**parameters, "duration": 60})
            app = app_of(provoked.service, telemetry, faults, provoked.limit)
            url = await stack.enter_async_context(serving(app))
            session = await stack.enter_async_context(ClientSession())
            if provoked.breaks:
                monkeypatch.setattr(provoked.breaks, lambda *_: 1 / 0)
            for _ in range(1 + provoked.again):
                response = await session.request(
                    provoked.method,
                    url.join(URL(f"{provoked.path}?{provoked.query}")),
                    headers=provoked.headers,
                    data=slow_body() if provoked.slow else provoked.body,
                )
            return response

        yield answer


def validate(body: object, schema: Document, document: Document) -> None:
    """Hold a body against a schema that may refer to others of the document."""
    jsonschema_rs.validator_for({**schema, "components": document["components"]}).validate(body)


async def hold(answer: ClientResponse, response: Document, document: Document) -> None:
    """Hold an answer against what the document says of it."""
    ((media_type, content),) = response["content"].items()
    assert answer.content_type == media_type
    validate(await answer.json(content_type=None), content["schema"], document)
    if answer.status in (401, 405):
        assert set(response["headers"]) <= set(answer.headers)


@pytest.mark.parametrize(
    "provoked", PROVOKED, ids=lambda p: f"{p.service} {p.method} {p.path} {p.status}"
)
async def test_a_status_is_answered_as_the_document_says(
    ask: Callable[[Provoked], Any], provoked: Provoked
) -> None:
    document = DOCUMENTS[provoked.service]
    answer = await ask(provoked)
    assert answer.status == provoked.status, await answer.text()
    operation = document["paths"][provoked.path][provoked.method]
    await hold(answer, operation["responses"][str(provoked.status)], document)


@pytest.mark.parametrize("service", DOCUMENTS)
def test_each_status_of_the_document_can_be_provoked(service: str) -> None:
    stated = {
        (path, method, int(status))
        for path, operations in DOCUMENTS[service]["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    assert stated == {(p.path, p.method, p.status) for p in PROVOKED if p.service == service}


@pytest.mark.parametrize("service", DOCUMENTS)
async def test_the_document_has_the_routes_of_the_application_and_no_others(
    service: str, telemetry: Telemetry
) -> None:
    app = app_of(service, telemetry, faults_of(), limit=5)
    app.freeze()
    await app.cleanup()
    routes = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        # What answers GET answers HEAD too, which the document says once and for all.
        if route.resource and route.method != "HEAD"
    }
    assert routes == {
        (path, method)
        for path, operations in DOCUMENTS[service]["paths"].items()
        for method in operations
    }


@pytest.mark.parametrize("service", DOCUMENTS)
@pytest.mark.parametrize(
    ("path", "method", "component"),
    [("/nothing", "get", "NotFound"), (PATH, "post", "MethodNotAllowed")],
)
async def test_a_missing_path_is_answered_as_the_document_says(
    ask: Callable[[Provoked], Any], service: str, path: str, method: str, component: str
) -> None:
    answer = await ask(Provoked(service=service, path=path, method=method, status=0))
    document = DOCUMENTS[service]
    response = document["components"]["responses"][component]
    await hold(answer, response, document)


def test_the_parameters_are_the_features() -> None:
    parameters = DOCUMENTS["randsvc"]["paths"]["/random"]["get"]["parameters"]
    assert {
        p["name"]: {"description": p["description"], **p["schema"]} for p in parameters
    } == SCHEMA["properties"]


@pytest.mark.parametrize("service", DOCUMENTS)
async def test_the_document_is_served_and_its_requests_are_measured(
    ask: Callable[[Provoked], Any], read: Callable[[], Measured], service: str
) -> None:
    answer = await ask(Provoked(service=service, path=PATH, status=200))
    assert await answer.json() == DOCUMENTS[service]
    measured = read()
    durations = measured["http.server.request.duration"]
    assert counts(durations, "http.route", "http.response.status_code") == {(PATH, 200): 1}
    assert measured["http.server.active_requests"]


EXAMPLES = 25
"""Of each operation and kind of data: enough to see each boundary of a parameter."""


@pytest.fixture(scope="module")
def url_of() -> Iterator[Mapping[str, str]]:
    """Where each service runs, by its name."""
    variables = {
        "RANDSVC_DELAY": "constant(value=0)",
        "RANDSVC_AUTH_SECRET": SECRET,
        "RANDSVC_FEEDBACK_SECRET": SECRET,
    }
    with (
        running_service(**variables) as service,
        running_service(command="auth", **variables) as auth,
    ):
        service.wait_until_ready()
        auth.wait_until_ready()
        yield {"randsvc": service.public, "auth": auth.public}


service = schemathesis.openapi.from_dict(dict(DOCUMENTS["randsvc"]))
auth = schemathesis.openapi.from_dict(dict(DOCUMENTS["auth"]))
bounded = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.mark.process
@service.parametrize()
@bounded
def test_the_service_keeps_to_its_document_whatever_is_asked(
    case: schemathesis.Case[Any], url_of: Mapping[str, str]
) -> None:
    case.call_and_validate(base_url=url_of["randsvc"])


@pytest.mark.process
@auth.parametrize()
@bounded
def test_the_login_keeps_to_its_document_whatever_is_asked(
    case: schemathesis.Case[Any], url_of: Mapping[str, str]
) -> None:
    case.call_and_validate(base_url=url_of["auth"])
