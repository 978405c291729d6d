"""Which instances are recorded as silent: those whose event loop has ticked no more."""

from pathlib import Path

import pytest
import yaml

from randsvc.rules.golden_signals import SILENT
from randsvc.rules.instances import make_recordings
from randsvc.rules.time_scale import SCALES, TimeScale
from randsvc.times import parse_duration
from tests.support.promtool import promtool

TIMERS = "asyncio_event_loop_lag_seconds_count"


@pytest.mark.native
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES.keys())
def test_an_instance_is_silent_once_it_has_missed_its_pushes(
    scale: TimeScale, tmp_path: Path
) -> None:
    """In steps of a push interval: one lives, one begins late, one dies after ten steps."""
    patience = round(parse_duration(scale.unreported))
    step = patience // 2
    test = {
        "interval": f"{step}s",
        "input_series": [
            {"series": f'{TIMERS}{{job="randsvc",instance="{name}"}}', "values": values}
            for name, values in {
                "lives": "0+20x20",
                "new": "_x13 0+20x7",
                "dies": "0+20x10 200x10",
            }.items()
        ],
        "promql_expr_test": [
            {
                "expr": SILENT,
                "eval_time": f"{at * step}s",
                "exp_samples": [
                    {"labels": f'{SILENT}{{job="randsvc",instance="dies"}}', "value": 1}
                ]
                if is_silent
                else [],
            }
            for at, is_silent in ((10, False), (11, False), (12, True), (14, True), (20, True))
        ],
    }
    rules = [{"record": rule.record, "expr": rule.expr} for rule in make_recordings(scale)]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "checked", "rules": rules}]})
    )
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{step}s",
        "tests": [test],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tests, width=2**16))
    done = promtool("test", "rules", tmp_path / "test.yml")
    assert done.returncode == 0, done.stdout
