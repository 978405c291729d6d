"""The one client of the HTTP API of Prometheus.

https://prometheus.io/docs/prometheus/latest/querying/api/

``AsyncPrometheus`` is for callers with an event loop, ``Prometheus`` for all others. Both send the
same requests and parse the answers once, into ``Series`` and ``Alert``. Whatever the server does
(no answer, HTML, a redirect, missing fields), the caller gets a result or a ``PrometheusError``.

Prometheus returns at most 11,000 points of a series in one answer, loads at most 50 million samples
for it, and evaluates a query for at most 2 minutes. ``Prometheus.range`` therefore asks for a long
time in pieces, and halves a piece that exceeds one of these limits or ``ANSWER_LIMIT``.
"""

import asyncio
import base64
import json
import math
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

__all__ = (
    "Alert",
    "AsyncPrometheus",
    "NativeHistogram",
    "Prometheus",
    "PrometheusError",
    "Series",
    "format_duration",
    "format_matcher",
    "format_selector",
    "load_tls",
    "parse_headers",
    "parse_matcher",
    "redact_url",
)

POINT_LIMIT = 10_000
"""Points of a series in one answer; Prometheus allows 11,000."""
PIECE_SECONDS = 30 * 86_400.0
"""Longest time that one request covers: short enough for a progress bar to move."""
ANSWER_LIMIT = 64 * 2**20
"""Bytes of one answer."""
ERROR_LIMIT = 500
"""Characters of a server's error message that are shown."""
TIMEOUT = 150.0
"""Seconds that one query may take; Prometheus itself stops after 120."""
CHECK_TIMEOUT = 10.0
"""Seconds for connecting, and for the answer to ``check``, which takes no work to compute."""


class PrometheusError(Exception):
    """There is no usable answer; the message is one line that says why, without any secret.

    ``refusal`` is the reason that Prometheus gave; empty if the request did not get so far.
    """

    def __init__(self, message: str, refusal: str = "") -> None:
        super().__init__(message)
        self.refusal = refusal


class _TooLargeError(PrometheusError):
    """A query or its answer exceeds a limit: a shorter time may work."""


@dataclass(frozen=True)
class NativeHistogram:
    """A native histogram; ``buckets`` are lower bound, upper bound and count, ascending.

    ``sum`` is the sum of the observations, None where it is no finite number.
    https://prometheus.io/docs/prometheus/latest/querying/api/#native-histograms
    """

    sum: float | None
    buckets: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Series:
    """A series with at least one sample; times are Unix seconds, ascending.

    ``labels`` hold the metric's name as ``__name__`` where the query keeps it. ``values`` are the
    samples that are finite numbers, ``histograms`` those that are native histograms.
    """

    labels: Mapping[str, str]
    values: Sequence[tuple[float, float]] = ()
    histograms: Sequence[tuple[float, NativeHistogram]] = ()


@dataclass(frozen=True)
class Alert:
    """An alert that is ``pending`` or ``firing``, since ``active_at`` (RFC 3339).

    https://prometheus.io/docs/prometheus/latest/querying/api/#alerts
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    active_at: str


@dataclass(frozen=True)
class _Server:
    """A Prometheus server, and how to log in there.

    ``url`` may hold ``user:password@`` and a query string, which are sent with every request.
    ``token`` is sent as ``Authorization: Bearer``. ``timeout`` is the seconds that a request may
    take. ``tls`` says whom to trust, and who this client is; without it, the authorities of the
    system are trusted. No secret appears in an error, in ``repr`` or in ``shown_url``. Redirects
    are not followed, so that credentials reach no other server, and proxy variables are not read.
    """

    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = TIMEOUT
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def shown_url(self) -> str:
        """The URL without its secrets, for messages and reports."""
        return redact_url(self.url)


@dataclass(frozen=True)
class AsyncPrometheus(_Server):
    """The client for callers with an event loop; every method raises ``PrometheusError``."""

    async def query(self, promql: str, at: float | None = None) -> list[Series]:
        """Evaluate a query at a Unix time, or now."""
        time = {} if at is None else {"time": f"{at:.3f}"}
        return _parse_result(self, await self.get("query", query=promql, **time))

    async def query_range(self, promql: str, start: float, end: float, step: float) -> list[Series]:
        """Evaluate a query every ``step`` seconds from ``start`` to ``end``, both included."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return _parse_result(self, await self.get("query_range", query=promql, **times))

    async def alerts(self) -> list[Alert]:
        """Give the alerts that are pending or firing now."""
        data = await self.get("alerts")
        try:
            return [_parse_alert(alert) for alert in data["alerts"]]
        except _MALFORMED:
            raise self._no_prometheus() from None

    async def rule_files(self) -> list[str]:
        """Give the paths of the rule files that the server has loaded.

        https://prometheus.io/docs/prometheus/latest/querying/api/#rules
        """
        data = await self.get("rules")
        try:
            return sorted({str(group["file"]) for group in data["groups"]})
        except _MALFORMED:
            raise self._no_prometheus() from None

    async def has_alerting_rules(self) -> bool:
        """Whether the server evaluates alerting rules; false if it does not say."""
        try:
            data = await self.get("rules", type="alert")
            return any(group["rules"] for group in data["groups"])
        except (PrometheusError, *_MALFORMED):
            return False

    async def check(self) -> None:
        """Raise ``PrometheusError`` unless the server evaluates a trivial query promptly."""
        prompt = replace(self, timeout=min(self.timeout, CHECK_TIMEOUT))
        await prompt.query("vector(1)")

    async def get(self, endpoint: str, **parameters: str) -> Any:
        """Return the ``data`` of an answer, as the documentation of the endpoint describes it."""
        url, headers = self._request()
        query = parameters.get("query", endpoint)
        address = (url / "api/v1" / endpoint).with_query([*url.query.items(), *parameters.items()])
        limits = aiohttp.ClientTimeout(
            total=self.timeout, sock_connect=min(self.timeout, CHECK_TIMEOUT)
        )
        try:
            async with (
                aiohttp.ClientSession(timeout=limits, headers=headers) as session,
                session.get(address, allow_redirects=False, ssl=self.tls or True) as response,
            ):
                status, reason = response.status, response.reason or ""
                location = response.headers.get("Location", "")
                body = await _read_body(response)
        except TimeoutError:
            raise self._error(
                f"Prometheus at {self.shown_url} gives no answer within {self.timeout:g} s"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            said = str(error) or type(error).__name__
            raise self._error(f"cannot reach Prometheus at {self.shown_url}: {said}") from None
        if len(body) > ANSWER_LIMIT:
            limit = f"{ANSWER_LIMIT // 2**20} MiB"
            raise self._too_large(query, f"the answer is larger than {limit}")
        if 300 <= status < 400:
            target = redact_url(location) or "another URL"
            raise self._error(
                f"Prometheus at {self.shown_url} redirects to {target}: use the URL at which "
                "Prometheus itself answers"
            )
        try:
            answer = json.loads(body)
            if answer["status"] == "error":
                raise self._refused(query, answer)
            return answer["data"]
        except _MALFORMED:
            if status == 200:
                raise self._no_prometheus() from None
            hint = _CREDENTIALS_HINT if status in (401, 403) else ""
            raise self._error(
                f"Prometheus at {self.shown_url} answers {status} {reason}{hint}"
            ) from None

    def _request(self) -> tuple[URL, dict[str, str]]:
        """The base URL without credentials, and the headers of every request."""
        try:
            url = URL(self.url)
        except ValueError:
            url = URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise self._error(f"{self.shown_url} is not a URL such as http://127.0.0.1:9090")
        headers = {"Accept": "application/json", **self.headers}
        authorizations = [
            value for name, value in headers.items() if name.title() == "Authorization"
        ]
        if self.token is not None:
            authorizations.append(f"Bearer {self.token}")
        if url.user is not None or url.password is not None:
            pair = f"{url.user or ''}:{url.password or ''}".encode()
            authorizations.append(f"Basic {base64.b64encode(pair).decode()}")
        if len(authorizations) > 1:
            raise self._error(
                f"two ways to log in to Prometheus at {self.shown_url} are set: expected one of "
                "user:password@ in the URL, a token, and an Authorization header"
            )
        for value in (*headers.values(), *headers, *authorizations):
            if not (value.isascii() and value.isprintable()):
                raise self._error(
                    f"a token or header for Prometheus at {self.shown_url} has a character that "
                    "HTTP headers cannot hold: expected printable ASCII"
                )
        if authorizations:
            headers["Authorization"] = authorizations[0]
        return url.with_user(None).with_fragment(None), headers

    def _refused(self, query: str, answer: Mapping[str, Any]) -> PrometheusError:
        message = str(answer["error"])
        # https://prometheus.io/docs/prometheus/latest/querying/api/#format-overview
        if answer.get("errorType") == "timeout" or "too many samples" in message:
            return self._too_large(query, message)
        return self._error(
            f"Prometheus at {self.shown_url} refuses the query: {message}", self._one_line(message)
        )

    def _no_prometheus(self) -> PrometheusError:
        return self._error(f"{self.shown_url} does not answer as Prometheus does")

    def _too_large(self, query: str, reason: str) -> _TooLargeError:
        return _TooLargeError(
            self._one_line(f"Prometheus at {self.shown_url} cannot answer {query}: {reason}"),
            self._one_line(reason),
        )

    def _error(self, message: str, refusal: str = "") -> PrometheusError:
        return PrometheusError(self._one_line(message), refusal)

    def _one_line(self, message: str) -> str:
        """A message without secrets, which a server may repeat, and without control characters."""
        for secret in self._secrets():
            message = message.replace(secret, _HIDDEN)
        line = "".join(c if c.isprintable() else " " for c in message)
        line = " ".join(line.split())
        return line if len(line) <= ERROR_LIMIT else f"{line[:ERROR_LIMIT]}..."

    def _secrets(self) -> list[str]:
        secrets = [self.token, *self.headers.values()]
        try:
            url = URL(self.url)
            secrets += [url.user, url.password, *url.query.values()]
        except ValueError:
            pass
        # Longest first: one may be a part of another. A letter or two is no secret but a word.
        plain = {each for each in secrets if each and len(each) > 2}
        return sorted(plain | {quote(each, safe="") for each in plain}, key=len, reverse=True)


@dataclass(frozen=True)
class Prometheus(_Server):
    """The client for callers without an event loop; every method raises ``PrometheusError``."""

    def get(self, endpoint: str, **parameters: str) -> Any:
        """Return the ``data`` of an answer, as the documentation of the endpoint describes it."""
        return asyncio.run(self._client.get(endpoint, **parameters))

    def query(self, promql: str, at: float | None = None) -> list[Series]:
        """Evaluate a query at a Unix time, or now."""
        return asyncio.run(self._client.query(promql, at))

    def range(self, promql: str, start: float, end: float, step: float) -> Iterator[list[Series]]:
        """Evaluate a query every ``step`` seconds from ``start`` to ``end``, in pieces of time."""
        most = max(1, min(POINT_LIMIT, math.floor(PIECE_SECONDS / step)))
        first, last = 0, math.floor((end - start) / step + 1e-6)
        while first <= last:
            count = min(most, last - first + 1)
            ends = (start + first * step, start + (first + count - 1) * step)
            try:
                found = self._query_piece(promql, *ends, step)
            except _TooLargeError:
                if count == 1:
                    raise
                most = count // 2
                continue
            yield found
            first += count

    def has_alerting_rules(self) -> bool:
        """Whether the server evaluates alerting rules; false if it does not say."""
        return asyncio.run(self._client.has_alerting_rules())

    def check(self) -> None:
        """Raise ``PrometheusError`` unless the server evaluates a trivial query promptly."""
        asyncio.run(self._client.check())

    def _query_piece(self, promql: str, start: float, end: float, step: float) -> list[Series]:
        return asyncio.run(self._client.query_range(promql, start, end, step))

    @property
    def _client(self) -> AsyncPrometheus:
        return AsyncPrometheus(self.url, self.token, self.headers, self.timeout, self.tls)


def format_duration(seconds: float) -> str:
    """Write a length of time as PromQL has it.

    >>> format_duration(1.5)
    '1500ms'
    """
    return f"{max(round(seconds * 1000), 1)}ms"


def format_selector(metric: str, matchers: Iterable[str] = ()) -> str:
    """Write a selector; a name that only Prometheus 3 allows is quoted.

    >>> format_selector("up", ['job="a"']), format_selector("a.b", ['job="a"'])
    ('up{job="a"}', '{"a.b", job="a"}')
    """
    if _METRIC_NAME.fullmatch(metric):
        inside = ", ".join(matchers)
        return f"{metric}{{{inside}}}" if inside else metric
    return f"{{{', '.join((json.dumps(metric, ensure_ascii=False), *matchers))}}}"


def format_matcher(label: str, value: str, operator: str = "=") -> str:
    """Write one matcher; ``operator`` is ``=``, ``!=``, ``=~`` or ``!~``.

    >>> format_matcher("job", "a")
    'job="a"'
    """
    name = label if _LABEL_NAME.fullmatch(label) else json.dumps(label, ensure_ascii=False)
    return f"{name}{operator}{json.dumps(value, ensure_ascii=False)}"


def parse_matcher(text: str) -> str:
    """Read one matcher as a person types it; quotes around the value are optional.

    Raises ``ValueError``.

    >>> parse_matcher("job=a"), parse_matcher('http_route!~"/internal/.*"')
    ('job="a"', 'http_route!~"/internal/.*"')
    """
    found = _MATCHER.fullmatch(text)
    if not found:
        raise ValueError("expected LABEL=VALUE, LABEL!=VALUE, LABEL=~REGEX or LABEL!~REGEX")
    value = found["value"]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return format_matcher(found["label"], value, found["operator"])


def parse_headers(lines: Iterable[str]) -> dict[str, str]:
    """Headers from texts such as ``X-Scope-OrgID: shop``.

    Raises ``ValueError`` whose message does not repeat the text, as it may hold a secret.

    >>> parse_headers(["X-Scope-OrgID: shop"])
    {'X-Scope-OrgID': 'shop'}
    """
    headers = {}
    for number, line in enumerate(filter(str.strip, lines), start=1):
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or " " in name.strip():
            raise ValueError(
                f'header {number} (not shown, as it may be secret) is not "Name: value"'
            )
        headers[name.strip()] = value.strip()
    return headers


def load_tls(
    ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext | None:
    """Load certificates for a client: PEM files, the key without a passphrase.

    ``ca_file`` holds the authorities that are trusted instead of those of the system. ``cert_file``
    and ``key_file`` are the certificate of the client and its key, which may be in one file.
    Returns None without any file; raises ``ValueError`` that names the file.
    """
    if ca_file is None and cert_file is None and key_file is None:
        return None
    if cert_file is None and key_file is not None:
        raise ValueError(f"{key_file}: a key without a certificate, expected both")
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"{ca_file}: {_describe_tls(error)}") from None
    if cert_file is not None:
        try:
            # An empty passphrase, so that nobody is asked for one.
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            files = f"{cert_file} and {key_file}" if key_file else f"{cert_file}"
            raise ValueError(f"{files}: {_describe_tls(error)}") from None
    return context


def _describe_tls(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "expected PEM: certificates, or a certificate and its key without a passphrase"
    return error.strerror or str(error)


def redact_url(text: str) -> str:
    """Hide what may be secret in a URL, also in one that is malformed.

    >>> redact_url("https://me:secret@metrics.example/prom?apikey=1")
    'https://***@metrics.example/prom?***'
    """
    scheme, separator, rest = text.rpartition("://") if "://" in text else ("", "", text)
    rest = f"{_HIDDEN}@{rest.rpartition('@')[2]}" if "@" in rest else rest
    rest, question, _ = rest.partition("?")
    return f"{scheme}{separator}{rest}{question and f'?{_HIDDEN}'}"


_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MATCHER = re.compile(r'"?(?P<label>[^\s"=!~{},]+)"?\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>.*)')
_HIDDEN = "***"
_CREDENTIALS_HINT = (
    ": expected credentials that it accepts, as user:password@ in the URL, in PROMETHEUS_TOKEN or "
    "in PROMETHEUS_HEADERS"
)
_MALFORMED = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
)
"""What parsing an answer raises that is not as the API documents it."""


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        body += chunk
        if len(body) > ANSWER_LIMIT:
            break
    return bytes(body)


def _parse_result(server: AsyncPrometheus, data: Any) -> list[Series]:
    try:
        result = data["result"]
        match data.get("resultType"):
            case "scalar":
                result = [{"metric": {}, "value": result}]
            case "string":
                result = []
        found = [_parse_series(each) for each in result]
    except _MALFORMED:
        raise server._no_prometheus() from None
    return [series for series in found if series.values or series.histograms]


def _parse_series(node: Any) -> Series:
    values = node["values"] if "values" in node else [node["value"]] if "value" in node else []
    histograms = node.get("histograms", [node["histogram"]] if "histogram" in node else [])
    pairs = ((_parse_finite(time), float(value)) for time, value in values)
    return Series(
        labels=_parse_texts(node["metric"]),
        values=tuple((time, value) for time, value in pairs if math.isfinite(value)),
        histograms=tuple(
            (_parse_finite(time), _parse_histogram(each)) for time, each in histograms
        ),
    )


def _parse_histogram(node: Any) -> NativeHistogram:
    total = float(node["sum"])
    buckets = [
        (float(lower), float(upper), _parse_finite(count))
        for _, lower, upper, count in node.get("buckets") or ()
    ]
    if not all(lower <= upper and count >= 0 for lower, upper, count in buckets):
        raise ValueError("a bucket that cannot be")
    return NativeHistogram(total if math.isfinite(total) else None, tuple(sorted(buckets)))


def _parse_alert(node: Any) -> Alert:
    return Alert(
        labels={"alertname": node["labels"]["alertname"], **_parse_texts(node["labels"])},
        annotations=_parse_texts(node["annotations"]),
        state=str(node["state"]),
        active_at=str(node["activeAt"]),
    )


def _parse_texts(node: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in node.items()}


def _parse_finite(x: Any) -> float:
    number = float(x)
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return number
