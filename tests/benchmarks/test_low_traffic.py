"""Low traffic: the simulated alerts are those of Prometheus, and a healthy service has none."""

import io

import numpy as np
import pytest
from rich.console import Console

from benchmarks.month import low_traffic
from benchmarks.month.low_traffic import CONDITIONS, Traffic, find_alerts, main
from benchmarks.month.replay import rules, split_rules, text
from benchmarks.month.simulated_month import SCRAPE, Series
from randsvc.rules.time_scale import Level
from randsvc.stack.promtool import RULE_FILE, run_rule_tests
from randsvc.telemetry.catalogue import REQUEST_DURATION


def test_a_year_of_healthy_requests_raises_nothing() -> None:
    said = io.StringIO()
    assert main(["--years", "1"], Console(file=said, width=150)) == 0
    assert "0 false alarms" in said.getvalue()


def test_without_a_condition_on_the_bad_events_one_failure_pages() -> None:
    traffic = Traffic(gap=60, budget=0.005, share=0.0002)
    fires = find_alerts(*traffic.draw(0), traffic.budget, "critical", CONDITIONS["no condition"])
    assert len(fires) > 10


def test_a_false_alarm_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_traffic, "is_significant", CONDITIONS["no condition"])
    assert main(["--years", "1"], Console(file=io.StringIO())) == 1


@pytest.mark.native
@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(("level", "share"), [("critical", 0.2), ("major", 0.08)])
def test_prometheus_raises_the_simulated_alerts(level: Level, share: float) -> None:
    """A service that often fails, at a request a minute for a day."""
    traffic = Traffic(gap=60, budget=0.005, share=share)
    requests, bad = (counts[: 86_400 // SCRAPE + 1] for counts in traffic.draw(0))
    fires = find_alerts(requests, bad, traffic.budget, level, CONDITIONS["significance"])
    assert len(fires) > 3

    labels = {"job": "randsvc", "http_route": "/random"}
    name = f"{REQUEST_DURATION.prometheus_name}_count"
    series = [
        Series(name, labels, 0, (requests - bad).astype(np.float64)),
        Series(name, {**labels, "error_type": "500"}, 0, bad.astype(np.float64)),
    ]
    firing = f'ALERTS{{alertstate="firing",level="{level}"}}'
    asked = {at: True for each in fires for at in (each.start, each[-1])}
    asked |= {at: False for each in fires for at in (each.start - 30, each.stop)}
    number = sum(len([at for at in each if at <= 86_400]) for each in fires)
    (part,) = (
        part for part in split_rules(rules()) if part.name == f"RandsvcRandomFailing {level}"
    )
    test = {
        "interval": f"{SCRAPE}s",
        "input_series": [
            {"series": str(one), "values": text(one, slice(0, len(requests)), 1)} for one in series
        ],
        "promql_expr_test": [
            {
                "expr": f"count ({firing})",
                "eval_time": f"{at}s",
                "exp_samples": [{"labels": "", "value": 1}] if is_on else [],
            }
            for at, is_on in asked.items()
            if at <= 86_400
        ]
        + [
            {
                "expr": f"sum (count_over_time({firing}[2d]))",
                "eval_time": "1d",
                "exp_samples": [{"labels": "", "value": number}],
            }
        ],
    }
    done = run_rule_tests(
        {"rule_files": [RULE_FILE], "evaluation_interval": "30s", "tests": [test]},
        {"groups": [{"name": "rules", "rules": list(part.rules)}]},
    )
    assert done.returncode == 0, done.stdout
