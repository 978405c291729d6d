"""Counts of events in the rules."""

import re

import pytest

from randsvc.generate import make_alert_files, make_rule_files
from randsvc.rules.time_scale import DEMO, PRODUCTION

FILES = make_rule_files() | make_alert_files(DEMO) | make_alert_files(PRODUCTION)


@pytest.mark.parametrize("name", FILES)
def test_each_count_is_taken_from_sample_to_sample(name: str) -> None:
    ranges = re.findall(r"\bincrease\([^[]*\[[^\]]*\]([^)]*)\)", FILES[name])
    assert all(each.startswith(" anchored") for each in ranges)


def test_the_rules_count() -> None:
    assert sum(text.count("increase(") for text in FILES.values()) > 100
