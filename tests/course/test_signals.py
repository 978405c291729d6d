"""The series on which queries are judged, and the mistakes that their values name."""

import re

import pytest

from randsvc.course import signals
from randsvc.course.rule_cases import CASES
from randsvc.course.signals import Signal, judge, try_queries
from randsvc.telemetry.catalogue import ACTIVE_REQUESTS, CONCURRENCY_LIMIT, REQUEST_DURATION

METRICS = {
    each.prometheus_name: each for each in (ACTIVE_REQUESTS, CONCURRENCY_LIMIT, REQUEST_DURATION)
}
SIGNALS = {
    "traffic": signals.TRAFFIC,
    "latency": signals.LATENCY,
    "errors": signals.ERRORS,
    "saturation": signals.SATURATION,
}


def test_the_series_have_names_and_labels_of_the_service() -> None:
    for series in {name for case in CASES.values() for name in case}:
        name, _, labels = series.partition("{")
        metric = METRICS[re.sub("_(bucket|count|sum)$", "", name)]
        known = {attribute.replace(".", "_") for attribute in metric.attributes}
        assert set(re.findall(r"(\w+)=", labels)) <= known | {"job", "instance", "le"}, series


@pytest.mark.native
@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_every_mistake_differs_from_what_is_right_and_is_named(signal: Signal) -> None:
    found = try_queries({expr: expr for expr in (signal.right, *signal.mistakes)})
    assert judge(signal, found[signal.right]) is None
    for expr, values in found.items():
        if expr != signal.right:
            assert judge(signal, values), f"{expr} passes"
