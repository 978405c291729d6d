"""Answers to exercise 2: what Prometheus scrapes, and when it alerts."""

from tests.course.corpus.answer import Answer

EXERCISE = 2


def config(hint: str, *edits: tuple[str, str]) -> Answer:
    return Answer(hint, {"prometheus.yml": edits})


def rules(hint: str, *edits: tuple[str, str]) -> Answer:
    return Answer(hint, {"rules.yml": edits})


COUNT = 'rate(http_server_request_duration_seconds_count{job="randsvc"}[1m])'
FAILED_COUNT = """rate(
              http_server_request_duration_seconds_count{job="randsvc",http_response_status_code=~"5.."}[1m])"""
SHARE = "/ job:requests:rate1m > 0.05"
ALERT_EXPR = f"sum by (job) ({FAILED_COUNT})\n            {SHARE}"
STATUS = 'http_response_status_code=~"5.."'
SUMMARY = '"{{ $value | humanizePercentage }} of the requests fail"'
GLOBAL = "global:\n  scrape_interval: 5s\n  evaluation_interval: 5s\n"
TARGETS = "      - targets: [localhost:9464]\n"
STATIC = (
    "    static_configs:\n      # The management port. The public port, 8080, serves no metrics, because they are not "
    f"for the public.\n{TARGETS}"
)
JOB = "  - job_name: randsvc\n"
OTHER = 'when another job fails: select job="randsvc", or keep the label job'


def alert(hint: str, expr: str) -> Answer:
    """Give the alert another expression."""
    return rules(hint, (ALERT_EXPR, expr))


def failed(
    selector: str = f'job="randsvc",{STATUS}', window: str = "1m", by: str = " by (job)"
) -> str:
    return f"sum{by} (rate(http_server_request_duration_seconds_count{{{selector}}}[{window}]))"


def total(selector: str = 'job="randsvc"', window: str = "1m", by: str = " by (job)") -> str:
    return failed(selector, window, by)


STATUSES = "does not count every request that fails with 500, 502, 503 or 504"
DEAD = "/metrics is at the management port, localhost:9464"
ELSEWHERE = "on another machine: /metrics is at the management port"
TWO_SCRAPES = "rate(...[1m]) needs two scrapes in each minute"
EVALUATION = "the evaluation interval of"
TOO_SOON = "fires less than 2 minutes after the first error"
TOO_LATE = "does not fire after 2m45s with 62% of the requests failing"
TOO_LONG = "still fires 90 s after the last error"
NO_SHARE = "so that its summary does not tell the share"

WITHOUT = (
    " without (instance, http_route, http_request_method, url_scheme, network_protocol_version, "
    "http_response_status_code, error_type)"
)

SCRAPE_MISTAKES = {
    "no job": config("has no job randsvc: its jobs are service", ("job_name: randsvc", "job_name: service")),
    "a job in capitals": config("has no job randsvc: its jobs are Randsvc", ("job_name: randsvc", "job_name: Randsvc")),
    "no jobs": Answer("has no job randsvc: scrape_configs is empty", files={"prometheus.yml": f"{GLOBAL}rule_files: [rules.yml]\n"}),
    "another job only": config("its jobs are prometheus", ("job_name: randsvc", "job_name: prometheus"), ("localhost:9464", "localhost:9090")),
    "no target": config("the job randsvc has no target", ("targets: [localhost:9464]", "targets: []")),
    "no static_configs": config("the job randsvc has no target", (STATIC, "")),
    "the public port": config(DEAD, ("localhost:9464", "localhost:1")),
    "the port of the service": config(DEAD, ("localhost:9464", "localhost:8")),
    "no port": config(DEAD, ("localhost:9464", "localhost")),
    "https": config(DEAD, (JOB, f"{JOB}    scheme: https\n")),
    "another path": config(DEAD, (JOB, f"{JOB}    metrics_path: /metric\n")),
    "a path with a slash": config(DEAD, (JOB, f"{JOB}    metrics_path: /metrics/all\n")),
    "another machine": config(ELSEWHERE, ("localhost:9464", "monitoring.example:9464")),
    "an address of a network": config(ELSEWHERE, ("localhost:9464", "192.0.2.7:9464")),
    "a second target elsewhere": config(ELSEWHERE, ("[localhost:9464]", "[localhost:9464, randsvc.example:80]")),
    "a target that is relabelled": config(
        ELSEWHERE, (JOB, f"{JOB}    relabel_configs:\n      - {{target_label: __address__, replacement: 'evil.example:80'}}\n")
    ),
    "discovery by HTTP": config(
        "has http_sd_configs, which cannot be checked here", (STATIC, "    http_sd_configs: [{url: 'http://localhost:1/'}]\n")
    ),
    "discovery by DNS": config(
        "has dns_sd_configs, which cannot be checked here", (STATIC, "    dns_sd_configs: [{names: [randsvc.example], type: A, port: 9464}]\n")
    ),
    "an empty target file": Answer(
        "the job randsvc has no target",
        {"prometheus.yml": ((STATIC, "    file_sd_configs: [{files: [targets.json]}]\n"),)},
        {"targets.json": "[]"},
    ),
    "a target file with a dead target": Answer(
        DEAD, {"prometheus.yml": ((STATIC, "    file_sd_configs: [{files: [targets.json]}]\n"),)},
        {"targets.json": '[{"targets": ["localhost:2"]}]'},
    ),
    "a misspelt field": config("promtool check config: parsing YAML file", ("scrape_configs", "scrape_config")),
    "a misspelt field of a job": config("promtool check config: parsing YAML file", ("static_configs", "static_config")),
    "a job twice": config("promtool check config", (JOB, f"{JOB}    static_configs: []\n{JOB}")),
    "a URL for a target": config("promtool check config", ("localhost:9464", "http://localhost:9464/metrics")),
    "no YAML": config("promtool check config", ("scrape_configs:", "scrape_configs: [")),
    "tabs": config("promtool check config", ("  - job_name", "\t- job_name")),
    "a timeout longer than the interval": config("promtool check config", ("  scrape_interval: 5s\n", "  scrape_interval: 5s\n  scrape_timeout: 10s\n")),
    "an interval without a unit": config("promtool check config", ("scrape_interval: 5s", "scrape_interval: 5")),
    "a scrape every 5 minutes": config(TWO_SCRAPES, ("scrape_interval: 5s", "scrape_interval: 5m")),
    "a scrape every minute": config(TWO_SCRAPES, ("scrape_interval: 5s", "scrape_interval: 1m")),
    "a scrape every 45 seconds": config(TWO_SCRAPES, ("scrape_interval: 5s", "scrape_interval: 45s")),
    "the default interval": config(TWO_SCRAPES, (GLOBAL, "")),
    "the default interval of a scrape": config(TWO_SCRAPES, ("  scrape_interval: 5s\n", "")),
    "a slow job": config(TWO_SCRAPES, (JOB, f"{JOB}    scrape_interval: 2m\n")),
    "an evaluation every 10 minutes": config(EVALUATION, ("evaluation_interval: 5s", "evaluation_interval: 10m")),
    "an evaluation every 2 minutes": config(EVALUATION, ("evaluation_interval: 5s", "evaluation_interval: 2m")),
    "a slow group": rules("the evaluation interval of group golden-signals is 10m", ("  - name: golden-signals\n", "  - name: golden-signals\n    interval: 10m\n")),
    "metrics that are dropped": config(
        "has no data from the service",
        (JOB, f"{JOB}    metric_relabel_configs:\n      - {{source_labels: [__name__], regex: 'http_.*', action: drop}}\n"),
    ),
    "only traffic is kept": config(
        "job:latency_seconds:p99_rate1m has no data from the service",
        (JOB, f"{JOB}    metric_relabel_configs:\n      - {{source_labels: [__name__], regex: '.*_count', action: keep}}\n"),
    ),
    "another label job": config(
        "the job randsvc has no target",
        (TARGETS, f"{TARGETS}        labels: {{job: shop}}\n"),
    ),
    "rules that are not loaded": config("rule_files in prometheus.yml matches no file", ("[rules.yml]", "[]")),
    "rules of another name": config("promtool check config", ("[rules.yml]", "[rule.yml]")),
    "rules by a pattern that matches nothing": config("rule_files in prometheus.yml matches no file", ("[rules.yml]", "['*.yaml']")),
    "no rules": Answer("there are no rules", files={"rules.yml": "groups: []\n"}),
    "an empty file of rules": Answer("there are no rules", files={"rules.yml": ""}),
    "rules without groups": Answer("promtool check config", files={"rules.yml": "- record: x\n  expr: up\n"}),
    "a rule with two kinds": rules("promtool check config", ("      - alert: TooManyErrors\n", "      - alert: TooManyErrors\n        record: errors\n")),
    "an alert with a wrong template": rules("promtool check config", (SUMMARY, '"{{ $value | humanise }}"')),
}  # fmt: skip

ALERT_MISTAKES = {
    "no alert": rules("there is no rule with `alert: TooManyErrors`", ("TooManyErrors", "Errors")),
    "an alert in small letters": rules("there is no rule with `alert: TooManyErrors`", ("TooManyErrors", "tooManyErrors")),
    "a record for an alert": rules(
        "there is no rule with `alert: TooManyErrors`",
        ("      - alert: TooManyErrors\n", "      - record: TooManyErrors\n"),
        ("        for: 2m\n", ""), (f"        annotations:\n          summary: {SUMMARY}\n", ""),
    ),
    "no level": rules("has no label `level: major`", ("level: major", "team: shop")),
    "another level": rules("has no label `level: major`", ("level: major", "level: critical")),
    "a severity": rules("has no label `level: major`", ("level: major", "severity: major")),
    "a level as an annotation": rules("has no label `level: major`", ("        labels:\n          level: major\n", ""), ("        annotations:\n", "        annotations:\n          level: major\n")),
    "no summary": rules("does not contain the share", ("summary:", "description:")),
    "no number": rules("does not contain the share", ("{{ $value | humanizePercentage }}", "Some")),
    "a label for the number": rules("does not contain the share", ("{{ $value | humanizePercentage }}", "{{ $labels.job }}")),
    "a dollar for a template": rules("does not contain the share", ("{{ $value | humanizePercentage }}", "$value")),
    "a threshold of 3%": alert("when 4.8% of the requests fail", f"{failed()} / {total()} > 0.03"),
    "a threshold of 1%": alert("when 2% of many requests fail", f"{failed()} / {total()} > 0.01"),
    "a threshold of 4%": alert("when 4.8% of the requests fail", f"{failed()} / {total()} > 0.04"),
    "a threshold of 6%": alert("does not fire when 5.2% of the requests fail", f"{failed()} / {total()} > 0.06"),
    "a threshold of 10%": alert("does not fire when 5.2% of the requests fail", f"{failed()} / {total()} > 0.1"),
    "a threshold of 20%": alert("does not fire when 5.2% of the requests fail", f"{failed()} / {total()} > 0.2"),
    "a threshold of 50%": alert("does not fire when 5.2% of the requests fail", f"{failed()} / {total()} > 0.5"),
    "a threshold of 5, of a share": alert(TOO_LATE, f"{failed()} / {total()} > 5"),
    "a threshold of 0": alert("when 2% of many requests fail", f"{failed()} / {total()} > 0"),
    "no threshold": alert("has no comparison", f"{failed()} / {total()}"),
    "the wrong direction": alert("when 2% of many requests fail", f"{failed()} / {total()} < 0.05"),
    "a comparison with bool": alert("has no comparison", f"{failed()} / {total()} > bool 0.05"),
    "a share of a hundred with a small threshold": alert("when 2% of many requests fail", f"100 * {failed()} / {total()} > 0.05"),
    "client errors count": alert("fires for a healthy service, which has only a few 404", ALERT_EXPR.replace('=~"5.."', '!="200"')),
    "4xx and 5xx": alert("fires for a healthy service", ALERT_EXPR.replace('"5.."', '"4..|5.."')),
    "4xx only": alert("fires for a healthy service", ALERT_EXPR.replace('"5.."', '"4.."')),
    "500 only": alert(STATUSES, ALERT_EXPR.replace('=~"5.."', '="500"')),
    "503 is forgotten": alert(STATUSES, ALERT_EXPR.replace('"5.."', '"500|502|504"')),
    "a status that no response has": alert(TOO_LATE, ALERT_EXPR.replace('=~"5.."', '="5xx"')),
    "a pattern as a value": alert(TOO_LATE, ALERT_EXPR.replace('=~"5.."', '="5.."')),
    "another name of the status": alert(TOO_LATE, ALERT_EXPR.replace("http_response_status_code", "status")),
    "an alert on a number": alert("fires when 2% of many requests fail", f"{failed()} > 0.5"),
    "an alert on an increase": alert("fires when 2% of many requests fail", f"{failed().replace('rate', 'increase')} > 30"),
    "divided by successes": alert("when 4.8% of the requests fail", f"{failed()} / " + total('job="randsvc",http_response_status_code="200"') + " > 0.05"),
    "divided by all that did not fail": alert("when 4.8% of the requests fail", f"{failed()} / " + total('job="randsvc",http_response_status_code!~"5.."') + " > 0.05"),
    "divided by the routed": alert("when 4.8% of the requests fail", f"{failed()} / " + total('job="randsvc",http_route!=""') + " > 0.05"),
    "an alert on a slow service": rules("fires when the service is slow and no request fails", (SHARE, "> 9 or job:latency_seconds:p99_rate1m > 0.5")),
    "an alert on a full service": rules("fires when the service is full and no request fails", (SHARE, "> 9 or job:saturation:ratio > 0.5")),
    "an alert on traffic": rules("fires when 2% of many requests fail", (SHARE, "> 9 or job:requests:rate1m > 100")),
    "an alert that always fires": alert("fires for a healthy service", "vector(1)"),
    "all jobs together": alert(OTHER, f"{failed(STATUS, by='')} / {total('', by='')} > 0.05"),
    "the errors of all jobs": alert(OTHER, f"{failed(STATUS, by='')} / {total(by='')} > 0.05"),
    "no wait": rules(TOO_SOON, ("        for: 2m\n", "")),
    "a wait of 30 seconds": rules(TOO_SOON, ("for: 2m", "for: 30s")),
    "a wait of 1 minute": rules(TOO_SOON, ("for: 2m", "for: 1m")),
    "a wait of 90 seconds": rules(TOO_SOON, ("for: 2m", "for: 90s")),
    "a wait of 3 minutes": rules("Its `for` is 3m; expected 2m", ("for: 2m", "for: 3m")),
    "a wait of 5 minutes": rules("Its `for` is 5m; expected 2m", ("for: 2m", "for: 5m")),
    "a wait of 20 minutes": rules("Its `for` is 20m; expected 2m", ("for: 2m", "for: 20m")),
    "a window of 5 minutes": alert("Its windows are 300 s", f"{failed(window='5m')} / {total(window='5m')} > 0.05"),
    "a window of 3 minutes": alert("Its windows are 180 s", f"{failed(window='3m')} / {total(window='3m')} > 0.05"),
    "a window of 2 minutes": alert(TOO_LONG, f"{failed(window='2m')} / {total(window='2m')} > 0.05"),
    "a long window of errors": alert("Its windows are 600 s", f"{failed(window='10m')} / {total()} > 0.05"),
    "kept firing": rules(TOO_LONG, ("for: 2m", "for: 2m\n        keep_firing_for: 10m")),
    "kept firing for 2 minutes": rules(TOO_LONG, ("for: 2m", "for: 2m\n        keep_firing_for: 2m")),
    "a value that is a rate": alert(NO_SHARE, f"{failed()} > 0.05 * {total()}"),
    "a value that is the total": alert(NO_SHARE, f"{total()} and ({failed()} / {total()} > 0.05)"),
    "a value of one": alert(NO_SHARE, f"({failed()} / {total()} > 0.05) * 0 + 1"),
    "a threshold that is multiplied": rules(NO_SHARE, (ALERT_EXPR, f"{failed()} / {total()} * 20 > 1"), (SUMMARY, '"{{ $value }} times 5% of the requests fail"')),
    "a value of successes": alert(NO_SHARE, f"1 - {failed()} / {total()} < 0.95"),
    "irate in the alert": alert("irate() uses only the last two samples", f"{failed()} / {total()} > 0.05".replace("rate(", "irate(")),
    "counters as they are": alert("Its counters have the total since the start", f"sum by (job) (http_server_request_duration_seconds_count{{job=\"randsvc\",{STATUS}}}) / sum by (job) (http_server_request_duration_seconds_count{{job=\"randsvc\"}}) > 0.05"),
    "an aggregation that does not fit": alert(TOO_LATE, f"{failed(by=' by (instance)')} / {total(by=' by (job)')} > 0.05"),
    "labels that do not fit": alert(TOO_LATE, f"rate(http_server_request_duration_seconds_count{{job=\"randsvc\",{STATUS}}}[1m]) / {total()} > 0.05"),
}  # fmt: skip


def relabel(kind: str, rule: str) -> tuple[str, str]:
    return (JOB, f"{JOB}    {kind}: [{{{rule}}}]\n")


def setting(text: str) -> tuple[str, str]:
    """Add a setting to the job."""
    return (JOB, f"{JOB}    {text}\n")


LOAD = "promtool check config"
LIMITED = "raise the limit of the job, or leave it out"
DROPPED = "although the service has them: look for metric_relabel_configs"
HAS_NO_DATA = "has no data from the service"
RECORD = "      - record: job:requests:rate1m\n"
GROUPS = "groups:\n  - name: golden-signals\n    rules:\n"

MORE_SCRAPE_MISTAKES = {
    "the login for the service": config(DEAD, ("localhost:9464", "localhost:3")),
    "a name in capitals with a space": config("has no job randsvc", ("job_name: randsvc", "job_name: 'randsvc '")),
    "a job with the name of its port": config("has no job randsvc: its jobs are randsvc:9464", ("job_name: randsvc", "job_name: 'randsvc:9464'")),
    "the name of the compose service of the login": config("has no job randsvc: its jobs are auth", ("job_name: randsvc", "job_name: auth")),
    "a path in a target": config(LOAD, ("localhost:9464", "localhost:9464/metrics")),
    "a space in a target": config(LOAD, ("[localhost:9464]", "localhost: 9464")),
    "a target without a list": config(LOAD, ("[localhost:9464]", "localhost:9464")),
    "a port without a host": config(DEAD, ("[localhost:9464]", "[':9']")),
    "a target that is a number": config(DEAD, ("[localhost:9464]", "['9464']")),
    "the service twice": config("has the service twice", ("[localhost:9464]", "[localhost:9464, 127.0.0.1:9464]")),
    "the service twice, in two lists": config("has the service twice", (TARGETS, f"{TARGETS}{TARGETS}")),
    "the service and a port that is dead": config(DEAD, ("[localhost:9464]", "[localhost:9464, localhost:4]")),
    "a target of another user": config(ELSEWHERE, ("localhost:9464", "colleague-laptop:9464")),
    "a public address": config(ELSEWHERE, ("localhost:9464", "randsvc.example.org:443")),
    "a scheme of its own": config(DEAD, setting("scheme: tcp")),
    "an address that is relabelled to a dead one": config(DEAD, relabel("relabel_configs", "target_label: __address__, replacement: 'localhost:5'")),
    "a target that is not kept": config("look for relabel_configs", relabel("relabel_configs", "source_labels: [__address__], regex: 'prod.*', action: keep")),
    "a target that is dropped": config("look for relabel_configs", relabel("relabel_configs", "source_labels: [__address__], regex: '.*', action: drop")),
    "a job that is relabelled": config("no target with this label job", relabel("relabel_configs", "target_label: job, replacement: shop")),
    "a path that is relabelled": config(DEAD, relabel("relabel_configs", "target_label: __metrics_path__, replacement: /stats")),
    "a scheme that is relabelled": config(DEAD, relabel("relabel_configs", "target_label: __scheme__, replacement: https")),
    "a limit of samples": config(LIMITED, setting("sample_limit: 10")),
    "a limit of labels": config(LIMITED, setting("label_limit: 1")),
    "a limit of the length of labels": config(LIMITED, setting("label_value_length_limit: 3")),
    "a limit of the page": config(LIMITED, setting("body_size_limit: 1KB")),
    "only gauges are kept": config(DROPPED, relabel("metric_relabel_configs", "source_labels: [__name__], regex: '.*active.*|.*limit', action: keep")),
    "the buckets are dropped": config(DROPPED, relabel("metric_relabel_configs", "source_labels: [__name__], regex: '.*_bucket', action: drop")),
    "the limit is dropped": config(DROPPED, relabel("metric_relabel_configs", "source_labels: [__name__], regex: '.*_limit', action: drop")),
    "everything is dropped": config(HAS_NO_DATA, relabel("metric_relabel_configs", "source_labels: [job], regex: 'randsvc', action: drop")),
    "metrics under another name": config(DROPPED, relabel("metric_relabel_configs", "source_labels: [__name__], regex: 'http_(.*)', target_label: __name__, replacement: 'shop_$1'")),
    "only native histograms": config(DROPPED, setting("convert_classic_histograms_to_nhcb: true")),
    "no job on series": config(HAS_NO_DATA, relabel("metric_relabel_configs", "regex: job, action: labeldrop")),
    "another job on series": config(HAS_NO_DATA, relabel("metric_relabel_configs", "target_label: job, replacement: shop")),
    "no bounds on buckets": config("job:latency_seconds:p99_rate1m has no data", relabel("metric_relabel_configs", "regex: le, action: labeldrop")),
    "an action that there is not": config(LOAD, relabel("relabel_configs", "target_label: job, action: set")),
    "a pattern that is none": config(LOAD, relabel("metric_relabel_configs", "source_labels: [__name__], regex: '(', action: drop")),
    "a job without a name": config(LOAD, ("  - job_name: randsvc\n    static", "  - static")),
    "jobs without a list": config(LOAD, (JOB, JOB.replace("- ", "  "))),
    "a name for a list": config(LOAD, (STATIC, "    static_configs: [localhost:9464]\n")),
    "targets of the job itself": config(LOAD, (STATIC, "    targets: [localhost:9464]\n")),
    "a misspelt job": config(LOAD, ("job_name", "job-name")),
    "a misspelt interval": config(LOAD, ("scrape_interval", "scrape_intervall")),
    "a misspelt global": config(LOAD, ("global:", "globals:")),
    "an interval in words": config(LOAD, ("scrape_interval: 5s", "scrape_interval: 5 seconds")),
    "an interval in capitals": config(LOAD, ("scrape_interval: 5s", "scrape_interval: 5S")),
    "a negative interval": config(LOAD, ("scrape_interval: 5s", "scrape_interval: -5s")),
    "a fraction of a second": config(LOAD, ("scrape_interval: 5s", "scrape_interval: 0.5s")),
    "a global interval that nothing overrides": config(TWO_SCRAPES, ("  scrape_interval: 5s", "  scrape_interval: 1h")),
    "an interval of 31 seconds": config(TWO_SCRAPES, ("scrape_interval: 5s", "scrape_interval: 31s")),
    "an interval in milliseconds": config(TWO_SCRAPES, ("scrape_interval: 5s", "scrape_interval: 60000ms")),
    "an evaluation each hour": config(EVALUATION, ("evaluation_interval: 5s", "evaluation_interval: 1h")),
    "an evaluation each 61 seconds": config(EVALUATION, ("evaluation_interval: 5s", "evaluation_interval: 61s")),
    "a group each 90 seconds": rules("the evaluation interval of group golden-signals is 90s", ("  - name: golden-signals\n", "  - name: golden-signals\n    interval: 90s\n")),
    "a pattern for rules in another folder": config("rule_files in prometheus.yml matches no file", ("[rules.yml]", "['rules/*.yml']")),
    "no setting for rules": config("rule_files in prometheus.yml matches no file", ("rule_files: [rules.yml]\n", "")),
    "rules that are no list": config(LOAD, ("[rules.yml]", "rules.yml")),
    "rules in the configuration": config(LOAD, ("rule_files: [rules.yml]", "rules: [rules.yml]")),
    "a group without rules": Answer("there are no rules", files={"rules.yml": "groups:\n  - name: golden-signals\n    rules: []\n"}),
    "a group without a name": rules(LOAD, ("  - name: golden-signals\n    rules:", "  - rules:")),
    "two groups of one name": rules(LOAD, ("      # A share, not a number", "  - name: golden-signals\n    rules:\n      # A share, not a number")),
    "a rule without an expression": rules(LOAD, (RECORD, f"      - record: nothing\n{RECORD}")),
    "a record with a wait": rules(LOAD, (RECORD, f"{RECORD}        for: 1m\n")),
    "a record with an annotation": rules(LOAD, (RECORD, f"{RECORD}        annotations: {{summary: requests}}\n")),
    "rules in another indentation": rules(LOAD, (RECORD, RECORD.replace("      -", "     -"))),
    "a record that two rules have": rules("2 rules record job:requests:rate1m", (RECORD, f"{RECORD}        expr: sum by (job) (rate(http_server_request_duration_seconds_count[5m]))\n{RECORD}")),
    "text for rules": Answer(LOAD, files={"rules.yml": "job:requests:rate1m = sum by (job) (rate(x[1m]))\n"}),
    "rules of JavaScript": Answer(LOAD, files={"rules.yml": "{groups: [{name: x, rules: [}]"}),
}  # fmt: skip

MORE_ALERT_MISTAKES = {
    "500 and 503 by name": alert(STATUSES, ALERT_EXPR.replace('"5.."', '"500|503"')),
    "500 to 503": alert(STATUSES, ALERT_EXPR.replace('"5.."', '"50[0-3]"')),
    "gateways only": alert(STATUSES, ALERT_EXPR.replace('"5.."', '"502|504"')),
    "a pattern for the beginning": alert(TOO_LATE, ALERT_EXPR.replace('"5.."', '"^5"')),
    "a star for the rest": alert(TOO_LATE, ALERT_EXPR.replace('"5.."', '"5*"')),
    "a comparison of a label": alert("promtool", ALERT_EXPR.replace('=~"5.."', ">=500")),
    "the type of an error": alert(TOO_LATE, ALERT_EXPR.replace(STATUS, 'error_type="Exception"')),
    "a share of each instance": alert("of all instances together", f"{failed(by=' by (job, instance)')} / {total(by=' by (job, instance)')} > 0.05"),
    "the worst instance": alert("of all instances together", f"max by (job) ({failed(by=' by (job, instance)')} / {total(by=' by (job, instance)')}) > 0.05"),
    "a share of each status": alert("does not count every request", f"{failed(by=' by (job, http_response_status_code)')} / ignoring (http_response_status_code) group_left {total()} > 0.05"),
    "a share of each route": alert("when 4.8% of the requests fail", f"{failed(by=' by (job, http_route)')} / {total(by=' by (job, http_route)')} > 0.05"),
    "seconds of failures": alert("_sum does not have the number of the requests", f"{failed()} / {total()} > 0.05".replace("_count", "_sum")),
    "a share of seconds": alert("_sum does not have the number of the requests", f"{failed().replace('_count', '_sum')} / {total()} > 0.05"),
    "a share of buckets": alert("_bucket does not have the number of the requests", f"{failed()} / {total()} > 0.05".replace("_count", "_bucket")),
    "a rate of records": alert("which a rule records", f"{failed()} / rate(job:requests:rate1m[1m]) > 0.05"),
    "deriv in the alert": alert("deriv() is for gauges", f"{failed()} / {total()} > 0.05".replace("rate(", "deriv(")),
    "delta in the alert": alert("delta() is for gauges", f"{failed()} / {total()} > 0.05".replace("rate(", "delta(")),
    "a rate of a sum": alert("Use rate() first, then sum()", f"rate(sum by (job) (http_server_request_duration_seconds_count{{job=\"randsvc\",{STATUS}}})[1m:15s]) / {total()} > 0.05"),
    "requests of 5 minutes": alert("Its windows are 300 s", f"{failed()} / {total(window='5m')} > 0.5"),
    "a minute too late": alert("so that its summary does not tell the share", f"({failed()} / {total()} > 0.05) and ({failed()} / {total()} offset 5m > 0.05)".replace("[1m])) > 0.05)", "[1m] offset 5m)) > 0.05)").replace(" offset 5m > 0.05", " > 0.05")),
    "5 minutes ago": alert(TOO_LATE, f"{failed()} / {total()} > 0.05".replace("[1m]", "[1m] offset 5m")),
    "a share above 95%": alert(TOO_LATE, f"{failed()} / {total()} > 0.95"),
    "a share of 0.5%": alert("when 2% of many requests fail", f"{failed()} / {total()} > 0.005"),
    "exactly 5%": alert(TOO_LATE, f"{failed()} / {total()} == 0.05"),
    "not 0": alert("when 2% of many requests fail", f"{failed()} / {total()} != 0"),
    "a percent sign": alert(LOAD, f"{failed()} / {total()} > 5%"),
    "an average since the start": alert("Its windows are 3600 s", f"avg_over_time(({failed()} / {total()})[1h:15s]) > 0.05"),
    "a maximum of 10 minutes": alert("Its windows are 600 s", f"max_over_time(({failed()} / {total()})[10m:15s]) > 0.05"),
    "an average for a wait": rules(TOO_SOON, (ALERT_EXPR, f"avg_over_time(({failed()} / {total()})[2m:15s]) > 0.05"), ("        for: 2m\n", "")),
    "errors or requests": alert("when 2% of many requests fail", f"{failed()} / {total()} > 0.05 or {failed()} > 1"),
    "many errors and a share of 1%": alert("when 2% of many requests fail", f"{failed()} / {total()} > 0.01 and {failed()} > 1"),
    "only with a thousand requests": alert(TOO_LATE, f"{failed()} / {total()} > 0.05 and {total()} > 1000"),
    "only while it is slow": alert("of a share over [1m] above 0.05", f"{failed()} / {total()} > 0.05 and job:saturation:ratio > 0.5"),
    "a service that is down": alert(TOO_LATE, 'up{job="randsvc"} == 0'),
    "no requests": alert(TOO_LATE, f"absent({total()})"),
    "a latency": alert("when the service is slow", "job:latency_seconds:p99_rate1m > 1"),
    "a saturation": alert("when the service is full", "job:saturation:ratio > 0.8"),
    "errors of another job": alert(TOO_LATE, f"{failed(f'job={chr(34)}auth{chr(34)},{STATUS}')} / {total('job=' + chr(34) + 'auth' + chr(34))} > 0.05"),
    "errors of any job but this": alert("another job fails", f"{failed(f'job!={chr(34)}randsvc{chr(34)},{STATUS}', by='')} / {total('job!=' + chr(34) + 'randsvc' + chr(34), by='')} > 0.05"),
    "a wait of 2 hours": rules("Its `for` is 2h; expected 2m", ("for: 2m", "for: 2h")),
    "a wait of 2 seconds": rules(TOO_SOON, ("for: 2m", "for: 2s")),
    "a wait without a unit": rules(LOAD, ("for: 2m", "for: 2")),
    "a wait in words": rules(LOAD, ("for: 2m", "for: 2 minutes")),
    "a misspelt wait": rules(LOAD, ("for: 2m", "wait: 2m")),
    "a wait as an annotation": rules(TOO_SOON, ("        for: 2m\n", ""), ("annotations:\n", "annotations:\n          for: 2m\n")),
    "a level in capitals": rules("has no label `level: major`", ("level: major", "level: Major")),
    "a label in capitals": rules("has no label `level: major`", ("level: major", "Level: major")),
    "a level with a space": rules("has no label `level: major`", ("level: major", "level: 'major '")),
    "a minor level": rules("has no label `level: major`", ("level: major", "level: minor")),
    "a level of several": rules("has no label `level: major`", ("level: major", "level: critical, major")),
    "labels without a level": rules("has no label `level: major`", ("level: major", "major: 'true'")),
    "a value in a label": rules("contains $value", ("level: major", "level: major\n          share: '{{ $value }}'")),
    "a value in a label, rounded": rules("contains $value", ("level: major", "level: major\n          share: '{{ $value | humanizePercentage }}'")),
    "a summary as a label": rules("contains $value", ("level: major", f"level: major\n          summary: {SUMMARY}"), (f"        annotations:\n          summary: {SUMMARY}\n", "")),
    "a threshold in the summary": rules("does not contain the share", (SUMMARY, '"more than 5% of the requests fail"')),
    "a value without braces": rules("does not contain the share", (SUMMARY, '"value of the requests fail"')),
    "single braces": rules("does not contain the share", (SUMMARY, '"{ $value } of the requests fail"')),
    "a template of Python": rules("does not contain the share", (SUMMARY, "'%(value)s of the requests fail'")),
    "a value in the description": rules("does not contain the share", (SUMMARY, '"requests fail"\n          description: "{{ $value }}"')),
    "a summary in capitals": rules("does not contain the share", ("summary:", "Summary:")),
    "a function that there is not": rules(LOAD, ("humanizePercentage", "percent")),
    "a variable that there is not": rules(LOAD, ("$value |", "$values |")),
    "no annotations": rules("does not contain the share", (f"        annotations:\n          summary: {SUMMARY}\n", "")),
    "an expression that stays open": alert(LOAD, f"({failed()} / {total()} > 0.05"),
    "a word for an expression": alert("The service has no metric sum", "sum"),
    "another alert for slowness only": rules("there is no rule with `alert: TooManyErrors`", ("TooManyErrors", "TooSlow"), (ALERT_EXPR, "job:latency_seconds:p99_rate1m > 1")),
}  # fmt: skip

WRONG = {**SCRAPE_MISTAKES, **MORE_SCRAPE_MISTAKES, **ALERT_MISTAKES, **MORE_ALERT_MISTAKES}

TARGET_FILE = "    file_sd_configs: [{files: [targets.json]}]\n"

RIGHT = {
    "the solution": Answer(),
    "127.0.0.1": config("", ("localhost:9464", "127.0.0.1:9464")),
    "the name in the compose network": config("", ("localhost:9464", "randsvc:9464")),
    "the host of a container": config("", ("localhost:9464", "host.docker.internal:9464")),
    "IPv6": config("", ("[localhost:9464]", "['[::1]:9464']")),
    "targets in JSON": Answer("", {"prometheus.yml": ((STATIC, TARGET_FILE),)}, {"targets.json": '[{"targets": ["localhost:9464"]}]'}),
    "targets in YAML": Answer("", {"prometheus.yml": ((STATIC, TARGET_FILE.replace("json", "yml")),)}, {"targets.yml": "- targets: [localhost:9464]\n"}),
    "targets by a pattern": Answer("", {"prometheus.yml": ((STATIC, TARGET_FILE.replace("targets.json", "'targets*.json'")),)}, {"targets1.json": '[{"targets": ["localhost:9464"]}]'}),
    "targets with labels": Answer("", {"prometheus.yml": ((STATIC, TARGET_FILE),)}, {"targets.json": '[{"targets": ["localhost:9464"], "labels": {"team": "shop"}}]'}),
    "targets by an absolute path": Answer("", {"prometheus.yml": ((STATIC, TARGET_FILE),)}, {"targets.json": '[{"targets": ["localhost:9464"]}]'}),
    "jobs in a file of their own": Answer(
        "", files={"prometheus.yml": f"{GLOBAL}rule_files: [rules.yml]\nscrape_config_files: [jobs.yml]\n",
                   "jobs.yml": "scrape_configs:\n  - job_name: randsvc\n    static_configs: [{targets: ['localhost:9464']}]\n"},
    ),
    "an absolute path of rules": Answer(
        "", files={"prometheus.yml": f"{GLOBAL}rule_files: ['{{folder}}/rules.yml']\nscrape_configs:\n{JOB}    static_configs:\n{TARGETS}"}
    ),
    "rules by a pattern": config("", ("[rules.yml]", "['*.yml.rules', 'rules*.yml']")),
    "an absolute pattern of rules": Answer(
        "", files={"prometheus.yml": f"{GLOBAL}rule_files: ['{{folder}}/r*.yml']\nscrape_configs:\n{JOB}    static_configs:\n{TARGETS}"}
    ),
    "an interval of 0, which means the global one": config("", (JOB, f"{JOB}    scrape_interval: 0s\n")),
    "15 seconds": config("", ("5s", "15s")),
    "30 seconds": config("", ("scrape_interval: 5s", "scrape_interval: 30s")),
    "one second": config("", ("5s", "1s")),
    "an interval of the job": config("", ("scrape_interval: 5s", "scrape_interval: 1m"), (JOB, f"{JOB}    scrape_interval: 10s\n")),
    "an interval of the group": rules("", ("  - name: golden-signals\n", "  - name: golden-signals\n    interval: 15s\n")),
    "the default evaluation": config("", ("  evaluation_interval: 5s\n", "")),
    "a timeout": config("", (JOB, f"{JOB}    scrape_timeout: 4s\n")),
    "another job too": config("", ("scrape_configs:\n", "scrape_configs:\n  - job_name: prometheus\n    static_configs: [{targets: ['localhost:9090']}]\n")),
    "another job on another machine": config("", ("scrape_configs:\n", "scrape_configs:\n  - job_name: node\n    static_configs: [{targets: ['node.example:9100']}]\n")),
    "an Alertmanager": config("", ("rule_files:", "alerting:\n  alertmanagers: [{static_configs: [{targets: ['alertmanager.example:9093']}]}]\nrule_files:")),
    "a distributed store": config("", ("rule_files:", "remote_write: [{url: 'http://store.example/api/v1/write'}]\nrule_files:")),
    "external labels": config("", ("global:\n", "global:\n  external_labels: {cluster: lecture}\n")),
    "labels of a target": config("", (TARGETS, f"{TARGETS}        labels: {{team: shop}}\n")),
    "the path by name": config("", (JOB, f"{JOB}    metrics_path: /metrics\n    scheme: http\n")),
    "a relabelled instance": config("", (JOB, f"{JOB}    relabel_configs:\n      - {{target_label: instance, replacement: one}}\n")),
    "a metric that is dropped": config("", (JOB, f"{JOB}    metric_relabel_configs:\n      - {{source_labels: [__name__], regex: 'python_.*', action: drop}}\n")),
    "a fallback of the protocol": config("", (JOB, f"{JOB}    fallback_scrape_protocol: PrometheusText0.0.4\n")),
    "native histograms": config("", (JOB, f"{JOB}    convert_classic_histograms_to_nhcb: true\n    always_scrape_classic_histograms: true\n")),
    "a share written out": alert("", f"{failed()} / {total()} > 0.05"),
    "a share without a selected job": alert("", f"{failed(STATUS)} / {total('')} > 0.05"),
    "a share of the selected job": alert("", f"{failed(by='')} / {total(by='')} > 0.05"),
    "a share without instances": alert("", f"{failed(by=WITHOUT)} / on (job) {total()} > 0.05"),
    "a share of a hundred": Answer("", {"rules.yml": ((ALERT_EXPR, f"100 * {failed()} / {total()} > 5"), (SUMMARY, '"{{ $value }}% of the requests fail"'))}),
    "increases": alert("", f"{failed()} / {total()} > 0.05".replace("rate(", "increase(")),
    "a window of 60 seconds": alert("", f"{failed(window='60s')} / {total(window='60s')} > 0.05"),
    "every status by name": alert("", ALERT_EXPR.replace('"5.."', '"500|501|502|503|504"')),
    "statuses by a class": alert("", ALERT_EXPR.replace('"5.."', '"5[0-9]{2}"')),
    "a share of one minus": alert("", "1 - " + total('job="randsvc",http_response_status_code!~"5.."') + f" / {total()} > 0.05"),
    "at least": alert("", f"{failed()} / {total()} >= 0.05"),
    "the threshold first": alert("", f"({failed()} / {total()}) > 5 / 100"),
    "errors in a record of their own": rules(
        "",
        ("      - alert:", f"      - record: job:errors:rate1m\n        expr: {failed()}\n\n      - alert:"),
        (ALERT_EXPR, "job:errors:rate1m / job:requests:rate1m > 0.05"),
    ),
    "a share in a record of its own": rules(
        "",
        ("      - alert:", f"      - record: job:errors:share1m\n        expr: {failed()} / {total()}\n\n      - alert:"),
        (ALERT_EXPR, "job:errors:share1m > 0.05"),
    ),
    "the alert in a group of its own": rules("", ("      # A share, not a number", "  - name: alerts\n    rules:\n      # A share, not a number")),
    "a wait of 120 seconds": rules("", ("for: 2m", "for: 120s")),
    "more labels and annotations": rules("", ("level: major", "level: major\n          team: shop"), ("annotations:\n", "annotations:\n          runbook_url: https://wiki.example/errors\n")),
    "the value in another notation": rules("", ("{{ $value | humanizePercentage }}", "{{ humanizePercentage .Value }}")),
    "the value in a printf": rules("", (SUMMARY, "'{{ printf \"%.2f\" $value }} of the requests fail'")),
    "another alert too": rules("", ("      - alert:", "      - alert: Down\n        expr: up == 0\n        labels: {level: critical}\n\n      - alert:")),
    "an alert for each level": rules(
        "", ("      - alert: TooManyErrors\n", f"      - alert: TooManyErrors\n        expr: {failed()} / {total()} > 0.2\n        for: 2m\n        labels: {{level: critical}}\n        annotations: {{summary: '{{{{ $value }}}}'}}\n\n      - alert: TooManyErrors\n"),
    ),
    "only with some requests": alert("", f"{failed()} / {total()} > 0.05 and {total()} > 0.1"),
    "a zero where no request fails": alert("", f"({failed()} or 0 * {total()}) / {total()} > 0.05"),
    "a zero without labels": alert("", f"({failed()} or vector(0)) / {total()} > 0.05"),
    "a total that is never 0": alert("", f"{failed()} / clamp_min({total()}, 1) > 0.05"),
    "not those with few errors": alert("", f"{failed()} / {total()} unless {failed()} / {total()} <= 0.05"),
    "the job on both sides": alert("", f"{failed()} / on (job) group_left {total()} > 0.05"),
    "the other side first": alert("", f"0.05 < {failed()} / {total()}"),
    "a threshold with an exponent": alert("", f"{failed()} / {total()} > 5e-2"),
    "5xx by its first digit": alert("", ALERT_EXPR.replace('"5.."', '"5.+"')),
    "5xx by what it is not": alert("", ALERT_EXPR.replace('=~"5.."', '!~"[1-4].."')),
    "5xx by its digits": alert("", ALERT_EXPR.replace('"5.."', '"5\\\\d\\\\d"')),
    "the largest buckets": alert("", f"{failed(f'job={chr(34)}randsvc{chr(34)},{STATUS},le={chr(34)}+Inf{chr(34)}')} / {total('job=' + chr(34) + 'randsvc' + chr(34) + ',le=' + chr(34) + '+Inf' + chr(34))} > 0.05".replace("_count", "_bucket")),
    "the value by its filter": rules("", (SUMMARY, "'{{ $value | printf `%.3f` }} of the requests fail'")),
    "a label with the name of the job": rules("", ("level: major", "level: major\n          service: '{{ $labels.job }}'")),
    "rules in two files": Answer("", {"prometheus.yml": (("[rules.yml]", "[rules.yml, more.yml]"),)}, {"more.yml": "groups:\n  - name: more\n    rules:\n      - record: job:up:sum\n        expr: sum by (job) (up)\n"}),
    "rules in JSON": Answer("", {"prometheus.yml": (("[rules.yml]", "[rules.yml, more.json]"),)}, {"more.json": '{"groups": [{"name": "more", "rules": [{"record": "job:up:sum", "expr": "sum by (job) (up)"}]}]}'}),
    "a path that begins here": config("", ("[rules.yml]", "[./rules.yml]")),
    "anchors": config("", (JOB, f"{JOB}    metrics_path: &path /metrics\n"), ("global:\n", "global:\n  external_labels: &labels {cluster: one}\n"), (TARGETS, f"{TARGETS}        labels: *labels\n")),
    "JSON for the configuration": Answer("", files={"prometheus.yml": '{"global": {"scrape_interval": "5s", "evaluation_interval": "5s"}, "rule_files": ["rules.yml"], "scrape_configs": [{"job_name": "randsvc", "static_configs": [{"targets": ["localhost:9464"]}]}]}'}),
    "two jobs for the service": config("", (JOB, f"  - job_name: again\n    static_configs:\n{TARGETS}{JOB}")),
    "a parameter of the page": config("", setting("params: {format: [text]}")),
    "OpenMetrics only": config("", setting("scrape_protocols: [OpenMetricsText1.0.0]")),
    "labels of the service itself": config("", setting("honor_labels: true")),
    "a generous limit": config("", setting("sample_limit: 100000")),
    "a path without its slash": config("", setting("metrics_path: metrics")),
    "a job that waits for its turn": config("", ("scrape_interval: 5s", "scrape_interval: 30s\n  scrape_timeout: 10s"), ("evaluation_interval: 5s", "evaluation_interval: 1m")),
    "no comments": rules("", ("      # No rate: a gauge already is the current value.\n", "")),
}  # fmt: skip
