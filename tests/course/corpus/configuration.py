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
    "no threshold": alert("when 2% of many requests fail", f"{failed()} / {total()}"),
    "the wrong direction": alert("when 2% of many requests fail", f"{failed()} / {total()} < 0.05"),
    "a comparison with bool": alert("fires when 2% of many requests fail", f"{failed()} / {total()} > bool 0.05"),
    "a share of a hundred with a small threshold": alert("when 2% of many requests fail", f"100 * {failed()} / {total()} > 0.05"),
    "client errors count": alert("fires for a healthy service, which has only a few 404", ALERT_EXPR.replace('=~"5.."', '!="200"')),
    "4xx and 5xx": alert("fires for a healthy service", ALERT_EXPR.replace('"5.."', '"4..|5.."')),
    "4xx only": alert("fires for a healthy service", ALERT_EXPR.replace('"5.."', '"4.."')),
    "500 only": alert("fail with 503", ALERT_EXPR.replace('=~"5.."', '="500"')),
    "503 is forgotten": alert("fail with 503", ALERT_EXPR.replace('"5.."', '"500|502|504"')),
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
    "a value of successes": alert(NO_SHARE, f"1 - {failed()} / {total()} < 0.95"),
    "irate in the alert": alert("irate() uses only the last two samples", f"{failed()} / {total()} > 0.05".replace("rate(", "irate(")),
    "counters as they are": alert("Its counters have the total since the start", f"sum by (job) (http_server_request_duration_seconds_count{{job=\"randsvc\",{STATUS}}}) / sum by (job) (http_server_request_duration_seconds_count{{job=\"randsvc\"}}) > 0.05"),
    "an aggregation that does not fit": alert(TOO_LATE, f"{failed(by=' by (instance)')} / {total(by=' by (job)')} > 0.05"),
    "labels that do not fit": alert(TOO_LATE, f"rate(http_server_request_duration_seconds_count{{job=\"randsvc\",{STATUS}}}[1m]) / {total()} > 0.05"),
}  # fmt: skip

WRONG = {**SCRAPE_MISTAKES, **ALERT_MISTAKES}

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
    "no comments": rules("", ("      # No rate: a gauge already is the current value.\n", "")),
}  # fmt: skip
