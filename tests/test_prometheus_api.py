"""The client against servers that answer as Prometheus does, or do not."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randsvc import prometheus_api
from randsvc.prometheus_api import (
    Alert,
    AsyncPrometheus,
    NativeHistogram,
    Prometheus,
    PrometheusError,
    Series,
    parse_headers,
    redact_url,
)
from tests.support.prometheus_stub import Request, answering, series

Asked = list[tuple[float, float]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Asked]:
    """What a server is asked that gives ``most`` points at most; each as its ends."""

    def limit(most: float) -> Asked:
        ends: Asked = []

        def query_piece(
            self: Prometheus, promql: str, start: float, end: float, step: float
        ) -> list[Series]:
            if (end - start) / step + 1 > most:
                raise prometheus_api._TooLargeError("too much")
            ends.append((start, end))
            return []

        monkeypatch.setattr(Prometheus, "_query_piece", query_piece)
        return ends

    return limit


def test_every_step_of_a_long_period_is_asked_for_once(asked: Callable[[float], Asked]) -> None:
    ends = asked(prometheus_api.POINT_LIMIT)
    year = 365 * 86400.0
    list(Prometheus("").range("x", 15.0, year, 15.0))
    assert (ends[0][0], ends[-1][1]) == (15, year)
    assert all(later - earlier == 15 for (_, earlier), (later, _) in pairwise(ends))


def test_a_piece_that_is_too_large_is_asked_for_in_halves(asked: Callable[[float], Asked]) -> None:
    ends = asked(7)
    list(Prometheus("").range("x", 0.0, 100.0, 1.0))
    assert sum(end - start + 1 for start, end in ends) == 101
    assert all(later - earlier == 1 for (_, earlier), (later, _) in pairwise(ends))


def test_a_single_step_that_is_too_large_is_an_error(asked: Callable[[float], Asked]) -> None:
    asked(0)
    with pytest.raises(PrometheusError, match="too much"):
        list(Prometheus("").range("x", 0.0, 100.0, 1.0))


def error_of(call: Callable[[], object]) -> str:
    """The message of the error, which is one line of printable characters."""
    with pytest.raises(PrometheusError) as raised:
        call()
    message = str(raised.value)
    assert message.isprintable()
    return message


def test_an_error_about_too_many_samples_names_the_query() -> None:
    error = "query processing would load too many samples into memory in query execution"
    body = json.dumps({"status": "error", "errorType": "execution", "error": error})
    with answering(lambda _: (422, body)) as url:
        said = error_of(lambda: list(Prometheus(url).range("rate(x[5m])", 0, 60, 60)))
    assert said == f"Prometheus at {url} cannot answer rate(x[5m]): {error}"


def test_an_answer_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_api, "ANSWER_LIMIT", 10)
    with answering(lambda _: series([])) as url:
        assert "the answer is larger than" in error_of(lambda: Prometheus(url).query("x", 0))


def test_numbers_and_histograms_are_parsed_and_samples_that_are_not_finite_are_left_out() -> None:
    histogram = {"count": "5", "sum": "NaN", "buckets": [[0, "1", "+Inf", "5"]]}
    found: list[dict[str, object]] = [
        {"metric": {"a": "b"}, "values": [[1, "2"], [2.5, "NaN"], [3, "+Inf"]]},
        {"metric": {"a": "c"}, "value": [1, "-Inf"]},
        {"metric": {}, "histogram": [4, histogram]},
    ]
    with answering(lambda _: series(found)) as url:
        assert Prometheus(url).query("x") == [
            Series({"a": "b"}, values=((1.0, 2.0),)),
            Series({}, histograms=((4.0, NativeHistogram(None, ((1.0, float("inf"), 5.0),))),)),
        ]


@pytest.mark.parametrize(
    ("kind", "result", "expected"),
    [("scalar", [1, "2"], [Series({}, values=((1.0, 2.0),))]), ("string", [1, "up"], [])],
)
def test_a_scalar_is_a_series_without_labels_and_a_text_is_none(
    kind: str, result: object, expected: list[Series]
) -> None:
    body = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}})
    with answering(lambda _: (200, body)) as url:
        assert Prometheus(url).query("x") == expected


def test_the_reason_of_a_refusal_stands_alone_too() -> None:
    reason = "1:5: parse error: unexpected end of input"
    body = json.dumps({"status": "error", "errorType": "bad_data", "error": reason})
    with answering(lambda _: (400, body)) as url, pytest.raises(PrometheusError) as raised:
        Prometheus(url).get("parse_query", query="x + ")
    assert str(raised.value) == f"Prometheus at {url} refuses the query: {reason}"
    assert raised.value.refusal == reason


MALFORMED: dict[str, Any] = {
    "a page": "<html>Log in</html>",
    "nothing": "",
    "a list": [],
    "no data": {"status": "success"},
    "a number for data": {"status": "success", "data": 3},
    "a result that is text": {"status": "success", "data": {"result": "up"}},
    **{
        f"a series with {what}": {"status": "success", "data": {"result": [each]}}
        for what, each in {
            "no labels": {"value": [1, "2"]},
            "a list of labels": {"metric": ["a"], "value": [1, "2"]},
            "a time that is no number": {"metric": {}, "value": ["x", "2"]},
            "a time of NaN": {"metric": {}, "value": [float("nan"), "2"]},
            "a value that is text": {"metric": {}, "value": [1, "two"]},
            "a value that is missing": {"metric": {}, "value": [1]},
            "a value that is null": {"metric": {}, "value": [1, None]},
            "a number beyond floats": {"metric": {}, "value": [10**400, "1"]},
            "a histogram without a sum": {"metric": {}, "histogram": [1, {"buckets": []}]},
            "a bucket of NaN": {
                "metric": {},
                "histogram": [1, {"sum": "1", "buckets": [[0, "NaN", "1", "1"]]}],
            },
            "a bucket whose bounds are swapped": {
                "metric": {},
                "histogram": [1, {"sum": "1", "buckets": [[0, "2", "1", "1"]]}],
            },
            "a bucket that counts less than nothing": {
                "metric": {},
                "histogram": [1, {"sum": "1", "buckets": [[0, "1", "2", "-1"]]}],
            },
        }.items()
    },
    "brackets without end": "[" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_an_answer_that_is_not_of_prometheus_is_one_line(body: Any) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    with answering(lambda _: (200, text)) as url:
        said = error_of(lambda: Prometheus(url).query("x"))
    assert said == f"{url} does not answer as Prometheus does"


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metric", "value", "values", "histogram", "sum", "buckets", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values)
def test_whatever_a_series_is_the_caller_gets_a_result_or_the_error(node: Any) -> None:
    server = AsyncPrometheus("http://prometheus")
    with contextlib.suppress(PrometheusError):
        for each in prometheus_api._parse_result(server, {"result": [node]}):
            assert each.values or each.histograms


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (502, "<html>", "answers 502 Bad Gateway"),
        (401, "", "answers 401 Unauthorized: expected credentials that it accepts"),
        (403, "no\n", "answers 403 Forbidden: expected credentials that it accepts"),
        (
            400,
            '{"status": "error", "error": "parse\\nerror \\u001b[31m"}',
            "refuses the query: parse error [31m",
        ),
        (400, json.dumps({"status": "error", "error": "x" * 5000}), "xxx..."),
    ],
)
def test_a_refusal_is_one_line(status: int, body: str, expected: str) -> None:
    with answering(lambda _: (status, body)) as url:
        said = error_of(lambda: Prometheus(url).query("x"))
    assert said.startswith(f"Prometheus at {url} ")
    assert expected in said
    assert len(said) < 600


def test_a_redirect_is_not_followed_but_said() -> None:
    to = {"Location": "https://me:secret@login.example/start?session=secret"}
    with answering(lambda _: (302, ""), headers=to) as url:
        said = error_of(lambda: Prometheus(url).query("x"))
    assert said.startswith(
        f"Prometheus at {url} redirects to https://***@login.example/start?***: use the URL"
    )


def test_a_server_that_is_down_is_named() -> None:
    said = error_of(lambda: Prometheus("http://127.0.0.1:1/").query("x"))
    assert said.startswith("cannot reach Prometheus at http://127.0.0.1:1/: ")


def error_from(sent: bytes, *, then_close: bool) -> str:
    """The error about a server that sends these bytes, whatever it is asked."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            writer.write(sent)
            if not then_close:
                await asyncio.sleep(60)

    async def ask() -> None:
        with contextlib.closing(await asyncio.start_server(send, "127.0.0.1", 0)) as server:
            port = server.sockets[0].getsockname()[1]
            await AsyncPrometheus(f"http://127.0.0.1:{port}", timeout=0.3).alerts()

    return error_of(lambda: asyncio.run(ask()))


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n\r\n{"], ids=["nothing", "a beginning"])
def test_a_server_that_hangs_is_not_waited_for(sent: bytes) -> None:
    assert error_from(sent, then_close=False).endswith(" gives no answer within 0.3 s")


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-OpenSSH_9.6\r\n\x00\xff", b"HTTP/1.1 200 OK\r\n"])
def test_a_server_that_speaks_another_protocol_is_one_line(sent: bytes) -> None:
    assert error_from(sent, then_close=True).startswith("cannot reach Prometheus at http://")


def test_alerts_are_parsed() -> None:
    alert = {
        "labels": {"alertname": "Slow", "level": "major"},
        "annotations": {"summary": "It is slow"},
        "state": "firing",
        "activeAt": "2026-11-25T10:00:00Z",
        "value": "1e+00",
    }
    body = json.dumps({"status": "success", "data": {"alerts": [alert]}})
    requests: list[Request] = []
    with answering(lambda _: (200, body), requests=requests) as url:
        found = asyncio.run(AsyncPrometheus(f"{url}/prometheus/").alerts())
    assert [request.path for request in requests] == ["/prometheus/api/v1/alerts"]
    assert found == [
        Alert(
            {"alertname": "Slow", "level": "major"},
            {"summary": "It is slow"},
            "firing",
            "2026-11-25T10:00:00Z",
        )
    ]


@pytest.mark.parametrize(
    "data", [{}, {"alerts": [{"labels": {}}]}, {"alerts": [3]}, {"alerts": None}], ids=str
)
def test_alerts_that_are_malformed_are_one_line(data: Any) -> None:
    body = json.dumps({"status": "success", "data": data})
    with answering(lambda _: (200, body)) as url:
        said = error_of(lambda: asyncio.run(AsyncPrometheus(url).alerts()))
    assert said == f"{url} does not answer as Prometheus does"


def test_rule_files_are_parsed() -> None:
    groups = [{"file": "/rules/b.yml"}, {"file": "/rules/a.yml"}, {"file": "/rules/a.yml"}]
    body = json.dumps({"status": "success", "data": {"groups": groups}})
    with answering(lambda _: (200, body)) as url:
        found = asyncio.run(AsyncPrometheus(url).rule_files())
    assert found == ["/rules/a.yml", "/rules/b.yml"]


@pytest.mark.parametrize("data", [{}, {"groups": [{}]}, {"groups": [3]}, {"groups": None}], ids=str)
def test_rule_files_that_are_malformed_are_one_line(data: Any) -> None:
    body = json.dumps({"status": "success", "data": data})
    with answering(lambda _: (200, body)) as url:
        said = error_of(lambda: asyncio.run(AsyncPrometheus(url).rule_files()))
    assert said == f"{url} does not answer as Prometheus does"


SECRET = "p/ss:w@rd"  # noqa: S105
ENCODED = "p%2Fss%3Aw%40rd"


def test_credentials_headers_and_the_query_of_the_url_are_sent() -> None:
    requests: list[Request] = []
    with answering(lambda _: series([]), requests=requests) as url:
        address = url.removeprefix("http://")
        Prometheus(f"http://me:{ENCODED}@{address}/x?apikey=1").query("up", 5)
        Prometheus(url, "secret", {"X-Scope-OrgID": "shop"}).query("up", 5)
    basic, bearer = requests
    assert basic.headers["authorization"] == "Basic bWU6cC9zczp3QHJk"
    assert basic.headers["host"] == address
    assert basic.parameters == {"apikey": "1", "query": "up", "time": "5.000"}
    assert bearer.headers["authorization"] == "Bearer secret"
    assert bearer.headers["x-scope-orgid"] == "shop"


ECHO = f"{SECRET} {ENCODED} token-1 hidden-1"


@pytest.mark.parametrize(
    "answer",
    [
        (200, "<html>"),
        (401, ""),
        (400, json.dumps({"status": "error", "error": ECHO})),
        (503, json.dumps({"status": "error", "errorType": "timeout", "error": ECHO})),
    ],
)
@pytest.mark.parametrize("in_url", [True, False])
def test_no_error_repeats_a_secret_even_where_the_server_does(
    answer: tuple[int, str], in_url: bool
) -> None:
    headers = {"X-Key": "hidden-1"}
    with answering(lambda _: answer) as url:
        if in_url:
            secrets = [SECRET, ENCODED, "hidden-1"]
            server = Prometheus(url.replace("//", f"//me:{ENCODED}@"), headers=headers)
        else:
            secrets = [SECRET, ENCODED, "token-1", "hidden-1"]
            server = Prometheus(f"{url}/?key={ENCODED}", "token-1", headers)
        said = error_of(lambda: server.query("up"))
    for secret in secrets:
        assert secret not in said + repr(server) + server.shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://prometheus:9090/x", "http://prometheus:9090/x"),
        (f"http://me:{ENCODED}@host:9090/x?key=1", "http://***@host:9090/x?***"),
        (f"http://me:{SECRET}@host", "http://***@host"),
        ("me:secret@host:9090", "***@host:9090"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    "url", ["", "localhost:9090", "ftp://host", "http://", "http://[", "http://h:99999", "me:s@h:1"]
)
def test_an_invalid_url_is_named(url: str) -> None:
    said = error_of(lambda: Prometheus(url).query("up"))
    assert said == f"{redact_url(url)} is not a URL such as http://127.0.0.1:9090".strip()


def test_two_ways_to_log_in_are_refused() -> None:
    server = Prometheus("http://me:secret@host", headers={"authorization": "Basic eA=="})
    assert "two ways to log in to Prometheus at http://***@host are set" in error_of(
        lambda: server.query("up")
    )


def test_a_token_that_no_header_can_hold_is_refused() -> None:
    said = error_of(lambda: Prometheus("http://host", "sec\r\nret").query("up"))
    assert "a character that HTTP headers cannot hold" in said
    assert "sec" not in said


def test_a_header_that_is_malformed_is_not_repeated() -> None:
    assert parse_headers(["A: b:c", "", " D :e "]) == {"A": "b:c", "D": "e"}
    with pytest.raises(ValueError, match="header 2 ") as raised:
        parse_headers(["A: b", "Bearer hunter2"])
    assert "hunter2" not in str(raised.value)
