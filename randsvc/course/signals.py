"""The golden signals as PromQL: what each should show, and what each common mistake shows.

The value of a learner's query is compared with the right value on synthetic series, whose load
changes; a wrong value is compared with those of the mistakes, so that the hint can name one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from randsvc.course.rule_cases import Moment, evaluate
from randsvc.telemetry.catalogue import ACTIVE_REQUESTS, CONCURRENCY_LIMIT, REQUEST_DURATION

__all__ = ("ERRORS", "LATENCY", "SATURATION", "TRAFFIC", "Signal", "Values", "judge", "try_queries")

TOLERANCE = 0.001
"""Relative error that a value may have: the series are exact, and so is promtool."""

Values = Mapping[Moment, Sequence[float]]
"""The values of a query, one for each series, at each moment."""

_COUNT = f"{REQUEST_DURATION.prometheus_name}_count"
_SUM = f"{REQUEST_DURATION.prometheus_name}_sum"
_BUCKET = f"{REQUEST_DURATION.prometheus_name}_bucket"
_ACTIVE = ACTIVE_REQUESTS.prometheus_name
_LIMIT = CONCURRENCY_LIMIT.prometheus_name
_JOB = 'job="randsvc"'
_FAILED = 'http_response_status_code=~"5.."'
_SUCCEEDED = 'http_response_status_code="200"'
_NOT_200 = 'http_response_status_code!="200"'
_NOT_5XX = 'http_response_status_code!~"5.."'
_NOT_4XX = 'http_response_status_code!~"4.."'
_REFUSED = 'http_response_status_code=~"4.."'
_4XX_5XX = 'http_response_status_code=~"4..|5.."'
_ONLY_500 = 'http_response_status_code="500"'
_ONLY_503 = 'http_response_status_code="503"'
_ROUTED = 'http_route!=""'
_WINDOWS = ("10s", "15s", "30s", "45s", "90s", "2m", "3m", "4m", "5m")


@dataclass(frozen=True)
class Signal:
    """What to show, when it is compared, and the mistakes by their expression."""

    right: str
    moments: Sequence[Moment]
    mistakes: Mapping[str, str]
    advice: str
    """What to do, if the mistake is none of these."""


def _rate(name: str, more: str = "", *, window: str = "1m", function: str = "rate") -> str:
    selector = ",".join(filter(None, (_JOB, more)))
    return f"{function}({name}{{{selector}}}[{window}])"


def _quantile(
    q: float, more: str = "", *, window: str = "1m", by: str = "le", of: str | None = None
) -> str:
    return f"histogram_quantile({q}, sum by ({by}) ({of or _rate(_BUCKET, more, window=window)}))"


def _share(failed: str, total: str) -> str:
    return f"({failed} or vector(0)) / {total}"


def _wrong_window(window: str) -> str:
    if window in ("10s", "15s"):
        return "the window is shorter than two scrapes, and rate() needs two: use [1m]"
    return f"this is the value over [{window}]: use a window of 1 minute"


_ALL = f"sum({_rate(_COUNT)})"
_ALL_JOBS = f"sum(rate({_COUNT}[1m]))"
_FEW_STATUSES = "sum all statuses, including 500, 503, and 404, which matches no route"
_OTHER_JOB = (
    'requests of other jobs are counted too: select job="randsvc", or keep the label job in by ()'
)

TRAFFIC = Signal(
    right=_ALL,
    # After a step, and while there are more requests and after that.
    moments=(("healthy", "8m30s"), ("step", "8m30s"), ("broken", "9m"), ("broken", "11m30s")),
    mistakes={
        f"sum({_rate(_COUNT, function='increase')})": (
            "this is per minute: increase() counts over the whole window, rate() per second"
        ),
        f"sum({_COUNT}{{{_JOB}}})": "a counter has the total since the start; use rate()",
        **{f"sum({_rate(_COUNT, window=each)})": _wrong_window(each) for each in _WINDOWS},
        f"sum({_rate(_COUNT, _SUCCEEDED)})": _FEW_STATUSES,
        f"sum({_rate(_COUNT, _NOT_5XX)})": _FEW_STATUSES,
        f"sum({_rate(_COUNT, _NOT_4XX)})": _FEW_STATUSES,
        f"sum({_rate(_COUNT, _FAILED)})": f"this is the rate of errors: {_FEW_STATUSES}",
        _ALL_JOBS: _OTHER_JOB,
        f"avg({_rate(_COUNT)})": "avg() is the rate of one series; use sum() over all of them",
        f"max({_rate(_COUNT)})": "max() is the rate of one series; use sum() over all of them",
        f"min({_rate(_COUNT)})": "min() is the rate of one series; use sum() over all of them",
        f"count({_rate(_COUNT)})": "count() is the number of series; use sum() of their rates",
        f"avg(sum by (instance) ({_rate(_COUNT)}))": (
            "this is the rate of one instance; use sum() over all instances"
        ),
        f"max(sum by (instance) ({_rate(_COUNT)}))": (
            "this is the rate of one instance; use sum() over all instances"
        ),
        f"{_ALL} / 60": "rate() already is per second: do not divide it",
        f"sum({_rate(_SUM)})": "_sum has the seconds of all requests; _count has their number",
        f"sum({_rate(_BUCKET)})": "each request is in many buckets; _count has their number",
        f"sum({_ACTIVE}{{{_JOB}}})": "requests in progress are saturation; traffic is a rate",
    },
    advice=f"use sum(rate(..._count[1m])); {_FEW_STATUSES}, over all instances",
)

LATENCY = Signal(
    right=_quantile(0.99),
    # While requests are slow, after they were, and while failed ones are.
    moments=(
        ("healthy", "8m30s"),
        ("slow", "5m30s"),
        ("slow", "7m30s"),
        ("slow", "9m30s"),
        ("broken", "9m"),
    ),
    mistakes={
        **{
            _quantile(q): f"this is about the {q:g} quantile, not the 0.99"
            for q in (0.5, 0.75, 0.9, 0.95, 0.98, 0.995, 0.999, 1)
        },
        **{_quantile(0.99, window=each): _wrong_window(each) for each in _WINDOWS},
        **{
            _quantile(0.99, more): (
                "only a part of the requests is measured: failed ones take time too, so select "
                "no status"
            )
            for more in (
                _SUCCEEDED,
                _NOT_5XX,
                _FAILED,
            )
        },
        f"histogram_quantile(0.99, sum by (le) (rate({_BUCKET}[1m])))": _OTHER_JOB,
        **{
            f"{how}({_quantile(0.99, by='le, instance')})": (
                f"the {how} of the quantiles of instances is not the quantile of all requests: "
                "sum the buckets of all instances by (le) first"
            )
            for how in ("avg", "max", "min", "sum")
        },
        f"sum({_rate(_SUM)}) / sum({_rate(_COUNT)})": (
            "this is an average, in which many fast requests hide the slow ones: use "
            "histogram_quantile(0.99, ...)"
        ),
        _quantile(0.99, of=f"{_BUCKET}{{{_JOB}}}"): (
            "this is the value since the start, or over a window of 10 minutes or more, in which a "
            "slow minute disappears: use rate(..._bucket[1m])"
        ),
        f"1000 * {_quantile(0.99)}": "the metric is in seconds, and so is the result",
        f"{_quantile(0.99)} / 1000": "the metric is in seconds, and so is the result",
        f"max({_rate(_BUCKET)})": "a rate of buckets is no duration: use histogram_quantile()",
    },
    advice="use histogram_quantile(0.99, sum by (job, le) (rate(..._bucket[1m])))",
)

_RIGHT_SHARE = _share(f"sum({_rate(_COUNT, _FAILED)})", _ALL)
ERRORS = Signal(
    right=_RIGHT_SHARE,
    moments=(
        *(("healthy", "8m30s"), ("broken", "5m30s"), ("broken", "9m"), ("busy", "9m")),
        *(("unavailable", "9m"), ("another job fails", "9m"), ("below 5%", "9m")),
    ),
    mistakes={
        _share(f"sum({_rate(_COUNT, _4XX_5XX)})", _ALL): (
            'responses 4xx are errors of clients: select http_response_status_code=~"5.."'
        ),
        _share(f"sum({_rate(_COUNT, _NOT_200)})", _ALL): (
            'responses 4xx are errors of clients: select http_response_status_code=~"5.."'
        ),
        _share(f"sum({_rate(_COUNT, _REFUSED)})", _ALL): (
            'responses 4xx are errors of clients: select http_response_status_code=~"5.."'
        ),
        _share(f"sum({_rate(_COUNT, _ONLY_500)})", _ALL): (
            'a service also fails with 502, 503 and 504: select http_response_status_code=~"5.."'
        ),
        _share(f"sum({_rate(_COUNT, _ONLY_503)})", _ALL): (
            'a service also fails with 500, 502 and 504: select http_response_status_code=~"5.."'
        ),
        **{
            _share(
                f"sum({_rate(_COUNT, f'http_response_status_code=~{chr(34)}{some}{chr(34)}')})",
                _ALL,
            ): ('some statuses of failures are missing: select http_response_status_code=~"5.."')
            for some in ("500|503", "500|502", "500|502|503", "500|502|504", "50[0-3]", "502|504")
        },
        f"sum({_rate(_COUNT, _FAILED)}) or vector(0)": (
            "this is the number of failures per second: divide it by the rate of all requests"
        ),
        _share(
            f"sum({_rate(_COUNT, _FAILED)})",
            f"sum({_rate(_COUNT, _NOT_5XX)})",
        ): "divide by the rate of all requests, failed ones too",
        _share(
            f"sum({_rate(_COUNT, _FAILED)})",
            f"sum({_rate(_COUNT, _SUCCEEDED)})",
        ): "divide by the rate of all requests, failed ones too",
        _share(
            f"sum({_rate(_COUNT, _FAILED)})", f"sum({_rate(_COUNT, _ROUTED)})"
        ): "divide by the rate of all requests, also of those that match no route",
        f"1 - {_RIGHT_SHARE}": (
            "this is the share of successes: the share of errors is 0 when all is well"
        ),
        f"100 * {_RIGHT_SHARE}": (
            "percentunit expects a share from 0 to 1, which Grafana shows as percent"
        ),
        f"(sum(rate({_COUNT}{{{_FAILED}}}[1m])) or vector(0)) / {_ALL_JOBS}": _OTHER_JOB,
        f"(sum({_rate(_COUNT, _FAILED)}) or vector(0)) / {_ALL_JOBS}": _OTHER_JOB,
        f"(sum(rate({_COUNT}{{{_FAILED}}}[1m])) or vector(0)) / {_ALL}": _OTHER_JOB,
        **{
            _share(
                f"sum({_rate(_COUNT, _FAILED, window=each)})",
                f"sum({_rate(_COUNT, window=each)})",
            ): _wrong_window(each)
            for each in _WINDOWS
        },
        _share(f"sum({_COUNT}{{{_JOB},{_FAILED}}})", f"sum({_COUNT}{{{_JOB}}})"): (
            "this is the value since the start, or over a window of 10 minutes or more, in which "
            "an incident disappears: use rate(...[1m])"
        ),
        f"(count({_rate(_COUNT, _FAILED)} > 0) or vector(0)) / count({_rate(_COUNT)})": (
            "count() is the number of series; use sum() of their rates"
        ),
    },
    advice="divide the sum of the rates of 5xx responses by the sum of all rates",
)

_RATIO = f"sum({_ACTIVE}{{{_JOB}}}) / sum({_LIMIT}{{{_JOB}}})"
SATURATION = Signal(
    right=_RATIO,
    moments=(("healthy", "8m30s"), ("full", "9m"), ("full", "11m30s")),
    mistakes={
        f"sum({_ACTIVE}{{{_JOB}}})": "divide the requests in progress by the concurrency limit",
        f"avg({_ACTIVE}{{{_JOB}}})": "divide the requests in progress by the concurrency limit",
        f"1 / ({_RATIO})": "this is the limit by the requests in progress; turn it round",
        f"1 - {_RATIO}": "this is the share that is free; saturation is the share in use",
        f"100 * {_RATIO}": "a share is from 0 to 1, which Grafana shows as percent",
        f"sum({_ACTIVE}) / sum({_LIMIT})": _OTHER_JOB,
        f"sum({_ACTIVE}{{{_JOB}}}) / sum({_LIMIT})": _OTHER_JOB,
        f"sum({_ACTIVE}) / sum({_LIMIT}{{{_JOB}}})": _OTHER_JOB,
        f"sum({_ACTIVE}{{{_JOB}}}) / avg({_LIMIT}{{{_JOB}}})": (
            "all instances together have the sum of their limits: divide sums"
        ),
        f"avg({_ACTIVE}{{{_JOB}}}) / sum({_LIMIT}{{{_JOB}}})": (
            "all instances together have the sum of their requests"
        ),
        f"{_ALL} / sum({_LIMIT}{{{_JOB}}})": (
            "this is traffic: saturation has the requests in progress, which a gauge counts"
        ),
        f"sum({_LIMIT}{{{_JOB}}})": "divide the requests in progress by the concurrency limit",
    },
    advice="divide the sum of the requests in progress by the sum of the concurrency limits",
)


def try_queries(expressions: Mapping[str, str]) -> Mapping[str, Values]:
    """Evaluate a learner's expressions by name at the moments of every signal.

    Raises ``WorkError`` if one cannot be evaluated.
    """
    times = {at for signal in (TRAFFIC, LATENCY, ERRORS, SATURATION) for _, at in signal.moments}
    names = {name: f"learner:{number}" for number, name in enumerate(expressions)}
    # As rules, which can be of any type, and may contain any character.
    rules = {names[name]: expr for name, expr in expressions.items()}
    queries = {f"{rule} {at}": (rule, at) for rule in rules for at in times}
    results = evaluate(queries, rules=rules)
    return {
        name: {(case, at): results[case][f"{rule} {at}"] for case in results for at in times}
        for name, rule in names.items()
    }


def judge(signal: Signal, found: Values) -> str | None:
    """Return a hint if the values of one query are not those of the signal.

    Several series at a moment are compared one by one: one of them must be right.
    """
    (expected,) = _evaluate([signal.right], signal.moments)
    for moment in signal.moments:
        if not any(_is_near(value, *expected[moment]) for value in found[moment]):
            case, _ = moment
            shown = ", ".join(f"{value:.3g}" for value in found[moment][:5]) or "no data"
            return (
                f"{shown} in the case “{case}”, expected {expected[moment][0]:.3g}: "
                f"{_explain(signal, found)}"
            )
    return None


def _explain(signal: Signal, found: Values) -> str:
    """Return the hint of the mistake that has these values, or the advice."""
    evaluated = _evaluate(list(signal.mistakes), signal.moments)
    for hint, values in zip(signal.mistakes.values(), evaluated, strict=True):
        if all(_match(found[moment], values[moment]) for moment in signal.moments):
            return hint
    return signal.advice


def _match(found: Sequence[float], values: Sequence[float]) -> bool:
    return found == values == [] or any(_is_near(value, *values) for value in found)


def _is_near(value: float, expected: float = float("nan"), *_: float) -> bool:
    return value == expected or abs(value - expected) <= TOLERANCE * abs(expected) + 1e-9


def _evaluate(expressions: Sequence[str], moments: Sequence[Moment]) -> list[Values]:
    return _evaluate_once(tuple(expressions), tuple(moments))


@cache
def _evaluate_once(expressions: tuple[str, ...], moments: tuple[Moment, ...]) -> list[Values]:
    times = {at for _, at in moments}
    cases = {case for case, _ in moments}
    results = evaluate({f"{e} {at}": (e, at) for e in expressions for at in times}, cases=cases)
    return [{(case, at): results[case][f"{e} {at}"] for case, at in moments} for e in expressions]
