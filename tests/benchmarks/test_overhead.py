import asyncio
import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import pytest
from yarl import URL

from benchmarks import instructions
from benchmarks.overhead import CANDIDATES, OURS, Candidate
from benchmarks.processes import started
from benchmarks.readers import otlp_sink, scraping
from benchmarks.report import Row, Section, write_markdown
from benchmarks.summary import Spread, compute_ratios, rotate
from benchmarks.wrk import BenchmarkError, Run, find_executable, parse

OUTPUT = """\
Running 3s test @ http://127.0.0.1:8080/random
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   614.73us  193.88us   5.07ms   93.75%
    Req/Sec    13.24k     1.24k   14.42k    86.67%
  Latency Distribution
     50%  576.00us
     75%  627.00us
     90%  724.00us
     99%    1.43ms
  39512 requests in 3.00s, 7.31MB read
Requests/sec:  13168.30
Transfer/sec:      2.44MB
"""

every_candidate = pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda each: each.name)
pushing = pytest.mark.parametrize(
    "candidate", [each for each in CANDIDATES if each.read == "pushed"], ids=lambda each: each.name
)
pulled = pytest.mark.parametrize(
    "candidate", [each for each in CANDIDATES if each.read == "pulled"], ids=lambda each: each.name
)


@dataclass(frozen=True)
class Observed:
    """The response of a candidate's server, and the metrics that it exported for it."""

    status: int
    content_type: str
    kinds: Mapping[str, type]
    pushed: bool
    pulled: str


_observed: dict[Candidate, Observed] = {}


async def observe(candidate: Candidate) -> Observed:
    """Start the server of a candidate, once for all tests."""
    if candidate not in _observed:
        _observed[candidate] = await _observe(candidate)
    return _observed[candidate]


async def _observe(candidate: Candidate) -> Observed:
    pushed = asyncio.Event()

    def take(body: bytes) -> None:
        if b"http.server.request.duration" in body:
            pushed.set()

    async with (
        otlp_sink(take) as sink,
        candidate.started(sink) as server,
        aiohttp.ClientSession() as session,
    ):
        with server.awake():
            async with session.get(server.url) as response:
                body = await response.json()
            text = ""
            if candidate.read == "pulled":
                async with session.get(server.url.with_path("/metrics")) as metrics:
                    text = await metrics.text()
            if candidate.read == "pushed":
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(pushed.wait(), 10)
    kinds = {name: type(value) for name, value in body.items()}
    return Observed(response.status, response.content_type, kinds, pushed.is_set(), text)


@every_candidate
async def test_a_candidate_answers_as_the_service_does(candidate: Candidate) -> None:
    found, ours = await observe(candidate), await observe(OURS)
    assert (found.status, found.content_type, found.kinds) == (
        ours.status,
        ours.content_type,
        ours.kinds,
    )


@pushing
async def test_a_candidate_that_pushes_has_measured_its_requests(candidate: Candidate) -> None:
    assert (await observe(candidate)).pushed


@pulled
async def test_a_candidate_that_is_pulled_has_measured_its_requests(candidate: Candidate) -> None:
    assert "http_request_duration_seconds_count{" in (await observe(candidate)).pulled


async def test_a_frozen_server_does_not_answer_until_it_is_awake() -> None:
    async with (
        otlp_sink() as sink,
        CANDIDATES[0].started(sink) as server,
        aiohttp.ClientSession() as session,
    ):
        with pytest.raises(TimeoutError):
            await session.get(server.url, timeout=aiohttp.ClientTimeout(0.2))
        with server.awake():
            async with session.get(server.url) as response:
                assert response.status == 200


async def test_a_server_is_gone_after_its_block() -> None:
    async with otlp_sink() as sink, CANDIDATES[0].started(sink) as server:
        assert server.process.is_running()
    assert not server.process.is_running()


async def test_a_server_that_does_not_start_is_named() -> None:
    with pytest.raises(BenchmarkError, match=r"raise SystemExit\(3\): exit code 3"):
        async with started(
            [sys.executable, "-c", "raise SystemExit(3)"], {}, URL("http://127.0.0.1:9")
        ):
            pass


async def test_a_scrape_that_fails_voids_the_measurement() -> None:
    async with otlp_sink() as sink:
        with pytest.raises(aiohttp.ClientResponseError):
            async with scraping(sink / "nothing"):
                await asyncio.sleep(0.2)


def test_the_requests_and_the_99th_percentile_are_read() -> None:
    assert parse(OUTPUT) == Run(requests=39512, p99=0.00143)


@pytest.mark.parametrize(
    ("printed", "seconds"), [("614.73us", 614.73e-6), ("1.43ms", 1.43e-3), ("2.00s", 2.0)]
)
def test_every_unit_of_a_latency_is_read(printed: str, seconds: float) -> None:
    assert parse(OUTPUT.replace("1.43ms", printed)).p99 == pytest.approx(seconds)


@pytest.mark.parametrize(
    "line",
    [
        "  Non-2xx or 3xx responses: 7",
        "  Socket errors: connect 0, read 3, write 0, timeout 0",
        "unable to connect to 127.0.0.1:9 Connection refused",
    ],
)
def test_failed_requests_void_the_measurement(line: str) -> None:
    with pytest.raises(BenchmarkError, match=line.strip()):
        parse(OUTPUT + line + "\n")


def test_an_unknown_output_is_shown() -> None:
    with pytest.raises(BenchmarkError, match="unexpected: Usage"):
        parse("Usage: wrk <options> <url>")


def test_without_wrk_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchmarkError, match="apt install wrk"):
        find_executable()


def test_a_ratio_is_taken_within_a_round() -> None:
    assert compute_ratios([2.0, 40.0], [1.0, 10.0]) == [2.0, 4.0]


def test_a_spread_has_the_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(2.0, 3.0, 4.0)


def test_one_round_has_no_spread() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_each_goes_first_in_its_turn() -> None:
    assert [rotate("abc", turn) for turn in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


@pytest.mark.parametrize(("ratio", "verdict"), [(1.1, "met"), (1.11, "missed")])
def test_a_target_is_held_against_the_median_ratio(ratio: float, verdict: str) -> None:
    row = Row("ours", Spread(50.0, 51.0, 52.0), Spread(1.0, ratio, 2.0), at_most=1.1)
    assert row.cells() == [
        "ours", "51.0", f"{ratio:.2f}", "1.00 to 2.00", f"at most 1.10: {verdict}"
    ]  # fmt: skip


def test_the_page_has_the_rows_and_the_command() -> None:
    row = Row("ours", Spread(50.0, 51.0, 52.0), Spread(1.0, 1.05, 1.1))
    page = write_markdown([Section("Title", "Method.", "CPU (us)", [row])])
    assert "| ours | 51.0 | 1.05 | 1.00 to 1.10 |  |" in page
    assert "\nMethod.\n" in page
    assert "`make bench`" in page


async def test_a_response_other_than_success_voids_the_count_of_instructions() -> None:
    async with otlp_sink() as sink:  # which has nothing at /random
        with pytest.raises(BenchmarkError, match=r"not the expected response: HTTP/1\.1 404"):
            await instructions.ask(sink / "random", 1)
