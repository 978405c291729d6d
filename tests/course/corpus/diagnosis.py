"""Answers to exercise 5: what broke, how bad it is, since when, and how an alert would notice."""

from datetime import UTC, datetime, timedelta

from randsvc.course.incident import FAULTS, MEANINGS, choose_fault
from tests.course.corpus.answer import Answer

EXERCISE = 5
BEGAN = datetime(2026, 11, 24, 10, tzinfo=UTC)
"""When every incident began, as if it had run here before."""

DURATION = "http_server_request_duration_seconds"
COUNT, BUCKET = f"{DURATION}_count", f"{DURATION}_bucket"
ERRORS = "randsvc_model_errors_total"
PREDICTIONS = "randsvc_predictions_total"
S5XX = 'http_response_status_code=~"5.."'
SEEDS = {choose_fault(seed).name: seed for seed in range(len(FAULTS))}
LEVELS = {fault.name: fault.level for fault in FAULTS}


def rate(name: str, selector: str, window: str = "10s", function: str = "rate") -> str:
    return f"sum({function}({name}{{{selector}}}[{window}]))"


def share(selector: str, job: str = 'job="randsvc"', window: str = "10s") -> str:
    return f"{rate(COUNT, f'{job},{selector}', window)} / {rate(COUNT, job, window)}"


QUERIES = {
    "errors": f"{share(S5XX)} > 0.05",
    "auth-down": f"{rate(COUNT, f'http_route=~{chr(34)}/login{chr(34)},{S5XX}')} > 0.1",
    "model-down": f"{rate(ERRORS, 'error_type!=' + chr(34) + 'timeout' + chr(34))} > 1",
    "model-slow": f"{rate(ERRORS, 'error_type=' + chr(34) + 'timeout' + chr(34))} > 1",
    "latency": f'histogram_quantile(0.99, sum by (le) (rate({BUCKET}{{http_route="/random"}}[10s]))) > 1',
}


def answer(
    fault: str,
    hint: str = "",
    *,
    query: str | None = None,
    claim: str | None = None,
    level: str | None = None,
    late: float | str = 0,
    seed: int | str | None = None,
) -> Answer:
    """Answer for the incident of a fault; whatever is not given is right."""
    since = late if isinstance(late, str) else (BEGAN + timedelta(seconds=late)).isoformat()
    text = (
        f"seed: {SEEDS[fault] if seed is None else seed}\n"
        f"query: >-\n  {QUERIES[fault] if query is None else query}\n"
        f"fault: {fault if claim is None else claim}\n"
        f"level: {LEVELS[fault] if level is None else level}\n"
        f"since: {since}\n"
    )
    return Answer(hint, files={"answer.yaml": text})


NO_THRESHOLD = "your query has no threshold"
HEALTHY = "while the services are healthy"
NOTHING = "your query returns nothing"
UTC_HINT = "Prometheus and answer.yaml use UTC"
ABSENT = "there is no metric"

QUERY_MISTAKES = {
    # A query without a threshold, for each fault.
    **{f"{fault}: no threshold": answer(fault, NO_THRESHOLD, query=query.rpartition(" > ")[0]) for fault, query in QUERIES.items()},
    **{f"{fault}: a threshold with bool": answer(fault, NO_THRESHOLD, query=query.replace(" > ", " > bool ")) for fault, query in QUERIES.items()},
    **{f"{fault}: the other direction": answer(fault, HEALTHY if fault == "latency" else NOTHING, query=query.replace(" > ", " < ")) for fault, query in QUERIES.items() if fault in ("errors", "latency")},
    **{f"{fault}: a threshold that nothing reaches": answer(fault, NOTHING, query=query.rpartition(" > ")[0] + " > 1e6") for fault, query in QUERIES.items()},
    **{f"{fault}: the answer itself": answer(fault, "randsvc_fault_active names the fault", query="randsvc_fault_active > 0") for fault in QUERIES},
    **{f"{fault}: a metric of requests that there is not": answer(fault, ABSENT, query="sum(rate(http_requests_total[10s])) > 0.1") for fault in QUERIES},
    **{f"{fault}: requests of any kind": answer(fault, HEALTHY, query=f"sum(rate({COUNT}[10s])) > 1") for fault in QUERIES},
    **{f"{fault}: requests in progress": answer(fault, HEALTHY, query="sum(http_server_concurrency_limit) > 1") for fault in QUERIES},
    **{f"{fault}: a service that is up": answer(fault, HEALTHY, query="up > 0") for fault in QUERIES},
    **{f"{fault}: a service that is down": answer(fault, NOTHING, query="up < 1") for fault in QUERIES},
    **{f"{fault}: a rate of a gauge": answer(fault, "which is a gauge", query="sum(rate(http_server_active_requests[10s])) > 1") for fault in QUERIES},
    **{f"{fault}: a rate of a sum": answer(fault, "Use rate() first, then sum()", query=f"rate(sum({COUNT})[10s:1s]) > 1") for fault in QUERIES},
    **{f"{fault}: irate": answer(fault, "irate() uses only the last two samples", query=f"sum(irate({COUNT}[10s])) > 1") for fault in QUERIES},
    **{f"{fault}: no le": answer(fault, "histogram_quantile() needs the label le", query=f"histogram_quantile(0.99, sum(rate({BUCKET}[10s]))) > 1") for fault in QUERIES},
    **{f"{fault}: a syntax error": answer(fault, "parse error", query=f"{query})") for fault, query in QUERIES.items()},
    **{f"{fault}: words": answer(fault, "parse error", query="more errors than before") for fault in QUERIES},
    **{f"{fault}: another job": answer(fault, NOTHING, query=f'sum(rate({COUNT}{{job="shop"}}[10s])) > 0.1') for fault in QUERIES},
    "errors: client errors": answer("errors", NOTHING, query=f'{share("http_response_status_code=~" + chr(34) + "4.." + chr(34))} > 0.05'),
    "errors: errors of the login": answer("errors", NOTHING, query=QUERIES["auth-down"]),
    "errors: the model": answer("errors", NOTHING, query=QUERIES["model-down"]),
    "errors: an average latency": answer("errors", NOTHING, query=f"rate({DURATION}_sum[10s]) / rate({COUNT}[10s]) > 5"),
    "auth-down: errors of the numbers": answer("auth-down", NOTHING, query=f'{rate(COUNT, f"http_route={chr(34)}/random{chr(34)},{S5XX}")} > 0.1'),
    "auth-down: time-outs of the model": answer("auth-down", NOTHING, query=QUERIES["model-slow"]),
    "model-down: time-outs": answer("model-down", NOTHING, query=QUERIES["model-slow"]),
    "model-down: errors": answer("model-down", NOTHING, query=QUERIES["errors"]),
    "model-slow: exceptions": answer("model-slow", NOTHING, query=QUERIES["model-down"]),
    "model-slow: errors": answer("model-slow", NOTHING, query=QUERIES["errors"]),
    "latency: errors": answer("latency", NOTHING, query=QUERIES["errors"]),
    "latency: the median": answer("latency", NOTHING, query=QUERIES["latency"].replace("0.99", "0.5")),
    "latency: the 0.9 quantile": answer("latency", NOTHING, query=QUERIES["latency"].replace("0.99", "0.9")),
    "latency: an average": answer("latency", NOTHING, query=f"{rate(DURATION + '_sum', '')} / {rate(COUNT, '')} > 1"),
}  # fmt: skip

RAW = "is a counter, whose value never falls"
OK = 'http_response_status_code="200"'
RANDOM = 'http_route="/random"'
MORE_QUERY_MISTAKES = {
    **{f"{fault}: a counter as it is": answer(fault, RAW, query=f"sum({COUNT}{{{S5XX}}}) > 0") for fault in ("errors", "auth-down")},
    **{f"{fault}: errors of the model since the start": answer(fault, RAW, query=f"sum({ERRORS}) > 10") for fault in ("model-down", "model-slow")},
    "latency: a quantile since the start": answer("latency", RAW, query=f"histogram_quantile(0.99, sum by (le) ({BUCKET})) > 1"),
    "errors: a share since the start": answer("errors", RAW, query=f"sum({COUNT}{{{S5XX}}}) / sum({COUNT}) > 0.05"),
    "errors: a difference of counters": answer("errors", "a counter is 0 again", query=f"sum({COUNT}{{{S5XX}}}) - sum({COUNT}{{{S5XX}}} offset 1m) > 0"),
    "errors: no errors": answer("errors", HEALTHY, query=f"absent({COUNT}{{{S5XX}}})"),
    "errors: no successes": answer("errors", NOTHING, query=f"{rate(COUNT, OK)} == 0"),
    "errors: a share that is always exceeded": answer("errors", HEALTHY, query=f"{share(OK)} > 0.05"),
    "errors: any response": answer("errors", HEALTHY, query=f"{rate(COUNT, S5XX.replace('5..', '...'))} > 1"),
    "errors: all of them fail": answer("errors", NOTHING, query=f"{share(S5XX)} > 0.9"),
    "errors: one status": answer("errors", NOTHING, query=f"{rate(COUNT, S5XX.replace('5..', '503'))} > 0"),
    "errors: a pattern as a value": answer("errors", NOTHING, query=f"{rate(COUNT, S5XX.replace('=~', '='))} > 0"),
    "errors: a constant": answer("errors", HEALTHY, query="vector(1) > 0"),
    "errors: a text": answer("errors", "parse error", query="'errors' > 0"),
    "errors: two numbers": answer("errors", "parse error", query="1 > 0"),
    "errors: a line of a log": answer("errors", "parse error", query='{job="randsvc"} |= "error"'),
    "errors: an alert of the project": answer("errors", ABSENT, query='ALERTS{alertstate="firing"} > 0'),
    "errors: a restart": answer("errors", NOTHING, query="changes(process_uptime_seconds[1m]) > 100"),
    "errors: no target": answer("errors", NOTHING, query='absent(up{job="randsvc"})'),
    "errors: another status of the login": answer("errors", NOTHING, query=f'{share(S5XX, "job=" + chr(34) + "auth" + chr(34))} > 0.05'),
    "errors: a window that has no sample": answer("errors", NOTHING, query=QUERIES["errors"].replace("[10s]", "[100ms]")),
    "errors: a variable of Grafana": answer("errors", "parse error", query=QUERIES["errors"].replace("[10s]", "[$__rate_interval]")),
    "errors: an hour ago": answer("errors", NOTHING, query=QUERIES["errors"].replace("[10s]", "[10s] offset 1h")),
    "auth-down: the login is slow": answer("auth-down", NOTHING, query=f'histogram_quantile(0.99, sum by (le) (rate({BUCKET}{{job="auth"}}[10s]))) > 5'),
    "auth-down: the process is down": answer("auth-down", NOTHING, query='up{job="auth"} == 0'),
    "auth-down: wrong passwords": answer("auth-down", NOTHING, query=f'{rate(COUNT, "job=" + chr(34) + "auth" + chr(34) + ",http_response_status_code=" + chr(34) + "401" + chr(34))} > 0'),
    "auth-down: no logins at all": answer("auth-down", NOTHING, query=f'absent({COUNT}{{job="auth"}})'),
    "model-down: predictions": answer("model-down", HEALTHY, query=f"{rate(PREDICTIONS, '')} > 1"),
    "model-down: no predictions": answer("model-down", NOTHING, query=f"{rate(PREDICTIONS, '')} < 0.1"),
    "model-down: the model itself": answer("model-down", HEALTHY, query=f"{rate(PREDICTIONS, 'randsvc_source=' + chr(34) + 'model' + chr(34))} > 1"),
    "model-down: a slow service": answer("model-down", NOTHING, query=QUERIES["latency"]),
    "model-down: the login": answer("model-down", NOTHING, query=QUERIES["auth-down"]),
    "model-slow: the median of the service": answer("model-slow", NOTHING, query=QUERIES["latency"].replace("0.99", "0.5").replace("> 1", "> 5")),
    "model-slow: the login": answer("model-slow", NOTHING, query=QUERIES["auth-down"]),
    "latency: a threshold of 1 ms": answer("latency", HEALTHY, query=QUERIES["latency"].replace("> 1", "> 0.001")),
    "latency: milliseconds": answer("latency", NOTHING, query=QUERIES["latency"].replace("> 1", "> 1000")),
    "latency: the median above a millisecond": answer("latency", HEALTHY, query=QUERIES["latency"].replace("0.99", "0.5").replace("> 1", "> 0.001")),
    "latency: the delay of the numbers": answer("latency", NOTHING, query="histogram_quantile(0.5, sum by (le) (rate(randsvc_delay_seconds_bucket[10s]))) > 1"),
    "latency: the login": answer("latency", NOTHING, query=f'histogram_quantile(0.99, sum by (le) (rate({BUCKET}{{job="auth"}}[10s]))) > 5'),
    "latency: requests in progress": answer("latency", HEALTHY, query="sum(http_server_active_requests) >= 0"),
    "latency: the model": answer("latency", NOTHING, query=QUERIES["model-slow"]),
}  # fmt: skip

FAULT_MISTAKES = {
    f"{fault}: taken for {claim.name}": answer(
        fault, f"{claim.name} would appear in", claim=claim.name
    )
    for fault in QUERIES
    for claim in FAULTS
    if claim.name != fault
}

LEVEL_MISTAKES = {
    f"{fault}: {level}": answer(fault, f"{level} means that", level=level)
    for fault in QUERIES
    for level in MEANINGS
    if level != LEVELS[fault]
}

TIME_MISTAKES = {
    **{f"{fault}: a minute late": answer(fault, "s too late: a rate over a window begins to rise", late=60) for fault in QUERIES},
    **{f"{fault}: half a minute early": answer(fault, "s too early", late=-30) for fault in QUERIES},
    **{f"{fault}: another time zone": answer(fault, UTC_HINT, late=7200) for fault in QUERIES},
    **{f"{fault}: the day before": answer(fault, UTC_HINT, late=-86400) for fault in QUERIES},
    **{f"{fault}: no time": answer(fault, "expected a time such as", late="today") for fault in QUERIES},
}  # fmt: skip

FILE_MISTAKES = {
    "no query": Answer("query is empty", files={"answer.yaml": "seed: 1\nquery:\nfault: errors\nlevel: critical\nsince: 2026-11-24T10:00:00Z\n"}),
    "no fault": answer("errors", "fault is empty", claim=""),
    "no level": answer("errors", "level is empty", level=""),
    "no start": answer("errors", "since is empty", late=""),
    "an unknown fault": answer("errors", "fault is 'bug', expected one of", claim="bug"),
    "two faults": answer("errors", "fault is 'errors and latency', expected one of", claim="errors and latency"),
    "an unknown level": answer("errors", "level is 'high', expected one of", level="high"),
    "a list of faults": answer("errors", "fault is [", claim="[errors]"),
    "a seed that is text": answer("errors", "seed is 'one', expected a whole number", seed="one"),
    "a clock without a date": answer("errors", "since is", late="10:00"),
    "no YAML": Answer("answer.yaml is not YAML", files={"answer.yaml": "seed: [\n"}),
    "text": Answer("expected the fields", files={"answer.yaml": "errors\n"}),
    "an empty file": Answer("expected the fields", files={"answer.yaml": ""}),
}  # fmt: skip

MORE_FILE_MISTAKES = {
    "a time zone that is not UTC": answer("errors", UTC_HINT, late="2026-11-24T10:00:00+02:00"),
    "a date without a time": answer("errors", UTC_HINT, late="2026-11-24"),
    "another year": answer("errors", UTC_HINT, late="2025-11-24T10:00:00Z"),
    "a Unix time": answer("errors", "expected a time such as", late="1790000000"),
    "a German date": answer("errors", "expected a time such as", late="24.11.2026 10:00"),
    "minutes ago": answer("errors", "expected a time such as", late="5 minutes ago"),
    "a fault with an underscore": answer("auth-down", "fault is 'auth_down', expected one of", claim="auth_down"),
    "a fault in capitals": answer("errors", "fault is 'Errors', expected one of", claim="Errors"),
    "an effect for a fault": answer("errors", "fault is 'requests fail', expected one of", claim="requests fail"),
    "a level in capitals": answer("errors", "level is 'Critical', expected one of", level="Critical"),
    "a level as a number": answer("errors", "level is 1, expected one of", level="1"),
    "a severity for a level": answer("errors", "level is 'page', expected one of", level="page"),
    "a list of queries": Answer("query is [", files={"answer.yaml": "seed: 1\nquery: [up, down]\nfault: errors\nlevel: critical\nsince: 2026-11-24T10:00:00Z\n"}),
    "a query with a colon": Answer("answer.yaml is not YAML", files={"answer.yaml": "seed: 1\nquery: {job: up > 0\nfault: errors\nlevel: critical\nsince: 2026-11-24T10:00:00Z\n"}),
    "a link for a query": answer("errors", "parse error", query="http://127.0.0.1:9090/graph?g0.expr=up"),
    "a call for a query": answer("errors", "parse error", query="curl -G http://127.0.0.1:9090/api/v1/query"),
    "the answer of another exercise": Answer("query is empty", files={"answer.yaml": "seed: 1\nvalue: normal(mean=1, sd=1)\ndelay: exponential(rate=1)\n"}),
}  # fmt: skip

WRONG = {
    **QUERY_MISTAKES,
    **MORE_QUERY_MISTAKES,
    **{f"the file: {name}": each for name, each in MORE_FILE_MISTAKES.items()},
    **{f"fault: {name}": each for name, each in FAULT_MISTAKES.items()},
    **{f"level: {name}": each for name, each in LEVEL_MISTAKES.items()},
    **{f"start: {name}": each for name, each in TIME_MISTAKES.items()},
    **{f"the file: {name}": each for name, each in FILE_MISTAKES.items()},
}

FALLBACK = 'randsvc_source="fallback"'
RIGHT = {
    **{f"{fault}: as it is": answer(fault) for fault in QUERIES},
    **{f"{fault}: 15 s late": answer(fault, late=15) for fault in QUERIES},
    **{f"{fault}: 15 s early": answer(fault, late=-14) for fault in QUERIES},
    **{f"{fault}: a window of 15 s": answer(fault, query=query.replace("[10s]", "[15s]")) for fault, query in QUERIES.items()},
    "errors: another time zone": answer("errors", late="2026-11-24T12:00:00+02:00"),
    "errors: a time without its zone": answer("errors", late="2026-11-24 10:00:00"),
    "errors: a time without seconds": answer("errors", late="2026-11-24T10:00Z"),
    "errors: a time with a fraction": answer("errors", late="2026-11-24T10:00:01.250Z"),
    "errors: a query of several lines": Answer("", files={"answer.yaml": f"seed: {SEEDS['errors']}\nquery: |\n  {rate(COUNT, S5XX)}\n    / {rate(COUNT, '')} # of all\n    > 0.05\nfault: errors\nlevel: critical\nsince: '{BEGAN.isoformat()}'\n"}),
    "errors: unless it is small": answer("errors", query=f"{share(S5XX)} unless {share(S5XX)} < 0.05"),
    "errors: by route": answer("errors", query=f"sum by (http_route) (rate({COUNT}{{{S5XX}}}[10s])) / sum by (http_route) (rate({COUNT}[10s])) > 0.05"),
    "errors: a zero while there is none": answer("errors", query=f"({rate(COUNT, S5XX)} or vector(0)) / {rate(COUNT, '')} > 0.05"),
    "errors: by their type": answer("errors", query=f'{rate(COUNT, "error_type!=" + chr(34) + chr(34) + "," + S5XX)} > 1'),
    "errors: an average of two windows": answer("errors", query=f"({share(S5XX)} > 0.05) and ({share(S5XX, window='15s')} > 0.05)"),
    "auth-down: by job": answer("auth-down", query=f"sum by (job) (rate({COUNT}{{{S5XX}}}[10s])) > 0"),
    "model-down: the share of the model": answer("model-down", query=f"{rate(PREDICTIONS, 'randsvc_source=' + chr(34) + 'model' + chr(34))} / {rate(PREDICTIONS, '')} < 0.5"),
    "model-slow: the share of time-outs": answer("model-slow", query=f"{rate(ERRORS, 'error_type=' + chr(34) + 'timeout' + chr(34))} / {rate(PREDICTIONS, '')} > 0.1"),
    "latency: a native histogram": answer("latency", query=f"histogram_quantile(0.99, sum (rate({DURATION}{{{RANDOM}}}[10s]))) > 1"),
    "latency: a fraction of a native histogram": answer("latency", query=f"histogram_fraction(1, +Inf, sum (rate({DURATION}{{{RANDOM}}}[10s]))) > 0.01"),
    "latency: the tail by the median": answer("latency", query=f"{QUERIES['latency'].removesuffix(' > 1')} / {QUERIES['latency'].removesuffix(' > 1').replace('0.99', '0.5')} > 10"),
    "latency: increases": answer("latency", query=QUERIES["latency"].replace("rate(", "increase(")),
    "errors: a number": answer("errors", query=f'{rate(COUNT, f"http_route={chr(34)}/random{chr(34)},{S5XX}")} > 1'),
    "errors: any route": answer("errors", query=f"{rate(COUNT, S5XX)} > 1"),
    "errors: a share of a hundred": answer("errors", query=f"100 * {share(S5XX)} > 5"),
    "errors: a threshold of 20%": answer("errors", query=f"{share(S5XX)} > 0.2"),
    "errors: successes": answer("errors", query=f'{share("http_response_status_code=" + chr(34) + "200" + chr(34))} < 0.85'),
    "errors: by job": answer("errors", query=f"sum by (job) (rate({COUNT}{{{S5XX}}}[10s])) / sum by (job) (rate({COUNT}[10s])) > 0.05"),
    "errors: the threshold first": answer("errors", query=f"0.05 < {share(S5XX)}"),
    "errors: an increase": answer("errors", query=f"{rate(COUNT, S5XX, function='increase')} > 10"),
    "auth-down: a number of failures": answer("auth-down", query=f'{rate(COUNT, f"job={chr(34)}auth{chr(34)},{S5XX}")} > 0'),
    "auth-down: a share": answer("auth-down", query=f'{share(S5XX, "job=" + chr(34) + "auth" + chr(34))} > 0.5'),
    "model-down: any error of the model": answer("model-down", query=f'{rate(ERRORS, "")} > 1'),
    "model-down: the fallback": answer("model-down", query=f"{rate(PREDICTIONS, FALLBACK)} / {rate(PREDICTIONS, '')} > 0.5"),
    "model-slow: any error of the model": answer("model-slow", query=f'{rate(ERRORS, "")} > 1'),
    "model-slow: the fallback": answer("model-slow", query=f"{rate(PREDICTIONS, FALLBACK)} / {rate(PREDICTIONS, '')} > 0.5"),
    "latency: the 0.98 quantile": answer("latency", query=QUERIES["latency"].replace("0.99", "0.98").replace("> 1", "> 0.9")),
    "latency: the share above a bound": answer("latency", query=f'1 - {rate(BUCKET, "http_route=" + chr(34) + "/random" + chr(34) + ",le=" + chr(34) + "1.0" + chr(34))} / {rate(COUNT, "http_route=" + chr(34) + "/random" + chr(34))} > 0.01'),
}  # fmt: skip
