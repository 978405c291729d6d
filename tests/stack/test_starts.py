"""A start raises nothing, and what is still down after it does."""

from pathlib import Path

import pytest

from benchmarks.starts import use_processors, watch_start
from randsvc.rules.time_scale import DEMO
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import wait_until
from randsvc.times import parse_duration

AGE = 'time() - process_start_time_seconds{job="prometheus"}'
DOWN = 'ALERTS{alertname="RandsvcServiceDown"}'


@pytest.mark.usefixtures("programs")
def test_a_start_on_a_busy_machine_raises_nothing() -> None:
    with use_processors(4):
        (start,) = watch_start(6, restart=False)
    assert start.alarms == ()


def test_a_target_that_is_missing_after_the_start_is_called_down_only_then(
    programs: Path, tmp_path: Path
) -> None:
    """Without services: no alert is even pending while Prometheus is young, and later one fires."""
    settling = parse_duration(DEMO.settling)
    with run_stack(services=(), free_ports=True, folder=tmp_path) as stack:
        # Until its first scrape Prometheus has no age, so that the alert is pending for a moment.
        wait_until(lambda: (stack.number(AGE) or 0) > settling / 2, within=60)
        assert stack.query(f"{DOWN} and on () {AGE} < {settling}") == []
        fires = f'{DOWN[:-1]},alertstate="firing"}} and on () {AGE} > {settling}'
        wait_until(lambda: len(stack.query(fires)) == 2, within=60)
        ever = f'max_over_time({DOWN[:-1]},alertstate="firing"}}[{settling / 2:.0f}s] @ '
        started = stack.number('process_start_time_seconds{job="prometheus"}') or 0
        assert stack.query(f"{ever}{started + settling:.0f})") == []
