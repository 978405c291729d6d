"""Long periods by the HTTP API, in pieces."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest

from randsvc import prometheus_api
from randsvc.prometheus_api import Prometheus, PrometheusError
from tests.cli.test_recover import answering, series

Asked = list[tuple[float, float]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Asked]:
    """What a server is asked that gives ``most`` points at most; each as its ends."""

    def limit(most: float) -> Asked:
        ends: Asked = []

        def ask(self: Prometheus, endpoint: str, **given: str) -> prometheus_api.Result:
            start, end, step = (float(given[name]) for name in ("start", "end", "step"))
            if (end - start) / step + 1 > most:
                raise prometheus_api._TooMuchError("too much")
            ends.append((start, end))
            return []

        monkeypatch.setattr(Prometheus, "_ask", ask)
        return ends

    return limit


def test_every_step_of_a_long_period_is_asked_for_once(asked: Callable[[float], Asked]) -> None:
    ends = asked(prometheus_api.POINTS)
    year = 365 * 86400.0
    list(Prometheus("").range("x", 15.0, year, 15.0))
    assert (ends[0][0], ends[-1][1]) == (15, year)
    assert all(later - earlier == 15 for (_, earlier), (later, _) in pairwise(ends))


def test_a_piece_that_is_too_much_is_asked_for_in_halves(asked: Callable[[float], Asked]) -> None:
    ends = asked(7)
    list(Prometheus("").range("x", 0.0, 100.0, 1.0))
    assert sum(end - start + 1 for start, end in ends) == 101
    assert all(later - earlier == 1 for (_, earlier), (later, _) in pairwise(ends))


def test_what_is_too_much_even_so_is_an_error(
    asked: Callable[[float], Asked],
) -> None:
    asked(0)
    with pytest.raises(PrometheusError, match="too much"):
        list(Prometheus("").range("x", 0.0, 100.0, 1.0))


def test_too_many_samples_are_told_with_the_query() -> None:
    error = "query processing would load too many samples into memory in query execution"
    body = json.dumps({"status": "error", "errorType": "execution", "error": error})
    with answering(lambda _: (422, body)) as url, pytest.raises(PrometheusError) as raised:
        list(Prometheus(url).range("rate(x[5m])", 0, 60, 60))
    assert str(raised.value) == f"Prometheus at {url} cannot answer rate(x[5m]): {error}"


def test_an_answer_that_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_api, "ANSWER", 10)
    with answering(lambda _: series([])) as url, pytest.raises(PrometheusError) as raised:
        Prometheus(url).query("x", 0)
    assert "the answer is larger than" in str(raised.value)
