"""Answers to exercise 3: dashboards of Grafana, in every format that it exports."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from randsvc.course import EXERCISES
from tests.course.corpus.answer import Answer

EXERCISE = 3

SOLUTION = json.loads((EXERCISES[3].solution / "dashboard.json").read_text())
INDEX = {"Traffic": 0, "Latency": 1, "Errors": 2, "Saturation": 3}

JOB = 'job="randsvc"'
COUNT = "http_server_request_duration_seconds_count"
BUCKET = "http_server_request_duration_seconds_bucket"
SUM = "http_server_request_duration_seconds_sum"
ACTIVE, LIMIT = "http_server_active_requests", "http_server_concurrency_limit"
S5XX = 'http_response_status_code=~"5.."'
WINDOW = "$__rate_interval"


def board(hint: str, change: Callable[[dict[str, Any]], Any]) -> Answer:
    """Change the solution; the change returns another content, or None if it changes its argument."""
    content = copy.deepcopy(SOLUTION)
    changed = change(content)
    return Answer(
        hint, files={"dashboard.json": json.dumps(content if changed is None else changed)}
    )


def panel(title: str, hint: str, change: Callable[[dict[str, Any]], Any]) -> Answer:
    """Change a panel."""

    def change_board(content: dict[str, Any]) -> None:
        change(content["panels"][INDEX[title]])

    return board(hint, change_board)


def hide(panel: dict[str, Any]) -> None:
    """Hide the queries of a panel."""
    for target in panel["targets"]:
        target["hide"] = True


def text(hint: str, content: str) -> Answer:
    return Answer(hint, files={"dashboard.json": content})


def query(title: str, hint: str, *expressions: str) -> Answer:
    """Give a panel other queries."""

    def change(content: dict[str, Any]) -> None:
        content["panels"][INDEX[title]]["targets"] = [
            {"refId": chr(65 + i), "expr": expr} for i, expr in enumerate(expressions)
        ]

    return board(hint, change)


def unit(title: str, hint: str, name: str | None, *overrides: str) -> Answer:
    """Give a panel another unit, and overrides."""

    def change(content: dict[str, Any]) -> None:
        config = content["panels"][INDEX[title]]["fieldConfig"]
        config["defaults"].pop("unit")
        if name is not None:
            config["defaults"]["unit"] = name
        config["overrides"] = [
            {
                "matcher": {"id": "byName", "options": "p99"},
                "properties": [{"id": "unit", "value": each}],
            }
            for each in overrides
        ]

    return board(hint, change)


def rate(
    selector: str = JOB, name: str = COUNT, window: str = WINDOW, function: str = "rate"
) -> str:
    return f"{function}({name}{{{selector}}}[{window}])"


def total(
    selector: str = JOB, window: str = WINDOW, function: str = "rate", by: str = "sum"
) -> str:
    return f"{by} ({rate(selector, COUNT, window, function)})"


def quantile(
    q: float = 0.99,
    selector: str = JOB,
    window: str = WINDOW,
    function: str = "rate",
    by: str = "le",
) -> str:
    return f"histogram_quantile({q}, sum by ({by}) ({rate(selector, BUCKET, window, function)}))"


def share(
    failed: str = f"{JOB},{S5XX}", below: str = JOB, window: str = WINDOW, function: str = "rate"
) -> str:
    return f"({total(failed, window, function)} or vector(0)) / {total(below, window, function)}"


def ratio(above: str = f"sum ({ACTIVE}{{{JOB}}})", below: str = f"sum ({LIMIT}{{{JOB}}})") -> str:
    return f"{above} / {below}"


INTERVAL = "has the window [$__interval], which can be shorter than two scrapes"
RANGE = "the whole time of the dashboard"
FIXED = "has a fixed window: use [$__rate_interval]"
IRATE = "irate() uses only the last two samples"
FOR_GAUGES = "which is a counter"
OTHER_JOB = "requests of other jobs are counted too"
STATUSES = "sum all statuses"
NO_QUERY = "has no query"
UNKNOWN = "the service has no metric"
NO_VALUE = "which the dashboard does not define"
CLIENT = "responses 4xx are errors of clients"
LE = "histogram_quantile() needs the label le"
PART = "only a part of the requests is measured"

QUERIES = {"Traffic": total(), "Latency": quantile(), "Errors": share(), "Saturation": ratio()}
WITH_WINDOW = ("Traffic", "Latency", "Errors")

EVERY_PANEL = {
    **{f"{t} without a panel": panel(t, f"there is no panel {t}", dict.clear) for t in INDEX},
    **{f"{t} under another title": panel(t, f"there is no panel {t}", lambda p: p.update(title=f"My {p['title']}")) for t in INDEX},
    **{f"{t} without a query": query(t, f"the panel {t} {NO_QUERY}") for t in INDEX},
    **{f"{t} with an empty query": query(t, f"the panel {t} {NO_QUERY}", " ") for t in INDEX},
    **{f"{t} with a hidden query": panel(t, f"the panel {t} {NO_QUERY}", hide) for t in INDEX},
    **{f"{t} with a syntax error": query(t, "parse error", f"{QUERIES[t]})") for t in INDEX},
    **{f"{t} of an unknown metric": query(t, UNKNOWN, QUERIES[t].replace("http_server_", "http_")) for t in INDEX},
    **{f"{t} over $__interval": query(t, INTERVAL, QUERIES[t].replace(WINDOW, "$__interval")) for t in WITH_WINDOW},
    **{f"{t} over ${{__interval}}": query(t, INTERVAL, QUERIES[t].replace(WINDOW, "${__interval}")) for t in WITH_WINDOW},
    **{f"{t} over $__range": query(t, RANGE, QUERIES[t].replace(WINDOW, "$__range")) for t in WITH_WINDOW},
    **{f"{t} over 5 minutes": query(t, FIXED, QUERIES[t].replace(WINDOW, "5m")) for t in WITH_WINDOW},
    **{f"{t} over 1 minute": query(t, FIXED, QUERIES[t].replace(WINDOW, "1m")) for t in WITH_WINDOW},
    **{f"{t} by irate": query(t, IRATE, QUERIES[t].replace("rate(", "irate(")) for t in WITH_WINDOW},
    **{f"{t} by deriv": query(t, FOR_GAUGES, QUERIES[t].replace("rate(", "deriv(")) for t in WITH_WINDOW},
    **{f"{t} by delta": query(t, FOR_GAUGES, QUERIES[t].replace("rate(", "delta(")) for t in WITH_WINDOW},
    **{f"{t} of all jobs": query(t, OTHER_JOB, QUERIES[t].replace(f"{JOB},", "").replace(JOB, "")) for t in INDEX},
    **{f"{t} of an unknown variable": query(t, NO_VALUE, QUERIES[t].replace("randsvc", "$service")) for t in INDEX},
    **{f"{t} of another job": query(t, "no data", QUERIES[t].replace("randsvc", "shop")) for t in ("Traffic", "Latency", "Saturation")},
    **{f"{t} by a label that there is not": query(t, "no data", QUERIES[t].replace("job=", "service=")) for t in ("Traffic", "Latency", "Saturation")},
    **{f"{t} without a unit": unit(t, f"the unit of {t} is not set", None) for t in INDEX},
    **{f"{t} in short": unit(t, f"the unit of {t} is short", "short") for t in INDEX},
    **{f"{t} in a unit of one series": unit(t, f"the unit of {t} is bytes", None, "bytes") for t in INDEX},
}  # fmt: skip

TRAFFIC_MISTAKES = {
    "increase": query("Traffic", "increase() counts over the whole window", total(function="increase")),
    "a rate per minute": query("Traffic", "rate() per second", f"60 * {total()}"),
    "a counter as it is": query("Traffic", "a counter has the total since the start", f"sum ({COUNT}{{{JOB}}})"),
    "rate of a sum": query("Traffic", "Use rate() first, then sum()", f"rate(sum ({COUNT}{{{JOB}}})[$__rate_interval:5s])"),
    "only successes": query("Traffic", STATUSES, total(f'{JOB},http_response_status_code="200"')),
    "all but errors of the server": query("Traffic", STATUSES, total(f'{JOB},http_response_status_code!~"5.."')),
    "all but errors of clients": query("Traffic", STATUSES, total(f'{JOB},http_response_status_code!~"4.."')),
    "one route": query("Traffic", STATUSES, total(f'{JOB},http_route="/random"')),
    "an average": query("Traffic", "avg() is the rate of one series", total(by="avg")),
    "a maximum": query("Traffic", "max() is the rate of one series", total(by="max")),
    "a number of series": query("Traffic", "count() is the number of series", total(by="count")),
    "seconds": query("Traffic", "_sum has the seconds of all requests", total().replace("_count", "_sum")),
    "buckets": query("Traffic", "each request is in many buckets", total().replace("_count", "_bucket")),
    "requests in progress": query("Traffic", "requests in progress are saturation", f"sum ({ACTIVE}{{{JOB}}})"),
    "rate of a gauge": query("Traffic", "which is a gauge", f"sum (rate({ACTIVE}{{{JOB}}}[{WINDOW}]))"),
    "divided again": query("Traffic", "rate() already is per second", f"{total()} / 60"),
    "in requests per minute": unit("Traffic", "the unit of Traffic is reqpm", "reqpm"),
    "in percent": unit("Traffic", "the unit of Traffic is percent", "percent"),
    "in bytes per second": unit("Traffic", "the unit of Traffic is Bps", "Bps"),
}  # fmt: skip

LATENCY_MISTAKES = {
    **{f"the {q} quantile": query("Latency", f"this is about the {q} quantile", quantile(q)) for q in (0.5, 0.75, 0.9, 0.95, 0.98, 0.995, 0.999)},
    "several quantiles without the 0.99": query("Latency", "quantile, not the 0.99", quantile(0.5), quantile(0.9), quantile(0.95)),
    "an average": query("Latency", "Latency is an average", f"sum ({rate(name=SUM)}) / {total()}"),
    "an average over time": query("Latency", "Latency is an average", f"avg_over_time({quantile()}[$__rate_interval:15s])"),
    "no rate": query("Latency", "this is the value since the start", f"histogram_quantile(0.99, sum by (le) ({BUCKET}{{{JOB}}}))"),
    "no le": query("Latency", LE, f"histogram_quantile(0.99, sum ({rate(name=BUCKET)}))"),
    "no le, by job": query("Latency", LE, quantile(by="job")),
    "only successes": query("Latency", PART, quantile(selector=f'{JOB},http_response_status_code="200"')),
    "all but errors": query("Latency", PART, quantile(selector=f'{JOB},http_response_status_code!~"5.."')),
    "milliseconds": query("Latency", "the metric is in seconds", f"1000 * {quantile()}"),
    "an average of instances": query("Latency", "of the quantiles of instances", f"avg ({quantile(by='instance, le')})"),
    "a maximum of instances": query("Latency", "of the quantiles of instances", f"max ({quantile(by='instance, le')})"),
    "the rate of a sum": query("Latency", "Use rate() first", f"histogram_quantile(0.99, rate(sum by (le) ({BUCKET}{{{JOB}}})[$__rate_interval:5s]))"),
    "buckets": query("Latency", "expected", f"sum by (le) ({rate(name=BUCKET)})"),
    "a quantile of the count": query("Latency", "no data", quantile().replace("_bucket", "_count")),
    "in milliseconds": unit("Latency", "the unit of Latency is ms, expected s", "ms"),
    "in minutes": unit("Latency", "the unit of Latency is m, expected s", "m"),
    "in requests per second": unit("Latency", "the unit of Latency is reqps, expected s", "reqps"),
}  # fmt: skip

ERRORS_MISTAKES = {
    "nothing while all is well": query("Errors", "(... or vector(0)) shows 0 instead", f"{total(f'{JOB},{S5XX}')} / {total()}"),
    "the zero in the wrong place": query("Errors", "(... or vector(0)) shows 0 instead", f"{total(f'{JOB},{S5XX}')} / ({total()} or vector(0))"),
    "a number": query("Errors", "divide it by the rate of all requests", f"{total(f'{JOB},{S5XX}')} or vector(0)"),
    "percent": query("Errors", "percentunit expects a share from 0 to 1", f"100 * {share()}"),
    "4xx and 5xx": query("Errors", CLIENT, share(f'{JOB},http_response_status_code=~"4..|5.."')),
    "all but 200": query("Errors", CLIENT, share(f'{JOB},http_response_status_code!="200"')),
    "only 4xx": query("Errors", CLIENT, share(f'{JOB},http_response_status_code=~"4.."')),
    "only 500": query("Errors", "a service also fails with 502, 503 and 504", share(f'{JOB},http_response_status_code="500"')),
    "only 503": query("Errors", "a service also fails with 500, 502 and 504", share(f'{JOB},http_response_status_code="503"')),
    "divided by successes": query("Errors", "failed ones too", share(below=f'{JOB},http_response_status_code="200"')),
    "divided by all that did not fail": query("Errors", "failed ones too", share(below=f'{JOB},http_response_status_code!~"5.."')),
    "divided by the routed": query("Errors", "also of those that match no route", share(below=f'{JOB},http_route!=""')),
    "successes": query("Errors", "this is the share of successes", f"1 - {share()}"),
    "errors of all jobs by requests of one": query("Errors", OTHER_JOB, share(failed=S5XX)),
    "errors of one job by requests of all": query("Errors", OTHER_JOB, share(below="")),
    "since the start": query("Errors", "this is the value since the start", f"(sum ({COUNT}{{{JOB},{S5XX}}}) or vector(0)) / sum ({COUNT}{{{JOB}}})"),
    "an exact pattern": query("Errors", "expected", share(f'{JOB},http_response_status_code="5.."')),
    "a number of series": query("Errors", "expected", f"count ({rate(f'{JOB},{S5XX}')}) or vector(0)"),
    "in percent": unit("Errors", "the unit of Errors is percent, expected percentunit", "percent"),
    "in requests per second": unit("Errors", "the unit of Errors is reqps", "reqps"),
}  # fmt: skip

SATURATION_MISTAKES = {
    "no limit": query("Saturation", "divide the requests in progress by the concurrency limit", f"sum ({ACTIVE}{{{JOB}}})"),
    "the limit": query("Saturation", "divide the requests in progress by the concurrency limit", f"sum ({LIMIT}{{{JOB}}})"),
    "turned round": query("Saturation", "turn it round", ratio(f"sum ({LIMIT}{{{JOB}}})", f"sum ({ACTIVE}{{{JOB}}})")),
    "what is free": query("Saturation", "this is the share that is free", f"1 - {ratio()}"),
    "percent": query("Saturation", "a share is from 0 to 1", f"100 * {ratio()}"),
    "one limit": query("Saturation", "all instances together have the sum of their limits", ratio(below=f"max ({LIMIT}{{{JOB}}})")),
    "one instance": query("Saturation", "all instances together have the sum of their requests", ratio(f"max ({ACTIVE}{{{JOB}}})")),
    "rate of a gauge": query("Saturation", "rate() of http_server_active_requests, which is a gauge", ratio(f"sum (rate({ACTIVE}{{{JOB}}}[{WINDOW}]))")),
    "traffic": query("Saturation", "this is traffic", ratio(total())),
    "a limit by heart": query("Saturation", "expected", f"sum ({ACTIVE}{{{JOB}}}) / 1000"),
    "requests of all jobs": query("Saturation", OTHER_JOB, ratio(f"sum ({ACTIVE})")),
    "limits of all jobs": query("Saturation", OTHER_JOB, ratio(below=f"sum ({LIMIT})")),
    "the processor": query("Saturation", "another metric: divide the sum of the requests in progress", f"sum (rate(process_cpu_time_seconds_total{{{JOB}}}[{WINDOW}]))"),
    "in percent": unit("Saturation", "the unit of Saturation is percent, expected percentunit", "percent"),
}  # fmt: skip

FILE_MISTAKES = {
    "no JSON": text("dashboard.json is not JSON", "{"),
    "an empty file": text("dashboard.json is not JSON", ""),
    "YAML": text("dashboard.json is not JSON", "panels: []"),
    "deep brackets": text("dashboard.json is not JSON", "[" * 100_000),
    "a list": text("has no list of panels", "[]"),
    "a number": text("has no list of panels", "3"),
    "rows of an old Grafana": board("has no list of panels", lambda c: {"rows": c["panels"]}),
    "panels that are text": text("is no dashboard of Grafana", '{"panels": ["Traffic"]}'),
    "targets that are text": board("is no dashboard of Grafana", lambda c: c["panels"][0].update(targets=["rate(x[5m])"])),
    "no panels": board("there is no panel Traffic; the panels are none", lambda c: c.update(panels=[])),
    "elements that are none": text("is no dashboard of Grafana", '{"elements": {"panel-1": "Traffic"}}'),
    "elements without panels": text("there is no panel Traffic", '{"elements": {}}'),
}  # fmt: skip


def to_v2(content: dict[str, Any], version: str = "v2beta1") -> dict[str, Any]:
    """Write a dashboard as Grafana 12 and 13 export it, in the second schema."""
    elements = {}
    for panel in content["panels"]:
        queries = [
            {
                "kind": "PanelQuery",
                "spec": {
                    "refId": target["refId"],
                    "hidden": False,
                    "query": {"kind": "prometheus", "spec": {"expr": target["expr"]}}
                    if version == "v2alpha1"
                    else {
                        "kind": "DataQuery",
                        "group": "prometheus",
                        "version": "v0",
                        "spec": {"expr": target["expr"]},
                    },
                },
            }
            for target in panel["targets"]
        ]
        kind = (
            {"kind": "timeseries"}
            if version == "v2alpha1"
            else {"kind": "VizConfig", "group": "timeseries", "version": "13.0.0"}
        )
        elements[f"panel-{panel['id']}"] = {
            "kind": "Panel",
            "spec": {
                "id": panel["id"],
                "title": panel["title"],
                "data": {
                    "kind": "QueryGroup",
                    "spec": {"queries": queries, "transformations": [], "queryOptions": {}},
                },
                "vizConfig": {**kind, "spec": {"options": {}, "fieldConfig": panel["fieldConfig"]}},
            },
        }
    variables = [
        {
            "kind": "DatasourceVariable",
            "spec": {
                "name": "datasource",
                "pluginId": "prometheus",
                "current": {"text": "", "value": ""},
            },
        }
    ]
    return {
        "title": content["title"],
        "elements": elements,
        "layout": {"kind": "GridLayout", "spec": {"items": []}},
        "variables": variables,
    }


def resource(spec: Mapping[str, Any], version: str) -> dict[str, Any]:
    return {
        "apiVersion": f"dashboard.grafana.app/{version}",
        "kind": "Dashboard",
        "metadata": {"name": "course"},
        "spec": spec,
    }


def v2(title: str, hint: str, old: str, new: str) -> Answer:
    """Change the text of a panel in the second schema."""

    def change(content: dict[str, Any]) -> dict[str, Any]:
        found = to_v2(content)
        name = f"panel-{content['panels'][INDEX[title]]['id']}"
        written = json.dumps(found["elements"][name])
        assert old in written
        found["elements"][name] = json.loads(written.replace(old, new))
        return resource(found, "v2beta1")

    return board(hint, change)


def source(title: str, hint: str, kind: str) -> Answer:
    """Let a panel ask another data source."""

    def change(panel: dict[str, Any]) -> None:
        for target in panel["targets"]:
            target["datasource"] = {"type": kind, "uid": kind}

    return panel(title, hint, change)


MORE_MISTAKES = {
    "the second schema: a hidden query": v2("Traffic", NO_QUERY, '"hidden": false', '"hidden": true'),
    "the second schema: no unit": v2("Latency", "the unit of Latency is not set", '"unit": "s"', '"unit": ""'),
    "the second schema: milliseconds": v2("Latency", "the unit of Latency is ms", '"unit": "s"', '"unit": "ms"'),
    "the second schema: a fixed window": v2("Errors", FIXED, WINDOW, "5m"),
    "the second schema: irate": v2("Traffic", IRATE, "rate(", "irate("),
    "the second schema: another title": v2("Saturation", "there is no panel Saturation", '"Saturation"', '"Fullness"'),
    "the second schema: another data source": v2("Traffic", NO_QUERY, '"group": "prometheus"', '"group": "loki"'),
    "an answer of the HTTP API with irate": board(IRATE, lambda c: {"dashboard": json.loads(json.dumps(c).replace("rate(", "irate(")), "meta": {}}),
    "a row with panels over a fixed window": board(FIXED, lambda c: {**c, "panels": [{"type": "row", "title": "Signals", "collapsed": True, "panels": json.loads(json.dumps(c["panels"]).replace(WINDOW, "10m"))}]}),
    **{f"{t} of a log store": source(t, NO_QUERY, "loki") for t in INDEX},
    "test data": source("Latency", NO_QUERY, "grafana-testdata-datasource"),
    "an expression of Grafana": board("has an expression of Grafana", lambda c: c["panels"][2]["targets"].append({"refId": "C", "expression": "$A / $B", "datasource": {"type": "__expr__", "uid": "__expr__"}})),
    "a library panel": panel("Errors", NO_QUERY, lambda p: (p.pop("targets"), p.update(libraryPanel={"uid": "x", "name": "Errors"}))),
    "a title in another language": panel("Latency", "there is no panel Latency", lambda p: p.update(title="Latenz")),
    "a longer title": panel("Errors", "there is no panel Errors", lambda p: p.update(title="Error rate")),
    "a window without its dollar": query("Traffic", "parse error", total(window="__rate_interval")),
    "a window with a typing error": query("Traffic", NO_VALUE, total(window="$__rate_intervall")),
    "a window in milliseconds": query("Traffic", NO_VALUE, total(window="$__interval_ms")),
    "a window in seconds of the range": query("Traffic", RANGE, total(window="${__range_s}s")),
    "a window of a variable that is not defined": query("Latency", NO_VALUE, quantile(window="$window")),
    "a window of a variable with a fixed value": board(FIXED, lambda c: {**json.loads(json.dumps(c).replace(WINDOW, "$window")), "templating": {"list": [{"type": "custom", "name": "window", "current": {"value": "5m"}}]}}),
    "a fixed window with spaces": query("Traffic", FIXED, total(window=" 5m ")),
    "a fixed window in a subquery": query("Traffic", FIXED, f"avg_over_time({total()}[10m:1m])"),
    "SQL": query("Traffic", "parse error", "SELECT count(*) FROM requests"),
    "LogQL": query("Errors", "parse error", '{job="randsvc"} |= "error"'),
    "JSON in a query": query("Traffic", "parse error", '{"query": "up"}'),
    "a legend for a query": query("Traffic", UNKNOWN, "requests"),
    "a share of each status": query("Errors", "expected", f"sum by (http_response_status_code) ({rate(f'{JOB},{S5XX}')}) / ignoring (http_response_status_code) group_left {total()} or vector(0)"),
    "500 and 503 by name": query("Errors", "some statuses of failures are missing", share(f'{JOB},http_response_status_code=~"500|503"')),
    "an increase divided by a rate": query("Errors", "expected", f"({total(f'{JOB},{S5XX}', function='increase')} or vector(0)) / {total()}"),
    "an average of the shares of instances": query("Errors", "expected", f"avg ({total(f'{JOB},{S5XX}', by='sum by (instance)')} / {total(by='sum by (instance)')}) or vector(0)"),
    "a quantile of each instance": query("Latency", "expected", quantile(by="instance, le")),
    "a quantile of each route": query("Latency", "expected", quantile(by="http_route, le")),
    "the largest bucket": query("Latency", "expected", f"max by (le) ({rate(name=BUCKET)})"),
    "the percentage of a quantile": query("Latency", "expected", quantile(99)),
    "a difference of counters": query("Traffic", "a counter is 0 again", f"(sum ({COUNT}{{{JOB}}}) - sum ({COUNT}{{{JOB}}} offset 1m)) / 60"),
    "samples of a counter": query("Traffic", "count_over_time() of", f"sum (count_over_time({COUNT}{{{JOB}}}[{WINDOW}]))"),
    "a share of the product": query("Saturation", "expected", f"sum ({ACTIVE}{{{JOB}}}) * sum ({LIMIT}{{{JOB}}})"),
    "what is free, as a number": query("Saturation", "expected", f"sum ({LIMIT}{{{JOB}}}) - sum ({ACTIVE}{{{JOB}}})"),
    "a rate of the limit": query("Saturation", "which is a gauge", ratio(below=f"sum (rate({LIMIT}{{{JOB}}}[{WINDOW}]))")),
    "Latency in hertz": unit("Latency", "the unit of Latency is hertz", "hertz"),
    "Latency in nanoseconds": unit("Latency", "the unit of Latency is ns", "ns"),
    "Traffic in seconds": unit("Traffic", "the unit of Traffic is s,", "s"),
    "Traffic in writes": unit("Traffic", "the unit of Traffic is wps", "wps"),
    "Traffic in a word": unit("Traffic", "the unit of Traffic is requests", "requests"),
    "Errors in seconds by an override": unit("Errors", "the unit of Errors is s", "none", "s"),
    "Saturation in a currency": unit("Saturation", "the unit of Saturation is currencyUSD", "currencyUSD"),
    "more queries than a panel has": query("Traffic", "expected at most 50", *(f"{total()} + {i}" for i in range(60))),
}  # fmt: skip

WRONG = {
    **EVERY_PANEL,
    **MORE_MISTAKES,
    **{f"Traffic: {name}": each for name, each in TRAFFIC_MISTAKES.items()},
    **{f"Latency: {name}": each for name, each in LATENCY_MISTAKES.items()},
    **{f"Errors: {name}": each for name, each in ERRORS_MISTAKES.items()},
    **{f"Saturation: {name}": each for name, each in SATURATION_MISTAKES.items()},
    **{f"the file: {name}": each for name, each in FILE_MISTAKES.items()},
}


def with_variable(name: str, value: Any, selector: str, **more: Any) -> Answer:
    """Let every query use a variable of the dashboard."""

    def change(content: dict[str, Any]) -> dict[str, Any]:
        content["templating"]["list"].append(
            {"type": "query", "name": name, "current": {"text": value, "value": value}, **more}
        )
        for panel in content["panels"]:
            for target in panel["targets"]:
                target["expr"] = target["expr"].replace(JOB, selector)
        return content

    return board("", change)


RIGHT = {
    "the solution": Answer(),
    "the answer of the HTTP API": board("", lambda c: {"dashboard": c, "meta": {}}),
    "an export for sharing": board("", lambda c: {"__inputs": [], "__requires": [], **c}),
    "a resource of the first schema": board("", lambda c: resource(c, "v1beta1")),
    "a resource of the first schema, stable": board("", lambda c: resource(c, "v1")),
    "a resource of the second schema": board("", lambda c: resource(to_v2(c), "v2beta1")),
    "a resource of the second schema, alpha": board("", lambda c: resource(to_v2(c, "v2alpha1"), "v2alpha1")),
    "the spec of the second schema": board("", to_v2),
    "the spec of the second schema, alpha": board("", lambda c: to_v2(c, "v2alpha1")),
    "a byte order mark": text("", "\ufeff" + json.dumps(SOLUTION)),
    "panels in a row": board("", lambda c: {**c, "panels": [{"type": "row", "title": "Signals", "collapsed": True, "panels": c["panels"]}]}),
    "a row with the title of a panel": board("", lambda c: {**c, "panels": [*c["panels"], {"type": "row", "title": "Traffic", "panels": []}]}),
    "a text panel too": board("", lambda c: c["panels"].append({"type": "text", "title": "Notes"})),
    "titles in small letters": board("", lambda c: [p.update(title=p["title"].lower()) for p in c["panels"]] and None),
    "titles with a space": board("", lambda c: [p.update(title=f"{p['title']} ") for p in c["panels"]] and None),
    "stat panels": board("", lambda c: [p.update(type="stat") for p in c["panels"]] and None),
    "a data source by a variable": panel("Traffic", "", lambda p: [t.update(datasource={"type": "prometheus", "uid": "${DS}"}) for t in p["targets"]]),
    "a data source by its name": panel("Traffic", "", lambda p: [t.update(datasource="Prometheus") for t in p["targets"]]),
    "a managed Prometheus": source("Latency", "", "grafana-amazonprometheus-datasource"),
    "a hidden query too": board("", lambda c: c["panels"][0]["targets"].append({"refId": "Z", "expr": "up", "hide": True})),
    "an empty query too": board("", lambda c: c["panels"][0]["targets"].append({"refId": "Z", "expr": ""})),
    "a variable for the job": with_variable("job", "randsvc", 'job="$job"'),
    "a variable for the job, in braces": with_variable("job", "randsvc", 'job=~"${job:regex}"'),
    "a variable for the job, in brackets": with_variable("job", "randsvc", 'job="[[job]]"'),
    "a variable for the job with several values": with_variable("job", ["randsvc"], 'job=~"$job"'),
    "a variable of another name": with_variable("service", "randsvc", 'job="$service"'),
    "all instances": with_variable("instance", "$__all", 'job="randsvc",instance=~"$instance"', includeAll=True),
    "all instances by a value of its own": with_variable("instance", ["$__all"], 'job="randsvc",instance=~"$instance"', allValue=".+"),
    "braces round the window": board("", lambda c: json.loads(json.dumps(c).replace("$__rate_interval", "${__rate_interval}"))),
    "traffic by status": query("Traffic", "", f"sum by (http_response_status_code) ({rate()})"),
    "traffic by route": query("Traffic", "", f"sum by (http_route) ({rate()})"),
    "traffic by instance": query("Traffic", "", f"sum by (instance) ({rate()})"),
    "traffic by job": query("Traffic", "", f"sum by (job) ({rate()})"),
    "traffic as it is": query("Traffic", "", rate()),
    "traffic without labels": query("Traffic", "", f"sum without (instance) ({rate()})"),
    "traffic by increase": query("Traffic", "", f"{total(function='increase')} / 60"),
    "the 0.99 quantile alone": query("Latency", "", quantile()),
    "four quantiles": query("Latency", "", *(quantile(q) for q in (0.5, 0.9, 0.95, 0.99))),
    "the quantile by job": query("Latency", "", quantile(by="job, le")),
    "the quantile of increases": query("Latency", "", quantile(function="increase")),
    "the quantile of a native histogram": query("Latency", "", f"histogram_quantile(0.99, sum ({rate(name='http_server_request_duration_seconds')}))"),
    "errors by increase": query("Errors", "", share(function="increase")),
    "errors with a zero behind": query("Errors", "", f"{total(f'{JOB},{S5XX}')} / {total()} or vector(0)"),
    "errors as one minus": query("Errors", "", f"1 - {total(f'{JOB},http_response_status_code!~{chr(34)}5..{chr(34)}')} / {total()}"),
    "errors with a zero of traffic": query("Errors", "", f"({total(f'{JOB},{S5XX}')} or 0 * {total()}) / {total()}"),
    "errors by every status": query("Errors", "", share(f'{JOB},http_response_status_code=~"500|501|502|503|504"')),
    "saturation by job": query("Saturation", "", ratio(f"sum by (job) ({ACTIVE}{{{JOB}}})", f"sum by (job) ({LIMIT}{{{JOB}}})")),
    "saturation of the fullest instance": query("Saturation", "", f"max (sum by (instance) ({ACTIVE}{{{JOB}}}) / sum by (instance) ({LIMIT}{{{JOB}}}))"),
    "saturation in brackets": query("Saturation", "", f"({ratio()})"),
    "counts per second": unit("Traffic", "", "cps"),
    "operations per second": unit("Traffic", "", "ops"),
    "a unit of one's own": unit("Traffic", "", "suffix: req/s"),
    "a unit by an override": unit("Traffic", "", None, "reqps"),
    "a duration": unit("Latency", "", "dtdurations"),
    "a unit of the quantile by an override": unit("Latency", "", None, "s"),
    "an override of another series": unit("Latency", "", "s", "reqps"),
    "shares by an override": unit("Errors", "", None, "percentunit"),
}  # fmt: skip
