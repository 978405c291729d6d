"""Write every file that is generated: rules, alerts, dashboards, and the references in docs/.

``python -m randsvc.generate`` says what it changed; with ``--check`` it changes nothing, and
exits 1 where it would.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from randsvc.cli.main import app as command_line
from randsvc.dashboards import DASHBOARDS, to_json
from randsvc.markdown import write_table
from randsvc.metrics import METRICS
from randsvc.model.default_baselines import make_default_baseline_files
from randsvc.objectives import SLOS
from randsvc.project import ROOT
from randsvc.rules import cusum, drift, features, feedback, instances, make_alerts
from randsvc.rules.alert_times import draw_alert_times, make_table
from randsvc.rules.files import make_rule_file, make_slo_file
from randsvc.rules.golden_signals import format_bound, make_groups
from randsvc.rules.ml_alerts import make_ml_alerts
from randsvc.rules.service_alerts import make_service_alerts
from randsvc.rules.slo import LOG_LIKELIHOOD_RATIO
from randsvc.rules.time_scale import DEMO, PRODUCTION, SEVERITY, TimeScale, spell
from randsvc.service.openapi import DOCUMENTS
from randsvc.telemetry.catalogue import Metric
from randsvc.telemetry.variables import VARIABLES

RULES = "observability/prometheus/rules"
COMMAND = "python -m randsvc.generate"


def generate_files() -> dict[str, str]:
    """Give the text of every generated file by its path in the project."""
    files = (
        make_rule_files()
        | make_dashboard_files()
        | make_reference()
        | make_default_baseline_files()
    )
    return files | make_alert_files(PRODUCTION) | make_alert_files(DEMO)


def make_rule_files() -> dict[str, str]:
    """Give Prometheus's rules that are those of every time scale, a file for each group."""
    head = _make_head("golden_signals")
    return {
        f"{RULES}/{g.name}.yml": make_rule_file(g.name, g.rules, head=head) for g in make_groups()
    }


def make_alert_files(scale: TimeScale) -> dict[str, str]:
    """Give the alerts of a time scale, and what they are made from, in a folder of its name."""
    others = tuple(make_service_alerts(scale))
    modules = (drift, cusum, features, feedback)
    recorded = (rule for module in modules for rule in module.make_recordings(scale))
    ml = (*recorded, *make_ml_alerts(scale))
    return {
        f"{RULES}/{scale.name}/slo.yml": make_slo_file(SLOS, scale, head=_make_head("slo")),
        f"{RULES}/{scale.name}/ml.yml": make_rule_file(
            "ml", ml, replace(scale, interval=scale.ml_interval), head=_make_head("ml_alerts")
        ),
        f"{RULES}/{scale.name}/alerts.yml": make_rule_file(
            "alerts", others, scale, head=_make_head("service_alerts")
        ),
        f"{RULES}/{scale.name}/instances.yml": make_rule_file(
            "instances",
            tuple(instances.make_recordings(scale)),
            scale,
            head=_make_head("instances"),
        ),
    }


def make_dashboard_files() -> dict[str, str]:
    """Give Grafana's dashboards. JSON has no comments: their description can't say the command."""
    return {
        f"observability/grafana/dashboards/{name}.json": to_json(dashboard)
        for name, dashboard in DASHBOARDS.items()
    }


def make_reference() -> dict[str, str]:
    """Give the pages on metrics, alerts, endpoints, variables and the command line."""
    return {
        "docs/metrics.md": _describe_metrics(METRICS),
        "docs/alerts.md": _describe_alerts(),
        "docs/images/alert-times.svg": draw_alert_times(_make_head("alert_times")),
        "docs/command-line.md": _describe_command_line(),
        "docs/endpoints.md": _describe_endpoints(),
        "docs/telemetry-variables.md": _describe_telemetry_variables(),
    }


def find_changed(files: Mapping[str, str], root: Path) -> list[str]:
    """Give the paths whose text below ``root`` is another one, or that are not there."""
    return [
        path
        for path, text in sorted(files.items())
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write what changed, and name it; with ``--check`` only name it."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Write every generated file.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file would change"
    )
    check: bool = parser.parse_args(arguments).check
    files = generate_files()
    paths = find_changed(files, root)
    for path in paths:
        if not check:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[path], encoding="utf-8")
        sys.stdout.write(f"{path}: {f'would change; run {COMMAND}' if check else 'written'}\n")
    if not paths:
        sys.stdout.write(f"all {len(files)} generated files are up to date\n")
    return int(check and bool(paths))


def _make_head(module: str) -> str:
    return f"Generated from randsvc/rules/{module}.py. Change that file, then run `{COMMAND}`."


def _describe_alerts() -> str:
    demo = {(a.name, a.level, a.service): a for a in make_alerts(DEMO)}
    rows = []
    for level in (*SEVERITY, "none"):
        for alert in (a for a in make_alerts(PRODUCTION) if a.level == level):
            compressed = demo[alert.name, alert.level, alert.service]
            cells = (
                level,
                f"[{alert.name}](runbooks/{alert.name}.md)",
                alert.service,
                alert.description,
                alert.wait or "none",
                compressed.wait or "none",
            )
            rows.append(cells)
    return "\n".join(
        (
            "<!-- Generated from randsvc/rules/service_alerts.py. Change that file, then run",
            f"`{COMMAND}`. -->",
            "",
            "# Alerts",
            "",
            "All alerts by level: **critical** means act now, 24/7; **major** means act in",
            "working hours; **minor** means scheduled work. The descriptions show the time scale",
            "`production`. The time scale `demo` has the same rules with shorter times. The last",
            "two columns show how long the condition must be true before the alert fires.",
            "",
            write_table(
                ("Level", "Alert", "Service", "Description", "Wait (production)", "Wait (demo)"),
                rows,
            ),
            "",
            "## How soon an alert on an error budget fires",
            "",
            "The table shows the time from the first bad request to the alert, for each share of",
            "bad requests. Before, no request was bad, and the traffic is constant. The times",
            "follow from the windows in `randsvc/rules/time_scale.py`, with an evaluation every",
            f"{spell(PRODUCTION.interval)}. `tests/rules/test_alert_times.py` checks ten of them",
            "with Prometheus. In production, add the time that a request takes to reach a rule:",
            "at most a push, a scrape and an evaluation.",
            "",
            "![Time until an alert fires, over the share of bad requests](images/alert-times.svg)",
            "",
            make_table(),
            "",
            "A full outage does not wait for an error budget: RandsvcServiceDown,",
            "RandsvcNotAnswering and RandsvcNobodyCanLogIn report it first.",
            "",
            "The windows are those of the",
            "[SRE workbook](https://sre.google/workbook/alerting-on-slos/), and a fast one:",
            "critical is also a burn rate of 21.6 over 8 minutes, which spends 0.4% of the",
            "30-day budget. 1% would be too much: when 60% of the requests are slow, 1% of the",
            "budget lasts 14 minutes.",
            "",
            "## Low traffic",
            "",
            "At one request a minute, a single failure is an error rate of 12.5% over 8 minutes.",
            "It says nothing about the service. An alert on an error budget therefore also tests",
            "whether chance explains the bad events. The null hypothesis is that requests fail",
            "independently of each other, at a tenth of the burn rate that the alert is for. Then",
            "the number of bad events in the window is binomial, with a mean of",
            "m = requests x budget x factor / 10. The probability of k or more bad events is at",
            "most exp(-(k ln(k/m) - k + m)), the Chernoff bound. The alert takes",
            "k ln(k/m) - k + m of at least 13.8, so a probability of at most one in a million",
            "(one in a thousand in the time scale `demo`). Prometheus records this number, the",
            "log-likelihood ratio of k against m, as",
            f"`{LOG_LIKELIHOOD_RATIO}`.",
            "",
            "- At exactly the burn rate of the alert, ten bad events are enough.",
            "- When all requests are bad, four failed or six slow ones are enough for a page.",
            "- At high traffic, the condition always holds, and the burn rate decides.",
            "",
            "In ten simulated years at one request a minute, and at one in ten minutes, a healthy",
            "service raises no alert: see [A simulated month](month.md#low-traffic). With so few",
            "requests, an error budget reports an outage late or never. The probe does not depend",
            "on traffic: RandsvcNotAnswering fires 105 to 135 seconds after the last probe that",
            "succeeded, and RandsvcServiceDown 75 to 105 seconds after the last scrape that did.",
            "",
        )
    )


def _describe_command_line() -> str:
    head = (
        f"<!-- Generated from randsvc/cli/main.py. Change that file, then run\n`{COMMAND}`. -->\n\n"
    )
    # What a docstring has on two lines on one.
    text = command_line.generate_docs(usage_name="randsvc").replace("\n        ", " ")
    # Cyclopts takes this process for the command, and drops but the first word of its name.
    text = re.sub(r"^(randsvc .*?) -m \S+", r"\1", text, flags=re.MULTILINE)
    return head + "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _describe_endpoints() -> str:
    operations = (
        line
        for service, document in DOCUMENTS.items()
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for line in _describe_operation(f"{method.upper()} {path}", service, operation)
    )
    return "\n".join(
        (
            "<!-- Generated from randsvc/service/openapi.py. Change that file, then run",
            f"`{COMMAND}`. -->",
            "",
            "# Endpoints",
            "",
            "The endpoints of the public ports, with all parameters and statuses. Each service",
            "serves this description, with the schemas of all bodies, as an OpenAPI document at",
            "`/openapi.json`. The body of an error is a problem details object (RFC 9457).",
            "Endpoints that accept GET also accept HEAD. Any other path gets status 404, and any",
            "other method 405. Malformed HTTP gets status 400 with a plain text body.",
            *operations,
            "",
        )
    )


def _describe_operation(name: str, service: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## {name}", "", f"Service {service}: {operation['summary']}.", "")
    for parameter in operation.get("parameters", ()):
        schema = json.dumps(parameter["schema"])
        yield f"- `{parameter['name']}`: {parameter['description']}, `{schema}`"
    if "parameters" in operation:
        yield ""
    responses = operation["responses"].items()
    rows = [(status, response["description"]) for status, response in responses]
    yield write_table(("Status", "When"), rows)


METRIC_HEADS = [
    "OpenTelemetry",
    "Prometheus",
    "Kind",
    "Unit",
    "Attributes",
    "Description",
    "Buckets",
]


def _describe_metrics(metrics: Sequence[Metric]) -> str:
    kinds = {
        "exponential_histogram": "exponential histogram",
        "updowncounter": "up-down counter",
    }
    rows = [
        (
            f"`{metric.name}`",
            f"`{metric.prometheus_name}`",
            kinds.get(metric.kind, metric.kind),
            f"`{metric.unit}`",
            ", ".join(f"`{name}`" for name in metric.attributes),
            metric.description,
            ", ".join(map(format_bound, metric.buckets)),
        )
        for metric in metrics
    ]
    return "\n".join(
        (
            "<!-- Generated from randsvc/metrics.py and randsvc/telemetry/catalogue.py. Change",
            f"those files, then run `{COMMAND}`. -->",
            "",
            "# Metrics",
            "",
            "All metrics of the services. In Prometheus, a classic histogram has the suffixes",
            "`_bucket`, `_sum` and `_count`. An exponential histogram becomes a native histogram",
            "with push: one series without a suffix. With pull, it becomes a classic histogram",
            "with the buckets below. Attributes become labels, and dots in their names become",
            "underscores.",
            "",
            write_table(METRIC_HEADS, rows),
            "",
        )
    )


def _describe_telemetry_variables() -> str:
    rows = [
        (
            f"`{row.name}`",
            row.status,
            row.kind.expected if row.kind else "",
            f"`{row.default}`" if row.default else "",
            row.note,
        )
        for row in VARIABLES.values()
    ]
    return "\n".join(
        (
            "<!-- Generated from randsvc/telemetry/variables.py. Change that file, then run",
            f"`{COMMAND}`. -->",
            "",
            "# Telemetry variables",
            "",
            "All `OTEL_*` variables of the OpenTelemetry specification and of the Python SDK. An",
            "empty variable is unset, and names and other enumerated values ignore case.",
            "",
            "- **followed**: a wrong value stops the start with one line, which gives the",
            "  variable, the value and what was expected. Only a wrong boolean counts as",
            "  `false`, as the specification requires, and is logged.",
            "- **refused**: the variable stops the start, as ignoring it would change everything.",
            "- **not supported**: the variable is ignored, and one line of the log says so.",
            "",
            "A variable with an unknown name is logged too, without its value. The variables of",
            "instrumentation libraries (`OTEL_INSTRUMENTATION_*`, `OTEL_PYTHON_*`) are passed on.",
            "`tests/telemetry/test_environment.py` tests every row.",
            "",
            write_table(("Variable", "Status", "Value", "Default", "Note"), rows),
            "",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
