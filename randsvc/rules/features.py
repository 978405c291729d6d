"""What the model is given: how much of it is missing, and how much is refused."""

from collections.abc import Iterator

from randsvc.metrics import INPUTS, INPUTS_MISSING, INPUTS_REFUSED
from randsvc.rules.golden_signals import Rule, increase
from randsvc.rules.time_scale import TimeScale

__all__ = ("COUNT", "MISSING_SHARE", "REFUSED_SHARE", "make_recordings")

COUNT = "job_window:inputs:increase"
MISSING_SHARE = "job_feature_window:inputs_missing:ratio"
REFUSED_SHARE = "job_window:inputs_refused:ratio"
"""Of all that were sent, those that could be used and those that could not."""


def make_recordings(scale: TimeScale) -> Iterator[Rule]:
    """Record the shares in each window; none where there are no inputs."""
    for window in scale.samples:
        label = {"window": window}
        count = f'{COUNT}{{window="{window}"}}'
        yield Rule(COUNT, f"{increase(INPUTS.prometheus_name, window=window)} > 0", label)
        by = ("job", "randsvc_feature")
        missing = increase(INPUTS_MISSING.prometheus_name, by=by, window=window)
        yield Rule(MISSING_SHARE, f"{missing} / on (job) group_left () {count}", label)
        refused = increase(INPUTS_REFUSED.prometheus_name, window=window)
        yield Rule(REFUSED_SHARE, f"{refused} / on (job) ({refused} + on (job) {count})", label)
