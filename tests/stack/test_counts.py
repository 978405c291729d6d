"""A known number of requests of each kind: Prometheus counts exactly those, pushed and pulled."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from randsvc.prometheus_api import Series
from randsvc.rules.golden_signals import count_events
from randsvc.rules.slo import BAD_EVENTS
from randsvc.stack.addresses import AddressBook
from randsvc.stack.programs import Program, Service, make_randsvc
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack, wait_until

LIMIT = 20
FAST = {"RANDSVC_DELAY": "constant(value=0.3)", "RANDSVC_MAX_CONCURRENCY": str(LIMIT)}
PUSH = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
PULL = {"OTEL_METRICS_EXPORTER": "prometheus"}

# method, route, status, error type; "" where a label is absent
SENT = Counter(
    {
        ("GET", "/random", "200", ""): 37,
        ("HEAD", "/random", "200", ""): 3,
        ("GET", "/random", "503", "503"): 6,
        ("GET", "/random", "500", "500"): 7,
        ("GET", "/random", "", "ClientConnectionResetError"): 2,
        ("POST", "", "405", ""): 5,
        ("GET", "", "404", ""): 4,
        ("_OTHER", "", "405", ""): 2,
        ("_OTHER", "", "400", ""): 1,
    }
)
DRAWN = 37 + 3 + 2
"""Values and delays: of each request that was let in."""


async def send(stack: Stack) -> None:
    """Send what ``SENT`` says."""
    url = stack.url("randsvc:8080")
    host, port = stack.book["randsvc:8080"].split(":")

    async with ClientSession() as session:

        async def ask(method: str = "GET", path: str = "/random") -> int:
            async with session.request(method, url + path) as response:
                await response.read()
                return response.status

        async def leave() -> None:
            _, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /random HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0.1)
            writer.close()

        async def babble() -> None:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"no such thing\r\n\r\n")
            await reader.read()
            writer.close()

        statuses = Counter(await asyncio.gather(*(ask() for _ in range(LIMIT + 6))))
        assert statuses == {200: LIMIT, 503: 6}
        await asyncio.gather(*(ask() for _ in range(17)), *(ask("HEAD") for _ in range(3)))
        await asyncio.gather(
            *(ask("POST") for _ in range(5)),
            *(ask(path=f"/nothing/{number}") for number in range(4)),
            ask("PROPFIND"),
            ask("MKCOL"),
            leave(),
            leave(),
            babble(),
        )
        fault = stack.url("randsvc:9464", "/faults/errors")
        async with session.put(fault, json={"share": 1, "duration": 60}) as response:
            assert response.status == 204
        assert Counter([await ask() for _ in range(7)]) == {500: 7}


REQUESTS = 'http_server_request_duration_seconds_count{job="randsvc"}'


def counted(stack: Stack, series: str = REQUESTS) -> Counter[tuple[str, ...]]:
    """What Prometheus says was served, summed over instances."""
    labels = ("http_request_method", "http_route", "http_response_status_code", "error_type")
    result = stack.query(f"sum by ({', '.join(labels)}) ({series})")
    return Counter(
        {
            tuple(series.labels.get(label, "") for label in labels): series.values[-1][1]
            for series in result
        }
    )


def expect_exactly_what_was_sent(stack: Stack) -> None:
    asyncio.run(send(stack))
    try:
        wait_until(lambda: counted(stack) == SENT, within=15)
    except TimeoutError:
        assert counted(stack) == SENT  # which shows the difference
    time.sleep(2)  # some pushes and scrapes more, which must not add to it


def service(*variables: dict[str, str]) -> Service:
    def program(book: AddressBook) -> Program:
        env: dict[str, str] = {}
        for each in variables:
            env |= each
        return make_randsvc(book, env=env)

    return program


@pytest.fixture(scope="module")
def pushing(programs: Path) -> Iterator[Stack]:
    with run_stack(services=[service(FAST, PUSH)], free_ports=True, interval="500ms") as stack:
        expect_exactly_what_was_sent(stack)
        yield stack


@pytest.fixture(scope="module")
def pulled(programs: Path) -> Iterator[Stack]:
    with run_stack(
        services=[service(FAST, PULL)], free_ports=True, interval="500ms", pull=True
    ) as stack:
        expect_exactly_what_was_sent(stack)
        yield stack


@pytest.mark.native
@pytest.mark.parametrize("path", ["pushing", "pulled"])
def test_every_request_is_counted_once(path: str, request: pytest.FixtureRequest) -> None:
    assert counted(request.getfixturevalue(path)) == SENT


@pytest.mark.native
@pytest.mark.parametrize("path", ["pushing", "pulled"])
def test_the_rules_count_a_series_from_its_first_event(
    path: str, request: pytest.FixtureRequest
) -> None:
    stack: Stack = request.getfixturevalue(path)
    assert counted(stack, count_events(REQUESTS, "10m")) == SENT
    for name in ("randsvc_value", "randsvc_delay_seconds"):
        values = count_events(f'{name}{{job="randsvc"}}', "10m")
        assert stack.number(f"histogram_count(sum({values}))") == DRAWN


def count_draws(series: Series) -> float:
    _, histogram = series.histograms[-1]
    return sum(count for _, _, count in histogram.buckets)


@pytest.mark.parametrize("name", ["randsvc_value", "randsvc_delay_seconds"])
def test_a_pushed_distribution_is_a_native_histogram_of_every_draw(
    pushing: Stack, name: str
) -> None:
    (series,) = pushing.query(f'{name}{{job="randsvc"}}')
    assert count_draws(series) == DRAWN
    assert pushing.query(f"{name}_bucket") == []


@pytest.mark.parametrize("name", ["randsvc_value", "randsvc_delay_seconds"])
def test_a_pulled_distribution_has_every_draw_in_its_buckets(pulled: Stack, name: str) -> None:
    assert pulled.number(f'{name}_count{{job="randsvc"}}') == DRAWN
    assert pulled.number(f'{name}_bucket{{job="randsvc",le="+Inf"}}') == DRAWN
    (series,) = pulled.query(f'{name}{{job="randsvc"}}')  # what the rules read, on either path
    assert count_draws(series) == DRAWN


@pytest.mark.parametrize("path", [PUSH, PULL], ids=["pushed", "pulled"])
def test_thirty_errors_in_the_first_second_of_a_process_are_thirty_bad_events(
    programs: Path, path: dict[str, str]
) -> None:
    async def fail(stack: Stack) -> None:
        async with ClientSession() as session:
            fault = stack.url("randsvc:9464", "/faults/errors")
            async with session.put(fault, json={"share": 1, "duration": 60}) as response:
                assert response.status == 204

            async def ask() -> int:
                async with session.get(stack.url("randsvc:8080", "/random")) as response:
                    return response.status

            assert set(await asyncio.gather(*(ask() for _ in range(30)))) == {500}

    bad = f'{BAD_EVENTS}{{slo="random-availability",window="2m"}}'
    with run_stack(services=[service(path)], free_ports=True, pull=path == PULL) as stack:
        wait_until(lambda: stack.number(bad) == 0, within=15)
        stack.stop("randsvc")
        stack.start("randsvc")
        asyncio.run(fail(stack))
        wait_until(lambda: stack.number(bad), within=15)
        time.sleep(5)  # some pushes, scrapes and evaluations more, which must not add to it
        assert stack.number(bad) == 30


@pytest.mark.parametrize(("path", "label"), [(PUSH, "instance"), (PULL, "worker")])
def test_workers_add_up_exactly_and_each_has_a_label_of_its_own(
    path: dict[str, str], label: str, programs: Path
) -> None:
    workers = {"RANDSVC_WORKERS": "2", "RANDSVC_DELAY": "constant(value=0)"}
    requests = 200

    async def ask(url: str) -> None:
        for _ in range(requests):  # each on a connection of its own, so that both get some
            async with ClientSession() as session, session.get(url) as response:
                assert response.status == 200

    count = 'http_server_request_duration_seconds_count{job="randsvc"}'
    with run_stack(
        services=[service(workers, path)],
        free_ports=True,
        interval="500ms",
        pull=path is PULL,
    ) as stack:
        asyncio.run(ask(stack.url("randsvc:8080", "/random")))
        wait_until(lambda: stack.number(f"sum({count})") == requests, within=15)
        assert stack.number(f"count(count by ({label}) ({count}))") == 2
        (values,) = stack.query('sum(randsvc_value{job="randsvc"})')
        assert count_draws(values) == requests


def test_the_last_export_before_the_end_is_not_lost(programs: Path) -> None:
    rare = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "60000"}

    async def ask(url: str) -> None:
        async with ClientSession() as session:
            for _ in range(5):
                async with session.get(url) as response:
                    assert response.status == 200

    with run_stack(services=[service(rare)], free_ports=True, interval="500ms") as stack:
        asyncio.run(ask(stack.url("randsvc:8080", "/random")))
        stack.stop("randsvc")
        name = 'http_server_request_duration_seconds_count{job="randsvc"}'
        assert wait_until(lambda: stack.number(name), within=15) == 5
