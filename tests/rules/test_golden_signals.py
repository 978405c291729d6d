"""The recording rules: what they give for series whose result can be worked out by hand."""

import re
from itertools import pairwise
from math import floor, sqrt
from pathlib import Path
from typing import Any

import pytest
import yaml

from randsvc.generate import make_rule_files
from randsvc.rules.golden_signals import (
    DISTRIBUTIONS,
    SHARE_OF_LIMIT,
    Rule,
    format_bound,
    make_groups,
)
from randsvc.telemetry.catalogue import CLIENT_LEFT, Metric
from tests.support.promtool import promtool

RULES = [rule for group in make_groups() for rule in group.rules]
Expected = dict[str, float]
"""Values by the series that must be there; no others may be."""

# Every series gains `+n` each 10 s, so its rate is n/10.
#
#              requests/s          a: 200 5, 503 3   no route 4   b: 200 6, failed 1, left 1
#              all 20, /random 16, no route 4, a 12, b 8; errors a 3, b 1; left b 1
#   seconds    a: 10/s up to 0.1, no route: 10/s up to 0.1       b: 10/s between 0.1 and 1
COUNTS = "http_server_request_duration_seconds_count"
BUCKETS = "http_server_request_duration_seconds_bucket"
SIGNALS = {
    f'{COUNTS}{{instance="a",http_route="/random",http_response_status_code="200"}}': "0+50x60",
    f'{COUNTS}{{instance="a",http_route="/random",http_response_status_code="503",'
    'error_type="503"}': "0+30x60",
    f'{COUNTS}{{instance="a",http_response_status_code="404"}}': "0+40x60",
    f'{COUNTS}{{instance="b",http_route="/random",http_response_status_code="200"}}': "0+60x60",
    # The service fails before a response, after its headers, and without one that can be sent.
    f'{COUNTS}{{instance="b",http_route="/random",http_response_status_code="500",'
    'error_type="ValueError"}': "0+3x60",
    f'{COUNTS}{{instance="b",http_route="/random",http_response_status_code="200",'
    'error_type="RuntimeError"}': "0+4x60",
    f'{COUNTS}{{instance="b",http_route="/random",error_type="TypeError"}}': "0+3x60",
    f'{COUNTS}{{instance="b",http_route="/random",error_type="{CLIENT_LEFT}"}}': "0+10x60",
    f'{BUCKETS}{{instance="a",http_route="/random",le="0.1"}}': "0+100x60",
    f'{BUCKETS}{{instance="a",http_route="/random",le="1"}}': "0+100x60",
    f'{BUCKETS}{{instance="a",http_route="/random",le="+Inf"}}': "0+100x60",
    f'{BUCKETS}{{instance="a",le="0.1"}}': "0+100x60",
    f'{BUCKETS}{{instance="a",le="1"}}': "0+100x60",
    f'{BUCKETS}{{instance="a",le="+Inf"}}': "0+100x60",
    f'{BUCKETS}{{instance="b",http_route="/random",le="0.1"}}': "0+0x60",
    f'{BUCKETS}{{instance="b",http_route="/random",le="1"}}': "0+100x60",
    f'{BUCKETS}{{instance="b",http_route="/random",le="+Inf"}}': "0+100x60",
    'http_server_active_requests{instance="a",http_request_method="GET"}': "3+0x60",
    'http_server_active_requests{instance="a",http_request_method="POST"}': "1+0x60",
    'http_server_concurrency_limit{instance="a"}': "10+0x60",
    'http_server_concurrency_limit{instance="b"}': "10+0x60",
    # c is dead, but the Collector still shows its last values.
    'http_server_active_requests{instance="c",http_request_method="GET"}': "9+0x60",
    'http_server_concurrency_limit{instance="c"}': "10+0x60",
    'job_instance:silent:bool{instance="c"}': "1+0x60",
    'asyncio_event_loop_lag_seconds_bucket{instance="a",le="0.001"}': "0+50x60",
    'asyncio_event_loop_lag_seconds_bucket{instance="a",le="0.01"}': "0+100x60",
    'asyncio_event_loop_lag_seconds_bucket{instance="a",le="+Inf"}': "0+100x60",
    'process_cpu_time_seconds_total{instance="a",cpu_mode="user"}': "0+2x60",
    'process_cpu_time_seconds_total{instance="a",cpu_mode="system"}': "0+1x60",
    'process_cpu_time_seconds_total{instance="b",cpu_mode="user"}': "0+0.5x60",
    'process_memory_usage_bytes{instance="a"}': "100+0x60",
    'process_memory_limit_bytes{instance="a"}': "400+0x60",
    'process_memory_usage_bytes{instance="c"}': "100+0x60",
    'process_memory_limit_bytes{instance="c"}': "400+0x60",
    'process_unix_file_descriptor_count{instance="b"}': "30+0x60",
    'process_unix_file_descriptor_limit{instance="b"}': "60+0x60",
    'randsvc_feedback_store_answers{instance="b"}': "30+0x60",
    'randsvc_feedback_store_limit{instance="b"}': "40+0x60",
    'prometheus_tsdb_storage_blocks_bytes{instance="a"}': "2+0x60",
    'prometheus_tsdb_retention_limit_bytes{instance="a"}': "16+0x60",
    # Without a limit.
    'prometheus_tsdb_storage_blocks_bytes{instance="b"}': "2+0x60",
    'prometheus_tsdb_retention_limit_bytes{instance="b"}': "0+0x60",
}
DURATION = "http_server_request_duration_seconds"
SIGNALS_EXPECTED: dict[str, Expected] = {
    f"job:{DURATION}_count:rate1m": {"": 20},
    "job:http_server_errors_per_request:ratio_rate1m": {"": 4 / 20},
    "job:http_server_disconnects_per_request:ratio_rate1m": {"": 1 / 20},
    # 30/s, 20 of them up to 0.1: ranks 15, 27 and 29.7.
    f"job_quantile:{DURATION}:histogram_quantile_rate1m": {
        'quantile="0.5"': 0.1 * 15 / 20,
        'quantile="0.9"': 0.1 + 0.9 * 7 / 10,
        'quantile="0.99"': 0.1 + 0.9 * 9.7 / 10,
    },
    f"job_http_route:{DURATION}_count:rate1m": {'http_route="/random"': 16, "": 4},
    "job_http_route:http_server_errors_per_request:ratio_rate1m": {
        'http_route="/random"': 4 / 16,
        "": 0,
    },
    "job_http_route:http_server_disconnects_per_request:ratio_rate1m": {
        'http_route="/random"': 1 / 16,
        "": 0,
    },
    # /random: 20/s, 10 of them up to 0.1: ranks 10, 18 and 19.8.
    f"job_http_route_quantile:{DURATION}:histogram_quantile_rate1m": {
        'http_route="/random",quantile="0.5"': 0.1,
        'http_route="/random",quantile="0.9"': 0.1 + 0.9 * 8 / 10,
        'http_route="/random",quantile="0.99"': 0.1 + 0.9 * 9.8 / 10,
        'quantile="0.5"': 0.05,
        'quantile="0.9"': 0.09,
        'quantile="0.99"': 0.099,
    },
    f"job_instance:{DURATION}_count:rate1m": {'instance="a"': 12, 'instance="b"': 8},
    "job_instance:http_server_errors_per_request:ratio_rate1m": {
        'instance="a"': 3 / 12,
        'instance="b"': 1 / 8,
    },
    "job_instance:http_server_disconnects_per_request:ratio_rate1m": {
        'instance="a"': 0,
        'instance="b"': 1 / 8,
    },
    f"job_instance_quantile:{DURATION}:histogram_quantile_rate1m": {
        'instance="a",quantile="0.5"': 0.05,
        'instance="a",quantile="0.9"': 0.09,
        'instance="a",quantile="0.99"': 0.099,
        'instance="b",quantile="0.5"': 0.1 + 0.9 * 0.5,
        'instance="b",quantile="0.9"': 0.1 + 0.9 * 0.9,
        'instance="b",quantile="0.99"': 0.1 + 0.9 * 0.99,
    },
    # b has had no request yet.
    "job:http_server_active_requests_per_limit:ratio": {"": 4 / 20},
    "job_instance:http_server_active_requests_per_limit:ratio": {
        'instance="a"': 4 / 10,
        'instance="b"': 0,
    },
    # 10/s, 5 of them up to 0.001, 5 between 0.001 and 0.01: rank 9.9.
    "job_instance_quantile:asyncio_event_loop_lag_seconds:histogram_quantile_rate1m": {
        'instance="a",quantile="0.99"': 0.001 + 0.009 * 4.9 / 5,
    },
    SHARE_OF_LIMIT: {
        'instance="a",resource="memory"': 1 / 4,
        'instance="b",resource="file descriptors"': 1 / 2,
        'instance="b",resource="feedback store"': 3 / 4,
        'instance="a",resource="storage"': 1 / 8,
    },
    "job_instance:process_cpu_time_seconds:rate1m": {'instance="a"': 0.3, 'instance="b"': 0.05},
}


def pushed(metric: Metric) -> dict[str, str]:
    """Two instances, each with one observation in (1, 2], (2, 4] and (4, 8] every 10 s.

    The middles of these buckets, as a logarithm has them, are sqrt(2), 2 sqrt(2) and 4 sqrt(2).
    """
    gain = f"{{{{schema:0 sum:{7 * sqrt(2)} count:3 offset:1 buckets:[1 1 1]}}}}"
    start = "{{schema:0 sum:0 count:0 offset:1 buckets:[0 0 0]}}"
    return {
        f'{metric.prometheus_name}{{instance="{instance}"}}': f"{start}+{gain}x60"
        for instance in ("a", "b")
    }


def pushed_expected(metric: Metric) -> dict[str, Expected]:
    name = metric.prometheus_name
    return {
        f"histogram_sum(job:{name}:rate5m)": {"": 2 * 7 * sqrt(2) / 10},
        f"job:{name}:count_rate5m": {"": 2 * 3 / 10},
        f"job:{name}:avg_rate5m": {"": 7 * sqrt(2) / 3},
        # In units of sqrt(2) the deviations of 1, 2 and 4 from 7/3 are -4/3, -1/3 and 5/3.
        f"job:{name}:stddev_rate5m": {"": sqrt(2) * sqrt((16 + 1 + 25) / 9 / 3)},
        # A third of all is in each bucket; within it the share grows with the logarithm.
        f"job_quantile:{name}:histogram_quantile_rate5m": {
            'quantile="0.01"': 2**0.03,
            'quantile="0.05"': 2**0.15,
            'quantile="0.25"': 2**0.75,
            'quantile="0.5"': 2 * 2**0.5,
            'quantile="0.75"': 4 * 2**0.25,
            'quantile="0.95"': 4 * 2**0.85,
            'quantile="0.99"': 4 * 2**0.97,
        },
    }


def pulled(metric: Metric) -> dict[str, str]:
    """One observation in each bucket every 10 s, as Prometheus converts a classic histogram."""
    edges = " ".join(map(format_bound, metric.buckets))
    n = len(metric.buckets) + 1

    def histogram(each: int) -> str:
        inside = f"custom_values:[{edges}] buckets:[{' '.join([str(each)] * n)}]"
        return f"{{{{schema:-53 sum:0 count:{n * each} {inside}}}}}"

    return {f'{metric.prometheus_name}{{instance="a"}}': f"{histogram(0)}+{histogram(1)}x60"}


def pulled_expected(metric: Metric) -> dict[str, Expected]:
    """One of n buckets holds 1/n: the distribution climbs by that at every edge."""
    name, edges = metric.prometheus_name, metric.buckets
    n = len(edges) + 1
    return {
        f"job_le:{name}:histogram_fraction_rate5m": {
            f'le="{format_bound(edge)}"': (i + 1) / n for i, edge in enumerate(edges)
        }
        | {'le="+Inf"': 1},
        f"job_le:{name}:density_rate5m": {
            f'le="{format_bound(high)}"': 1 / n / (high - low) for low, high in pairwise(edges)
        },
    }


SCENARIOS: dict[str, tuple[dict[str, str], dict[str, Expected]]] = {
    "golden signals": (SIGNALS, SIGNALS_EXPECTED),
    **{f"{m.name} pushed": (pushed(m), pushed_expected(m)) for m in DISTRIBUTIONS},
    **{f"{m.name} pulled": (pulled(m), pulled_expected(m)) for m in DISTRIBUTIONS},
}


def with_job(series: str, job: str = "randsvc") -> str:
    """Give a series the label of the service; the order of labels does not matter."""
    name, _, labels = series.removesuffix("}").partition("{")
    return f'{name}{{job="{job}"{"," if labels else ""}{labels}}}'


def rounded(value: float) -> float:
    """Round as ``round(..., 2^-40)`` of PromQL does: what is left is exact in binary."""
    return floor(value * 2**40 + 0.5) / 2**40


def run_scenario(name: str, folder: Path, rules: dict[str, str]) -> Any:
    """Let promtool run the rules over a scenario that two jobs go through side by side."""
    given, expected = SCENARIOS[name]
    # The distributions are those of the service alone.
    jobs = ("randsvc", "another") if name == "golden signals" else ("randsvc",)
    for path, text in rules.items():
        (folder / Path(path).name).write_text(text)
    test = {
        "rule_files": [Path(path).name for path in rules],
        "evaluation_interval": "10s",
        "tests": [
            {
                "interval": "10s",
                "input_series": [
                    {"series": with_job(series, job), "values": values}
                    for series, values in given.items()
                    for job in ("randsvc", "another")
                ],
                "promql_expr_test": [
                    {
                        "expr": f"round({expr}, 2^-40)",
                        "eval_time": "10m",
                        "exp_samples": [
                            {"labels": with_job(f"{{{labels}}}", job), "value": rounded(value)}
                            for labels, value in samples.items()
                            for job in jobs
                        ],
                    }
                    for expr, samples in expected.items()
                ],
            }
        ],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(test, width=2**16))
    return promtool("test", "rules", folder / "test.yml")


@pytest.mark.native
@pytest.mark.parametrize("name", SCENARIOS)
def test_rules_give_what_was_worked_out_by_hand(name: str, tmp_path: Path) -> None:
    done = run_scenario(name, tmp_path, make_rule_files())
    assert done.returncode == 0, done.stdout


@pytest.mark.native
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_rule_that_is_broken_fails_its_test(name: str, tmp_path: Path) -> None:
    broken = {
        path: re.sub(r"(?m)expr: (.*)$", r"expr: (\1) + 1", text)
        for path, text in make_rule_files().items()
    }
    done = run_scenario(name, tmp_path, broken)
    assert done.returncode == 1
    for expr in SCENARIOS[name][1]:
        assert f'expr: "round({expr},' in done.stdout, f"{expr} is broken, yet its test passes"


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.record} {' '.join(r.labels.values())}")
def test_every_rule_has_a_test(rule: Rule) -> None:
    labels = {f'{name}="{value}"' for name, value in rule.labels.items()}
    assert any(
        re.search(rf"(^|\(){re.escape(rule.record)}($|\))", expr)
        and any(labels <= set(series.split(",")) for series in samples)
        for _, expected in SCENARIOS.values()
        for expr, samples in expected.items()
    )


@pytest.mark.native
def test_prometheus_accepts_the_files_without_a_remark(tmp_path: Path) -> None:
    for path, text in make_rule_files().items():
        (tmp_path / Path(path).name).write_text(text)
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *tmp_path.iterdir())
    assert done.returncode == 0, done.stdout


def test_names_are_level_metric_operations() -> None:
    for rule in RULES:
        level, metric, operations = rule.record.split(":")
        assert level
        assert metric
        assert operations
        # Its labels are part of its level.
        assert all(f"_{name}" in f"_{level}" for name in rule.labels), rule.record


def test_every_selector_is_summed_over_one_service() -> None:
    for rule in RULES:
        for selector in re.findall(r"(?<![\w:])\w+\{[^}]*\}", rule.expr):
            before = rule.expr[: rule.expr.index(selector)]
            assert re.search(r"sum by \([\w, ]+\) \((rate\()?$", before), rule.expr
            assert 'job="randsvc"' in selector or "sum by (job" in before, rule.expr


def test_two_rules_never_record_the_same_series() -> None:
    recorded = [(rule.record, *sorted(rule.labels.items())) for rule in RULES]
    assert len(recorded) == len(set(recorded))
