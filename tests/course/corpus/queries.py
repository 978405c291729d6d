"""Answers to exercise 2: the expressions of its recording rules."""

from tests.course.corpus.answer import Answer

EXERCISE = 2

COUNT = "http_server_request_duration_seconds_count"
BUCKET = "http_server_request_duration_seconds_bucket"
SUM = "http_server_request_duration_seconds_sum"
ACTIVE = "http_server_active_requests"
LIMIT = "http_server_concurrency_limit"
JOB = 'job="randsvc"'
S200, S5XX = 'http_response_status_code="200"', 'http_response_status_code=~"5.."'

TRAFFIC = f"sum by (job) (rate({COUNT}{{{JOB}}}[1m]))"
QUANTILE = f"""histogram_quantile(0.99,
            sum by (job, le) (rate({BUCKET}{{{JOB}}}[1m])))"""
SATURATION = f"""sum by (job) ({ACTIVE}{{{JOB}}})
            / sum by (job) ({LIMIT}{{{JOB}}})"""


def traffic(hint: str, expr: str) -> Answer:
    return Answer(hint, {"rules.yml": ((f"expr: {TRAFFIC}", f"expr: >-\n          {expr}"),)})


def latency(hint: str, expr: str) -> Answer:
    return Answer(hint, {"rules.yml": ((QUANTILE, expr),)})


def saturation(hint: str, expr: str) -> Answer:
    return Answer(hint, {"rules.yml": ((SATURATION, expr),)})


def count(
    selector: str = JOB, window: str = "1m", function: str = "rate", by: str = "sum by (job)"
) -> str:
    return f"{by} ({function}({COUNT}{{{selector}}}[{window}]))"


def quantile(
    q: float | str = 0.99,
    selector: str = JOB,
    window: str = "1m",
    function: str = "rate",
    by: str = "job, le",
) -> str:
    return f"histogram_quantile({q}, sum by ({by}) ({function}({BUCKET}{{{selector}}}[{window}])))"


def ratio(
    above: str = f"sum by (job) ({ACTIVE}{{{JOB}}})",
    below: str = f"sum by (job) ({LIMIT}{{{JOB}}})",
) -> str:
    return f"{above} / {below}"


STATUSES = "sum all statuses, including 500, 503, and 404"
JOB_ONLY = "expected only job, as one series"
NO_DATA = "has no data from the service"
OVER = "use a window of 1 minute"
IRATE = "irate() uses only the last two samples"
FOR_GAUGES = "which is a counter"
FIRST_RATE = "Use rate() first, then sum()"
LE = "histogram_quantile() needs the label le"
PART = "only a part of the requests is measured"
INSTANCES = "of the quantiles of instances is not the quantile of all requests"
DIVIDE = "divide the requests in progress by the concurrency limit"

TRAFFIC_MISTAKES = {
    "another name": Answer(
        "there is no rule with `record: job:requests:rate1m`",
        {"rules.yml": (("- record: job:requests:rate1m", "- record: job:requests"),)},
    ),
    "an unknown metric": traffic("the service has no metric http_requests_total", f"sum by (job) (rate(http_requests_total{{{JOB}}}[1m]))"),
    "a misspelt metric": traffic("the service has no metric http_server_requests_duration", count().replace("request_duration", "requests_duration")),
    "an unknown label": traffic("check that the service has the labels", count('service="randsvc"')),
    "another job": traffic(NO_DATA, count('job="shop"')),
    "a job in capitals": traffic(NO_DATA, count('job="RANDSVC"')),
    "an unknown route": traffic(NO_DATA, count(f'{JOB},http_route="/rand"')),
    "a status as a number of its own": traffic(NO_DATA, count(f'{JOB},http_response_status_code="2xx"')),
    "rate of a sum": traffic(FIRST_RATE, f"rate(sum by (job) ({COUNT}{{{JOB}}})[1m:5s])"),
    "increase of a sum": traffic("Use increase() first, then sum()", f"increase(sum by (job) ({COUNT}{{{JOB}}})[1m:5s]) / 60"),
    "rate of a maximum": traffic(FIRST_RATE, f"rate(max by (job) ({COUNT}{{{JOB}}})[1m:5s])"),
    "a counter as it is": traffic("a counter has the total since the start", f"sum by (job) ({COUNT}{{{JOB}}})"),
    "increase for rate": traffic("increase() counts over the whole window", count(function="increase")),
    "a rate per minute": traffic("rate() per second", f"60 * {count()}"),
    "a rate per minute, written apart": traffic("rate() per second", f"{count()} * 60"),
    "a rate divided again": traffic("rate() already is per second", f"{count()} / 60"),
    "irate": traffic(IRATE, count(function="irate")),
    "irate over 5 minutes": traffic(IRATE, count(function="irate", window="5m")),
    "deriv": traffic(FOR_GAUGES, count(function="deriv")),
    "delta": traffic(FOR_GAUGES, f"{count(function='delta')} / 60"),
    "idelta": traffic(FOR_GAUGES, f"{count(function='idelta')} / 15"),
    "predict_linear": traffic(FOR_GAUGES, f"sum by (job) (predict_linear({COUNT}{{{JOB}}}[1m], 60))"),
    "a window of 5 minutes": traffic("this is the value over [5m]", count(window="5m")),
    "a window of 2 minutes": traffic("this is the value over [2m]", count(window="2m")),
    "a window of 3 minutes": traffic("this is the value over [3m]", count(window="3m")),
    "a window of 30 seconds": traffic("this is the value over [30s]", count(window="30s")),
    "a window of 45 seconds": traffic(OVER, count(window="45s")),
    "a window of 90 seconds": traffic(OVER, count(window="90s")),
    "a window of 10 minutes": traffic(OVER, count(window="10m")),
    "a window of an hour": traffic(OVER, count(window="1h")),
    "a minute ago": traffic("expected 31.2", f"sum by (job) (rate({COUNT}{{{JOB}}}[1m] offset 1m))"),
    "a moving average": traffic(OVER, f"sum by (job) (avg_over_time(rate({COUNT}{{{JOB}}}[1m])[5m:15s]))"),
    "a moving maximum": traffic(OVER, f"sum by (job) (max_over_time(rate({COUNT}{{{JOB}}}[30s])[2m:15s]))"),
    "only successes": traffic(STATUSES, count(f"{JOB},{S200}")),
    "all but server errors": traffic(STATUSES, count(f'{JOB},http_response_status_code!~"5.."')),
    "all but client errors": traffic(STATUSES, count(f'{JOB},http_response_status_code!~"4.."')),
    "all but 500": traffic("expected 14", count(f'{JOB},http_response_status_code!="500"')),
    "all but 503": traffic("expected 14", count(f'{JOB},http_response_status_code!="503"')),
    "successes and server errors": traffic(STATUSES, count(f'{JOB},http_response_status_code=~"200|5.."')),
    "only routed requests": traffic(STATUSES, count(f'{JOB},http_route!=""')),
    "one route": traffic(STATUSES, count(f'{JOB},http_route="/random"')),
    "only errors": traffic(NO_DATA, count(f"{JOB},{S5XX}")),
    "a series for each instance": traffic(f"instance, job; {JOB_ONLY}", count(by="sum by (job, instance)")),
    "a series for each status": traffic(JOB_ONLY, count(by="sum by (job, http_response_status_code)")),
    "a series for each route": traffic(JOB_ONLY, count(by="sum by (job, http_route)")),
    "no label": traffic(f"has the labels none; {JOB_ONLY}", count(by="sum")),
    "no aggregation": traffic(JOB_ONLY, f"rate({COUNT}{{{JOB}}}[1m])"),
    "without instances only": traffic(JOB_ONLY, count(by="sum without (instance)")),
    "an average": traffic("avg() is the rate of one series", count(by="avg by (job)")),
    "a maximum": traffic("max() is the rate of one series", count(by="max by (job)")),
    "a minimum": traffic("min() is the rate of one series", count(by="min by (job)")),
    "a number of series": traffic("count() is the number of series", count(by="count by (job)")),
    "an average of instances": traffic("this is the rate of one instance", f"avg by (job) ({count(by='sum by (job, instance)')})"),
    "the busiest instance": traffic("this is the rate of one instance", f"max by (job) ({count(by='sum by (job, instance)')})"),
    "successes and others, of which there are none yet": traffic(NO_DATA, f"{count(f'{JOB},{S200}')} + " + count(f'{JOB},http_response_status_code!="200"')),
    "seconds for requests": traffic("_sum has the seconds of all requests", count().replace("_count", "_sum")),
    "buckets for requests": traffic("each request is in many buckets", count().replace("_count", "_bucket")),
    "one bucket for requests": traffic("expected", count(f'{JOB},le="0.1"').replace("_count", "_bucket")),
    "requests in progress": traffic("requests in progress are saturation", f"sum by (job) ({ACTIVE}{{{JOB}}})"),
    "a rate of requests in progress": traffic("which is a gauge: rate() treats each decrease", count().replace(COUNT, ACTIVE)),
    "the number of processes": traffic("expected", f"count by (job) ({LIMIT}{{{JOB}}})"),
    "a syntax error": traffic("could not parse expression", count()[:-1]),
    "no range": traffic("promtool check config", f"sum by (job) (rate({COUNT}{{{JOB}}}))"),
    "a range without a function": traffic("promtool check config", f"sum by (job) ({COUNT}{{{JOB}}}[1m])"),
    "an unknown function": traffic("promtool check config", count(function="per_second")),
}  # fmt: skip

LATENCY_MISTAKES = {
    **{
        f"the {q} quantile": latency(f"this is about the {q} quantile", quantile(q))
        for q in (0.5, 0.75, 0.9, 0.95, 0.98, 0.995, 0.999)
    },
    "the largest": latency("this is about the 1 quantile", quantile(1)),
    "a quantile in percent": latency("job:latency_seconds:p99_rate1m is inf", quantile(99)),
    "the other end": latency("expected", quantile(0.01)),
    "the 0.97 quantile": latency("expected", quantile(0.97)),
    "no rate": latency("this is the value since the start", f"histogram_quantile(0.99, sum by (job, le) ({BUCKET}{{{JOB}}}))"),
    "no rate, over all": latency(JOB_ONLY, f"histogram_quantile(0.99, {BUCKET}{{{JOB}}})"),
    "irate": latency(IRATE, quantile(function="irate")),
    "deriv": latency(FOR_GAUGES, quantile(function="deriv")),
    "delta": latency(FOR_GAUGES, quantile(function="delta")),
    "a window of 5 minutes": latency("this is the value over [5m]", quantile(window="5m")),
    "a window of 2 minutes": latency("this is the value over [2m]", quantile(window="2m")),
    "a window of 30 seconds": latency("this is the value over [30s]", quantile(window="30s")),
    "a window of 10 minutes": latency("over a window of 10 minutes or more", quantile(window="10m")),
    "a window of 1 hour": latency("over a window of 10 minutes or more", quantile(window="1h")),
    "a minute ago": latency("expected", f"histogram_quantile(0.99, sum by (job, le) (rate({BUCKET}{{{JOB}}}[1m] offset 1m)))"),
    "only successes": latency(PART, quantile(selector=f"{JOB},{S200}")),
    "all but server errors": latency(PART, quantile(selector=f'{JOB},http_response_status_code!~"5.."')),
    "only 404": latency(NO_DATA, quantile(selector=f'{JOB},http_response_status_code="404"')),
    "no le": latency(LE, quantile(by="job")),
    "no le, in a sum without labels": latency(LE, f"histogram_quantile(0.99, sum(rate({BUCKET}{{{JOB}}}[1m])))"),
    "le taken away": latency(LE, f"histogram_quantile(0.99, sum without (le, instance) (rate({BUCKET}{{{JOB}}}[1m])))"),
    "no job": latency(f"has the labels none; {JOB_ONLY}", quantile(by="le")),
    "a quantile for each instance": latency(JOB_ONLY, quantile(by="job, instance, le")),
    "a quantile for each route": latency(JOB_ONLY, quantile(by="job, http_route, le")),
    "an average of quantiles": latency(f"the avg {INSTANCES}", f"avg by (job) ({quantile(by='job, instance, le')})"),
    "a maximum of quantiles": latency(f"the max {INSTANCES}", f"max by (job) ({quantile(by='job, instance, le')})"),
    "a sum of quantiles": latency(f"the sum {INSTANCES}", f"sum by (job) ({quantile(by='job, instance, le')})"),
    "an average": latency("job:latency_seconds:p99_rate1m is an average", f"sum by (job) (rate({SUM}{{{JOB}}}[1m])) / {count()}"),
    "an average of increases": latency("is an average", f"sum by (job) (increase({SUM}{{{JOB}}}[1m])) / {count(function='increase')}"),
    "an average since the start": latency("is an average", f"sum by (job) ({SUM}{{{JOB}}}) / sum by (job) ({COUNT}{{{JOB}}})"),
    "an average over time": latency("is an average", f"avg_over_time({quantile()}[5m:15s])"),
    "milliseconds": latency("the metric is in seconds", f"1000 * {quantile()}"),
    "divided by 1000": latency("the metric is in seconds", f"{quantile()} / 1000"),
    "the buckets themselves": latency(JOB_ONLY, f"sum by (job, le) (rate({BUCKET}{{{JOB}}}[1m]))"),
    "a quantile of series": latency("expected", f"quantile by (job) (0.99, rate({BUCKET}{{{JOB}}}[1m]))"),
    "a maximum of buckets": latency("expected", f"max by (job) (rate({BUCKET}{{{JOB}}}[1m]))"),
    "seconds per second": latency("expected", f"sum by (job) (rate({SUM}{{{JOB}}}[1m]))"),
    "a quantile of the count": latency("no data", quantile().replace("_bucket", "_count")),
    "another histogram": latency("expected", quantile().replace(BUCKET, "asyncio_event_loop_lag_seconds_bucket")),
    "an unknown histogram": latency("the service has no metric", quantile().replace(BUCKET, "http_request_duration_seconds_bucket")),
    "another name": Answer("there is no rule with `record: job:latency_seconds:p99_rate1m`", {"rules.yml": (("p99_rate1m", "p99"),)}),
    "a rate of a sum of buckets": latency(FIRST_RATE, f"histogram_quantile(0.99, rate(sum by (job, le) ({BUCKET}{{{JOB}}})[1m:5s]))"),
}  # fmt: skip

SATURATION_MISTAKES = {
    "no limit": saturation(DIVIDE, f"sum by (job) ({ACTIVE}{{{JOB}}})"),
    "an average without a limit": saturation(DIVIDE, f"avg by (job) ({ACTIVE}{{{JOB}}})"),
    "the limit": saturation(DIVIDE, f"sum by (job) ({LIMIT}{{{JOB}}})"),
    "turned round": saturation("turn it round", ratio(f"sum by (job) ({LIMIT}{{{JOB}}})", f"sum by (job) ({ACTIVE}{{{JOB}}})")),
    "what is free": saturation("this is the share that is free", f"1 - {ratio()}"),
    "percent": saturation("a share is from 0 to 1", f"100 * {ratio()}"),
    "one limit": saturation("all instances together have the sum of their limits", ratio(below=f"max by (job) ({LIMIT}{{{JOB}}})")),
    "an average limit": saturation("all instances together have the sum of their limits", ratio(below=f"avg by (job) ({LIMIT}{{{JOB}}})")),
    "a sum of shares": saturation("all instances together", f"sum by (job) (sum by (job, instance) ({ACTIVE}{{{JOB}}}) / sum by (job, instance) ({LIMIT}{{{JOB}}}))"),
    "one instance of two": saturation("all instances together have the sum of their requests", ratio(f"avg by (job) ({ACTIVE}{{{JOB}}})")),
    "a limit by heart": saturation("expected", f"sum by (job) ({ACTIVE}{{{JOB}}}) / 100"),
    "another limit by heart": saturation("expected", f"sum by (job) ({ACTIVE}{{{JOB}}}) / 1000"),
    "a rate of requests in progress": saturation("rate() of http_server_active_requests, which is a gauge", ratio(f"sum by (job) (rate({ACTIVE}{{{JOB}}}[1m]))")),
    "an increase of requests in progress": saturation("increase() of http_server_active_requests, which is a gauge", ratio(f"sum by (job) (increase({ACTIVE}{{{JOB}}}[1m]))")),
    "traffic": saturation("this is traffic", ratio(count())),
    "a series for each instance": saturation(JOB_ONLY, ratio(f"sum by (job, instance) ({ACTIVE}{{{JOB}}})", f"sum by (job, instance) ({LIMIT}{{{JOB}}})")),
    "no label": saturation(f"has the labels none; {JOB_ONLY}", ratio(f"sum ({ACTIVE}{{{JOB}}})", f"sum ({LIMIT}{{{JOB}}})")),
    "labels that do not fit": saturation(NO_DATA, ratio(f"sum by (instance) ({ACTIVE}{{{JOB}}})")),
    "an unknown gauge": saturation("the service has no metric http_server_requests_in_progress", ratio(f"sum by (job) (http_server_requests_in_progress{{{JOB}}})")),
    "an unknown limit": saturation("the service has no metric http_server_limit", ratio(below=f"sum by (job) (http_server_limit{{{JOB}}})")),
    "another job": saturation(NO_DATA, ratio(f'sum by (job) ({ACTIVE}{{job="auth"}})')),
    "the memory": saturation("expected", f"sum by (job) (process_memory_usage_bytes{{{JOB}}})"),
    "the processor": saturation("expected", f"sum by (job) (rate(process_cpu_time_seconds_total{{{JOB}}}[1m]))"),
    "another name": Answer("there is no rule with `record: job:saturation:ratio`", {"rules.yml": (("job:saturation:ratio", "job:saturation"),)}),
    "a comparison": saturation(NO_DATA, f"{ratio()} > 0.9"),
    "a comparison with bool": saturation("expected", f"{ratio()} > bool 0.01"),
    "a difference": saturation("expected", f"sum by (job) ({LIMIT}{{{JOB}}}) - sum by (job) ({ACTIVE}{{{JOB}}})"),
    "a maximum so far": saturation("expected", f"max by (job) (max_over_time({ACTIVE}{{{JOB}}}[1h])) / sum by (job) ({LIMIT}{{{JOB}}})"),
}  # fmt: skip

RESTART = "a counter is 0 again when its process restarts"
MORE_TRAFFIC_MISTAKES = {
    "a difference": traffic(RESTART, f"(sum by (job) ({COUNT}{{{JOB}}}) - sum by (job) ({COUNT}{{{JOB}}} offset 1m)) / 60"),
    "a difference of series": traffic(RESTART, f"sum by (job) ({COUNT}{{{JOB}}} - {COUNT}{{{JOB}}} offset 1m) / 60"),
    "a minute ago, by offset": traffic("expected", f"sum by (job) (rate({COUNT}{{{JOB}}}[1m] offset 1m))"),
    "one route": traffic(STATUSES, count(f'{JOB},http_route="/random"')),
    "routed requests": traffic(STATUSES, count(f'{JOB},http_route!=""')),
    "requests without a route": traffic("expected", count(f'{JOB},http_route!="/random"')),
    "one instance by name": traffic("has no data", count(f'{JOB},instance="a:9464"')),
    "no errors by their type": traffic(STATUSES, count(f'{JOB},error_type=""')),
    "2xx and 3xx": traffic(STATUSES, count(f'{JOB},http_response_status_code=~"[23].."')),
    "500 is left out": traffic(STATUSES, count(f'{JOB},http_response_status_code!="500"')),
    "an increase over 5 minutes": traffic("expected", f"{count(function='increase', window='5m')} / 60"),
    "an increase by another number": traffic("expected", f"{count(function='increase')} / 30"),
    "an increase over a window, not divided": traffic("expected", count(function="increase", window="5m")),
    "a number of samples": traffic("count_over_time() of", f"sum by (job) (count_over_time({COUNT}{{{JOB}}}[1m]))"),
    "a sum of samples": traffic("sum_over_time() of", f"sum by (job) (sum_over_time({COUNT}{{{JOB}}}[1m]))"),
    "an average of samples": traffic("avg_over_time() of", f"sum by (job) (avg_over_time({COUNT}{{{JOB}}}[1m]))"),
    "the largest sample": traffic("max_over_time() of", f"sum by (job) (max_over_time({COUNT}{{{JOB}}}[1m]))"),
    "a number of changes": traffic("expected", f"sum by (job) (changes({COUNT}{{{JOB}}}[1m]))"),
    "a number of resets": traffic("expected", f"sum by (job) (resets({COUNT}{{{JOB}}}[1m]))"),
    "the largest series": traffic(JOB_ONLY, f"topk by (job) (1, rate({COUNT}{{{JOB}}}[1m]))"),
    "a median of series": traffic("expected", f"quantile by (job) (0.5, rate({COUNT}{{{JOB}}}[1m]))"),
    "a deviation of series": traffic("expected", count(by="stddev by (job)")),
    "a group of series": traffic("expected", count(by="group by (job)")),
    "an average over 5 minutes": traffic("expected", f"avg_over_time(({count()})[5m:15s])"),
    "a maximum over 5 minutes": traffic("expected", f"max_over_time(({count()})[5m:15s])"),
    "all metrics": traffic("vector cannot contain metrics with the same labelset", f"sum by (job) (rate({{{JOB}}}[1m]))"),
    "rounded": traffic("expected", f"round({count()})"),
    "rounded to tens": traffic("expected", f"round({count()}, 10)"),
    "a logarithm": traffic("expected", f"ln({count()})"),
    "negative": traffic("expected", f"-{count()}"),
    "a label that there is not": traffic(JOB_ONLY, count(by="sum by (service)")),
    "the job under another label": traffic(JOB_ONLY, f'label_replace({count()}, "service", "$1", "job", "(.*)")'),
    "a share": traffic("expected", f"{count(f'{JOB},{S200}')} / {count()}"),
    "a scalar": traffic(JOB_ONLY, f"scalar({count(by='sum')})"),
    "a text": traffic("rule result is not a vector or scalar", "'requests'"),
    "two rates": traffic(NO_DATA, f"{count()} + {count(f'{JOB},{S5XX}')}"),
    "a range of a name": traffic("promtool check config", f"sum by (job) (rate({COUNT}{{{JOB}}}, 1m))"),
    "a range in words": traffic("promtool check config", count(window="1 minute")),
    "a variable of Grafana": traffic("promtool check config", count(window="$__rate_interval")),
    "SQL": traffic("promtool check config", f"SELECT rate({COUNT}) WHERE job = 'randsvc' GROUP BY job"),
    "a label of the rule, which the alert does not have": Answer("on both sides of an operator", {"rules.yml": ((f"expr: {TRAFFIC}", f"expr: {TRAFFIC}\n        labels: {{team: shop}}"),)}),
    "a group before its sum": traffic("promtool check config", f"by (job) sum (rate({COUNT}{{{JOB}}}[1m]))"),
}  # fmt: skip
MORE_LATENCY_MISTAKES = {
    "arguments in the other order": latency("promtool check config", f"histogram_quantile(sum by (job, le) (rate({BUCKET}{{{JOB}}}[1m])), 0.99)"),
    "a quantile as text": latency("promtool check config", quantile('"0.99"')),
    "no quantile": latency("promtool check config", f"histogram_quantile(sum by (job, le) (rate({BUCKET}{{{JOB}}}[1m])))"),
    "a misspelt quantile": latency("expected", quantile(0.099)),
    "one minus": latency("expected", quantile("1 - 0.99")),
    "a negative quantile": latency("expected", quantile(-0.99)),
    "the 0.985 quantile": latency("expected", quantile(0.985)),
    "the 0.9999 quantile": latency("expected", quantile(0.9999)),
    "samples over time": latency("quantile_over_time() of", f"sum by (job) (quantile_over_time(0.99, {SUM}{{{JOB}}}[1m]))"),
    "a maximum over time": latency("expected", f"max_over_time(({quantile()})[10m:15s])"),
    "a quantile over time": latency("expected", f"quantile_over_time(0.99, ({quantile(0.5)})[1m:15s])"),
    "the largest buckets of instances": latency("expected", f"histogram_quantile(0.99, max by (job, le) (rate({BUCKET}{{{JOB}}}[1m])))"),
    "the smallest buckets of instances": latency("expected", f"histogram_quantile(0.99, min by (job, le) (rate({BUCKET}{{{JOB}}}[1m])))"),
    "numbers of buckets": latency("expected", f"histogram_quantile(0.99, count by (job, le) (rate({BUCKET}{{{JOB}}}[1m])))"),
    "a minute ago, by a subquery": latency("expected", f"last_over_time(({quantile()})[5m:15s] offset 5m)"),
    "a share below a bound": latency("expected", f'sum by (job) (rate({BUCKET}{{{JOB}}}[1m])) / {count()}'),
    "one bucket by name": latency("expected", f'sum by (job) (rate({BUCKET}{{{JOB},le="0.5"}}[1m]))'),
    "the sum of durations": latency("expected", f"sum by (job) ({SUM}{{{JOB}}})"),
    "the largest average": latency("is an average", f"max by (job) (rate({SUM}{{{JOB}}}[1m]) / rate({COUNT}{{{JOB}}}[1m]))"),
    "three averages": latency("is an average", f"3 * sum by (job) (rate({SUM}{{{JOB}}}[1m])) / {count()}"),
    "an average and a deviation": latency("expected", f"{quantile(0.5)} + 2 * {quantile(0.9)}"),
    "the median doubled": latency("expected", f"2 * {quantile(0.5)}"),
    "seconds to minutes": latency("expected", f"{quantile()} / 60"),
    "rounded to seconds": latency("expected", f"round({quantile()})"),
    "a quantile of each status": latency(JOB_ONLY, quantile(by="job, http_response_status_code, le")),
    "only errors": latency("has no data", quantile(selector=f"{JOB},{S5XX}")),
    "no 404": latency("expected", quantile(selector=f'{JOB},http_response_status_code!~"4.."')),
    "le of another name": latency(LE, quantile(by="job, bucket")),
    "le in capitals": latency(LE, quantile(by="job, LE")),
    "without the instance": latency(JOB_ONLY, f"histogram_quantile(0.99, sum without (instance) (rate({BUCKET}{{{JOB}}}[1m])))"),
    "a native histogram that is not scraped": latency("has no data", f"histogram_quantile(0.99, sum by (job) (rate({BUCKET.removesuffix('_bucket')}{{{JOB}}}[1m])))"),
    "an average of a native histogram": latency("has no data", f"histogram_avg(sum by (job) (rate({BUCKET.removesuffix('_bucket')}{{{JOB}}}[1m])))"),
    "of the client": latency("the service has no metric", quantile().replace("http_server", "http_client")),
    "of the delay": latency("expected", quantile().replace(BUCKET, "randsvc_delay_seconds_bucket")),
    "a difference of buckets": latency(RESTART, f"histogram_quantile(0.99, sum by (job, le) ({BUCKET}{{{JOB}}} - {BUCKET}{{{JOB}}} offset 1m))"),
}  # fmt: skip
MORE_SATURATION_MISTAKES = {
    "a share of a sum": saturation("expected", f"sum by (job) ({ACTIVE}{{{JOB}}}) / (sum by (job) ({ACTIVE}{{{JOB}}}) + sum by (job) ({LIMIT}{{{JOB}}}))"),
    "a product": saturation("expected", f"sum by (job) ({ACTIVE}{{{JOB}}}) * sum by (job) ({LIMIT}{{{JOB}}})"),
    "a remainder": saturation("expected", f"sum by (job) ({ACTIVE}{{{JOB}}}) % sum by (job) ({LIMIT}{{{JOB}}})"),
    "a number of gauges": saturation("expected", ratio(f"count by (job) ({ACTIVE}{{{JOB}}})")),
    "a number of limits": saturation("expected", ratio(below=f"count by (job) ({LIMIT}{{{JOB}}})")),
    "a derivative": saturation("expected", ratio(f"sum by (job) (deriv({ACTIVE}{{{JOB}}}[1m]))")),
    "rounded": saturation("expected", f"round({ratio()}, 0.1)"),
    "at most 10%": saturation("expected", f"clamp_max({ratio()}, 0.1)"),
    "per mille": saturation("expected", f"1000 * {ratio()}"),
    "what is free, as a number": saturation(NO_DATA, f"sum by (job) ({LIMIT}{{{JOB}}} - {ACTIVE}{{{JOB}}})"),
    "whether it is full": saturation("expected", f"sum by (job) ({ACTIVE}{{{JOB}}}) >= bool sum by (job) ({LIMIT}{{{JOB}}})"),
    "samples of a gauge": saturation("expected", ratio(f"sum by (job) (count_over_time({ACTIVE}{{{JOB}}}[1m]))")),
    "a sum over time": saturation("expected", ratio(f"sum by (job) (sum_over_time({ACTIVE}{{{JOB}}}[1m]))")),
    "the lag of the loop": saturation("expected", f"sum by (job) (rate(asyncio_event_loop_lag_seconds_sum{{{JOB}}}[1m]))"),
    "the latency": saturation("expected", "job:latency_seconds:p99_rate1m"),
    "traffic by itself": saturation("expected", "job:requests:rate1m / job:requests:rate1m"),
    "one label on the left only": saturation(NO_DATA, ratio(below=f"sum ({LIMIT}{{{JOB}}})")),
    "every method": saturation(JOB_ONLY, f"sum by (job, http_request_method) ({ACTIVE}{{{JOB}}}) / on (job) group_left sum by (job) ({LIMIT}{{{JOB}}})"),
}  # fmt: skip

WRONG = {
    **{f"traffic: {name}": each for name, each in MORE_TRAFFIC_MISTAKES.items()},
    **{f"latency: {name}": each for name, each in MORE_LATENCY_MISTAKES.items()},
    **{f"saturation: {name}": each for name, each in MORE_SATURATION_MISTAKES.items()},
    **{f"traffic: {name}": each for name, each in TRAFFIC_MISTAKES.items()},
    **{f"latency: {name}": each for name, each in LATENCY_MISTAKES.items()},
    **{f"saturation: {name}": each for name, each in SATURATION_MISTAKES.items()},
}

LABELS = "instance, http_route, http_request_method, url_scheme, network_protocol_version, http_response_status_code, error_type"
GAUGE_LABELS = "instance, http_request_method, url_scheme"

NATIVE = "http_server_request_duration_seconds"
CONVERTED = (
    "  - job_name: randsvc\n",
    "  - job_name: randsvc\n    convert_classic_histograms_to_nhcb: true\n"
    "    always_scrape_classic_histograms: true\n",
)


def native(*edits: tuple[str, str]) -> Answer:
    return Answer("", {"prometheus.yml": (CONVERTED,), "rules.yml": edits})


def with_record(record: str, expr: str, *edits: tuple[str, str]) -> Answer:
    """Add a record before the others."""
    first = "      # rate first, then sum"
    return Answer("", {"rules.yml": (
        (first, f"      - record: {record}\n        expr: {expr}\n\n{first}"), *edits)})  # fmt: skip


RIGHT = {
    "traffic: a native histogram": native((TRAFFIC, f"histogram_count(sum by (job) (rate({NATIVE}{{{JOB}}}[1m])))")),
    "latency: a native histogram": native((QUANTILE, f"histogram_quantile(0.99, sum by (job) (rate({NATIVE}{{{JOB}}}[1m])))")),
    "traffic: instances in a record of their own": with_record("instance:requests:rate1m", f"sum by (job, instance) (rate({COUNT}{{{JOB}}}[1m]))", (f"expr: {TRAFFIC}", "expr: sum by (job) (instance:requests:rate1m)")),
    "saturation: gauges in a record of their own": with_record("job:active:sum", f"sum by (job) ({ACTIVE}{{{JOB}}})", (SATURATION, f"job:active:sum / sum by (job) ({LIMIT}{{{JOB}}})")),
    "traffic: a label of the rule": Answer("", {"rules.yml": ((f"expr: {TRAFFIC}", f"expr: {TRAFFIC}\n        labels: {{team: shop}}"), ("/ job:requests:rate1m", "/ on (job) job:requests:rate1m"))}),
    "traffic: the job by the rule": Answer("", {"rules.yml": ((f"expr: {TRAFFIC}", f"expr: {count(by='sum')}\n        labels: {{job: randsvc}}"),)}),
    "traffic: not below 0": traffic("", f"clamp_min({count()}, 0)"),
    "traffic: a zero without requests": traffic("", f"{count()} or on (job) 0 * sum by (job) (up{{{JOB}}})"),
    "traffic: a comparison that always holds": traffic("", f"{count()} >= 0"),
    "traffic: a name in quotes": traffic("", f'sum by (job) (rate({{"{COUNT}",{JOB}}}[1m]))'),
    "traffic: no other job": traffic("", count('job!~"auth|other|prometheus"')),
    "traffic: a window in milliseconds": traffic("", count(window="60000ms")),
    "traffic: without most labels": traffic("", f"sum by (job) (sum without (instance, http_route) (rate({COUNT}{{{JOB}}}[1m])))"),
    "traffic: the last value": traffic("", f"last_over_time(({count()})[1m:15s])"),
    "latency: one minus": latency("", quantile("1 - 0.01")),
    "latency: buckets without empty ones": latency("", quantile(selector=f'{JOB},le!=""')),
    "latency: not above": latency("", f"clamp_max({quantile()}, 3600)"),
    "saturation: one on both sides": saturation("", f"sum by (job) ({ACTIVE}{{{JOB}}}) / on (job) group_left sum by (job) ({LIMIT}{{{JOB}}})"),
    "saturation: no division by 0": saturation("", f"sum by (job) ({ACTIVE}{{{JOB}}}) / (sum by (job) ({LIMIT}{{{JOB}}}) > 0)"),
    "saturation: smoothed": saturation("", ratio(f"sum by (job) (avg_over_time({ACTIVE}{{{JOB}}}[1m]))")),
    "saturation: the peak of a minute": saturation("", ratio(f"sum by (job) (max_over_time({ACTIVE}{{{JOB}}}[1m]))")),
    "traffic: the job by its label only": traffic("", count("")),
    "traffic: increase by its seconds": traffic("", f"{count(function='increase')} / 60"),
    "traffic: a window of 60 seconds": traffic("", count(window="60s")),
    "traffic: no other label": traffic("", count(by=f"sum without ({LABELS})")),
    "traffic: a sum of instances": traffic("", f"sum by (job) ({count(by='sum by (job, instance)')})"),
    "traffic: a sum of statuses": traffic("", f"sum by (job) ({count(by='sum by (job, http_response_status_code)')})"),
    "traffic: by at the end": traffic("", f"sum (rate({COUNT}{{{JOB}}}[1m])) by (job)"),
    "traffic: a pattern for the job": traffic("", count('job=~"randsvc"')),
    "traffic: a pattern for several jobs": traffic("", count('job=~"rand.*"')),
    "traffic: the largest bucket": traffic("", count(f'{JOB},le="+Inf"').replace("_count", "_bucket")),
    "traffic: an average times its number": traffic("", f"{count(by='avg by (job)')} * {count(by='count by (job)')}"),
    "traffic: all statuses": traffic("", count(f'{JOB},http_response_status_code=~".*"')),
    "traffic: all routes": traffic("", count(f'{JOB},http_route=~".*"')),
    "traffic: by its name": traffic("", f'sum by (job) (rate({{__name__="{COUNT}",{JOB}}}[1m]))'),
    "traffic: with a label": traffic("", f'label_replace({count()}, "job", "$1", "job", "(.*)")'),
    "latency: the job by its label only": latency("", quantile(selector="")),
    "latency: increases": latency("", quantile(function="increase")),
    "latency: a window of 60 seconds": latency("", quantile(window="60s")),
    "latency: le first": latency("", quantile(by="le, job")),
    "latency: no other label": latency("", f"histogram_quantile(0.99, sum without ({LABELS}) (rate({BUCKET}{{{JOB}}}[1m])))"),
    "latency: by at the end": latency("", f"histogram_quantile(0.99, sum (rate({BUCKET}{{{JOB}}}[1m])) by (job, le))"),
    "latency: another notation": latency("", quantile("99/100")),
    "latency: 0.990": latency("", quantile("0.990")),
    "latency: an average of buckets": latency("", quantile().replace("sum by", "avg by")),
    "latency: a sum of instances": latency("", f"histogram_quantile(0.99, sum by (job, le) (sum by (job, instance, le) (rate({BUCKET}{{{JOB}}}[1m]))))"),
    "latency: buckets in a record of their own": Answer("", {"rules.yml": (
        ("      # Keep `le`", f"      - record: job_le:buckets:rate1m\n        expr: sum by (job, le) (rate({BUCKET}{{{JOB}}}[1m]))\n\n      # Keep `le`"),
        (QUANTILE, "histogram_quantile(0.99, job_le:buckets:rate1m)"))}),
    "latency: a maximum of one": latency("", f"max by (job) ({quantile()})"),
    "latency: all routes": latency("", quantile(selector=f'{JOB},http_route=~".*"')),
    "latency: a pattern for the job": latency("", quantile(selector='job=~"randsvc"')),
    "latency: several statuses": latency("", quantile(selector=f'{JOB},http_response_status_code=~"..."')),
    "saturation: the job by its label only": saturation("", ratio(f"sum by (job) ({ACTIVE})", f"sum by (job) ({LIMIT})")),
    "saturation: on job": saturation("", f"sum by (job) ({ACTIVE}{{{JOB}}}) / on (job) sum by (job) ({LIMIT}{{{JOB}}})"),
    "saturation: an average of the shares": saturation("", f"avg by (job) (sum by (job, instance) ({ACTIVE}{{{JOB}}}) / sum by (job, instance) ({LIMIT}{{{JOB}}}))"),
    "saturation: the fullest instance": saturation("", f"max by (job) (sum by (job, instance) ({ACTIVE}{{{JOB}}}) / sum by (job, instance) ({LIMIT}{{{JOB}}}))"),
    "saturation: no other label": saturation("", ratio(f"sum without ({GAUGE_LABELS}) ({ACTIVE}{{{JOB}}})", f"sum without ({GAUGE_LABELS}) ({LIMIT}{{{JOB}}})")),
    "saturation: in brackets": saturation("", f"({ratio()})"),
    "saturation: by at the end": saturation("", f"sum ({ACTIVE}{{{JOB}}}) by (job) / sum ({LIMIT}{{{JOB}}}) by (job)"),
    "saturation: what is not free": saturation("", f"1 - (sum by (job) ({LIMIT}{{{JOB}}}) - sum by (job) ({ACTIVE}{{{JOB}}})) / sum by (job) ({LIMIT}{{{JOB}}})"),
    "saturation: a pattern for the job": saturation("", ratio(f'sum by (job) ({ACTIVE}{{job=~"randsvc"}})')),
    "saturation: at most one": saturation("", f"clamp_max({ratio()}, 1)"),
    "saturation: the limit in a record of its own": Answer("", {"rules.yml": (
        ("      # No rate:", f"      - record: job:limit:sum\n        expr: sum by (job) ({LIMIT}{{{JOB}}})\n\n      # No rate:"),
        (SATURATION, f"sum by (job) ({ACTIVE}{{{JOB}}}) / job:limit:sum"))}),
    "saturation: averages of both": saturation("", ratio(f"avg by (job) (sum by (job, instance) ({ACTIVE}{{{JOB}}}))", f"avg by (job) ({LIMIT}{{{JOB}}})")),
}  # fmt: skip
