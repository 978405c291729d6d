"""A server that answers the HTTP API of Prometheus as a test wants it, right or wrong."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

__all__ = ("Answer", "Request", "answering", "series")

Answer = Callable[[str], tuple[int, str]]
"""From a query to status and body."""


class Request(NamedTuple):
    """What the server was sent; ``headers`` by lower-case name."""

    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]


@contextmanager
def answering(
    answer: Answer,
    *,
    headers: Mapping[str, str] | None = None,
    requests: list[Request] | None = None,
) -> Iterator[str]:
    """Answer each query so, with these headers, and add to ``requests``; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            parameters = {name: each[0] for name, each in parse_qs(url.query).items()}
            if requests is not None:
                sent = {name.lower(): value for name, value in self.headers.items()}
                requests.append(Request(url.path, parameters, sent))
            status, body = answer(parameters.get("query", ""))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        # Every 0.01 s it looks whether to end: each test would wait for the default, 0.5 s.
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def series(result: Sequence[Mapping[str, object]]) -> tuple[int, str]:
    """Status and body of an answer with these series, as the API writes them."""
    return 200, json.dumps({"status": "success", "data": {"result": result}})
