"""A grammar of HTTP requests to the ports of both services, right and wrong.

Each production gives what a port takes, what it nearly takes, or nonsense. An input is one byte for
the port, and the bytes that are sent there.
"""

import contextlib
import json
import random
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote

from benchmarks.services import PORTS
from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS
from randsvc.model.features import SEGMENTS
from randsvc.service.answer_ids import AnswerIds

__all__ = ("FEEDBACK_SECRET", "IDS", "PASSWORD", "Grammar", "port_of")

FEEDBACK_SECRET = "feedback" * 4
PASSWORD = "a-password-of-the-fuzzer"  # noqa: S105 - it guards a service that lives for the run
IDS = 20
"""Ids of responses that a run has; feedback is accepted once for each."""

LARGE = 20_000
"""Bytes of a body that no port takes."""

METHODS = (
    *("GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"),
    *("TRACE", "CONNECT", "PRI", "get", "GE T", "", "X" * 300, "\x00", "GÉT"),
)
VERSIONS = ("HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.1.1", "HTTP/", "")
WORDS = (
    *("", "0", "-1", "1e999", "NaN", "null", "\x00", "\xff", "é", "%00", "%", "%zz", "../.."),
    *("{}", "[]", '"', "'", "<script>", "${x}", "%s", "\r", "\n", "\t", "\ud800"),
    *("a" * 3000, "9" * 5000),
)
PATHS = {
    "randsvc": ("/random", "/random", "/features", "/feedback", "/openapi.json"),
    "auth": ("/login", "/login", "/openapi.json"),
    "management": (
        *("/metrics", "/livez", "/readyz", "/", "/console/about", "/console/live"),
        *("/console/alerts", "/console/console.js", "/runbooks", "/runbooks/", "/runbooks/X"),
        *("/faults", *(f"/faults/{fault.name}" for fault in (*RANDOM_FAULTS, *AUTH_FAULTS))),
    ),
}
QUERIES = ("segment", "amount", "instance", "after", "x")
HEADERS = (
    *("Host", "Content-Length", "Transfer-Encoding"),
    *("Authorization", "Authorization", "Content-Type", "Content-Type"),
    *("Connection", "Expect", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"),
    *("traceparent", "tracestate", "baggage", "Accept", "Accept-Encoding", "Range", "Upgrade"),
    *("Content-Encoding", "Cookie", "If-None-Match", "Simulated-User", "X-Forwarded-For", ""),
)
VALUES = (
    *("localhost", "127.0.0.1:80", "[::1]", "::1", "a:b", "evil.example", "a b", "http://["),
    *("Bearer x", "Bearer", "Basic YTpi", "bearer \xff", "Bearer a.b.c"),
    *("application/json", "text/html; charset=x", "application/json; charset=\ud800"),
    *("multipart/form-data; boundary=", "chunked", "gzip, chunked", "deflate", "bytes=0-"),
    *("keep-alive", "close", "100-continue", "websocket", "cross-site", "same-origin", "navigate"),
    *("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0-0-ff"),
    *("-5", "1e3", "99999999999999999999"),
)


class Grammar:
    """Makes requests from random numbers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        ids = AnswerIds(FEEDBACK_SECRET, lifetime=3600)
        old = AnswerIds(FEEDBACK_SECRET, lifetime=3600, clock=lambda: time.time() - 7200)
        self._ids = [ids.issue(50.0, "model") for _ in range(IDS)]
        self._ids += [old.issue(50.0, "model"), self._ids[0][:-1] + "A", "x", ""]

    def input(self) -> bytes:
        """A port and a request."""
        port = self.rng.randrange(len(PORTS))
        return bytes((port,)) + self.request(list(PORTS)[port])

    def request(self, port: str) -> bytes:
        """A request to a port."""
        head, body = [self.request_line(port)], b""
        if self.rng.random() < 0.9:
            head.append(b"Host: localhost")
        if self.rng.random() < 0.5:
            head += [self.header() for _ in range(self._few())]
        if head[0][:1] in b"PD":
            body = self.body(port)
            if self.rng.random() < 0.8:
                head.append(b"Content-Length: %d" % len(body))
            else:
                head.append(b"Transfer-Encoding: chunked")
                body = self._chunked(body)
        return b"\r\n".join((*head, b"", body))

    def request_line(self, port: str) -> bytes:
        """A method, a target and a version."""
        known = PATHS["management" if "management" in port else port]
        path = self.rng.choice(known) if self.rng.random() < 0.8 else f"/{self._part()}"
        method = self.rng.choice(METHODS)
        if self.rng.random() < 0.7:
            method = "POST" if path in ("/feedback", "/login") else "GET"
            if path.startswith("/faults/"):
                method = self.rng.choice(("PUT", "DELETE"))
        pairs = [f"{self.rng.choice(QUERIES)}={self._value()}" for _ in range(self._few())]
        target = f"{path}{'?' if pairs else ''}{'&'.join(pairs)}"
        if self.rng.random() < 0.05:
            target = self.rng.choice((f"http://a{target}", "*", "//", "a:80", "", "http://[", "/#"))
        version = self.rng.choice(VERSIONS) if self.rng.random() < 0.1 else "HTTP/1.1"
        return self._encode(f"{method} {target} {version}")

    def header(self) -> bytes:
        """A header."""
        name = self.rng.choice(HEADERS) if self.rng.random() < 0.95 else self._word()
        value = self.rng.choice(VALUES) if self.rng.random() < 0.9 else self._word()
        colon = ": " if self.rng.random() < 0.95 else self.rng.choice((":", " :", ""))
        return self._encode(f"{name}{colon}{value}")

    def body(self, port: str) -> bytes:
        """A body that the port takes, or not."""
        kind = self.rng.random()
        if kind < 0.1:
            return self._encode(self._word())
        if kind < 0.13:
            return self.rng.choice((b"[" * LARGE, b" " * LARGE, b'{"id":' * 1000, b"1" * 9000))
        right: dict[str, object] = {"duration": 1, "share": 1, "seconds": 1}
        if port == "randsvc":
            right = {"id": self.rng.choice(self._ids), "actual": 49}
        if port == "auth":
            right = {"user": "ada", "password": PASSWORD}
        content = {
            name: value if self.rng.random() < 0.7 else self._json()
            for name, value in right.items()
        }
        if self.rng.random() < 0.2:
            content[self._word()] = self._json()
        text = json.dumps(content, ensure_ascii=self.rng.random() < 0.5)
        return self._encode(text)

    def _json(self, depth: int = 3) -> object:
        makers: Sequence[Callable[[], object]] = (
            self._word,
            lambda: self.rng.choice((None, True, False, 0, -1, 10**400, 1e308, 1e-320)),
            lambda: self.rng.choice((float("nan"), float("inf"), float("-inf"))),
            lambda: self.rng.uniform(-1e6, 1e6),
            lambda: [self._json(depth - 1) for _ in range(self._few())] if depth else [],
            lambda: {self._word(): self._json(depth - 1)} if depth else {},
        )
        return self.rng.choice(makers)()

    def _value(self) -> str:
        right = (*SEGMENTS, "10", "0.5", "9999")
        return self.rng.choice(right) if self.rng.random() < 0.5 else self._part()

    def _part(self) -> str:
        """A part of a target, encoded as it should be or not."""
        word = self._word()
        return quote(word, errors="surrogatepass") if self.rng.random() < 0.8 else word

    def _word(self) -> str:
        if self.rng.random() < 0.7:
            return self.rng.choice(WORDS)
        return "".join(chr(self.rng.randrange(0x250)) for _ in range(self._few() * 3))

    def _encode(self, text: str) -> bytes:
        """UTF-8, or one byte a character, which is no UTF-8 above 127."""
        if self.rng.random() < 0.5:
            with contextlib.suppress(UnicodeEncodeError):
                return text.encode("latin-1")
        return text.encode("utf-8", "surrogatepass")

    def _few(self) -> int:
        return min(int(self.rng.expovariate(0.7)), 8)

    def _chunked(self, body: bytes) -> bytes:
        sizes = self.rng.choice(
            (b"%x" % len(body), b"0x5", b"-1", b"g", b"ffffffffffffffffff", b"")
        )
        return sizes + b"\r\n" + body + b"\r\n0\r\n\r\n"


def port_of(given: bytes) -> str:
    """The port of an input, which is not empty."""
    return list(PORTS)[given[0] % len(PORTS)]
