"""Write every file that is generated: rules, dashboards, the reference of the metrics.

``python -m observability.generate`` says what it changed; with ``--check`` it changes nothing, and
exits 1 where it would.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from observability.dashboards import DASHBOARDS, model
from observability.rules import Group, bound, groups
from randsvc.telemetry.catalogue import METRICS, Metric

ROOT = Path(__file__).parents[1]
COMMAND = "python -m observability.generate"


def generated() -> dict[str, str]:
    """Give the text of every generated file by its path in the project."""
    return rule_files() | dashboard_files() | reference()


def rule_files() -> dict[str, str]:
    """Give Prometheus's rules, a file for each group."""
    return {f"observability/prometheus/rules/{g.name}.yml": _rule_file(g) for g in groups()}


def dashboard_files() -> dict[str, str]:
    """Give Grafana's dashboards. JSON has no comments: their description can't say the command."""
    return {
        f"observability/grafana/dashboards/{name}.json": model(dashboard)
        for name, dashboard in DASHBOARDS.items()
    }


def reference() -> dict[str, str]:
    """Give the table of all metrics."""
    return {"docs/metrics.md": _reference(METRICS)}


def changed(files: Mapping[str, str], root: Path) -> list[str]:
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
    files = generated()
    paths = changed(files, root)
    for path in paths:
        if not check:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[path], encoding="utf-8")
        sys.stdout.write(f"{path}: {f'would change; run {COMMAND}' if check else 'written'}\n")
    if not paths:
        sys.stdout.write(f"all {len(files)} generated files are up to date\n")
    return int(check and bool(paths))


def _rule_file(group: Group) -> str:
    rules = [
        {"record": rule.record, "expr": rule.expr}
        | ({"labels": dict(rule.labels)} if rule.labels else {})
        for rule in group.rules
    ]
    body = {"groups": [{"name": group.name, "rules": rules}]}
    head = f"# Generated from observability/rules.py: change that, then run `{COMMAND}`.\n"
    return head + yaml.safe_dump(body, sort_keys=False, width=2**16)


def _reference(metrics: Sequence[Metric]) -> str:
    kinds = {
        "exponential_histogram": "exponential histogram",
        "updowncounter": "up-down counter",
    }
    rows = (
        (
            f"`{metric.name}`",
            f"`{metric.prometheus_name}`",
            kinds.get(metric.kind, metric.kind),
            f"`{metric.unit}`",
            ", ".join(f"`{name}`" for name in metric.attributes),
            metric.description,
            ", ".join(map(bound, metric.buckets)),
        )
        for metric in metrics
    )
    return "\n".join(
        (
            "<!-- Generated from randsvc/telemetry/catalogue.py: change that, then run",
            f"`{COMMAND}`. -->",
            "",
            "# Metrics",
            "",
            "Every metric of the service. In Prometheus a classic histogram has the suffixes",
            "`_bucket`, `_sum` and `_count`. An exponential histogram that is pushed is a native",
            "histogram, one series without a suffix; one that is pulled is a classic one with the",
            "buckets below. Dots in the names of attributes become underscores.",
            "",
            "| OpenTelemetry | Prometheus | Kind | Unit | Attributes | Description | Buckets |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
