"""The commands against a server that answers as Prometheus does, or does not."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

Answer = Callable[[str], tuple[int, str]]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server that answers each query so; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (query,) = parse_qs(urlsplit(self.path).query).get("query", [""])
            status, body = answer(query)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def run(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    start = f"{code}\nimport sys\nfrom randsvc.cli import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", start, *arguments], capture_output=True, text=True, timeout=60
    )


def refusal(*arguments: str, code: str = "") -> str:
    """The one line on which a command ends."""
    done = run(*arguments, code=code)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line


def series(result: list[dict[str, object]]) -> tuple[int, str]:
    return 200, json.dumps({"status": "success", "data": {"result": result}})


def one_histogram(query: str) -> tuple[int, str]:
    if query.startswith("resets"):
        return series([])
    buckets = [[0, str(low), str(low + 1), str(20 + 10 * (low % 3))] for low in range(1, 9)]
    native = {"count": "240", "sum": "1200", "buckets": buckets}
    labels = {"__name__": "randsvc_value", "job": "randsvc"}
    return series([{"metric": labels, "histogram": [1.0, native]}])


def test_an_unreachable_prometheus_is_named() -> None:
    line = refusal("recover", "value", "--prometheus", "http://127.0.0.1:1")
    assert line.startswith("randsvc: cannot reach Prometheus at http://127.0.0.1:1: ")


def test_what_is_no_url_is_named() -> None:
    line = refusal("recover", "value", "--prometheus", "localhost:9090")
    assert line == "randsvc: localhost:9090 is no URL such as http://127.0.0.1:9090"


@pytest.mark.parametrize("body", ["<html>", "{}", "[]", '{"status": "success", "data": 3}'])
def test_what_is_no_prometheus_is_named(body: str) -> None:
    with answering(lambda _: (200, body)) as url:
        line = refusal("recover", "value", "--prometheus", url)
    assert line == f"randsvc: {url} does not answer as Prometheus does"


def test_what_prometheus_refuses_is_passed_on() -> None:
    body = json.dumps({"status": "error", "error": "no such function"})
    with answering(lambda _: (400, body)) as url:
        line = refusal("recover", "value", "--prometheus", url)
    assert line.endswith("refuses: no such function")


def test_a_metric_without_series_is_named() -> None:
    with answering(lambda _: series([])) as url:
        line = refusal("recover", "delay", "--prometheus", url, "--window", "1h30m")
    assert 'has no series randsvc_delay_seconds{job=~"randsvc"} within 5400 s' in line


def test_a_window_in_which_nothing_was_counted_is_empty() -> None:
    # The last sample in the window is the one before it.
    with answering(one_histogram) as url:
        done = run("recover", "value", "--prometheus", url, "--json")
    found = json.loads(done.stdout)
    assert (found["count"], found["verdict"]) == (0, "nothing was counted in the window")


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--window", "30", "expected a duration such as 30m"),
        ("--window", "0s", "expected a duration such as 30m"),
        ("--at", "yesterday", "expected now, a time such as"),
    ],
)
def test_a_time_that_is_none_is_refused(option: str, value: str, expected: str) -> None:
    line = refusal("recover", "value", option, value)
    assert f"{option} is '{value}'" in line
    assert expected in line


def test_without_the_extra_one_line_says_how_to_install_it() -> None:
    hidden = "import sys; sys.modules['scipy'] = None"
    with answering(one_histogram) as url:
        line = refusal("recover", "value", "--prometheus", url, code=hidden)
    assert line.endswith("pip install 'randsvc[analysis]'")
