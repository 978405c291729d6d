import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from randsvc.distributions import parse
from randsvc.errors import ConfigurationError
from randsvc.histograms.baseline_file import Baseline, save
from randsvc.histograms.binned import Bin
from randsvc.metrics import DELAY, VALUE
from randsvc.model.baselines import EDGE_LEVELS, QUANTILE_LEVELS, describe, load_baselines
from randsvc.settings import Settings
from randsvc.telemetry.catalogue import Metric

NORMAL = stats.norm(50, 10)


def kept(*bins: tuple[float, float, float], total: float | None = None) -> Baseline:
    return Baseline(
        metric="randsvc_value",
        unit="{value}",
        source={},
        end=0,
        window=0,
        bins=tuple(Bin(*bin_) for bin_ in bins),
        sum=total,
    )


def test_the_committed_baseline_describes_the_default_distribution() -> None:
    value = load_baselines(Settings())["value"]
    assert list(value.shares) == [f"{k:02}" for k in range(1, 11)]
    assert list(value.shares.values()) == pytest.approx([0.1] * 10, abs=1e-5)
    assert sum(value.shares.values()) == pytest.approx(1, abs=1e-12)
    assert list(value.edges.values()) == pytest.approx(NORMAL.ppf(np.arange(1, 10) / 10))
    assert list(value.quantiles) == [f"{level:g}" for level in QUANTILE_LEVELS]
    assert list(value.quantiles.values()) == pytest.approx(NORMAL.ppf(QUANTILE_LEVELS), abs=0.001)
    edges = sorted([*value.quantiles.values(), *value.tails.values()])
    assert edges == pytest.approx(NORMAL.ppf(EDGE_LEVELS), abs=0.15)
    assert value.statistics["mean"] == pytest.approx(50)
    assert value.statistics["stddev"] == pytest.approx(10, rel=0.002)
    assert value.statistics["low"] == pytest.approx(NORMAL.ppf(1e-6))
    assert value.statistics["high"] == pytest.approx(NORMAL.isf(1e-6))
    noise, _ = integrate.quad(lambda x: math.sqrt(NORMAL.cdf(x) * NORMAL.sf(x)), -50, 150)
    assert value.statistics["noise"] == pytest.approx(noise, rel=0.005)


@pytest.mark.parametrize(
    ("name", "metric", "truth"),
    [("value", VALUE, NORMAL), ("delay", DELAY, stats.lognorm(0.5, scale=0.05))],
)
def test_quantiles_of_a_pulled_service_are_those_that_its_buckets_have(
    name: str, metric: Metric, truth: Any
) -> None:
    """As the share of the values below each, interpolated as Prometheus does, is its level."""
    it = load_baselines(Settings(), is_pulled=True)[name]
    found = {**it.quantiles, **it.tails}
    assert {float(level) for level in found} == set(EDGE_LEVELS)
    below = np.interp(list(found.values()), metric.buckets, truth.cdf(metric.buckets))
    assert below == pytest.approx([float(level) for level in found], abs=1e-4, rel=0.05)
    pushed = load_baselines(Settings())[name]
    assert (it.edges, it.shares, it.statistics) == (pushed.edges, pushed.shares, pushed.statistics)


def test_a_baseline_of_one_value_has_no_tails() -> None:
    assert not describe(kept((5, 5, 100))).tails


def test_a_sample_is_as_far_from_its_baseline_as_the_noise_allows() -> None:
    noise = load_baselines(Settings())["value"].statistics["noise"]
    rng = np.random.default_rng(1)
    real = NORMAL.ppf((np.arange(20_000) + 0.5) / 20_000)
    distances = [stats.wasserstein_distance(NORMAL.rvs(400, rng), real) for _ in range(200)]
    expected = float(np.mean(distances))
    assert 0.6 * noise / math.sqrt(400) < expected <= noise / math.sqrt(400)


def test_bins_without_an_end_count_at_the_end_that_they_have() -> None:
    it = describe(kept((-math.inf, 1, 50), (1, 2, 100), (2, math.inf, 50), total=300))
    assert it.statistics["low"] == 1
    assert it.statistics["high"] == 2
    assert it.quantiles["0.05"] == 1
    assert it.quantiles["0.95"] == 2
    assert all(map(math.isfinite, (*it.edges.values(), *it.statistics.values())))


def test_a_gap_between_bins_is_a_level_of_the_distribution() -> None:
    # Half of it at 0, half at 10: the integral of sqrt(1/2 * 1/2) from 0 to 10.
    assert describe(kept((0, 0, 1), (10, 10, 1))).statistics["noise"] == pytest.approx(5)


def test_another_distribution_has_no_baseline_unless_one_is_set(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Settings(value=parse("normal(mean=7, sd=1)"))
    with caplog.at_level(logging.INFO):
        assert set(load_baselines(other)) == {"segment", "delay"}
    assert "RANDSVC_VALUE_BASELINE is not set" in caplog.text
    path = tmp_path / "baseline.json"
    save(kept((6, 7, 50), (7, 8, 50), total=700), path)
    found = load_baselines(Settings(value=other.value, value_baseline=path))
    assert found["value"].statistics["mean"] == 7


def test_a_file_that_is_no_baseline_is_named_with_its_setting(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text("{}")
    with pytest.raises(
        ConfigurationError, match=f"RANDSVC_DELAY_BASELINE: {path} is not a baseline"
    ):
        load_baselines(Settings(delay_baseline=path))
    with pytest.raises(ConfigurationError, match="RANDSVC_VALUE_BASELINE: cannot read"):
        load_baselines(Settings(value_baseline=tmp_path / "missing.json"))


def test_a_baseline_whose_only_bin_has_no_ends_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    save(kept((-math.inf, math.inf, 50), total=300), path)
    with pytest.raises(ConfigurationError, match="infinite on both sides"):
        load_baselines(Settings(value_baseline=path))
