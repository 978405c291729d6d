"""The HTTP API of Prometheus: https://prometheus.io/docs/prometheus/latest/querying/api/.

Prometheus gives at most 11,000 points of a series in one answer, holds at most 50 million samples
for it, and takes at most 2 minutes. ``range`` asks for a long time in pieces, and for a piece that
is too large for that, or for the memory here, in halves.
"""

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

__all__ = ("Prometheus", "PrometheusError", "Result", "duration", "values")

POINTS = 10_000
"""Of a series in one answer; Prometheus allows 11,000."""
PIECE = 30 * 86_400.0
"""Seconds that are asked for at once: few enough for progress to be seen."""
ANSWER = 64 * 2**20
"""Bytes of one answer."""
TIMEOUT = 150.0
"""Seconds that one query may take; Prometheus itself gives up after 120."""

Result = list[dict[str, Any]]
"""Series as the API writes them: ``metric`` and ``value``, ``values``, ``histogram`` ..."""

# As aiohttp does by default: variables of proxies are not followed.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PrometheusError(Exception):
    """There is no answer, or none of use; the message is one line that says why."""


class _TooMuchError(PrometheusError):
    """An answer is too large, or takes too long."""


@dataclass(frozen=True)
class Prometheus:
    """A server. All times are Unix seconds; every method raises ``PrometheusError``."""

    url: str

    def query(self, promql: str, at: float) -> Result:
        """What a query gives at a moment."""
        return self._ask("query", query=promql, time=f"{at:.3f}")

    def range(self, promql: str, start: float, end: float, step: float) -> Iterator[Result]:
        """What it gives every ``step`` from ``start`` to ``end``, both included, in pieces."""
        most = max(1, min(POINTS, math.floor(PIECE / step)))
        first, last = 0, math.floor((end - start) / step + 1e-6)
        while first <= last:
            count = min(most, last - first + 1)
            ends = (start + first * step, start + (first + count - 1) * step)
            times = {"start": f"{ends[0]:.3f}", "end": f"{ends[1]:.3f}", "step": f"{step:.3f}"}
            try:
                found = self._ask("query_range", query=promql, **times)
            except _TooMuchError:
                if count == 1:
                    raise
                most = count // 2
                continue
            yield found
            first += count

    def _ask(self, endpoint: str, **parameters: str) -> Result:
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise PrometheusError(f"{self.url} is no URL such as http://127.0.0.1:9090")
        address = f"{self.url.rstrip('/')}/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}"
        try:
            with _http.open(address, timeout=TIMEOUT) as response:
                body = response.read(ANSWER + 1)
        except urllib.error.HTTPError as error:
            with error:
                body = error.read(ANSWER)
        except TimeoutError:
            raise self._too_much(parameters, f"it takes longer than {TIMEOUT:g} s") from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise PrometheusError(f"cannot reach Prometheus at {self.url}: {reason}") from None
        if len(body) > ANSWER:
            raise self._too_much(parameters, f"the answer is larger than {ANSWER // 2**20} MiB")
        try:
            answer = json.loads(body)
            if answer["status"] == "error":
                raise self._refused(parameters, answer)
            result: Result = answer["data"]["result"]
        except (ValueError, KeyError, TypeError):
            raise PrometheusError(f"{self.url} does not answer as Prometheus does") from None
        return result

    def _refused(self, parameters: dict[str, str], answer: dict[str, Any]) -> PrometheusError:
        message = " ".join(str(answer["error"]).split())
        # https://prometheus.io/docs/prometheus/latest/querying/api/#format-overview
        if answer.get("errorType") == "timeout" or "too many samples" in message:
            return self._too_much(parameters, message)
        return PrometheusError(f"Prometheus at {self.url} refuses: {message}")

    def _too_much(self, parameters: dict[str, str], reason: str) -> _TooMuchError:
        query = parameters["query"]
        return _TooMuchError(f"Prometheus at {self.url} cannot answer {query}: {reason}")


def values(series: dict[str, Any]) -> list[tuple[float, float]]:
    """The times and numbers of a series; what is no finite number is left out."""
    pairs = series.get("values") or [series["value"]]
    points = ((float(time), float(value)) for time, value in pairs)
    return [(time, value) for time, value in points if math.isfinite(value)]


def duration(seconds: float) -> str:
    """A length of time as PromQL has it.

    >>> duration(1.5)
    '1500ms'
    """
    return f"{max(round(seconds * 1000), 1)}ms"
