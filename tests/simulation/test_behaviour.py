import subprocess
import sys
from statistics import fmean

import pytest

from randsvc.model.features import SEGMENTS, parse_features
from randsvc.simulation.behaviour import draw_features, draw_report_delay


def test_users_send_valid_features_in_the_expected_mix() -> None:
    given = [parse_features({k: [v] for k, v in draw_features().items()}) for _ in range(10_000)]
    segments = [it.segment for it in given]
    assert segments.count(None) / 10_000 == pytest.approx(0.02, abs=0.01)
    for name, share in SEGMENTS.items():
        assert segments.count(name) / 10_000 == pytest.approx(share * 0.98, abs=0.03)
    assert [it.amount for it in given].count(None) / 10_000 == pytest.approx(0.02, abs=0.01)


def test_users_report_a_share_of_the_predictions_later() -> None:
    delays = [draw_report_delay() for _ in range(10_000)]
    reported = [delay for delay in delays if delay is not None]
    assert len(reported) / 10_000 == pytest.approx(0.3, abs=0.03)
    assert fmean(reported) == pytest.approx(5, rel=0.15)
    assert min(reported) >= 0


def test_the_container_of_the_users_needs_none_of_the_packages_of_the_service() -> None:
    text = (
        "import sys, randsvc.credentials\n"
        "import randsvc.simulation.behaviour, randsvc.simulation.daily_wave\n"
        "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", text], capture_output=True, text=True)
    assert set(done.stdout.split()) <= {"__main__", "randsvc", "sitecustomize"}, done.stderr
    assert done.returncode == 0, done.stderr
